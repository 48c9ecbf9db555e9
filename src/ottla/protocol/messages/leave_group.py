"""LeaveGroup: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class MemberIdentity(Struct):
    member_id: str = field("string", "3+")
    group_instance_id: str | None = field("string", "3+", nullable="3+")
    reason: str | None = field("string", "5+", nullable="5+")


class LeaveGroupRequest(Struct, key=13, versions="0-5", flexible="4+"):
    group_id: str = field("string", "0+")
    member_id: str = field("string", "0-2")
    members: Sequence[MemberIdentity] = array(MemberIdentity, "3+")


class MemberResponse(Struct):
    member_id: str = field("string", "3+")
    group_instance_id: str | None = field("string", "3+", nullable="3+")
    error_code: int = field("int16", "3+")


class LeaveGroupResponse(Struct, key=13, versions="0-5", flexible="4+"):
    throttle_time_ms: int = field("int32", "1+")
    error_code: int = field("int16", "0+")
    members: Sequence[MemberResponse] = array(MemberResponse, "3+")
