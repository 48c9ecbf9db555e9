"""Replaying a consumer group's records: the only way in which its state changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from ottla.coordination.groups.modern.consumer.group import ConsumerGroup, ResolvedRegex
from ottla.coordination.groups.modern.consumer.member import ClassicMetadata, MemberMetadata
from ottla.coordination.groups.modern.reconcile import (
    LEAVE_GROUP_EPOCH,
    CurrentAssignment,
    MemberState,
    PartitionEpochs,
)
from ottla.coordination.groups.records import RecordType
from ottla.coordination.groups.state import ShardState

Fields: TypeAlias = Mapping[str, Any]
Replayer: TypeAlias = Callable[[ShardState, Fields, Fields | None], None]


def _group(state: ShardState, group_id: str) -> ConsumerGroup:
    """The group, made where it is not: any of its records can be the first that compaction has left."""
    group = state.find(ConsumerGroup, group_id)
    if group is None:
        group = state.groups[group_id] = ConsumerGroup(group_id)
    return group


def _replay_group(state: ShardState, key: Fields, value: Fields | None) -> None:
    group_id: str = key["group_id"]
    if value is not None:
        group = _group(state, group_id)
        group.group_epoch = value["epoch"]
        group.metadata_hash = value["metadata_hash"]
    elif state.find(ConsumerGroup, group_id) is not None:
        del state.groups[group_id]


def _replay_partition_metadata(state: ShardState, key: Fields, value: Fields | None) -> None:
    group_id: str = key["group_id"]
    group = state.find(ConsumerGroup, group_id) if value is None else _group(state, group_id)
    if group is not None:
        group.has_partition_metadata = value is not None


def _replay_member(state: ShardState, key: Fields, value: Fields | None) -> None:
    group_id, member_id = key["group_id"], key["member_id"]
    if value is not None:
        _group(state, group_id).put_metadata(member_id, _metadata(value))
    elif (group := state.find(ConsumerGroup, group_id)) is not None:
        group.remove_member(member_id)


def _metadata(value: Fields) -> MemberMetadata:
    classic = value["classic_member_metadata"]
    return MemberMetadata(
        instance_id=value["instance_id"],
        rack_id=value["rack_id"],
        client_id=value["client_id"],
        client_host=value["client_host"],
        subscribed_topic_names=frozenset(value["subscribed_topic_names"]),
        subscribed_topic_regex=value["subscribed_topic_regex"] or "",
        rebalance_timeout_ms=value["rebalance_timeout_ms"],
        server_assignor=value["server_assignor"],
        classic=classic
        and ClassicMetadata(
            classic["session_timeout_ms"],
            tuple((each["name"], bytes(each["metadata"])) for each in classic["supported_protocols"]),
        ),
    )


def _replay_target_epoch(state: ShardState, key: Fields, value: Fields | None) -> None:
    group_id: str = key["group_id"]
    if value is not None:
        group = _group(state, group_id)
        group.assignment_epoch = value["assignment_epoch"]
        group.assignment_timestamp_ms = value["assignment_timestamp"]
    elif (existing := state.find(ConsumerGroup, group_id)) is not None:
        existing.assignment_epoch = -1
        existing.assignment_timestamp_ms = 0


def _replay_target(state: ShardState, key: Fields, value: Fields | None) -> None:
    group_id, member_id = key["group_id"], key["member_id"]
    if value is not None:
        _group(state, group_id).target[member_id] = {
            each["topic_id"]: frozenset(each["partitions"]) for each in value["topic_partitions"]
        }
    elif (group := state.find(ConsumerGroup, group_id)) is not None:
        group.target.pop(member_id, None)


def _replay_current(state: ShardState, key: Fields, value: Fields | None) -> None:
    group_id, member_id = key["group_id"], key["member_id"]
    if value is not None:
        _group(state, group_id).put_current(member_id, _current(value))
    elif (group := state.find(ConsumerGroup, group_id)) is not None and member_id in group.members:
        group.put_current(member_id, CurrentAssignment(LEAVE_GROUP_EPOCH, LEAVE_GROUP_EPOCH))


def _current(value: Fields) -> CurrentAssignment:
    member_epoch: int = value["member_epoch"]
    return CurrentAssignment(
        member_epoch=member_epoch,
        previous_member_epoch=value["previous_member_epoch"],
        state=MemberState.of(value["state"]),
        assigned=_partition_epochs(value["assigned_partitions"], member_epoch),
        pending_revocation=_partition_epochs(value["partitions_pending_revocation"], member_epoch),
    )


def _partition_epochs(topics: Iterable[Fields], member_epoch: int) -> PartitionEpochs:
    """Records of before the epochs were kept count as assigned in the member's epoch."""
    result: dict[Any, dict[int, int]] = {}
    for topic in topics:
        partitions = topic["partitions"]
        epochs = topic["assignment_epochs"]
        if epochs is None or len(epochs) != len(partitions):
            epochs = [member_epoch] * len(partitions)
        result[topic["topic_id"]] = dict(zip(partitions, epochs, strict=True))
    return result


def _replay_regex(state: ShardState, key: Fields, value: Fields | None) -> None:
    group_id, pattern = key["group_id"], key["regular_expression"]
    if value is not None:
        resolved = ResolvedRegex(frozenset(value["topics"]), value["timestamp"])
        _group(state, group_id).put_regex(pattern, resolved)
    elif (group := state.find(ConsumerGroup, group_id)) is not None:
        group.put_regex(pattern, None)


REPLAYERS: Mapping[RecordType, Replayer] = MappingProxyType(
    {
        RecordType.CONSUMER_GROUP_METADATA: _replay_group,
        RecordType.CONSUMER_GROUP_PARTITION_METADATA: _replay_partition_metadata,
        RecordType.CONSUMER_GROUP_MEMBER_METADATA: _replay_member,
        RecordType.CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA: _replay_target_epoch,
        RecordType.CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER: _replay_target,
        RecordType.CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT: _replay_current,
        RecordType.CONSUMER_GROUP_REGULAR_EXPRESSION: _replay_regex,
    }
)
"""By type of record: called with the shard's state, the decoded key and the decoded value or None."""
