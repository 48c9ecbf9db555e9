"""SyncGroup: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class SyncGroupRequestAssignment(Struct):
    member_id: str = field("string", "0+")
    assignment: bytes = field("bytes", "0+")


class SyncGroupRequest(Struct, key=14, versions="0-5", flexible="4+"):
    group_id: str = field("string", "0+")
    generation_id: int = field("int32", "0+")
    member_id: str = field("string", "0+")
    group_instance_id: str | None = field("string", "3+", nullable="3+")
    protocol_type: str | None = field("string", "5+", nullable="5+")
    protocol_name: str | None = field("string", "5+", nullable="5+")
    assignments: Sequence[SyncGroupRequestAssignment] = array(SyncGroupRequestAssignment, "0+")


class SyncGroupResponse(Struct, key=14, versions="0-5", flexible="4+"):
    throttle_time_ms: int = field("int32", "1+")
    error_code: int = field("int16", "0+")
    protocol_type: str | None = field("string", "5+", nullable="5+")
    protocol_name: str | None = field("string", "5+", nullable="5+")
    assignment: bytes = field("bytes", "0+")
