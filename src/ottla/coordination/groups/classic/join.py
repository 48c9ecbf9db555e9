"""JoinGroup: who may be a member, and what the join of each kind of member sets off."""

from __future__ import annotations

from typing import Final, TypeAlias

from ottla.coordination.groups.classic.group import ClassicGroup, ClassicMember, ClassicState, Protocols
from ottla.coordination.groups.classic.rebalance import (
    fail_parked,
    join_success,
    maybe_complete_join,
    maybe_prepare_rebalance_or_complete_join,
    prepare_rebalance,
    wait_for_more_members,
)
from ottla.coordination.groups.classic.records import group_metadata_record, new_group_record
from ottla.coordination.groups.state import Group, ShardState
from ottla.coordination.runtime import CancelTimer, Effects, RequestInfo, SetTimer
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse

NEW_MEMBER_JOIN_TIMEOUT_MS: Final = 300_000
"""How long a member whose first join is parked may stay without a sign of life; fixed in Kafka, too."""

MEMBER_ID_REQUIRED_SINCE: Final = 4
SKIP_ASSIGNMENT_SINCE: Final = 9


Info: TypeAlias = RequestInfo[JoinGroupResponse]


def join_new(state: ShardState, request: JoinGroupRequest, info: Info, now_ms: int) -> Effects:
    """JoinGroup to a group that is not: it is made, for a member that has no id yet."""
    if request.member_id:
        raise KafkaError(ErrorCode.unknown_member_id)
    return join_in_place_of(state, None, request, info, now_ms)


def join_in_place_of(
    state: ShardState, previous: Group | None, request: JoinGroupRequest, info: Info, now_ms: int
) -> Effects:
    """JoinGroup to a new group, in the place of an empty one of another kind where there is one."""
    group = ClassicGroup(request.group_id, now_ms)
    effects = Effects()
    if previous is not None:
        effects.records += previous.tombstones()
        effects.timers += previous.cancelled_timers()
    effects.extend(join(state, group, request, info, now_ms))
    effects.records.append(new_group_record(group))
    # In memory it is there at once, and the other one gone.
    state.groups[group.group_id] = group

    def undo(error: KafkaError | None, _now_ms: int) -> Effects:
        if error is None:
            return Effects()
        if previous is None:
            del state.groups[group.group_id]
        else:
            state.groups[group.group_id] = previous
        return Effects(replies=fail_parked(group, error.code), timers=[*group.cancelled_timers()])

    effects.continuations.append(undo)
    return effects


def join(
    state: ShardState, group: ClassicGroup, request: JoinGroupRequest, info: Info, now_ms: int
) -> Effects:
    """JoinGroup to a classic group."""
    member_id = request.member_id
    if not _accepts(group, member_id, state.config.group_max_size):
        group.remove(member_id)
        effects = Effects(timers=[CancelTimer(group.session_key(member_id))])
        return effects.reply(info, JoinGroupResponse(error_code=ErrorCode.group_max_size_reached))
    if group.state is ClassicState.DEAD:
        raise KafkaError(ErrorCode.coordinator_not_available)
    if not group.supports_protocols(request.protocol_type, {p.name for p in request.protocols}):
        raise KafkaError(ErrorCode.inconsistent_group_protocol)
    if member_id:
        return _join_known(state, group, request, info, now_ms)
    return _join_unknown(state, group, request, info, now_ms)


def _accepts(group: ClassicGroup, member_id: str, max_size: int) -> bool:
    if group.state in (ClassicState.EMPTY, ClassicState.DEAD):
        return True
    member = group.members.get(member_id)
    if group.state is ClassicState.PREPARING_REBALANCE:
        # Those who have not rejoined yet may turn out to be gone: places go to whoever comes first.
        return (member is not None and member.parked_join is not None) or group.parked_joins < max_size
    return member is not None or len(group.members) < max_size


def _join_unknown(
    state: ShardState, group: ClassicGroup, request: JoinGroupRequest, info: Info, now_ms: int
) -> Effects:
    instance_id = request.group_instance_id
    new_member_id = f"{info.client.client_id if instance_id is None else instance_id}-{state.new_uuid()}"
    if instance_id is not None and instance_id in group.static_members:
        return _replace_static_member(state, group, new_member_id, request, info, now_ms)
    if instance_id is not None or info.api_version < MEMBER_ID_REQUIRED_SINCE:
        return _add_member(state, group, new_member_id, request, info, now_ms)
    # KIP-394: only a client that comes back with the id costs the group a rebalance.
    group.pending_joins[new_member_id] = None
    timer = SetTimer(group.session_key(new_member_id), now_ms + request.session_timeout_ms)
    response = JoinGroupResponse(error_code=ErrorCode.member_id_required, member_id=new_member_id)
    return Effects(timers=[timer]).reply(info, response)


def _join_known(
    state: ShardState, group: ClassicGroup, request: JoinGroupRequest, info: Info, now_ms: int
) -> Effects:
    member_id = request.member_id
    if member_id in group.pending_joins:
        if request.group_instance_id is not None:
            raise KafkaError(ErrorCode.unknown_member_id)
        return _add_member(state, group, member_id, request, info, now_ms)
    group.validate_member(member_id, request.group_instance_id)
    member = group.members[member_id]
    is_leader = member_id == group.leader_id
    unchanged = member.matches(_protocols(request))
    if group.state is ClassicState.COMPLETING_REBALANCE and unchanged:
        # Its answer was lost: tell it again.
        return Effects.reply_with(info, join_success(group, member, with_members=is_leader))
    if group.is_stable and unchanged and not is_leader:
        return Effects.reply_with(info, join_success(group, member, with_members=False))
    effects = _park(group, member, request, info)
    reason = f"{'leader' if is_leader else 'member'} {member_id} rejoins in {group.state_name}{_why(request)}"
    return effects.extend(maybe_prepare_rebalance_or_complete_join(state, group, reason, now_ms))


