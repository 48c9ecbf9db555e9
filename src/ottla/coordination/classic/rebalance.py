"""The rounds of a rebalance: prepare, gather the joins, start the generation, gather the syncs.

Every function changes the group in memory at once and returns what must be written, answered and timed.
"""

from __future__ import annotations

import logging

from ottla.coordination.classic.group import ClassicGroup, ClassicState
from ottla.coordination.classic.member import ClassicMember
from ottla.coordination.classic.records import group_metadata_record
from ottla.coordination.classic.responses import join_error, join_success, sync_response
from ottla.coordination.effects import CancelTimer, Effects, Reply, SetTimer
from ottla.coordination.state import ShardState
from ottla.protocol.errors import ErrorCode

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
            effects.replies.append(
                Reply(parked.reply_to, join_success(group, member, with_members=is_leader))
            )
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
        effects.replies.append(join_error(parked_join, ErrorCode.unknown_member_id))
    if parked_sync is not None:
        response = sync_response(group, member, ErrorCode.unknown_member_id)
        effects.replies.append(Reply(parked_sync.reply_to, response))
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
            effects.replies.append(Reply(parked.reply_to, sync_response(group, member, code)))
            effects.timers.append(group.session_timer(member, now_ms))
    return effects


def fail_parked(group: ClassicGroup, code: ErrorCode) -> list[Reply]:
    """Answer every parked request: the group is unloaded, or becomes a consumer group."""
    replies: list[Reply] = []
    for member in group.members.values():
        join, sync = group.take_parked_join(member), group.take_parked_sync(member)
        if join is not None:
            replies.append(join_error(join, code, member.member_id))
        if sync is not None:
            replies.append(Reply(sync.reply_to, sync_response(group, member, code)))
    return replies
