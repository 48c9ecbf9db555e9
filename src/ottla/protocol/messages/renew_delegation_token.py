"""RenewDelegationToken: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from ottla.protocol.structs import Struct, field


class RenewDelegationTokenRequest(Struct, key=39, versions="1-2", flexible="2+"):
    hmac: bytes = field("bytes", "0+")
    renew_period_ms: int = field("int64", "0+")


class RenewDelegationTokenResponse(Struct, key=39, versions="1-2", flexible="2+"):
    error_code: int = field("int16", "0+")
    expiry_timestamp_ms: int = field("int64", "0+")
    throttle_time_ms: int = field("int32", "0+")
