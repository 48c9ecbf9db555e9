"""Staying and going: Heartbeat, LeaveGroup and the end of a session; and DescribeGroups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ottla.coordination.groups.classic.group import ClassicGroup, ClassicState
from ottla.coordination.groups.classic.rebalance import (
    complete_join,
    maybe_complete_join,
    prepare_rebalance,
    remove_member,
)
from ottla.coordination.groups.state import ShardState
from ottla.coordination.runtime import CancelTimer, Effects, RequestInfo
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.describe_groups import DescribedGroup, DescribedGroupMember
from ottla.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from ottla.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberResponse

MEMBER_LIST_SINCE: Final = 3
NOT_FOUND_SINCE: Final = 6
_ASSIGNED_STATES = (ClassicState.STABLE, ClassicState.COMPLETING_REBALANCE)


def heartbeat(
    group: ClassicGroup, request: HeartbeatRequest, info: RequestInfo[HeartbeatResponse], now_ms: int
) -> Effects:
    """A sign of life; the answer tells the member when it has to rejoin."""
    if group.state is ClassicState.DEAD:
        raise KafkaError(ErrorCode.coordinator_not_available)
    group.validate_member(request.member_id, request.group_instance_id)
    if request.generation_id != group.generation_id:
        raise KafkaError(ErrorCode.illegal_generation)
    preparing = group.state is ClassicState.PREPARING_REBALANCE
    code = ErrorCode.rebalance_in_progress if preparing else ErrorCode.none
    effects = Effects(timers=[group.session_timer(group.members[request.member_id], now_ms)])
    return effects.reply(info, HeartbeatResponse(error_code=code))


def leave(
    state: ShardState,
    group: ClassicGroup,
    request: LeaveGroupRequest,
    info: RequestInfo[LeaveGroupResponse],
    now_ms: int,
) -> Effects:
    """Take out every named member; since version 3 by member id or by instance id alone."""
    if group.state is ClassicState.DEAD:
        raise KafkaError(ErrorCode.coordinator_not_available)
    effects = Effects()
    results: list[MemberResponse] = []
    for member_id, instance_id in leaving_members(request, info.api_version):
        code, removed = _leave_one(group, member_id, instance_id)
        effects.extend(removed)
        results.append(left(member_id, instance_id, code))
    if any(result.error_code == ErrorCode.none for result in results):
        if group.state in _ASSIGNED_STATES:
            effects.extend(prepare_rebalance(state, group, "members left", now_ms))
        else:
            effects.extend(maybe_complete_join(group, now_ms))
    return effects.reply(info, leave_response(results, info.api_version))


def leaving_members(request: LeaveGroupRequest, api_version: int) -> list[tuple[str, str | None]]:
    """Member id and instance id of each; up to version 2 one member left, without a list."""
    if api_version < MEMBER_LIST_SINCE:
        return [(request.member_id, None)]
    return [(member.member_id, member.group_instance_id) for member in request.members]


def left(member_id: str, instance_id: str | None, code: ErrorCode) -> MemberResponse:
    """What became of one of them."""
    return MemberResponse(member_id=member_id, group_instance_id=instance_id, error_code=code)


def leave_response(results: list[MemberResponse], api_version: int) -> LeaveGroupResponse:
    """Up to version 2 the one member's error is the response's."""
    if api_version < MEMBER_LIST_SINCE:
        return LeaveGroupResponse(error_code=results[0].error_code)
    return LeaveGroupResponse(members=results)


def unknown_members_response(request: LeaveGroupRequest, api_version: int) -> LeaveGroupResponse:
    """The answer where there is no such group."""
    leaving = leaving_members(request, api_version)
    return leave_response([left(*each, ErrorCode.unknown_member_id) for each in leaving], api_version)


def _leave_one(group: ClassicGroup, member_id: str, instance_id: str | None) -> tuple[ErrorCode, Effects]:
    if member_id in group.pending_joins:
        group.remove(member_id)
        return ErrorCode.none, Effects(timers=[CancelTimer(group.session_key(member_id))])
    if not member_id and instance_id is not None:
        member_id = group.static_members.get(instance_id, "")
    try:
        group.validate_member(member_id, instance_id)
    except KafkaError as error:
        return error.code, Effects()
    return ErrorCode.none, remove_member(group, group.members[member_id])


def on_session_timer(state: ShardState, group: ClassicGroup, member_id: str, now_ms: int) -> Effects:
    """A member, or an id that was handed out, gave no sign of life in time."""
    if member_id in group.pending_joins:
        group.remove(member_id)
        effects = Effects()
    else:
        member = group.members.get(member_id)
        if member is None or member.has_satisfied_heartbeat:
            return Effects()
        effects = remove_member(group, member)
        if group.state in _ASSIGNED_STATES:
            reason = f"the session of {member_id} expired"
            return effects.extend(prepare_rebalance(state, group, reason, now_ms))
    if group.state is ClassicState.PREPARING_REBALANCE and group.has_all_members_joined:
        effects.extend(complete_join(group, now_ms))
    return effects


# DescribeGroups


def describe_groups(state: ShardState, group_ids: Iterable[str], api_version: int) -> list[DescribedGroup]:
    """Described groups; what isn't a classic group is dead, since version 6 with an error (KIP-1043)."""
    return [_describe(state, group_id, api_version) for group_id in group_ids]


def _describe(state: ShardState, group_id: str, api_version: int) -> DescribedGroup:
    group = state.find(ClassicGroup, group_id)
    if group is None:
        dead = DescribedGroup(group_id=group_id, group_state=ClassicState.DEAD.value)
        if api_version >= NOT_FOUND_SINCE:
            kind = "is not a classic group" if group_id in state.groups else "not found"
            dead.error_code = ErrorCode.group_id_not_found
            dead.error_message = f"Group {group_id} {kind}."
        return dead
    protocol = group.protocol_name if group.is_stable else None
    return DescribedGroup(
        group_id=group_id,
        group_state=group.state_name,
        protocol_type=group.protocol_type,
        protocol_data=protocol or "",
        members=[
            DescribedGroupMember(
                member_id=member.member_id,
                group_instance_id=member.group_instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                member_metadata=b"" if protocol is None else member.protocols[protocol],
                member_assignment=member.assignment,
            )
            for member in group.members.values()
        ],
    )
