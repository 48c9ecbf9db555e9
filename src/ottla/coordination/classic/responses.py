"""The responses of the two parked rounds."""

from __future__ import annotations

from ottla.coordination.classic.group import ClassicGroup
from ottla.coordination.classic.member import ClassicMember
from ottla.coordination.effects import Effects, Reply, RequestInfo, Response
from ottla.protocol.errors import ErrorCode

_FIRST_JOIN_WITH_NULL_PROTOCOL = 7


def join_error(info: RequestInfo, code: ErrorCode, member_id: str = "") -> Reply:
    """A join that came to nothing."""
    return Reply(info.reply_to, join_error_response(info, code, member_id))


def join_error_response(info: RequestInfo, code: ErrorCode, member_id: str = "") -> Response:
    """Before version 7 the protocol's name could not be null."""
    return {
        "error_code": code,
        "generation_id": -1,
        "protocol_type": None,
        "protocol_name": None if info.api_version >= _FIRST_JOIN_WITH_NULL_PROTOCOL else "",
        "leader": "",
        "skip_assignment": False,
        "member_id": member_id,
        "members": [],
    }


def refused_join(info: RequestInfo, code: ErrorCode, member_id: str = "") -> Effects:
    """Effects that only refuse a join."""
    return Effects(replies=[join_error(info, code, member_id)])


def join_success(
    group: ClassicGroup, member: ClassicMember, *, with_members: bool, skip_assignment: bool = False
) -> Response:
    """The generation that the member belongs to; whoever has to assign is told all members' subscriptions."""
    protocol = group.protocol_name or ""
    members = [
        {
            "member_id": m.member_id,
            "group_instance_id": m.group_instance_id,
            "metadata": m.protocols[protocol],
        }
        for m in (group.members.values() if with_members else ())
    ]
    return {
        "error_code": ErrorCode.none,
        "generation_id": group.generation_id,
        "protocol_type": group.protocol_type,
        "protocol_name": group.protocol_name,
        "leader": group.leader_id or "",
        "skip_assignment": skip_assignment,
        "member_id": member.member_id,
        "members": members,
    }


def sync_response(group: ClassicGroup, member: ClassicMember, code: ErrorCode = ErrorCode.none) -> Response:
    """The member's assignment, or why there is none."""
    failed = code is not ErrorCode.none
    return {
        "error_code": code,
        "protocol_type": None if failed else group.protocol_type,
        "protocol_name": None if failed else group.protocol_name,
        "assignment": b"" if failed else member.assignment,
    }