def _add_member(
    state: ShardState, group: ClassicGroup, member_id: str, request: JoinGroupRequest, info: Info, now_ms: int
) -> Effects:
    member = ClassicMember(
        member_id=member_id,
        group_instance_id=request.group_instance_id,
        client_id=info.client.client_id,
        client_host=info.client.client_host,
        rebalance_timeout_ms=_rebalance_timeout_ms(request),
        session_timeout_ms=request.session_timeout_ms,
        protocol_type=request.protocol_type,
        protocols=_protocols(request),
        parked_join=info,
        is_new=True,
    )
    group.add(member)
    timeout_ms = NEW_MEMBER_JOIN_TIMEOUT_MS
    effects = Effects(timers=[SetTimer(group.session_key(member_id), now_ms + timeout_ms)])
    if group.initial_deadline_ms is not None:
        effects.timers.append(wait_for_more_members(state, group, now_ms))
    reason = f"new member {member_id}{_why(request)}"
    return effects.extend(maybe_prepare_rebalance_or_complete_join(state, group, reason, now_ms))


def _park(group: ClassicGroup, member: ClassicMember, request: JoinGroupRequest, info: Info) -> Effects:
    """Take over what the member now says of itself, and let its join wait."""
    effects = Effects()
    replaced = group.take_parked_join(member)
    if replaced is not None:
        # The client gave up on its earlier join. Kafka leaves that one without an answer.
        refusal = JoinGroupResponse(error_code=ErrorCode.rebalance_in_progress, member_id=member.member_id)
        effects.reply(replaced, refusal)
    group.update_protocols(member, _protocols(request))
    member.rebalance_timeout_ms = _rebalance_timeout_ms(request)
    member.session_timeout_ms = request.session_timeout_ms
    member.parked_join = info
    return effects


def _replace_static_member(
    state: ShardState,
    group: ClassicGroup,
    new_member_id: str,
    request: JoinGroupRequest,
    info: Info,
    now_ms: int,
) -> Effects:
    """The instance restarted: it takes its place over under a new id, and the old id is fenced (KIP-345)."""
    instance_id = request.group_instance_id
    assert instance_id is not None, "asked of static members only"
    old_leader_id = group.leader_id or ""
    old_member_id = group.static_members[instance_id]
    old = group.members[old_member_id]
    former = (old.protocols, old.rebalance_timeout_ms, old.session_timeout_ms)
    effects = Effects(timers=[CancelTimer(group.session_key(old_member_id))])
    parked_join, parked_sync = group.take_parked_join(old), group.take_parked_sync(old)
    if parked_join is not None:
        fenced = JoinGroupResponse(error_code=ErrorCode.fenced_instance_id, member_id=old_member_id)
        effects.reply(parked_join, fenced)
    if parked_sync is not None:
        effects.refuse(parked_sync, ErrorCode.fenced_instance_id)
    member = group.rename_static_member(instance_id, new_member_id)
    member.is_new = False
    effects.extend(_park(group, member, request, info))
    effects.timers.append(group.session_timer(member, now_ms))
    why = f"static member {new_member_id} replaces {old_member_id}{_why(request)}"
    if group.state is ClassicState.COMPLETING_REBALANCE:
        return effects.extend(prepare_rebalance(state, group, why, now_ms))
    if not group.is_stable:
        return effects.extend(maybe_complete_join(group, now_ms))
    if group.select_protocol() != group.protocol_name:
        return effects.extend(maybe_prepare_rebalance_or_complete_join(state, group, why, now_ms))

    def undo(error: KafkaError | None, undone_ms: int) -> Effects:
        if error is None:
            return Effects()
        group.rename_static_member(instance_id, old_member_id)
        group.update_protocols(member, former[0])
        _, member.rebalance_timeout_ms, member.session_timeout_ms = former
        replaced = CancelTimer(group.session_key(new_member_id))
        return Effects(timers=[replaced, group.session_timer(member, undone_ms)])

    effects.records.append(group_metadata_record(group))
    effects.continuations.append(undo)
    group.take_parked_join(member)
    return effects.reply(info, _unchanged_generation(group, member, info.api_version, old_leader_id))


def _unchanged_generation(
    group: ClassicGroup, member: ClassicMember, api_version: int, old_leader_id: str
) -> JoinGroupResponse:
    """The answer to a restarted instance when nothing has to be assigned anew.

    Since version 9 a leader is told to skip the assignment (KIP-814). Before, it is told that its former self
    leads, so that it takes itself for a follower.
    """
    if api_version >= SKIP_ASSIGNMENT_SINCE:
        is_leader = member.member_id == group.leader_id
        return join_success(group, member, with_members=is_leader, skip_assignment=is_leader)
    response = join_success(group, member, with_members=False)
    response.leader = old_leader_id
    return response


def _protocols(request: JoinGroupRequest) -> Protocols:
    return {protocol.name: protocol.metadata for protocol in request.protocols}


def _rebalance_timeout_ms(request: JoinGroupRequest) -> int:
    """Version 0 had none: the session timeout was used."""
    timeout_ms = request.rebalance_timeout_ms
    return timeout_ms if timeout_ms >= 0 else request.session_timeout_ms


def _why(request: JoinGroupRequest) -> str:
    return f" ({request.reason})" if request.reason else ""
