"""OffsetCommit and TxnOffsetCommit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from ottla.coordination.groups.classic.group import ClassicGroup
from ottla.coordination.groups.offsets.store import StoredOffset
from ottla.coordination.groups.state import PartitionCheck, ShardState
from ottla.coordination.runtime import CoordinatorRecord, Effects, Producer, RequestInfo
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import Topic
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from ottla.protocol.messages.records.group import (
    LegacyOffsetCommitKey,
    LegacyOffsetCommitValue,
    OffsetCommitKey,
    OffsetCommitValue,
)
from ottla.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)

_COMMIT_TOPIC_IDS_SINCE: Final = 10
_COMMIT_GROUP_NOT_FOUND_SINCE: Final = 9
_TXN_TOPIC_IDS_SINCE: Final = 6
_TXN_GROUP_ERRORS_SINCE: Final = 6
"""KIP-1319: older clients know neither GROUP_ID_NOT_FOUND nor STALE_MEMBER_EPOCH here."""
_TXN_GROUP_ERRORS: Final = frozenset({ErrorCode.group_id_not_found, ErrorCode.stale_member_epoch})
_DEFAULT_RETENTION_MS: Final = -1
_WRITTEN_VERSION: Final = 4
_EXPLICIT_EXPIRY_VERSION: Final = 1
"""The only one that has room for a retention that the client chose."""


class _Partition(Protocol):
    """A partition of either request."""

    @property
    def partition_index(self) -> int: ...
    @property
    def committed_offset(self) -> int: ...
    @property
    def committed_leader_epoch(self) -> int: ...
    @property
    def committed_metadata(self) -> str | None: ...


class _Topic(Protocol):
    """A topic of either request."""

    @property
    def name(self) -> str: ...
    @property
    def topic_id(self) -> UUID | None: ...
    @property
    def partitions(self) -> Sequence[_Partition]: ...


class _Commit(NamedTuple):
    """What both requests come down to."""

    group_id: str
    topics: Sequence[_Topic]
    by_id: bool
    now_ms: int
    expires_ms: int = -1


_Codes = list[tuple[_Topic, list[tuple[int, ErrorCode]]]]
"""By topic, each partition's index and error."""


def commit_offsets(
    state: ShardState, request: OffsetCommitRequest, info: RequestInfo[OffsetCommitResponse], now_ms: int
) -> Effects:
    """Write what a member, or a consumer without a group, has read up to (KIP-848's epochs included)."""
    retention_ms = request.retention_time_ms
    expires_ms = -1 if retention_ms == _DEFAULT_RETENTION_MS else max(0, now_ms + retention_ms)
    by_id = info.api_version >= _COMMIT_TOPIC_IDS_SINCE
    commit = _Commit(request.group_id, request.topics, by_id, now_ms, expires_ms)
    check = _validate(state, request, info.api_version, now_ms) if _exists_any(state.image, commit) else None
    records, codes = _decide(state, commit, check)
    effects = Effects(records=records).reply(info, _response(codes))
    group = state.groups.get(request.group_id)
    if group is not None:
        effects.timers += group.on_offset_commit_timers(request.member_id, now_ms)
    return effects


def commit_transaction_offsets(
    state: ShardState,
    request: TxnOffsetCommitRequest,
    info: RequestInfo[TxnOffsetCommitResponse],
    now_ms: int,
) -> Effects:
    """Write offsets that count once the producer's transaction is committed (KIP-447)."""
    by_id = info.api_version >= _TXN_TOPIC_IDS_SINCE
    commit = _Commit(request.group_id, request.topics, by_id, now_ms)
    try:
        is_any = _exists_any(state.image, commit)
        check = _validate_transactional(state, request, info.api_version) if is_any else None
        records, codes = _decide(state, commit, check)
    except KafkaError as error:
        if error.code in _TXN_GROUP_ERRORS and info.api_version < _TXN_GROUP_ERRORS_SINCE:
            raise KafkaError(ErrorCode.illegal_generation, error.message) from error
        raise
    producer = Producer(request.producer_id, request.producer_epoch)
    return Effects(records=records, producer=producer).reply(info, _txn_response(codes))


