"""SyncGroup: the leader brings the assignment, everybody gets his share."""

from __future__ import annotations

from functools import partial
from typing import Any

from ottla.coordination.classic.group import ClassicGroup, ClassicState
from ottla.coordination.classic.member import ClassicMember
from ottla.coordination.classic.rebalance import (
    answer_syncs,
    maybe_prepare_rebalance_or_complete_join,
    reset_assignment,
)
from ottla.coordination.classic.records import group_metadata_record
from ottla.coordination.classic.responses import sync_response
from ottla.coordination.effects import CancelTimer, Effects, Reply, RequestInfo
from ottla.coordination.state import ShardState
from ottla.protocol.errors import ErrorCode, KafkaError


def sync(state: ShardState, group: ClassicGroup, request: Any, info: RequestInfo) -> Effects:
    """Park followers until the leader's assignment is written; a stable group answers at once."""
    try:
        _validate(group, request)
    except KafkaError as error:
        return Effects.reply_with(info, {"error_code": error.code})
    if group.state is ClassicState.PREPARING_REBALANCE:
        return Effects.reply_with(info, {"error_code": ErrorCode.rebalance_in_progress})
    member = group.members[request.member_id]
    effects = Effects()
    group.pending_syncs.pop(member.member_id, None)
    if not group.pending_syncs:
        effects.timers.append(CancelTimer(group.sync_key))
    if group.is_stable:
        effects.replies.append(Reply(info.reply_to, sync_response(group, member)))
        return effects
    replaced = group.take_parked_sync(member)
    if replaced is not None:
        # The client gave up on its earlier sync. Kafka leaves that one without an answer.
        response = sync_response(group, member, ErrorCode.rebalance_in_progress)
        effects.replies.append(Reply(replaced.reply_to, response))
    member.parked_sync = info
    if member.member_id == group.leader_id:
        effects.extend(_store_assignment(state, group, member, request))
    return effects


def _validate(group: ClassicGroup, request: Any) -> None:
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


def _store_assignment(state: ShardState, group: ClassicGroup, leader: ClassicMember, request: Any) -> Effects:
    """Write the generation first: nobody works with an assignment that a failover would forget."""
    given = {a.member_id: bytes(a.assignment) for a in request.assignments}
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
    code: ErrorCode | None,
    now_ms: int,
) -> Effects:
    if code is not None:
        effects = reset_assignment(group, code, now_ms)
        reason = f"{code.name} when the assignment of {leader_id} was written"
        return effects.extend(maybe_prepare_rebalance_or_complete_join(state, group, reason, now_ms))
    for member in group.members.values():
        member.assignment = assignment[member.member_id]
    effects = answer_syncs(group, ErrorCode.none, now_ms)
    group.transition_to(ClassicState.STABLE, now_ms)
    return effects
