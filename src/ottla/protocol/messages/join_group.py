"""JoinGroup: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class JoinGroupRequestProtocol(Struct):
    name: str = field("string", "0+")
    metadata: bytes = field("bytes", "0+")


class JoinGroupRequest(Struct, key=11, versions="0-9", flexible="6+"):
    group_id: str = field("string", "0+")
    session_timeout_ms: int = field("int32", "0+")
    rebalance_timeout_ms: int = field("int32", "1+", default=-1)
    member_id: str = field("string", "0+")
    group_instance_id: str | None = field("string", "5+", nullable="5+")
    protocol_type: str = field("string", "0+")
    protocols: Sequence[JoinGroupRequestProtocol] = array(JoinGroupRequestProtocol, "0+")
    reason: str | None = field("string", "8+", nullable="8+")


class JoinGroupResponseMember(Struct):
    member_id: str = field("string", "0+")
    group_instance_id: str | None = field("string", "5+", nullable="5+")
    metadata: bytes = field("bytes", "0+")


class JoinGroupResponse(Struct, key=11, versions="0-9", flexible="6+"):
    throttle_time_ms: int = field("int32", "2+")
    error_code: int = field("int16", "0+")
    generation_id: int = field("int32", "0+", default=-1)
    protocol_type: str | None = field("string", "7+", nullable="7+")
    protocol_name: str | None = field("string", "0+", nullable="7+")
    leader: str = field("string", "0+")
    skip_assignment: bool = field("bool", "9+")
    member_id: str = field("string", "0+")
    members: Sequence[JoinGroupResponseMember] = array(JoinGroupResponseMember, "0+")
