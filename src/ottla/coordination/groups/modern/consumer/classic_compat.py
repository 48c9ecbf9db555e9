"""Classic members in a consumer group: JoinGroup, SyncGroup, Heartbeat and LeaveGroup served from its state.

To such a member the group is a classic one without a leader: its member epoch is the generation, what it
joins with is its heartbeat, and what it syncs is what it owns. Told REBALANCE_IN_PROGRESS it gives back,
by joining, whatever it must; an eager one gives back everything and gets at once what is its own again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from ottla.coordination.groups.classic.membership import leave_response, leaving_members, left
from ottla.coordination.groups.modern.consumer import embedded, migration, records
from ottla.coordination.groups.modern.consumer.group import CONSUMER_PROTOCOL_TYPE, ConsumerGroup
from ottla.coordination.groups.modern.consumer.heartbeat import new_member_id
from ottla.coordination.groups.modern.consumer.member import (
    JOIN_TIMER,
    REBALANCE_TIMER,
    SESSION_TIMER,
    SYNC_TIMER,
    ClassicMetadata,
    ConsumerGroupMember,
    MemberMetadata,
    cancel_timers,
    timer_key,
)
from ottla.coordination.groups.modern.consumer.membership import (
    check_size,
    joining_static_member,
    known_member,
    known_static_member,
    remove_members,
    replacement_records,
)
from ottla.coordination.groups.modern.consumer.update import (
    MemberUpdate,
    raise_group_epoch,
    reconcile_member,
    resolve_regexes,
    update_target,
    write_metadata,
)
from ottla.coordination.groups.modern.reconcile import MemberState
from ottla.coordination.groups.modern.topics import metadata_hash
from ottla.coordination.groups.state import ShardState
from ottla.coordination.runtime import CancelTimer, Client, Effects, RequestInfo, SetTimer, once_written
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from ottla.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse
from ottla.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberResponse
from ottla.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse

_FIRST_WITH_MEMBER_ID_REQUIRED = 4

JoinInfo: TypeAlias = RequestInfo[JoinGroupResponse]


def classic_join(
    state: ShardState, group: ConsumerGroup, request: JoinGroupRequest, info: JoinInfo, now_ms: int
) -> Effects:
    """JoinGroup, answered at once: nobody waits for others to join."""
    _check_join(state, group, request)
    member_id = request.member_id or new_member_id(state)
    is_dynamic = request.group_instance_id is None
    if not request.member_id and is_dynamic and info.api_version >= _FIRST_WITH_MEMBER_ID_REQUIRED:
        response = JoinGroupResponse(error_code=ErrorCode.member_id_required, member_id=member_id)
        return Effects.reply_with(info, response)
    return _join(state, group, request, member_id, info, now_ms)


def _check_join(state: ShardState, group: ConsumerGroup, request: JoinGroupRequest) -> None:
    if not migration.classic_members_may_join(state):
        raise KafkaError(ErrorCode.inconsistent_group_protocol, "The group migration is disabled.")
    check_size(state, group, request.member_id, request.group_instance_id)
    names = [protocol.name for protocol in request.protocols]
    others = [dict(_classic(member).protocols) for member in group.classic_members]
    is_common = any(all(name in protocols for protocols in others) for name in names)
    if request.protocol_type != CONSUMER_PROTOCOL_TYPE or not is_common:
        raise KafkaError(ErrorCode.inconsistent_group_protocol, "The member's protocols are not supported.")


def _join(
    state: ShardState,
    group: ConsumerGroup,
    request: JoinGroupRequest,
    member_id: str,
    info: JoinInfo,
    now_ms: int,
) -> Effects:
    member, replaced_id = _subscribe(group, member_id, request)
    replaced = None if replaced_id is None else group.members[replaced_id]
    is_downgrade = replaced is not None and migration.can_downgrade_with_replacement(state, group, replaced)
    protocols = tuple((protocol.name, protocol.metadata) for protocol in request.protocols)
    subscription = embedded.decode_subscription(protocols[0][1])

    effects = Effects()
    if replaced_id is not None:
        effects.records += replacement_records(group, replaced_id, member)
        cancelled = cancel_timers(group.group_id, replaced_id)
        effects.continuations.append(once_written(cancelled))
    updated = replace(
        member, metadata=_metadata(member.metadata, request, info.client, subscription, protocols)
    )
    update = MemberUpdate(state, group, now_ms, member, updated, replaced_id, effects)
    names_changed = write_metadata(update)
    changed = resolve_regexes(update) or names_changed
    raise_group_epoch(update, changed=changed)
    reported = embedded.by_topic_id(state.image, subscription.owned)
    if is_downgrade and replaced_id is not None:
        stale = group.assignment_epoch < update.group_epoch
        if not stale:
            epoch, target = group.assignment_epoch, update.last_target
            updated = reconcile_member(update, epoch, target, reported, changed=changed)
        new_patterns = sorted(update.resolved.keys() - group.resolved_regexes.keys())
        effects.records += [records.regex_tombstone(group.group_id, pattern) for pattern in new_patterns]
        effects.extend(
            migration.downgrade_with_replacement(state, group, replaced_id, updated, now_ms, rebalance=stale)
        )
    else:
        target_epoch, target = update_target(update)
        updated = reconcile_member(update, target_epoch, target, reported, changed=changed)
        effects.timers += _join_timers(group, updated, now_ms)
    response = JoinGroupResponse(
        member_id=member_id,
        generation_id=updated.epoch,
        protocol_type=CONSUMER_PROTOCOL_TYPE,
        protocol_name=protocols[0][0],
    )
    return effects.reply(info, response)


def _subscribe(
    group: ConsumerGroup, member_id: str, request: JoinGroupRequest
) -> tuple[ConsumerGroupMember, str | None]:
    instance_id = request.group_instance_id
    if instance_id is None:
        return group.members.get(member_id, ConsumerGroupMember(member_id)), None
    if not request.member_id:
        return joining_static_member(group, member_id, instance_id, uses_classic_protocol=True)
    return known_member(group, member_id, instance_id), None


def _metadata(
    old: MemberMetadata,
    request: JoinGroupRequest,
    client: Client,
    subscription: embedded.EmbeddedSubscription,
    protocols: tuple[tuple[str, bytes], ...],
) -> MemberMetadata:
    timeout_ms = request.rebalance_timeout_ms
    return MemberMetadata(
        instance_id=old.instance_id if request.group_instance_id is None else request.group_instance_id,
        rack_id=subscription.rack_id or old.rack_id,
        client_id=client.client_id,
        client_host=client.client_host,
        subscribed_topic_names=subscription.topics,
        subscribed_topic_regex="",  # the classic protocol has none: such consumers match for themselves
        rebalance_timeout_ms=timeout_ms if timeout_ms >= 0 else request.session_timeout_ms,
        server_assignor=old.server_assignor,
        classic=ClassicMetadata(request.session_timeout_ms, protocols),
    )


def _join_timers(
    group: ConsumerGroup, member: ConsumerGroupMember, now_ms: int
) -> list[SetTimer | CancelTimer]:
    group.awaited_joins.discard(member.member_id)
    return [
        CancelTimer(timer_key(JOIN_TIMER, group.group_id, member.member_id)),
        # A member that spoke the new protocol before has this one running.
        CancelTimer(timer_key(REBALANCE_TIMER, group.group_id, member.member_id)),
        _session_timer(group, member, now_ms),
        SetTimer(
            timer_key(SYNC_TIMER, group.group_id, member.member_id),
            now_ms + member.metadata.rebalance_timeout_ms,
        ),
    ]


def classic_sync(
    state: ShardState,
    group: ConsumerGroup,
    request: SyncGroupRequest,
    info: RequestInfo[SyncGroupResponse],
    now_ms: int,
) -> Effects:
    """SyncGroup: what the member owns, in the version of the embedded protocol that it speaks."""
    member = _known_classic_member(group, request)
    _check_protocol(member, request)
    current = member.current
    if group.assignment_epoch > member.epoch and current.state is not MemberState.UNREVOKED_PARTITIONS:
        effects = Effects(timers=[*_await_join(group, member, now_ms)])
        return effects.refuse(info, ErrorCode.rebalance_in_progress)
    assigned = {topic_id: frozenset(epochs) for topic_id, epochs in current.assigned.items()}
    response = SyncGroupResponse(
        protocol_type=request.protocol_type,
        protocol_name=request.protocol_name,
        assignment=embedded.encode_assignment(state.image, assigned, _classic(member).protocols[0][1]),
    )
    effects = Effects.reply_with(info, response)
    effects.timers.append(CancelTimer(timer_key(SYNC_TIMER, group.group_id, member.member_id)))
    effects.timers.append(_session_timer(group, member, now_ms))
    return effects


def _check_protocol(member: ConsumerGroupMember, request: SyncGroupRequest) -> None:
    """Named since version 5 (KIP-559), and then as the join was answered."""
    joined_with = _classic(member).protocols[0][0]
    named_type, named = request.protocol_type, request.protocol_name
    if named_type not in (None, CONSUMER_PROTOCOL_TYPE) or named not in (None, joined_with):
        raise KafkaError(ErrorCode.inconsistent_group_protocol)


def classic_heartbeat(
    state: ShardState,
    group: ConsumerGroup,
    request: HeartbeatRequest,
    info: RequestInfo[HeartbeatResponse],
    now_ms: int,
) -> Effects:
    """Heartbeat; the answer tells the member to rejoin where there is something to give or to take."""
    member = _known_classic_member(group, request)
    must_rejoin = (
        member.epoch < group.assignment_epoch
        or _has_nobody_else_to_assign(state, group)
        or member.current.state is MemberState.UNREVOKED_PARTITIONS
        or (
            member.current.state is MemberState.UNRELEASED_PARTITIONS and not _waits_for_others(group, member)
        )
    )
    code = ErrorCode.rebalance_in_progress if must_rejoin else ErrorCode.none
    effects = Effects.reply_with(info, HeartbeatResponse(error_code=code))
    effects.timers.append(_session_timer(group, member, now_ms))
    if must_rejoin:
        effects.timers += _await_join(group, member, now_ms)
    return effects


def _has_nobody_else_to_assign(state: ShardState, group: ConsumerGroup) -> bool:
    """Whether a target is due that only a join will compute: nobody is left with the other heartbeat.

    Kafka waits for a join to happen, and so, where a downgrade is not allowed, leaves without an owner what
    the last member of the new protocol had, and partitions that are added later.
    """
    if len(group.classic_members) < len(group.members):
        return False
    if group.checked_image is not state.image:
        if metadata_hash(state.image, group.subscribed_topics) != group.metadata_hash:
            return True
        group.checked_image = state.image
    return group.assignment_epoch < group.group_epoch


def _waits_for_others(group: ConsumerGroup, member: ConsumerGroupMember) -> bool:
    return any(
        partition not in member.current.assigned.get(topic_id, {}) and group.is_owned(topic_id, partition)
        for topic_id, partitions in group.target.get(member.member_id, {}).items()
        for partition in partitions
    )


def classic_leave(
    state: ShardState,
    group: ConsumerGroup,
    request: LeaveGroupRequest,
    info: RequestInfo[LeaveGroupResponse],
    now_ms: int,
) -> Effects:
    """LeaveGroup: whoever is named goes, whichever protocol it speaks (an operator may name them)."""
    results: list[MemberResponse] = []
    leaving: dict[str, ConsumerGroupMember] = {}
    for member_id, instance_id in leaving_members(request, info.api_version):
        code = ErrorCode.none
        try:
            if instance_id is not None and not member_id:
                member = known_static_member(group, instance_id)
            else:
                member = known_member(group, member_id, instance_id)
            leaving[member.member_id] = member
        except KafkaError as error:
            code = error.code
        results.append(left(member_id, instance_id, code))
    effects = remove_members(state, group, list(leaving.values()), now_ms)
    return effects.reply(info, leave_response(results, info.api_version))


def _known_classic_member(
    group: ConsumerGroup, request: HeartbeatRequest | SyncGroupRequest
) -> ConsumerGroupMember:
    """The member in its generation. Raises KafkaError."""
    member = known_member(group, request.member_id, request.group_instance_id)
    if not member.uses_classic_protocol:
        raise KafkaError(
            ErrorCode.unknown_member_id, f"Member {member.member_id} does not use this protocol."
        )
    if member.epoch != request.generation_id:
        raise KafkaError(ErrorCode.illegal_generation)
    return member


def _classic(member: ConsumerGroupMember) -> ClassicMetadata:
    classic = member.metadata.classic
    assert classic is not None, "asked of classic members only"
    return classic


def _session_timer(group: ConsumerGroup, member: ConsumerGroupMember, now_ms: int) -> SetTimer:
    key = timer_key(SESSION_TIMER, group.group_id, member.member_id)
    return SetTimer(key, now_ms + _classic(member).session_timeout_ms)


def _await_join(group: ConsumerGroup, member: ConsumerGroupMember, now_ms: int) -> list[SetTimer]:
    """From the first time it is told, the member has its rebalance timeout to rejoin."""
    if member.member_id in group.awaited_joins:
        return []
    group.awaited_joins.add(member.member_id)
    key = timer_key(JOIN_TIMER, group.group_id, member.member_id)
    return [SetTimer(key, now_ms + member.metadata.rebalance_timeout_ms)]
