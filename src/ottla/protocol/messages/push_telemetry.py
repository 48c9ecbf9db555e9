"""PushTelemetry: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from uuid import UUID

from ottla.protocol.structs import Struct, field


class PushTelemetryRequest(Struct, key=72, versions="0", flexible="0+"):
    client_instance_id: UUID | None = field("uuid", "0+")
    subscription_id: int = field("int32", "0+")
    terminating: bool = field("bool", "0+")
    compression_type: int = field("int8", "0+")
    metrics: bytes = field("bytes", "0+")


class PushTelemetryResponse(Struct, key=72, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
