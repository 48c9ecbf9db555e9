"""Replaying a consumer group's records: the only way in which its state changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias
from uuid import UUID

from ottla.coordination.groups.modern.consumer.group import ConsumerGroup, ResolvedRegex
from ottla.coordination.groups.modern.consumer.member import ClassicMetadata, MemberMetadata
from ottla.coordination.groups.modern.reconcile import (
    LEAVE_GROUP_EPOCH,
    CurrentAssignment,
    MemberState,
    PartitionEpochs,
)
from ottla.coordination.groups.state import ShardState
from ottla.protocol.messages.records.consumer_group import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupPartitionMetadataValue,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
    TopicPartitions,
)
from ottla.protocol.structs import Struct

Replayer: TypeAlias = Callable[[ShardState, Any, Any], None]
"""Takes the shard's state, the key, and the value, None being a tombstone."""


def _group(state: ShardState, group_id: str) -> ConsumerGroup:
    """The group, made where it is not: any of its records can be the first that compaction has left."""
    group = state.find(ConsumerGroup, group_id)
    if group is None:
        group = state.groups[group_id] = ConsumerGroup(group_id)
    return group


# A tombstone of a group that is gone, or has become a classic one since, has nothing to say.


def _replay_group(
    state: ShardState, key: ConsumerGroupMetadataKey, value: ConsumerGroupMetadataValue | None
) -> None:
    if value is not None:
        group = _group(state, key.group_id)
        group.group_epoch = value.epoch
        group.metadata_hash = value.metadata_hash
    elif state.find(ConsumerGroup, key.group_id) is not None:
        del state.groups[key.group_id]


def _replay_partition_metadata(
    state: ShardState,
    key: ConsumerGroupPartitionMetadataKey,
    value: ConsumerGroupPartitionMetadataValue | None,
) -> None:
    group = state.find(ConsumerGroup, key.group_id) if value is None else _group(state, key.group_id)
    if group is not None:
        group.has_partition_metadata = value is not None


def _replay_member(
    state: ShardState, key: ConsumerGroupMemberMetadataKey, value: ConsumerGroupMemberMetadataValue | None
) -> None:
    if value is not None:
        _group(state, key.group_id).put_metadata(key.member_id, _metadata(value))
    elif (group := state.find(ConsumerGroup, key.group_id)) is not None:
        group.remove_member(key.member_id)


def _metadata(value: ConsumerGroupMemberMetadataValue) -> MemberMetadata:
    classic = value.classic_member_metadata
    return MemberMetadata(
        instance_id=value.instance_id,
        rack_id=value.rack_id,
        client_id=value.client_id,
        client_host=value.client_host,
        subscribed_topic_names=frozenset(value.subscribed_topic_names),
        subscribed_topic_regex=value.subscribed_topic_regex or "",
        rebalance_timeout_ms=value.rebalance_timeout_ms,
        server_assignor=value.server_assignor,
        classic=None
        if classic is None
        else ClassicMetadata(
            classic.session_timeout_ms,
            tuple((each.name, each.metadata) for each in classic.supported_protocols),
        ),
    )


def _replay_target_epoch(
    state: ShardState,
    key: ConsumerGroupTargetAssignmentMetadataKey,
    value: ConsumerGroupTargetAssignmentMetadataValue | None,
) -> None:
    if value is not None:
        group = _group(state, key.group_id)
        group.assignment_epoch = value.assignment_epoch
        group.assignment_timestamp_ms = value.assignment_timestamp
    elif (existing := state.find(ConsumerGroup, key.group_id)) is not None:
        existing.assignment_epoch = -1
        existing.assignment_timestamp_ms = 0


def _replay_target(
    state: ShardState,
    key: ConsumerGroupTargetAssignmentMemberKey,
    value: ConsumerGroupTargetAssignmentMemberValue | None,
) -> None:
    if value is not None:
        _group(state, key.group_id).target[key.member_id] = {
            each.topic_id: frozenset(each.partitions)
            for each in value.topic_partitions
            if each.topic_id is not None
        }
    elif (group := state.find(ConsumerGroup, key.group_id)) is not None:
        group.target.pop(key.member_id, None)


def _replay_current(
    state: ShardState,
    key: ConsumerGroupCurrentMemberAssignmentKey,
    value: ConsumerGroupCurrentMemberAssignmentValue | None,
) -> None:
    if value is not None:
        _group(state, key.group_id).put_current(key.member_id, _current(value))
        return
    group = state.find(ConsumerGroup, key.group_id)
    if group is not None and key.member_id in group.members:
        group.put_current(key.member_id, CurrentAssignment(LEAVE_GROUP_EPOCH, LEAVE_GROUP_EPOCH))


def _current(value: ConsumerGroupCurrentMemberAssignmentValue) -> CurrentAssignment:
    return CurrentAssignment(
        member_epoch=value.member_epoch,
        previous_member_epoch=value.previous_member_epoch,
        state=MemberState.of(value.state),
        assigned=_partition_epochs(value.assigned_partitions, value.member_epoch),
        pending_revocation=_partition_epochs(value.partitions_pending_revocation, value.member_epoch),
    )


def _partition_epochs(topics: Iterable[TopicPartitions], member_epoch: int) -> PartitionEpochs:
    """Records of before the epochs were kept count as assigned in the member's epoch."""
    result: dict[UUID, dict[int, int]] = {}
    for topic in topics:
        epochs = topic.assignment_epochs
        if epochs is None or len(epochs) != len(topic.partitions):
            epochs = [member_epoch] * len(topic.partitions)
        if topic.topic_id is not None:
            result[topic.topic_id] = dict(zip(topic.partitions, epochs, strict=True))
    return result


def _replay_regex(
    state: ShardState,
    key: ConsumerGroupRegularExpressionKey,
    value: ConsumerGroupRegularExpressionValue | None,
) -> None:
    if value is not None:
        resolved = ResolvedRegex(frozenset(value.topics), value.timestamp)
        _group(state, key.group_id).put_regex(key.regular_expression, resolved)
    elif (group := state.find(ConsumerGroup, key.group_id)) is not None:
        group.put_regex(key.regular_expression, None)


REPLAYERS: Mapping[type[Struct], Replayer] = MappingProxyType(
    {
        ConsumerGroupMetadataKey: _replay_group,
        ConsumerGroupPartitionMetadataKey: _replay_partition_metadata,
        ConsumerGroupMemberMetadataKey: _replay_member,
        ConsumerGroupTargetAssignmentMetadataKey: _replay_target_epoch,
        ConsumerGroupTargetAssignmentMemberKey: _replay_target,
        ConsumerGroupCurrentMemberAssignmentKey: _replay_current,
        ConsumerGroupRegularExpressionKey: _replay_regex,
    }
)
"""By the class of the key."""