def commits_anything(image: MetadataImage, request: TxnOffsetCommitRequest, api_version: int) -> bool:
    """Whether any of the partitions exist; nobody has to be asked about the transaction otherwise."""
    by_id = api_version >= _TXN_TOPIC_IDS_SINCE
    return _exists_any(image, _Commit(request.group_id, request.topics, by_id, now_ms=0))


def commit_refusal(
    image: MetadataImage, request: OffsetCommitRequest, api_version: int, code: ErrorCode
) -> OffsetCommitResponse:
    """Refuses every partition; those that do not exist are told so, whatever else is wrong."""
    by_id = api_version >= _COMMIT_TOPIC_IDS_SINCE
    return _response(_refused(image, request.topics, code, by_id=by_id))


def transactional_commit_refusal(
    image: MetadataImage, request: TxnOffsetCommitRequest, api_version: int, code: ErrorCode
) -> TxnOffsetCommitResponse:
    """As `commit_refusal`."""
    by_id = api_version >= _TXN_TOPIC_IDS_SINCE
    return _txn_response(_refused(image, request.topics, code, by_id=by_id))


def _validate(
    state: ShardState, request: OffsetCommitRequest, api_version: int, now_ms: int
) -> PartitionCheck | None:
    group = state.groups.get(request.group_id)
    generation = request.generation_id_or_member_epoch
    if group is None:
        if generation >= 0:
            is_told = api_version >= _COMMIT_GROUP_NOT_FOUND_SINCE
            raise KafkaError(ErrorCode.group_id_not_found if is_told else ErrorCode.illegal_generation)
        # A standalone consumer: replaying the commit creates its group.
        group = ClassicGroup(request.group_id, now_ms)
    return group.validate_offset_commit(
        request.member_id,
        request.group_instance_id,
        generation,
        api_version=api_version,
        is_transactional=False,
    )


def _validate_transactional(
    state: ShardState, request: TxnOffsetCommitRequest, api_version: int
) -> PartitionCheck | None:
    group = state.groups.get(request.group_id)
    if group is None:
        if request.generation_id_or_member_epoch >= 0:
            raise KafkaError(ErrorCode.group_id_not_found)
        return None
    return group.validate_offset_commit(
        request.member_id,
        request.group_instance_id,
        request.generation_id_or_member_epoch,
        api_version=api_version,
        is_transactional=True,
    )


def _decide(
    state: ShardState, commit: _Commit, check: PartitionCheck | None
) -> tuple[list[CoordinatorRecord], _Codes]:
    """The records, and what each partition is told; KafkaError where a partition's check refuses it all."""
    records: list[CoordinatorRecord] = []
    max_metadata = state.config.offset_metadata_max_bytes
    codes: _Codes = []
    for asked in commit.topics:
        topic = _find(state.image, asked, by_id=commit.by_id)
        told: list[tuple[int, ErrorCode]] = []
        for partition in asked.partitions:
            index, code = partition.partition_index, ErrorCode.none
            if topic is None or not _has(topic, index):
                code = _unknown(topic, by_id=commit.by_id)
            elif len(partition.committed_metadata or "") > max_metadata:
                code = ErrorCode.offset_metadata_too_large
            else:
                if check is not None:
                    check(topic.name, topic.topic_id, index)
                records.append(_record(commit, topic, partition))
            told.append((index, code))
        codes.append((asked, told))
    return records, codes


def _exists_any(image: MetadataImage, commit: _Commit) -> bool:
    """Whether there is anything to commit: Kafka asks the group only then."""
    topics = ((_find(image, asked, by_id=commit.by_id), asked.partitions) for asked in commit.topics)
    return any(
        topic is not None and any(_has(topic, each.partition_index) for each in partitions)
        for topic, partitions in topics
    )


