"""Envelope: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from ottla.protocol.structs import Struct, field


class EnvelopeRequest(Struct, key=58, versions="0", flexible="0+"):
    request_data: bytes = field("bytes", "0+")
    request_principal: bytes | None = field("bytes", "0+", nullable="0+")
    client_host_address: bytes = field("bytes", "0+")


class EnvelopeResponse(Struct, key=58, versions="0", flexible="0+"):
    response_data: bytes | None = field("bytes", "0+", nullable="0+")
    error_code: int = field("int16", "0+")
