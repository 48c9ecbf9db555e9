"""JoinGroup: who may be a member, and what the join of each kind of member sets off."""

from __future__ import annotations

from typing import Any, Final

from ottla.coordination.groups.classic.group import ClassicGroup, ClassicMember, ClassicState, Protocols
from ottla.coordination.groups.classic.rebalance import (
    fail_parked,
    join_error,
    join_error_response,
    join_success,
    maybe_complete_join,
    maybe_prepare_rebalance_or_complete_join,
    prepare_rebalance,
    refused_join,
    sync_response,
    wait_for_more_members,
)
from ottla.coordination.groups.classic.records import group_metadata_record, new_group_record
from ottla.coordination.groups.state import Group, ShardState
from ottla.coordination.runtime import CancelTimer, Effects, Reply, RequestInfo, SetTimer
from ottla.protocol.errors import ErrorCode, KafkaError

NEW_MEMBER_JOIN_TIMEOUT_MS: Final = 300_000
"""How long a member whose first join is parked may stay without a sign of life; fixed in Kafka, too."""

MEMBER_ID_REQUIRED_SINCE: Final = 4
SKIP_ASSIGNMENT_SINCE: Final = 9


def join_new(state: ShardState, request: Any, info: RequestInfo, now_ms: int) -> Effects:
    """JoinGroup to a group that is not: it is made, for a member that has no id yet."""
    if request.member_id:
        return refused_join(info, ErrorCode.unknown_member_id, request.member_id)
    return join_in_place_of(state, None, request, info, now_ms)


def join_in_place_of(
    state: ShardState, previous: Group | None, request: Any, info: RequestInfo, now_ms: int
) -> Effects:
    """JoinGroup to a new group, in the place of an empty one of another kind where there is one."""
    group = ClassicGroup(request.group_id, now_ms)
    state.groups[group.group_id] = group
    effects = Effects()
    if previous is not None:
        # The consumer group has gone from memory already: its tombstones are only for the log.
        effects.records += [record._replace(applied=True) for record in previous.tombstones()]
        effects.timers += previous.cancelled_timers()
    effects.extend(join(state, group, request, info, now_ms))
    effects.records.append(new_group_record(group))
    effects.continuations.append(
        lambda code, _now_ms: Effects() if code is None else _forget(state, group, previous, code)
    )
    return effects


def _forget(state: ShardState, group: ClassicGroup, previous: Group | None, code: ErrorCode) -> Effects:
    """The new group couldn't be written: as if it had never been."""
    if previous is None:
        del state.groups[group.group_id]
    else:
        state.groups[group.group_id] = previous
    return Effects(replies=fail_parked(group, code), timers=[*group.cancelled_timers()])


def join(state: ShardState, group: ClassicGroup, request: Any, info: RequestInfo, now_ms: int) -> Effects:
    """JoinGroup to a classic group."""
    member_id: str = request.member_id
    if not _accepts(group, member_id, state.config.group_max_size):
        group.remove(member_id)
        effects = refused_join(info, ErrorCode.group_max_size_reached)
        effects.timers.append(CancelTimer(group.session_key(member_id)))
        return effects
    if group.state is ClassicState.DEAD:
        return refused_join(info, ErrorCode.coordinator_not_available, member_id)
    if not group.supports_protocols(request.protocol_type, {p.name for p in request.protocols}):
        return refused_join(info, ErrorCode.inconsistent_group_protocol, member_id)
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
    state: ShardState, group: ClassicGroup, request: Any, info: RequestInfo, now_ms: int
) -> Effects:
    instance_id: str | None = request.group_instance_id
    new_member_id = f"{info.client_id if instance_id is None else instance_id}-{state.new_uuid()}"
    if instance_id is not None and instance_id in group.static_members:
        return _replace_static_member(state, group, new_member_id, request, info, now_ms)
    if instance_id is not None or info.api_version < MEMBER_ID_REQUIRED_SINCE:
        return _add_member(state, group, new_member_id, request, info, now_ms)
    # KIP-394: only a client that comes back with the id costs the group a rebalance.
    group.pending_joins[new_member_id] = None
    effects = refused_join(info, ErrorCode.member_id_required, new_member_id)
    effects.timers.append(SetTimer(group.session_key(new_member_id), now_ms + request.session_timeout_ms))
    return effects


