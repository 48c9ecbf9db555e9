"""The rounds of a rebalance: prepare, gather the joins, start the generation, gather the syncs.

Every function changes the group in memory at once and returns what must be written, answered and timed.
"""

from __future__ import annotations

import logging
from functools import partial

from ottla.coordination.groups.classic.group import ClassicGroup, ClassicMember, ClassicState
from ottla.coordination.groups.classic.records import group_metadata_record
from ottla.coordination.groups.state import ShardState
from ottla.coordination.runtime import CancelTimer, Effects, Reply, RequestInfo, SetTimer
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.join_group import JoinGroupResponse, JoinGroupResponseMember
from ottla.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse

_log = logging.getLogger(__name__)

_SHORTEST_ROUND_MS = 1_000
"""The client chooses the rebalance timeout: a round that is repeated must not become a busy loop."""


def prepare_rebalance(state: ShardState, group: ClassicGroup, reason: str, now_ms: int) -> Effects:
    """Ask everybody to rejoin. The first rebalance of an empty group waits for more members."""
    effects = Effects()
    if group.state is ClassicState.COMPLETING_REBALANCE:
        effects.extend(reset_assignment(group, ErrorCode.rebalance_in_progress, now_ms))
    group.pending_syncs.clear()
    effects.timers.append(CancelTimer(group.sync_key))
    is_initial = group.is_empty
    group.transition_to(ClassicState.PREPARING_REBALANCE, now_ms)
    _log.info("group %s prepares to rebalance generation %d: %s", group.group_id, group.generation_id, reason)
    if not is_initial:
        return effects.extend(_complete_join_or_wait(group, now_ms))
    longest_ms = max(group.rebalance_timeout_ms, state.config.group_initial_rebalance_delay_ms)
    group.initial_deadline_ms = now_ms + longest_ms
    effects.timers.append(wait_for_more_members(state, group, now_ms))
    return effects


def wait_for_more_members(state: ShardState, group: ClassicGroup, now_ms: int) -> SetTimer:
    """The timer of an empty group's first rebalance (KIP-134): it begins when nobody has come for a while.

    Kafka looks once in a delay whether somebody has come, so there it begins up to a delay later.
    """
    assert group.initial_deadline_ms is not None, f"{group.group_id} is not in its first rebalance"
    quiet_until_ms = now_ms + state.config.group_initial_rebalance_delay_ms
    return SetTimer(group.join_key, min(quiet_until_ms, group.initial_deadline_ms))


def maybe_prepare_rebalance_or_complete_join(
    state: ShardState, group: ClassicGroup, reason: str, now_ms: int
) -> Effects:
    """After the members changed: start a rebalance, or end the joins of the one under way."""
    if group.can_rebalance:
        return prepare_rebalance(state, group, reason, now_ms)
    return maybe_complete_join(group, now_ms)


def maybe_complete_join(group: ClassicGroup, now_ms: int) -> Effects:
    """End the joins if everybody is there; the first rebalance ends by its delay alone."""
    waits = group.state is not ClassicState.PREPARING_REBALANCE or group.initial_deadline_ms is not None
    if waits or not group.has_all_members_joined:
        return Effects()
    return complete_join(group, now_ms)


def _complete_join_or_wait(group: ClassicGroup, now_ms: int) -> Effects:
    if group.has_all_members_joined:
        return complete_join(group, now_ms)
    return Effects(timers=[SetTimer(group.join_key, now_ms + group.rebalance_timeout_ms)])


def complete_join(group: ClassicGroup, now_ms: int) -> Effects:
    """Start the next generation with those who joined; static members stay until their session ends."""
    effects = Effects(timers=[CancelTimer(group.join_key)])
    group.initial_deadline_ms = None
    for member in list(group.members.values()):
        if member.parked_join is None and not member.is_static:
            group.remove(member.member_id)
            effects.timers.append(CancelTimer(group.session_key(member.member_id)))
    if group.members and not group.elect_joined_leader():
        # Static members alone, and none of them has rejoined: wait for one more round.
        round_ms = max(group.rebalance_timeout_ms, _SHORTEST_ROUND_MS)
        effects.timers.append(SetTimer(group.join_key, now_ms + round_ms))
        return effects
    group.start_next_generation(now_ms)
    if group.is_empty:
        effects.records.append(group_metadata_record(group))
        return effects
    for member in group.members.values():
        parked = group.take_parked_join(member)
        if parked is not None:
            is_leader = member.member_id == group.leader_id
            effects.reply(parked, join_success(group, member, with_members=is_leader))
        effects.timers.append(group.session_timer(member, now_ms))
        member.is_new = False
        group.pending_syncs[member.member_id] = None
    effects.timers.append(SetTimer(group.sync_key, now_ms + group.rebalance_timeout_ms))
    return effects


def on_join_timer(group: ClassicGroup, now_ms: int) -> Effects:
    """The time of the joins, or of the wait for more members, is over."""
    if group.state is not ClassicState.PREPARING_REBALANCE:
        return Effects()
    return complete_join(group, now_ms)


def on_sync_timer(state: ShardState, group: ClassicGroup, now_ms: int) -> Effects:
    """Members that never asked for their assignment are out (KAFKA-13435)."""
    if group.state not in (ClassicState.COMPLETING_REBALANCE, ClassicState.STABLE) or not group.pending_syncs:
        return Effects()
    missing = list(group.pending_syncs)
    effects = Effects()
    for member_id in missing:
        group.remove(member_id)
        effects.timers.append(CancelTimer(group.session_key(member_id)))
    reason = f"no sync from {', '.join(missing)} within the rebalance timeout"
    return effects.extend(prepare_rebalance(state, group, reason, now_ms))


