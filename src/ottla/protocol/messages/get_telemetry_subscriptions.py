"""GetTelemetrySubscriptions: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class GetTelemetrySubscriptionsRequest(Struct, key=71, versions="0", flexible="0+"):
    client_instance_id: UUID | None = field("uuid", "0+")


class GetTelemetrySubscriptionsResponse(Struct, key=71, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    client_instance_id: UUID | None = field("uuid", "0+")
    subscription_id: int = field("int32", "0+")
    accepted_compression_types: Sequence[int] = array("int8", "0+")
    push_interval_ms: int = field("int32", "0+")
    telemetry_max_bytes: int = field("int32", "0+")
    delta_temporality: bool = field("bool", "0+")
    requested_metrics: Sequence[str] = array("string", "0+")
