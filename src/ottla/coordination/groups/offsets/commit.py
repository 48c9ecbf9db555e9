"""OffsetCommit and TxnOffsetCommit."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from ottla.coordination.groups.classic.group import ClassicGroup
from ottla.coordination.groups.records import RecordType, encode_record
from ottla.coordination.groups.state import Group, PartitionCheck, ShardState
from ottla.coordination.runtime import CoordinatorRecord, Effects, Producer, RequestInfo, Response
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import Topic
from ottla.protocol.errors import ErrorCode, KafkaError

COMMIT_TOPIC_IDS_SINCE: Final = 10
_COMMIT_GROUP_NOT_FOUND_SINCE: Final = 9
_TXN_MEMBER_EPOCHS_SINCE: Final = 6
_EXPLICIT_EXPIRY_VERSION: Final = 1


def commit_offsets(state: ShardState, request: Any, info: RequestInfo, now_ms: int) -> Effects:
    """Write what a member, or a consumer without a group, has read up to (KIP-848's epochs included)."""
    try:
        check = _validate(state, request, info, now_ms) if _names_a_partition(state, request) else None
        retention_ms: int = request.retention_time_ms
        expires_ms = -1 if retention_ms == -1 else max(0, now_ms + retention_ms)
        records, topics = _commit(state, request, info, check, (now_ms, expires_ms))
    except KafkaError as error:
        return Effects.reply_with(info, commit_error(state.image, request, info, error.code))
    effects = Effects.reply_with(
        info, {"topics": topics}, lambda code: commit_error(state.image, request, info, code)
    )
    effects.records += records
    group = state.groups.get(request.group_id)
    if group is not None:
        effects.timers += group.on_offset_commit_timers(request.member_id, now_ms)
    return effects


def commit_transaction_offsets(state: ShardState, request: Any, info: RequestInfo, now_ms: int) -> Effects:
    """Write offsets that count once the producer's transaction is committed (KIP-447)."""
    try:
        check = _validate_transactional(state, request, info) if _names_a_partition(state, request) else None
        records, topics = _commit(state, request, info, check, (now_ms, -1))
    except KafkaError as error:
        code = error.code
        if code is ErrorCode.stale_member_epoch and info.api_version < _TXN_MEMBER_EPOCHS_SINCE:
            code = ErrorCode.illegal_generation
        return Effects.reply_with(info, commit_error(state.image, request, info, code))
    effects = Effects.reply_with(
        info, {"topics": topics}, lambda code: commit_error(state.image, request, info, code)
    )
    effects.records += records
    effects.producer = Producer(request.producer_id, request.producer_epoch)
    return effects


def commit_error(image: MetadataImage, request: Any, info: RequestInfo, code: ErrorCode) -> Response:
    """The response that refuses every partition of the request; those that do not exist have that error."""
    topics: list[Response] = []
    for asked in request.topics:
        topic = _topic(image, asked)
        partitions = [
            _partition(
                p.partition_index,
                code if topic is not None and _exists(topic, p.partition_index) else _unknown(topic, info),
            )
            for p in asked.partitions
        ]
        topics.append(_topic_response(asked, partitions))
    return {"topics": topics}


def _validate(state: ShardState, request: Any, info: RequestInfo, now_ms: int) -> PartitionCheck | None:
    group = state.groups.get(request.group_id)
    generation: int = request.generation_id_or_member_epoch
    if group is None:
        if generation >= 0:
            is_known = info.api_version >= _COMMIT_GROUP_NOT_FOUND_SINCE
            raise KafkaError(ErrorCode.group_id_not_found if is_known else ErrorCode.illegal_generation)
        # A standalone consumer: replaying the commit creates its group.
        group = ClassicGroup(request.group_id, now_ms)
    return group.validate_offset_commit(
        request.member_id,
        request.group_instance_id,
        generation,
        api_version=info.api_version,
        is_transactional=False,
    )


def _validate_transactional(state: ShardState, request: Any, info: RequestInfo) -> PartitionCheck | None:
    group: Group | None = state.groups.get(request.group_id)
    if group is None:
        if request.generation_id_or_member_epoch >= 0:
            raise KafkaError(ErrorCode.illegal_generation)
        return None
    return group.validate_offset_commit(
        request.member_id,
        request.group_instance_id,
        request.generation_id_or_member_epoch,
        api_version=info.api_version,
        is_transactional=True,
    )


def _commit(
    state: ShardState,
    request: Any,
    info: RequestInfo,
    check: PartitionCheck | None,
    times_ms: tuple[int, int],
) -> tuple[list[CoordinatorRecord], list[Response]]:
    """The records and the response's topics; KafkaError where a partition's check refuses the request."""
    records: list[CoordinatorRecord] = []
    topics: list[Response] = []
    max_metadata = state.config.offset_metadata_max_bytes
    for asked in request.topics:
        topic = _topic(state.image, asked)
        partitions: list[Response] = []
        for partition in asked.partitions:
            index: int = partition.partition_index
            if topic is None or not _exists(topic, index):
                partitions.append(_partition(index, _unknown(topic, info)))
            elif len(partition.committed_metadata or "") > max_metadata:
                partitions.append(_partition(index, ErrorCode.offset_metadata_too_large))
            else:
                if check is not None:
                    check(topic.name, topic.topic_id, index)
                records.append(_record(request.group_id, topic, partition, times_ms))
                partitions.append(_partition(index, ErrorCode.none))
        topics.append(_topic_response(asked, partitions))
    return records, topics


def _names_a_partition(state: ShardState, request: Any) -> bool:
    """Whether there is anything to commit: Kafka asks the group only then."""
    for asked in request.topics:
        topic = _topic(state.image, asked)
        if topic is not None and any(_exists(topic, p.partition_index) for p in asked.partitions):
            return True
    return False


def _topic(image: MetadataImage, asked: Any) -> Topic | None:
    topic_id: UUID | None = getattr(asked, "topic_id", None)
    if topic_id is not None:
        return image.topics_by_id.get(topic_id)
    return image.topics.get(asked.name)


def _exists(topic: Topic, index: int) -> bool:
    return 0 <= index < len(topic.partitions)


def _unknown(topic: Topic | None, info: RequestInfo) -> ErrorCode:
    by_id = topic is None and info.api_version >= COMMIT_TOPIC_IDS_SINCE
    return ErrorCode.unknown_topic_id if by_id else ErrorCode.unknown_topic_or_partition


def _record(group_id: str, topic: Topic, partition: Any, times_ms: tuple[int, int]) -> CoordinatorRecord:
    now_ms, expires_ms = times_ms
    value = {
        "offset": partition.committed_offset,
        "leader_epoch": partition.committed_leader_epoch,
        "metadata": partition.committed_metadata or "",
        "commit_timestamp": now_ms,
        "expire_timestamp": expires_ms,
        "topic_id": topic.topic_id,
    }
    # Only version 1 has room for a retention that the client chose.
    version = None if expires_ms < 0 else _EXPLICIT_EXPIRY_VERSION
    key = offset_key(group_id, topic.name, partition.partition_index)
    return encode_record(RecordType.OFFSET_COMMIT, key, value, version=version)


def offset_key(group_id: str, topic: str, partition: int) -> dict[str, Any]:
    """The key of an offset's records."""
    return {"group": group_id, "topic": topic, "partition": partition}


def _topic_response(asked: Any, partitions: list[Response]) -> Response:
    response: Response = {"name": asked.name, "partitions": partitions}
    if hasattr(asked, "topic_id"):
        response["topic_id"] = asked.topic_id
    return response


def _partition(index: int, code: ErrorCode) -> Response:
    return {"partition_index": index, "error_code": code}
