"""Heartbeat: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from ottla.protocol.structs import Struct, field


class HeartbeatRequest(Struct, key=12, versions="0-4", flexible="4+"):
    group_id: str = field("string", "0+")
    generation_id: int = field("int32", "0+")
    member_id: str = field("string", "0+")
    group_instance_id: str | None = field("string", "3+", nullable="3+")


class HeartbeatResponse(Struct, key=12, versions="0-4", flexible="4+"):
    throttle_time_ms: int = field("int32", "1+")
    error_code: int = field("int16", "0+")
