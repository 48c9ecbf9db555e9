"""OffsetFetch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ottla.coordination.groups.offsets.store import StoredOffset
from ottla.coordination.groups.state import ShardState
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
)

FETCH_TOPIC_IDS_SINCE: Final = 10
_TOP_LEVEL_ERROR_SINCE: Final = 2
_NO_OFFSET: Final = -1


def fetch_offsets(
    state: ShardState, asked: OffsetFetchRequestGroup, *, require_stable: bool, api_version: int
) -> OffsetFetchResponseGroup:
    """One group's offsets; null topics mean all of the group's. Raises KafkaError for the whole group."""
    group = state.groups.get(asked.group_id)
    if group is not None:
        try:
            group.validate_offset_fetch(asked.member_id, asked.member_epoch)
        except KafkaError as error:
            if error.code is not ErrorCode.group_id_not_found:
                raise
            group = None
    fetch = _Fetch(state, asked.group_id, require_stable, api_version >= FETCH_TOPIC_IDS_SINCE)
    if asked.topics is not None:
        topics = [fetch.topic(each, exists=group is not None) for each in asked.topics]
    else:
        topics = [] if group is None else fetch.all_topics()
    return OffsetFetchResponseGroup(group_id=asked.group_id, topics=topics)


def fetch_refusal(
    asked: OffsetFetchRequestGroup, api_version: int, code: ErrorCode
) -> OffsetFetchResponseGroup:
    """Refuses a group; version 1 has only the partitions to carry an error."""
    topics: Sequence[OffsetFetchResponseTopics] = ()
    if api_version < _TOP_LEVEL_ERROR_SINCE:
        topics = [
            OffsetFetchResponseTopics(
                name=topic.name,
                partitions=[_partition(index, None, code) for index in topic.partition_indexes],
            )
            for topic in asked.topics or ()
        ]
    return OffsetFetchResponseGroup(group_id=asked.group_id, error_code=code, topics=topics)


class _Fetch:
    """How one group's offsets are asked for."""

    def __init__(self, state: ShardState, group_id: str, require_stable: bool, by_id: bool) -> None:
        self._state = state
        self._group_id = group_id
        self._require_stable = require_stable
        self._by_id = by_id

    def topic(self, asked: OffsetFetchRequestTopics, *, exists: bool) -> OffsetFetchResponseTopics:
        """The partitions that were asked for."""
        name, topic_id = asked.name, asked.topic_id
        if self._by_id:
            topic = None if topic_id is None else self._state.image.topics_by_id.get(topic_id)
            if topic is None:
                unknown = ErrorCode.unknown_topic_id
                partitions = [_partition(index, None, unknown) for index in asked.partition_indexes]
                return OffsetFetchResponseTopics(name=name, topic_id=topic_id, partitions=partitions)
            name = topic.name
        partitions = []
        for index in asked.partition_indexes:
            stored = self._state.offsets.get(self._group_id, name, index) if exists else None
            if stored is not None and self._by_id and stored.topic_id not in (None, topic_id):
                # Committed for a topic of the same name that has been deleted since.
                stored = None
            partitions.append(self._told(name, index, stored))
        return OffsetFetchResponseTopics(name=name, topic_id=topic_id, partitions=partitions)

    def all_topics(self) -> list[OffsetFetchResponseTopics]:
        """Every partition that the group has committed."""
        topics: dict[str, list[OffsetFetchResponsePartitions]] = {}
        for (name, index), stored in self._state.offsets.of_group(self._group_id).items():
            topics.setdefault(name, []).append(self._told(name, index, stored))
        by_name = self._state.image.topics
        return [
            OffsetFetchResponseTopics(
                name=name, topic_id=by_name[name].topic_id if name in by_name else None, partitions=partitions
            )
            for name, partitions in topics.items()
            if name in by_name or not self._by_id  # without an id it can't be told
        ]

    def _told(self, name: str, index: int, stored: StoredOffset | None) -> OffsetFetchResponsePartitions:
        if self._require_stable and self._state.offsets.has_open_transaction(self._group_id, name, index):
            return _partition(index, None, ErrorCode.unstable_offset_commit)
        return _partition(index, stored)


def _partition(
    index: int, stored: StoredOffset | None, code: ErrorCode = ErrorCode.none
) -> OffsetFetchResponsePartitions:
    return OffsetFetchResponsePartitions(
        partition_index=index,
        committed_offset=_NO_OFFSET if stored is None else stored.offset,
        committed_leader_epoch=-1 if stored is None else stored.leader_epoch,
        metadata="" if stored is None else stored.metadata,
        error_code=code,
    )
