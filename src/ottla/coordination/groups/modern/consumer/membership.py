"""Members that join, take a static member's place, come back, and go.

They go by their own word, by silence, or because they do not give back what they must.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ottla.coordination.groups.modern.assignors import Partitions
from ottla.coordination.groups.modern.consumer import migration, records
from ottla.coordination.groups.modern.consumer.group import ConsumerGroup, subscribed_topics
from ottla.coordination.groups.modern.consumer.member import (
    REBALANCE_TIMER,
    SESSION_TIMER,
    TIMERS,
    ConsumerGroupMember,
    cancel_timers,
    timer_key,
)
from ottla.coordination.groups.modern.reconcile import (
    JOIN_GROUP_EPOCH,
    LEAVE_GROUP_STATIC_EPOCH,
    PartitionEpochs,
    contains,
)
from ottla.coordination.groups.modern.topics import metadata_hash
from ottla.coordination.groups.state import ShardState
from ottla.coordination.runtime import (
    CoordinatorRecord,
    Effects,
    RequestInfo,
    SetTimer,
    TimerKey,
    once_written,
)
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)

_log = logging.getLogger(__name__)

_RETRY_MS = 500
"""After which a removal that could not be written is tried again."""


def check_size(state: ShardState, group: ConsumerGroup, member_id: str, instance_id: str | None) -> None:
    """Refuse one member more than the limit, with KafkaError(group_max_size_reached)."""
    limit = state.config.group_consumer_max_size
    if instance_id in group.static_members or member_id in group.members or len(group.members) < limit:
        return
    raise KafkaError(
        ErrorCode.group_max_size_reached,
        f"The consumer group has reached its maximum capacity of {limit} members.",
    )


def known_member(group: ConsumerGroup, member_id: str, instance_id: str | None) -> ConsumerGroupMember:
    """The member by its instance id where it has one; KafkaError for strangers and replaced instances."""
    if instance_id is None:
        return group.member(member_id)
    member = known_static_member(group, instance_id)
    if member.member_id != member_id:
        raise KafkaError(
            ErrorCode.fenced_instance_id,
            f"Static member {member_id} with instance id {instance_id} was fenced by member "
            f"{member.member_id}.",
        )
    return member


def known_static_member(group: ConsumerGroup, instance_id: str) -> ConsumerGroupMember:
    """Who holds the instance id, or KafkaError(unknown_member_id)."""
    member = group.static_member(instance_id)
    if member is None:
        raise KafkaError(ErrorCode.unknown_member_id, f"Instance id {instance_id} is unknown.")
    return member


def check_epoch(member: ConsumerGroupMember, epoch: int, reported: Partitions | None) -> None:
    """Refuse an epoch that is not the member's, with KafkaError(fenced_member_epoch).

    The previous epoch is accepted: the member did not get the answer that had the new one. It had nothing
    left to give back when it entered that, so what it owns is its own. Kafka wants to see a report, which
    librdkafka does not add to a request that it repeats. It waits for an answer no longer than its heartbeat
    interval, so with short ones a pause of the broker would fence its members.
    """
    if epoch in (JOIN_GROUP_EPOCH, member.epoch):
        return
    is_retry = (
        epoch == member.current.previous_member_epoch
        and epoch < member.epoch
        and (reported is None or contains(member.current.assigned, reported))
    )
    if not is_retry:
        relation = "greater" if epoch > member.epoch else "smaller"
        raise KafkaError(
            ErrorCode.fenced_member_epoch,
            f"The consumer group member has a {relation} member epoch ({epoch}) than the one known by the "
            f"group coordinator ({member.epoch}). The member must abandon all its partitions and rejoin.",
        )


def joining_static_member(
    group: ConsumerGroup, member_id: str, instance_id: str, *, uses_classic_protocol: bool
) -> tuple[ConsumerGroupMember, str | None]:
    """The joining member with what it takes over, and the id of the member that had the place, if any.

    Between members of this protocol the place must have been left: KafkaError(unreleased_instance_id). A
    classic member never announces that it comes back, so there the newer one wins (KIP-345).
    """
    existing = group.static_member(instance_id)
    if existing is None:
        return group.members.get(member_id, ConsumerGroupMember(member_id)), None
    both_new = not uses_classic_protocol and not existing.uses_classic_protocol
    if both_new and existing.epoch != LEAVE_GROUP_STATIC_EPOCH:
        raise KafkaError(
            ErrorCode.unreleased_instance_id,
            f"Static member {member_id} with instance id {instance_id} cannot join the group because the "
            f"instance id is owned by {existing.member_id} member.",
        )
    current = replace(existing.current, member_epoch=JOIN_GROUP_EPOCH, previous_member_epoch=JOIN_GROUP_EPOCH)
    return ConsumerGroupMember(member_id, existing.metadata, current), existing.member_id


def replacement_records(
    group: ConsumerGroup, replaced_id: str, member: ConsumerGroupMember
) -> list[CoordinatorRecord]:
    """The old id goes, the new one gets its target and what it owned: nobody else notices."""
    return [
        *records.member_tombstones(group.group_id, replaced_id),
        records.metadata_record(group.group_id, member.member_id, member.metadata),
        records.target_record(group.group_id, member.member_id, group.target.get(replaced_id, {})),
        records.current_record(group.group_id, member.member_id, member.current),
    ]


def leave(
    state: ShardState,
    group: ConsumerGroup,
    request: ConsumerGroupHeartbeatRequest,
    info: RequestInfo[ConsumerGroupHeartbeatResponse],
    now_ms: int,
) -> Effects:
    """A heartbeat with a leave epoch. Raises KafkaError for strangers and replaced instances."""
    member = known_member(group, request.member_id, request.instance_id)
    if request.instance_id is not None and request.member_epoch == LEAVE_GROUP_STATIC_EPOCH:
        effects = _leave_temporarily(group, member)
    else:
        effects = remove_members(state, group, [member], now_ms)
    response = ConsumerGroupHeartbeatResponse(member_id=member.member_id, member_epoch=request.member_epoch)
    return effects.reply(info, response)


def _leave_temporarily(group: ConsumerGroup, member: ConsumerGroupMember) -> Effects:
    """A static member keeps place and partitions until its session ends; what it must give back, it has.

    Its partitions' epochs start over, so that its successor may commit for them in any epoch.
    """
    assigned: PartitionEpochs = {
        topic_id: dict.fromkeys(epochs, 0) for topic_id, epochs in member.current.assigned.items()
    }
    current = replace(
        member.current,
        member_epoch=LEAVE_GROUP_STATIC_EPOCH,
        assigned=assigned,
        pending_revocation={},
    )
    return Effects(records=[records.current_record(group.group_id, member.member_id, current)])


def remove_members(
    state: ShardState, group: ConsumerGroup, leaving: Sequence[ConsumerGroupMember], now_ms: int
) -> Effects:
    """Remove the members and raise the epoch, or turn the group back where only classic members are left."""
    if not leaving:
        return Effects()
    leaving_ids = {member.member_id for member in leaving}
    if migration.can_downgrade(state, group, leaving_ids):
        return migration.downgrade(state, group, leaving_ids, now_ms)
    group_id = group.group_id
    effects = Effects()
    for member_id in sorted(leaving_ids):
        effects.records += records.member_tombstones(group_id, member_id)
        effects.continuations.append(once_written(cancel_timers(group_id, member_id)))
    remaining = [member for member_id, member in group.members.items() if member_id not in leaving_ids]
    patterns = Counter(member.metadata.subscribed_topic_regex for member in remaining)
    unused = [pattern for pattern in group.resolved_regexes if not patterns[pattern]]
    effects.records += [records.regex_tombstone(group_id, pattern) for pattern in unused]
    names = subscribed_topics((member.metadata for member in remaining), group.resolved_regexes)
    epoch = group.group_epoch + 1
    effects.records.append(records.epoch_record(group_id, epoch, metadata_hash(state.image, names)))
    if not remaining:
        # Nothing is left to be assigned, so the empty target is up to date.
        effects.records.append(records.target_epoch_record(group_id, epoch, 0))
    return effects


def on_timer(state: ShardState, group: ConsumerGroup, key: TimerKey, now_ms: int) -> Effects:
    """A member's time is up. What the timer was for may be over by now: then nothing happens."""
    kind, group_id, member_id = key[0], group.group_id, key[-1]
    if kind not in TIMERS or member_id not in group.members:
        return Effects()
    member = group.members[member_id]
    if kind == REBALANCE_TIMER and not member.current.pending_revocation:
        return Effects()
    _log.info("group %s: member %s is fenced, its %s timer ended", group_id, member_id, kind)
    effects = remove_members(state, group, [member], now_ms)

    def try_again(error: KafkaError | None, failed_ms: int) -> Effects:
        return Effects() if error is None else Effects(timers=[SetTimer(key, failed_ms + _RETRY_MS)])

    effects.continuations.append(try_again)
    return effects


def on_loaded(state: ShardState, group: ConsumerGroup, now_ms: int) -> Effects:
    """Timers are not in records: every member gets a whole session from now."""
    members = group.members.values()
    return Effects(timers=[t for m in members for t in _member_timers(state, group.group_id, m, now_ms)])


def _member_timers(
    state: ShardState, group_id: str, member: ConsumerGroupMember, now_ms: int
) -> Iterator[SetTimer]:
    metadata = member.metadata
    classic = metadata.classic
    timeout_ms = (
        state.consumer_session_timeout_ms(group_id) if classic is None else classic.session_timeout_ms
    )
    yield SetTimer(timer_key(SESSION_TIMER, group_id, member.member_id), now_ms + timeout_ms)
    if classic is None and member.current.pending_revocation:
        key = timer_key(REBALANCE_TIMER, group_id, member.member_id)
        yield SetTimer(key, now_ms + metadata.rebalance_timeout_ms)