def _join_known(
    state: ShardState, group: ClassicGroup, request: Any, info: RequestInfo, now_ms: int
) -> Effects:
    member_id: str = request.member_id
    if member_id in group.pending_joins:
        if request.group_instance_id is not None:
            return refused_join(info, ErrorCode.unknown_member_id, member_id)
        return _add_member(state, group, member_id, request, info, now_ms)
    try:
        group.validate_member(member_id, request.group_instance_id)
    except KafkaError as error:
        return refused_join(info, error.code, member_id)
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
    state: ShardState, group: ClassicGroup, member_id: str, request: Any, info: RequestInfo, now_ms: int
) -> Effects:
    member = ClassicMember(
        member_id=member_id,
        group_instance_id=request.group_instance_id,
        client_id=info.client_id,
        client_host=info.client_host,
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


def _park(group: ClassicGroup, member: ClassicMember, request: Any, info: RequestInfo) -> Effects:
    """Take over what the member now says of itself, and let its join wait."""
    effects = Effects()
    replaced = group.take_parked_join(member)
    if replaced is not None:
        # The client gave up on its earlier join. Kafka leaves that one without an answer.
        effects.replies.append(join_error(replaced, ErrorCode.rebalance_in_progress, member.member_id))
    group.update_protocols(member, _protocols(request))
    member.rebalance_timeout_ms = _rebalance_timeout_ms(request)
    member.session_timeout_ms = request.session_timeout_ms
    member.parked_join = info
    return effects


def _replace_static_member(
    state: ShardState, group: ClassicGroup, new_member_id: str, request: Any, info: RequestInfo, now_ms: int
) -> Effects:
    """The instance restarted: it takes its place over under a new id, and the old id is fenced (KIP-345)."""
    instance_id: str = request.group_instance_id
    old_leader_id = group.leader_id or ""
    old_member_id = group.static_members[instance_id]
    old = group.members[old_member_id]
    former = (old.protocols, old.rebalance_timeout_ms, old.session_timeout_ms)
    effects = Effects(timers=[CancelTimer(group.session_key(old_member_id))])
    join_info, sync_info = group.take_parked_join(old), group.take_parked_sync(old)
    if join_info is not None:
        effects.replies.append(join_error(join_info, ErrorCode.fenced_instance_id, old_member_id))
    if sync_info is not None:
        response = sync_response(group, old, ErrorCode.fenced_instance_id)
        effects.replies.append(Reply(sync_info.reply_to, response))
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

    def undo(code: ErrorCode | None, undone_ms: int) -> Effects:
        if code is None:
            return Effects()
        group.rename_static_member(instance_id, old_member_id)
        group.update_protocols(member, former[0])
        _, member.rebalance_timeout_ms, member.session_timeout_ms = former
        replaced = CancelTimer(group.session_key(new_member_id))
        return Effects(timers=[replaced, group.session_timer(member, undone_ms)])

    effects.records.append(group_metadata_record(group))
    effects.continuations.append(undo)
    group.take_parked_join(member)
    effects.replies.append(_unchanged_generation(group, member, info, old_leader_id))
    return effects


def _unchanged_generation(
    group: ClassicGroup, member: ClassicMember, info: RequestInfo, old_leader_id: str
) -> Reply:
    """The answer to a restarted instance when nothing has to be assigned anew.

    Since version 9 a leader is told to skip the assignment (KIP-814). Before, it is told that its former self
    leads, so that it takes itself for a follower.
    """
    is_leader = member.member_id == group.leader_id
    if info.api_version >= SKIP_ASSIGNMENT_SINCE:
        response = join_success(group, member, with_members=is_leader, skip_assignment=is_leader)
    else:
        response = join_success(group, member, with_members=False) | {"leader": old_leader_id}
    return Reply(info.reply_to, response, lambda code: join_error_response(info, code))


def _protocols(request: Any) -> Protocols:
    return {protocol.name: bytes(protocol.metadata) for protocol in request.protocols}


def _rebalance_timeout_ms(request: Any) -> int:
    """Version 0 had none: the session timeout was used."""
    timeout_ms: int = request.rebalance_timeout_ms
    return timeout_ms if timeout_ms >= 0 else int(request.session_timeout_ms)


def _why(request: Any) -> str:
    return f" ({request.reason})" if request.reason else ""
