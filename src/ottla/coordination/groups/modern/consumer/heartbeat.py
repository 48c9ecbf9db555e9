"""ConsumerGroupHeartbeat (KIP-848), versions 0 and 1: the whole protocol in one request.

A member joins with epoch 0, leaves with -1 (static: -2, and comes back), and else reports the epoch it
is in and, when it changed, what it owns. The answer carries its epoch and, when it changed, what it may
own now.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias
from uuid import UUID

from ottla.coordination.groups.classic.group import ClassicGroup
from ottla.coordination.groups.modern.assignors import Partitions
from ottla.coordination.groups.modern.consumer import migration
from ottla.coordination.groups.modern.consumer.group import ConsumerGroup
from ottla.coordination.groups.modern.consumer.member import (
    SESSION_TIMER,
    ConsumerGroupMember,
    MemberMetadata,
    cancel_classic_timers,
    cancel_timers,
    timer_key,
)
from ottla.coordination.groups.modern.consumer.membership import (
    check_epoch,
    check_size,
    joining_static_member,
    known_member,
    leave,
    replacement_records,
)
from ottla.coordination.groups.modern.consumer.update import (
    MemberUpdate,
    has_preferred_assignor_changed,
    raise_group_epoch,
    reconcile_member,
    resolve_regexes,
    update_target,
    write_metadata,
)
from ottla.coordination.groups.modern.reconcile import (
    JOIN_GROUP_EPOCH,
    LEAVE_GROUP_EPOCH,
    LEAVE_GROUP_STATIC_EPOCH,
    PartitionEpochs,
)
from ottla.coordination.groups.state import ShardState
from ottla.coordination.runtime import Client, Effects, RequestInfo, SetTimer, once_written
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.consumer_group_heartbeat import (
    Assignment,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatRequestTopicPartitions,
    ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatResponseTopicPartitions,
)

_FIRST_WITH_CLIENT_MEMBER_ID = 1


Request: TypeAlias = ConsumerGroupHeartbeatRequest
Info: TypeAlias = RequestInfo[ConsumerGroupHeartbeatResponse]


def consumer_group_heartbeat(state: ShardState, request: Request, info: Info, now_ms: int) -> Effects:
    """One heartbeat."""
    _check(state, request, info)
    if request.member_epoch in (LEAVE_GROUP_EPOCH, LEAVE_GROUP_STATIC_EPOCH):
        return leave(state, _existing_group(state, request.group_id), request, info, now_ms)
    return _heartbeat(state, request, info, now_ms)


def _check(state: ShardState, request: Request, info: Info) -> None:
    """What can be said without the group."""
    epoch = request.member_epoch
    needs_member_id = epoch > JOIN_GROUP_EPOCH or epoch == LEAVE_GROUP_EPOCH
    if needs_member_id or info.api_version >= _FIRST_WITH_CLIENT_MEMBER_ID:
        _require(not _is_blank(request.member_id), "MemberId can't be empty.")
    _require(not _is_blank(request.group_id), "GroupId can't be empty.")
    _require(not _is_blank(request.instance_id), "InstanceId can't be empty.")
    _require(not _is_blank(request.rack_id), "RackId can't be empty.")
    if epoch == JOIN_GROUP_EPOCH:
        _require(request.rebalance_timeout_ms != -1, "RebalanceTimeoutMs must be provided in first request.")
        _require(
            request.topic_partitions is not None and not request.topic_partitions,
            "TopicPartitions must be empty when (re-)joining.",
        )
        _require(
            request.subscribed_topic_names is not None or request.subscribed_topic_regex is not None,
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        )
    elif epoch == LEAVE_GROUP_STATIC_EPOCH:
        _require(request.instance_id is not None, "InstanceId can't be null.")
    _require(epoch >= LEAVE_GROUP_STATIC_EPOCH, "MemberEpoch is invalid.")
    supported = state.config.group_consumer_assignors
    if request.server_assignor is not None and request.server_assignor not in supported:
        raise KafkaError(
            ErrorCode.unsupported_assignor,
            f"ServerAssignor {request.server_assignor} is not supported. "
            f"Supported assignors: {', '.join(supported)}.",
        )


def _is_blank(text: str | None) -> bool:
    """Nothing but spaces and control characters, as Java trims them."""
    return text is not None and all(character <= " " for character in text)


def _require(condition: object, message: str) -> None:
    if not condition:
        raise KafkaError(ErrorCode.invalid_request, message)


def _existing_group(state: ShardState, group_id: str) -> ConsumerGroup:
    group = state.find(ConsumerGroup, group_id)
    if group is None:
        what = "is not a consumer group" if group_id in state.groups else "not found"
        raise KafkaError(ErrorCode.group_id_not_found, f"Group {group_id} {what}.")
    return group


def _group_to_join(state: ShardState, group_id: str, now_ms: int) -> tuple[ConsumerGroup, Effects]:
    """The group as it will be when the effects are written: existing, new, or in a classic group's place."""
    classic = state.find(ClassicGroup, group_id)
    if classic is None:
        is_new = group_id not in state.groups
        return ConsumerGroup(group_id) if is_new else _existing_group(state, group_id), Effects()
    if classic.is_empty:
        cancelled = once_written(classic.cancelled_timers())
        return ConsumerGroup(group_id), Effects(records=classic.tombstones(), continuations=[cancelled])
    return migration.upgrade(state, classic, now_ms)


