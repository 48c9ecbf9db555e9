"""How offsets go: OffsetDelete, DeleteGroups, expiry (KIP-211), and the deletion of their topic."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from ottla.coordination.groups.offsets.store import StoredOffset
from ottla.coordination.groups.state import ShardState
from ottla.coordination.runtime import CoordinatorRecord, Effects, RequestInfo
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.delete_groups import DeletableGroupResult
from ottla.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from ottla.protocol.messages.records.group import OffsetCommitKey


def delete_offsets(
    state: ShardState, request: OffsetDeleteRequest, info: RequestInfo[OffsetDeleteResponse]
) -> Effects:
    """OffsetDelete (KIP-496): refused where a member is subscribed to the topic."""
    group = state.groups.get(request.group_id)
    if group is None:
        raise KafkaError(ErrorCode.group_id_not_found)
    group.validate_offset_delete()
    effects = Effects()
    topics: list[OffsetDeleteResponseTopic] = []
    for topic in request.topics:
        known = state.image.topics.get(topic.name)
        partitions: list[OffsetDeleteResponsePartition] = []
        for partition in topic.partitions:
            index = partition.partition_index
            code = ErrorCode.none
            if known is None or not 0 <= index < len(known.partitions):
                code = ErrorCode.unknown_topic_or_partition
            elif group.is_subscribed_to_topic(topic.name):
                code = ErrorCode.group_subscribed_to_topic
            elif state.offsets.is_known(request.group_id, topic.name, index):
                effects.records.append(offset_tombstone(request.group_id, topic.name, index))
            partitions.append(OffsetDeleteResponsePartition(partition_index=index, error_code=code))
        topics.append(OffsetDeleteResponseTopic(name=topic.name, partitions=partitions))
    return effects.reply(info, OffsetDeleteResponse(topics=topics))


def delete_groups(
    state: ShardState, group_ids: Collection[str], info: RequestInfo[list[DeletableGroupResult]]
) -> Effects:
    """Delete empty groups with all that they committed (KIP-229)."""
    effects = Effects()
    results: list[DeletableGroupResult] = []
    for group_id in dict.fromkeys(group_ids):
        group = state.groups.get(group_id)
        code = ErrorCode.none
        try:
            if group is None:
                raise KafkaError(ErrorCode.group_id_not_found)
            group.validate_delete()
        except KafkaError as error:
            code = error.code
        else:
            effects.records += _all_offset_tombstones(state, group_id)
            effects.records += group.tombstones()
            effects.timers += group.cancelled_timers()
        results.append(DeletableGroupResult(group_id=group_id, error_code=code))
    return effects.reply(info, results)


def expire(state: ShardState, now_ms: int) -> Effects:
    """Tombstones for what has outlived its retention, and for groups that have nothing left."""
    effects = Effects()
    for group_id, group in state.groups.items():
        base = group.offset_expiration_base()
        offsets = state.offsets.of_group(group_id)
        if offsets and base is None:
            continue
        left = 0
        for (topic, partition), offset in offsets.items():
            expired = base is not None and _is_expired(state, offset, base(offset), now_ms)
            if (
                expired
                and not group.is_subscribed_to_topic(topic)
                and not state.offsets.has_open_transaction(group_id, topic, partition)
            ):
                effects.records.append(offset_tombstone(group_id, topic, partition))
            else:
                left += 1
        if not left and group.is_empty and not state.offsets.has_open_transactions(group_id):
            effects.records += group.tombstones()
            effects.timers += group.cancelled_timers()
    return effects


def forget_topics(state: ShardState, deleted: Collection[tuple[str, UUID]]) -> Effects:
    """Tombstones for the offsets of deleted topics; a new topic of the same name keeps its own."""
    if not deleted:
        return Effects()
    ids = dict(deleted)
    gone = {
        (group_id, topic, partition): None
        for group_id, (topic, partition), offset in state.offsets
        if topic in ids and offset.topic_id in (None, ids[topic])
    }
    return Effects(records=[offset_tombstone(*each) for each in gone])


def offset_tombstone(group_id: str, topic: str, partition: int) -> CoordinatorRecord:
    """The record that forgets one offset."""
    return CoordinatorRecord(OffsetCommitKey(group=group_id, topic=topic, partition=partition), None)


def _all_offset_tombstones(state: ShardState, group_id: str) -> list[CoordinatorRecord]:
    return [
        offset_tombstone(group_id, *partition) for partition in state.offsets.partitions_of_group(group_id)
    ]


def _is_expired(state: ShardState, offset: StoredOffset, since_ms: int, now_ms: int) -> bool:
    if offset.expire_timestamp_ms >= 0:
        return now_ms >= offset.expire_timestamp_ms
    return now_ms - since_ms >= state.config.offsets_retention_ms
