"""Members that go: by their own word, by silence, or because they do not give back what they must."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ottla.coordination.consumer import migration, records, timers
from ottla.coordination.consumer.group import ConsumerGroup, subscribed_topics
from ottla.coordination.consumer.member import (
    LEAVE_GROUP_STATIC_EPOCH,
    ConsumerGroupMember,
    PartitionEpochs,
)
from ottla.coordination.consumer.membership import known_member
from ottla.coordination.consumer.topics import metadata_hash
from ottla.coordination.effects import Effects, RequestInfo, SetTimer, TimerKey
from ottla.coordination.state import ShardState
from ottla.protocol.errors import ErrorCode

_log = logging.getLogger(__name__)

_RETRY_MS = 500
"""After which a removal that could not be written is tried again."""


def leave(state: ShardState, group: ConsumerGroup, request: Any, info: RequestInfo, now_ms: int) -> Effects:
    """A heartbeat with a leave epoch. Raises KafkaError for strangers and replaced instances."""
    member = known_member(group, request.member_id, request.instance_id)
    response = {"member_id": member.member_id, "member_epoch": request.member_epoch}
    if request.instance_id is not None and request.member_epoch == LEAVE_GROUP_STATIC_EPOCH:
        effects = _leave_temporarily(group, member)
    else:
        effects = remove_members(state, group, [member], now_ms)
    return effects.extend(Effects.reply_with(info, response))


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
        effects.continuations.append(timers.once_written(timers.cancel_all(group_id, member_id)))
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


def on_timer(state: ShardState, key: TimerKey, now_ms: int) -> Effects:
    """A member's time is up. What the timer was for may be over by now: then nothing happens."""
    kind, group_id, member_id = key
    group = state.groups.get(group_id)
    if not isinstance(group, ConsumerGroup) or member_id not in group.members:
        return Effects()
    member = group.members[member_id]
    if kind == timers.REBALANCE and not member.current.pending_revocation:
        return Effects()
    _log.info("group %s: member %s is fenced, its %s timer ended", group_id, member_id, kind)
    effects = remove_members(state, group, [member], now_ms)

    def try_again(code: ErrorCode | None, failed_ms: int) -> Effects:
        return Effects() if code is None else Effects(timers=[SetTimer(key, failed_ms + _RETRY_MS)])

    effects.continuations.append(try_again)
    return effects