def _heartbeat(state: ShardState, request: Request, info: Info, now_ms: int) -> Effects:
    group_id = request.group_id
    is_joining = request.member_epoch == JOIN_GROUP_EPOCH
    if is_joining:
        group, effects = _group_to_join(state, group_id, now_ms)
    else:
        group, effects = _existing_group(state, group_id), Effects()
    check_size(state, group, request.member_id, request.instance_id)
    member_id = request.member_id or new_member_id(state)
    reported = _partitions(request.topic_partitions)

    member, replaced_id = _subscribe(group, member_id, request, reported)
    if replaced_id is not None:
        effects.records += replacement_records(group, replaced_id, member)
        if replaced_id != member_id:
            effects.continuations.append(once_written(cancel_timers(group_id, replaced_id)))
    updated = replace(member, metadata=_metadata(member.metadata, request, info.client))
    update = MemberUpdate(state, group, now_ms, member, updated, replaced_id, effects)
    names_changed = write_metadata(update)
    changed = resolve_regexes(update) or names_changed
    raise_group_epoch(update, changed=changed or has_preferred_assignor_changed(update))
    target_epoch, target = update_target(update)
    result = reconcile_member(update, target_epoch, target, reported, changed=changed)

    session_key = timer_key(SESSION_TIMER, group_id, member_id)
    effects.timers.append(SetTimer(session_key, now_ms + state.consumer_session_timeout_ms(group_id)))
    if member.uses_classic_protocol:
        effects.timers += cancel_classic_timers(group_id, member_id)
    is_changed = member.current.assigned != result.current.assigned
    _note_confirmation(group, result, reported, is_changed=is_changed)
    is_behind = is_joining or request.member_epoch != member.epoch
    is_told = is_behind or is_changed or _is_full(request) or member_id in group.unconfirmed
    response = ConsumerGroupHeartbeatResponse(
        member_id=member_id,
        member_epoch=result.epoch,
        heartbeat_interval_ms=next_heartbeat_ms(state, group, target_epoch, now_ms),
        assignment=_assignment(result.current.assigned) if is_told else None,
    )
    return effects.reply(info, response)


def new_member_id(state: ShardState) -> str:
    """A member id as Kafka makes them: a UUID in URL-safe base 64."""
    return urlsafe_b64encode(state.new_uuid().bytes).rstrip(b"=").decode()


def _subscribe(
    group: ConsumerGroup, member_id: str, request: Request, reported: Partitions | None
) -> tuple[ConsumerGroupMember, str | None]:
    """Who it is: a member, a new one, or one that takes the place of the member whose id is answered."""
    instance_id = request.instance_id
    if request.member_epoch == JOIN_GROUP_EPOCH:
        if instance_id is None:
            return group.members.get(member_id, ConsumerGroupMember(member_id)), None
        return joining_static_member(group, member_id, instance_id, uses_classic_protocol=False)
    member = known_member(group, member_id, instance_id)
    check_epoch(member, request.member_epoch, reported)
    return member, None


