"""UnregisterBroker: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from ottla.protocol.structs import Struct, field


class UnregisterBrokerRequest(Struct, key=64, versions="0", flexible="0+"):
    broker_id: int = field("int32", "0+")


class UnregisterBrokerResponse(Struct, key=64, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
