"""CreateDelegationToken: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class CreatableRenewers(Struct):
    principal_type: str = field("string", "0+")
    principal_name: str = field("string", "0+")


class CreateDelegationTokenRequest(Struct, key=38, versions="1-3", flexible="2+"):
    owner_principal_type: str | None = field("string", "3+", nullable="3+")
    owner_principal_name: str | None = field("string", "3+", nullable="3+")
    renewers: Sequence[CreatableRenewers] = array(CreatableRenewers, "0+")
    max_lifetime_ms: int = field("int64", "0+")


class CreateDelegationTokenResponse(Struct, key=38, versions="1-3", flexible="2+"):
    error_code: int = field("int16", "0+")
    principal_type: str = field("string", "0+")
    principal_name: str = field("string", "0+")
    token_requester_principal_type: str = field("string", "3+")
    token_requester_principal_name: str = field("string", "3+")
    issue_timestamp_ms: int = field("int64", "0+")
    expiry_timestamp_ms: int = field("int64", "0+")
    max_timestamp_ms: int = field("int64", "0+")
    token_id: str = field("string", "0+")
    hmac: bytes = field("bytes", "0+")
    throttle_time_ms: int = field("int32", "0+")