def _metadata(old: MemberMetadata, request: Request, client: Client) -> MemberMetadata:
    """What the request tells; what it leaves out stays."""
    names = request.subscribed_topic_names
    pattern = request.subscribed_topic_regex
    timeout_ms = request.rebalance_timeout_ms
    return MemberMetadata(
        instance_id=old.instance_id if request.instance_id is None else request.instance_id,
        rack_id=old.rack_id if request.rack_id is None else request.rack_id,
        client_id=client.client_id,
        client_host=client.client_host,
        subscribed_topic_names=old.subscribed_topic_names if names is None else frozenset(names),
        subscribed_topic_regex=old.subscribed_topic_regex if pattern is None else pattern,
        rebalance_timeout_ms=old.rebalance_timeout_ms if timeout_ms == -1 else timeout_ms,
        server_assignor=old.server_assignor if request.server_assignor is None else request.server_assignor,
        classic=None,
    )


def _partitions(
    topic_partitions: Sequence[ConsumerGroupHeartbeatRequestTopicPartitions] | None,
) -> Partitions | None:
    if topic_partitions is None:
        return None
    reported: dict[UUID, frozenset[int]] = {}
    for each in topic_partitions:
        if each.partitions and each.topic_id is not None:
            reported[each.topic_id] = reported.get(each.topic_id, frozenset()) | frozenset(each.partitions)
    return reported


def _is_full(request: Request) -> bool:
    """Whether the member tells everything, as after an error, and wants to be told everything."""
    return (
        request.rebalance_timeout_ms != -1
        and (request.subscribed_topic_names is not None or request.subscribed_topic_regex is not None)
        and request.topic_partitions is not None
    )


def _note_confirmation(
    group: ConsumerGroup, member: ConsumerGroupMember, reported: Partitions | None, *, is_changed: bool
) -> None:
    """A member is told its assignment until it reports it, for an answer can be lost.

    Kafka tells it once and relies on a full request after an error. librdkafka repeats the lost request as it
    was, and would not hear of what it has to give back before its rebalance timeout ends.
    """
    assigned = member.current.assigned
    if reported is not None and reported == {t: frozenset(epochs) for t, epochs in assigned.items()}:
        group.unconfirmed.discard(member.member_id)
    elif is_changed:
        group.unconfirmed.add(member.member_id)


def _assignment(assigned: PartitionEpochs) -> Assignment:
    topics = [
        ConsumerGroupHeartbeatResponseTopicPartitions(topic_id=topic_id, partitions=sorted(epochs))
        for topic_id, epochs in sorted(assigned.items())
    ]
    return Assignment(topic_partitions=topics)


def next_heartbeat_ms(state: ShardState, group: ConsumerGroup, target_epoch: int, now_ms: int) -> int:
    """When a member that was just brought towards the target of `target_epoch` shall heartbeat again.

    Members learn only from answers to heartbeats what they may own and what they must give back, so a group
    moves as fast as it beats. Right after a new target the interval is short, where Kafka answers with the
    group's own; it grows back to that with the target's age, so that a member is late by no more than a part
    of what the rebalance has lasted anyway, and one that takes long (a member gives back only when it polls)
    costs little.
    """
    config = state.config
    own_ms = state.consumer_heartbeat_interval_ms(group.group_id)
    is_new = target_epoch > group.assignment_epoch  # computed for this request, and not replayed yet
    age_ms = 0 if is_new else now_ms - group.assignment_timestamp_ms
    grown_ms = own_ms * age_ms // config.ottla_group_consumer_rebalance_settling_ms
    wanted_ms = max(config.ottla_group_consumer_rebalance_heartbeat_interval_ms, grown_ms)
    per_second = config.ottla_group_consumer_rebalance_heartbeats_per_second_max
    return state.heartbeat_budget.interval_ms(wanted_ms, own_ms, per_second, now_ms)