def remove_member(group: ClassicGroup, member: ClassicMember) -> Effects:
    """Take a member out and tell its parked requests so; the caller decides about a rebalance."""
    effects = Effects(timers=[CancelTimer(group.session_key(member.member_id))])
    parked_join, parked_sync = group.take_parked_join(member), group.take_parked_sync(member)
    if parked_join is not None:
        effects.reply(parked_join, JoinGroupResponse(error_code=ErrorCode.unknown_member_id))
    if parked_sync is not None:
        effects.refuse(parked_sync, ErrorCode.unknown_member_id)
    group.remove(member.member_id)
    return effects


def reset_assignment(group: ClassicGroup, code: ErrorCode, now_ms: int) -> Effects:
    """Forget the generation's assignment and tell the parked syncs why."""
    for member in group.members.values():
        member.assignment = b""
    return answer_syncs(group, code, now_ms)


def answer_syncs(group: ClassicGroup, code: ErrorCode, now_ms: int) -> Effects:
    """Answer every parked sync; its member's session counts from now."""
    effects = Effects()
    for member in group.members.values():
        parked = group.take_parked_sync(member)
        if parked is not None:
            if code is ErrorCode.none:
                effects.reply(parked, sync_response(group, member))
            else:
                effects.refuse(parked, code)
            effects.timers.append(group.session_timer(member, now_ms))
    return effects


def fail_parked(group: ClassicGroup, code: ErrorCode) -> list[Reply]:
    """Refuse every parked request: the group is unloaded, or becomes a consumer group."""
    effects = Effects()
    for member in group.members.values():
        join, sync = group.take_parked_join(member), group.take_parked_sync(member)
        if join is not None:
            effects.reply(join, JoinGroupResponse(error_code=code, member_id=member.member_id))
        if sync is not None:
            effects.refuse(sync, code)
    return effects.replies


def sync(
    state: ShardState, group: ClassicGroup, request: SyncGroupRequest, info: RequestInfo[SyncGroupResponse]
) -> Effects:
    """SyncGroup: the leader brings the assignment, everybody gets his share.

    Followers are parked until the leader's assignment is written; a stable group answers at once.
    """
    _validate(group, request)
    if group.state is ClassicState.PREPARING_REBALANCE:
        raise KafkaError(ErrorCode.rebalance_in_progress)
    member = group.members[request.member_id]
    effects = Effects()
    group.pending_syncs.pop(member.member_id, None)
    if not group.pending_syncs:
        effects.timers.append(CancelTimer(group.sync_key))
    if group.is_stable:
        return effects.reply(info, sync_response(group, member))
    replaced = group.take_parked_sync(member)
    if replaced is not None:
        # The client gave up on its earlier sync. Kafka leaves that one without an answer.
        effects.refuse(replaced, ErrorCode.rebalance_in_progress)
    member.parked_sync = info
    if member.member_id == group.leader_id:
        effects.extend(_store_assignment(state, group, member, request))
    return effects


def _validate(group: ClassicGroup, request: SyncGroupRequest) -> None:
    if group.state is ClassicState.DEAD:
        raise KafkaError(ErrorCode.coordinator_not_available)
    group.validate_member(request.member_id, request.group_instance_id)
    if request.generation_id != group.generation_id:
        raise KafkaError(ErrorCode.illegal_generation)
    # Named since version 5 (KIP-559); null before.
    for named, actual in (
        (request.protocol_type, group.protocol_type),
        (request.protocol_name, group.protocol_name),
    ):
        if named is not None and actual and named != actual:
            raise KafkaError(ErrorCode.inconsistent_group_protocol)


def _store_assignment(
    state: ShardState, group: ClassicGroup, leader: ClassicMember, request: SyncGroupRequest
) -> Effects:
    """Write the generation first: nobody works with an assignment that a failover would forget."""
    given = {each.member_id: each.assignment for each in request.assignments}
    assignment = {member_id: given.get(member_id, b"") for member_id in group.members}
    return Effects(
        records=[group_metadata_record(group, assignment)],
        continuations=[partial(_assignment_stored, state, group, leader.member_id, assignment)],
    )


def _assignment_stored(
    state: ShardState,
    group: ClassicGroup,
    leader_id: str,
    assignment: dict[str, bytes],
    error: KafkaError | None,
    now_ms: int,
) -> Effects:
    if error is not None:
        effects = reset_assignment(group, error.code, now_ms)
        reason = f"{error.code.name} when the assignment of {leader_id} was written"
        return effects.extend(maybe_prepare_rebalance_or_complete_join(state, group, reason, now_ms))
    for member in group.members.values():
        member.assignment = assignment[member.member_id]
    effects = answer_syncs(group, ErrorCode.none, now_ms)
    group.transition_to(ClassicState.STABLE, now_ms)
    return effects


# The responses of the two parked rounds


def join_success(
    group: ClassicGroup, member: ClassicMember, *, with_members: bool, skip_assignment: bool = False
) -> JoinGroupResponse:
    """The generation that the member belongs to; whoever has to assign is told all members' subscriptions."""
    protocol = group.protocol_name or ""
    members = [
        JoinGroupResponseMember(
            member_id=each.member_id,
            group_instance_id=each.group_instance_id,
            metadata=each.protocols[protocol],
        )
        for each in (group.members.values() if with_members else ())
    ]
    return JoinGroupResponse(
        generation_id=group.generation_id,
        protocol_type=group.protocol_type,
        protocol_name=group.protocol_name,
        leader=group.leader_id or "",
        skip_assignment=skip_assignment,
        member_id=member.member_id,
        members=members,
    )


def sync_response(group: ClassicGroup, member: ClassicMember) -> SyncGroupResponse:
    """The member's assignment."""
    return SyncGroupResponse(
        protocol_type=group.protocol_type, protocol_name=group.protocol_name, assignment=member.assignment
    )