def _refused(image: MetadataImage, topics: Sequence[_Topic], code: ErrorCode, *, by_id: bool) -> _Codes:
    codes: _Codes = []
    for asked in topics:
        topic = _find(image, asked, by_id=by_id)
        indexes = [each.partition_index for each in asked.partitions]
        unknown = _unknown(topic, by_id=by_id)
        told = [(index, code if topic is not None and _has(topic, index) else unknown) for index in indexes]
        codes.append((asked, told))
    return codes


def _find(image: MetadataImage, asked: _Topic, *, by_id: bool) -> Topic | None:
    if not by_id:
        return image.topics.get(asked.name)
    return None if asked.topic_id is None else image.topics_by_id.get(asked.topic_id)


def _has(topic: Topic, index: int) -> bool:
    return 0 <= index < len(topic.partitions)


def _unknown(topic: Topic | None, *, by_id: bool) -> ErrorCode:
    is_id = topic is None and by_id
    return ErrorCode.unknown_topic_id if is_id else ErrorCode.unknown_topic_or_partition


def _record(commit: _Commit, topic: Topic, partition: _Partition) -> CoordinatorRecord:
    value = OffsetCommitValue(
        offset=partition.committed_offset,
        leader_epoch=partition.committed_leader_epoch,
        metadata=partition.committed_metadata or "",
        commit_timestamp=commit.now_ms,
        expire_timestamp=commit.expires_ms,
        topic_id=topic.topic_id,
    )
    version = _WRITTEN_VERSION if commit.expires_ms < 0 else _EXPLICIT_EXPIRY_VERSION
    key = OffsetCommitKey(group=commit.group_id, topic=topic.name, partition=partition.partition_index)
    return CoordinatorRecord(key, value, version)


def _response(codes: _Codes) -> OffsetCommitResponse:
    return OffsetCommitResponse(
        topics=[
            OffsetCommitResponseTopic(
                name=asked.name,
                topic_id=asked.topic_id,
                partitions=[
                    OffsetCommitResponsePartition(partition_index=index, error_code=code)
                    for index, code in told
                ],
            )
            for asked, told in codes
        ]
    )


def _txn_response(codes: _Codes) -> TxnOffsetCommitResponse:
    return TxnOffsetCommitResponse(
        topics=[
            TxnOffsetCommitResponseTopic(
                name=asked.name,
                topic_id=asked.topic_id,
                partitions=[
                    TxnOffsetCommitResponsePartition(partition_index=index, error_code=code)
                    for index, code in told
                ],
            )
            for asked, told in codes
        ]
    )


def replay_offset(
    state: ShardState,
    key: OffsetCommitKey | LegacyOffsetCommitKey,
    value: OffsetCommitValue | LegacyOffsetCommitValue | None,
    place: tuple[int, int, int],
) -> None:
    """Take in a commit or a tombstone; `place` is offset, timestamp in ms, and producer id or -1.

    A group of which nothing but offsets is known is a classic one without members.
    """
    record_offset, timestamp_ms, producer_id = place
    partition = (key.topic, key.partition)
    if value is None:
        state.offsets.replay(key.group, partition, None)
        return
    if key.group not in state.groups:
        state.groups[key.group] = ClassicGroup(key.group, timestamp_ms)
    if isinstance(value, LegacyOffsetCommitValue):
        value = OffsetCommitValue(
            offset=value.offset, metadata=value.metadata, commit_timestamp=value.commit_timestamp
        )
    stored = StoredOffset(
        offset=value.offset,
        leader_epoch=value.leader_epoch,
        metadata=value.metadata,
        commit_timestamp_ms=value.commit_timestamp,
        expire_timestamp_ms=value.expire_timestamp,
        topic_id=value.topic_id,
        record_offset=record_offset,
    )
    state.offsets.replay(key.group, partition, stored, producer_id)
