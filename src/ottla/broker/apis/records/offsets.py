"""ListOffsets, OffsetForLeaderEpoch, DeleteRecords: where in a log a time, an epoch and its start are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Mapping

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import OnEach, its_name
from ottla.broker.services import RecordServices
from ottla.metadata.topic_names import INTERNAL_TOPICS
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopic,
    DeleteRecordsTopicResult,
)
from ottla.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
    ListOffsetsTopicResponse,
)
from ottla.protocol.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
    OffsetForLeaderTopicResult,
)
from ottla.replica.delayed import DelayedDeletion, Deletion
from ottla.replica.partition import READ_COMMITTED, Partition

LATEST, EARLIEST, MAX_TIMESTAMP = -1, -2, -3
EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING_UPLOAD = -4, -5, -6
_NEEDS_VERSION = {MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9, EARLIEST_PENDING_UPLOAD: 11}
_STARTS = (EARLIEST, EARLIEST_LOCAL, EARLIEST_PENDING_UPLOAD, LATEST_TIERED)
_UNKNOWN = (-1, -1, -1)
TO_HIGH_WATERMARK = -1


def _list(
    services: RecordServices, context: RequestContext, message: ListOffsetsRequest
) -> ListOffsetsResponse:
    asked = Counter(
        (topic.name, each.partition_index) for topic in message.topics for each in topic.partitions
    )
    return ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(
                name=topic.name,
                partitions=[
                    _list_one(services, context, message, topic.name, each, asked)
                    for each in topic.partitions
                ],
            )
            for topic in message.topics
        ]
    )


def _list_one(
    services: RecordServices,
    context: RequestContext,
    message: ListOffsetsRequest,
    topic: str,
    asked: ListOffsetsPartition,
    times: Mapping[tuple[str, int], int],
) -> ListOffsetsPartitionResponse:
    try:
        if times[topic, asked.partition_index] > 1:
            raise KafkaError(ErrorCode.invalid_request)
        if context.api_version < _NEEDS_VERSION.get(asked.timestamp, 0):
            raise KafkaError(ErrorCode.unsupported_version)
        partition = services.partitions.get(topic, asked.partition_index)
        partition.check_leader_epoch(asked.current_leader_epoch)
        readable = _readable(partition, message)
        offset, timestamp, leader_epoch = _find(partition, asked.timestamp, readable)
        is_behind = asked.timestamp == LATEST or (asked.timestamp not in _STARTS and offset < 0)
        if is_behind and partition.is_catching_up and message.replica_id < 0:
            # It was elected, and may not know yet how far records are committed (KIP-207).
            raise KafkaError(
                ErrorCode.offset_not_available if context.api_version >= 5 else ErrorCode.leader_not_available
            )
    except KafkaError as error:
        return ListOffsetsPartitionResponse(partition_index=asked.partition_index, error_code=error.code)
    return ListOffsetsPartitionResponse(
        partition_index=asked.partition_index, timestamp=timestamp, offset=offset, leader_epoch=leader_epoch
    )


def _readable(partition: Partition, message: ListOffsetsRequest) -> int:
    """Where it ends for who asks."""
    if message.replica_id >= 0:
        return partition.log.log_end_offset
    return (
        partition.last_stable_offset
        if message.isolation_level == READ_COMMITTED
        else partition.high_watermark
    )


def _find(partition: Partition, timestamp: int, readable: int) -> tuple[int, int, int]:
    """(offset, timestamp, leader epoch), with -1 for what is unknown."""
    log = partition.log
    if timestamp == LATEST:
        return readable, -1, partition.leader_epoch
    if timestamp in {EARLIEST, EARLIEST_LOCAL, EARLIEST_PENDING_UPLOAD}:
        # Nothing is tiered, so the log begins locally and nothing waits for an upload.
        if timestamp == EARLIEST_PENDING_UPLOAD:
            return _UNKNOWN
        return log.log_start_offset, -1, partition.epoch_of(log.log_start_offset)
    if timestamp == LATEST_TIERED:
        return _UNKNOWN
    if timestamp < 0 and timestamp != MAX_TIMESTAMP:
        raise KafkaError(ErrorCode.unsupported_version)
    found = log.max_timestamp_offset() if timestamp == MAX_TIMESTAMP else log.offset_for_timestamp(timestamp)
    if found is None or found.offset >= readable:
        return _UNKNOWN
    return found.offset, found.timestamp, found.leader_epoch


def _epoch_ends(
    services: RecordServices, _context: RequestContext, message: OffsetForLeaderEpochRequest
) -> OffsetForLeaderEpochResponse:
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(
                topic=topic.topic,
                partitions=[_epoch_end(services, topic.topic, each) for each in topic.partitions],
            )
            for topic in message.topics
        ]
    )


def _epoch_end(services: RecordServices, topic: str, asked: OffsetForLeaderPartition) -> EpochEndOffset:
    try:
        partition = services.partitions.get(topic, asked.partition)
        partition.check_leader_epoch(asked.current_leader_epoch)
        epoch, end_offset = partition.end_of_epoch(asked.leader_epoch)
    except KafkaError as error:
        return EpochEndOffset(partition=asked.partition, error_code=error.code)
    return EpochEndOffset(partition=asked.partition, leader_epoch=epoch, end_offset=end_offset)


def _delete(
    services: RecordServices, _context: RequestContext, message: DeleteRecordsRequest
) -> DeleteRecordsResponse | Awaitable[DeleteRecordsResponse]:
    results: list[DeleteRecordsPartitionResult] = []
    left: list[Deletion] = []
    topics = []
    for topic in message.topics:
        found = []
        for asked in topic.partitions:
            result, deletion = _delete_one(services, topic.name, asked, len(results))
            found.append(result)
            results.append(result)
            if deletion is not None:
                left.append(deletion)
        topics.append(DeleteRecordsTopicResult(name=topic.name, partitions=found))
    response = DeleteRecordsResponse(topics=topics)
    if not left:
        return response
    partitions = {each.number: each.partition for each in left}

    def complete(failures: Mapping[int, KafkaError]) -> DeleteRecordsResponse:
        for number, partition in partitions.items():
            failure = failures.get(number)
            if failure is None:
                results[number].low_watermark = partition.low_watermark
            else:
                results[number].error_code = failure.code
                if failure.code is not ErrorCode.request_timed_out:
                    results[number].low_watermark = -1
        return response

    return _when_deleted(DelayedDeletion(left, message.timeout_ms, complete))


async def _when_deleted(deletion: DelayedDeletion) -> DeleteRecordsResponse:
    response: DeleteRecordsResponse = await deletion.future
    return response


def _delete_one(
    services: RecordServices, topic: str, asked: DeleteRecordsPartition, number: int
) -> tuple[DeleteRecordsPartitionResult, Deletion | None]:
    """What came of it, and what is left to wait for."""
    result = DeleteRecordsPartitionResult(partition_index=asked.partition_index)
    try:
        partition = services.partitions.get(topic, asked.partition_index)
        if topic in INTERNAL_TOPICS:
            raise KafkaError(ErrorCode.invalid_topic_exception)
        if partition.config.compact and not partition.config.delete:
            raise KafkaError(ErrorCode.policy_violation)
        offset = partition.high_watermark if asked.offset == TO_HIGH_WATERMARK else asked.offset
        partition.log.delete_records(offset)
        partition.touch()
        result.low_watermark = partition.low_watermark
        if result.low_watermark >= offset:
            return result, None
        partition.log_end.appended(0)  # followers are told at once, and say so with their next fetch
        return result, Deletion(number, partition, offset)
    except KafkaError as error:
        result.error_code, result.low_watermark = error.code, -1
        return result, None


def _list_error(topic: ListOffsetsTopic, code: ErrorCode) -> ListOffsetsTopicResponse:
    return ListOffsetsTopicResponse(
        name=topic.name,
        partitions=[
            ListOffsetsPartitionResponse(partition_index=each.partition_index, error_code=code)
            for each in topic.partitions
        ],
    )


def _epochs_error(topic: OffsetForLeaderTopic, code: ErrorCode) -> OffsetForLeaderTopicResult:
    return OffsetForLeaderTopicResult(
        topic=topic.topic,
        partitions=[EpochEndOffset(partition=each.partition, error_code=code) for each in topic.partitions],
    )


def _delete_error(topic: DeleteRecordsTopic, code: ErrorCode) -> DeleteRecordsTopicResult:
    return DeleteRecordsTopicResult(
        name=topic.name,
        partitions=[
            DeleteRecordsPartitionResult(
                partition_index=each.partition_index, error_code=code, low_watermark=-1
            )
            for each in topic.partitions
        ],
    )


APIS = (
    Api(
        RecordServices,
        ListOffsetsRequest,
        ListOffsetsResponse,
        _list,
        right=OnEach(
            Operation.DESCRIBE,
            ResourceType.TOPIC,
            "topics",
            _list_error,
            response=ListOffsetsResponse,
            into="topics",
            name=its_name,
        ),
        kips=(79, 98, 207, 320, 405, 734, 1005, 1023),
        gaps=(
            "There is no tiered storage: its special timestamps answer as for a log that is wholly local.",
        ),
    ),
    Api(
        RecordServices,
        OffsetForLeaderEpochRequest,
        OffsetForLeaderEpochResponse,
        _epoch_ends,
        right=OnEach(
            Operation.DESCRIBE,
            ResourceType.TOPIC,
            "topics",
            _epochs_error,
            response=OffsetForLeaderEpochResponse,
            into="topics",
            name=lambda _image, topic: topic.topic,
            also_on_cluster=Operation.CLUSTER_ACTION,
        ),
        kips=(279, 320),
    ),
    Api(
        RecordServices,
        DeleteRecordsRequest,
        DeleteRecordsResponse,
        _delete,
        right=OnEach(
            Operation.DELETE,
            ResourceType.TOPIC,
            "topics",
            _delete_error,
            response=DeleteRecordsResponse,
            into="topics",
            name=its_name,
        ),
        is_audited=True,
        kips=(107,),
    ),
)
