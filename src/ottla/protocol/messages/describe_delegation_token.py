"""DescribeDelegationToken: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class DescribeDelegationTokenOwner(Struct):
    principal_type: str = field("string", "0+")
    principal_name: str = field("string", "0+")


class DescribeDelegationTokenRequest(Struct, key=41, versions="1-3", flexible="2+"):
    owners: Sequence[DescribeDelegationTokenOwner] | None = array(
        DescribeDelegationTokenOwner, "0+", nullable="0+"
    )


class DescribedDelegationTokenRenewer(Struct):
    principal_type: str = field("string", "0+")
    principal_name: str = field("string", "0+")


class DescribedDelegationToken(Struct):
    principal_type: str = field("string", "0+")
    principal_name: str = field("string", "0+")
    token_requester_principal_type: str = field("string", "3+")
    token_requester_principal_name: str = field("string", "3+")
    issue_timestamp: int = field("int64", "0+")
    expiry_timestamp: int = field("int64", "0+")
    max_timestamp: int = field("int64", "0+")
    token_id: str = field("string", "0+")
    hmac: bytes = field("bytes", "0+")
    renewers: Sequence[DescribedDelegationTokenRenewer] = array(DescribedDelegationTokenRenewer, "0+")


class DescribeDelegationTokenResponse(Struct, key=41, versions="1-3", flexible="2+"):
    error_code: int = field("int16", "0+")
    tokens: Sequence[DescribedDelegationToken] = array(DescribedDelegationToken, "0+")
    throttle_time_ms: int = field("int32", "0+")
