"""ListOffsets: the offset at a timestamp, or at one end of a partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import RecordServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from ottla.replica.partition import READ_COMMITTED

if TYPE_CHECKING:
    from ottla.replica.partition import Partition

LATEST, EARLIEST, MAX_TIMESTAMP = -1, -2, -3
EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING_UPLOAD = -4, -5, -6
_NEEDS_VERSION = {MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9, EARLIEST_PENDING_UPLOAD: 11}
_UNKNOWN = (-1, -1, -1)


def _handle(
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
                    _one(services, context, message.isolation_level, topic.name, each, asked)
                    for each in topic.partitions
                ],
            )
            for topic in message.topics
        ]
    )


def _one(
    services: RecordServices,
    context: RequestContext,
    isolation_level: int,
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
        offset, timestamp, leader_epoch = _find(partition, asked.timestamp, isolation_level)
    except KafkaError as error:
        return ListOffsetsPartitionResponse(partition_index=asked.partition_index, error_code=error.code)
    return ListOffsetsPartitionResponse(
        partition_index=asked.partition_index, timestamp=timestamp, offset=offset, leader_epoch=leader_epoch
    )


def _find(partition: Partition, timestamp: int, isolation_level: int) -> tuple[int, int, int]:
    """(offset, timestamp, leader epoch), with -1 for what is unknown."""
    log = partition.log
    readable = partition.last_stable_offset if isolation_level == READ_COMMITTED else partition.high_watermark
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


API = Api(
    key=2,
    name="ListOffsets",
    versions=(1, 11),
    handle=_handle,
    kips=(79, 98, 207, 320, 405, 734, 1005, 1023),
    gaps=("There is no tiered storage: its special timestamps answer as for a log that is wholly local.",),
)
