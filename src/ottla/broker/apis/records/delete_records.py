"""DeleteRecords: move a partition's start forward; what lies below is removed."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import RecordServices
from ottla.metadata.topic_names import INTERNAL_TOPICS
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)

TO_HIGH_WATERMARK = -1


def _handle(
    services: RecordServices, _context: RequestContext, message: DeleteRecordsRequest
) -> DeleteRecordsResponse:
    return DeleteRecordsResponse(
        topics=[
            DeleteRecordsTopicResult(
                name=topic.name,
                partitions=[_one(services, topic.name, each) for each in topic.partitions],
            )
            for topic in message.topics
        ]
    )


def _one(services: RecordServices, topic: str, asked: DeleteRecordsPartition) -> DeleteRecordsPartitionResult:
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
        result.low_watermark = partition.log.log_start_offset
    except KafkaError as error:
        result.error_code, result.low_watermark = error.code, -1
    return result


API = Api(key=21, name="DeleteRecords", versions=(0, 2), handle=_handle, kips=(107,))
