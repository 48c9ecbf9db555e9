"""SaslAuthenticate: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from ottla.protocol.structs import Struct, field


class SaslAuthenticateRequest(Struct, key=36, versions="0-2", flexible="2+"):
    auth_bytes: bytes = field("bytes", "0+")


class SaslAuthenticateResponse(Struct, key=36, versions="0-2", flexible="2+"):
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    auth_bytes: bytes = field("bytes", "0+")
    session_lifetime_ms: int = field("int64", "1+")
