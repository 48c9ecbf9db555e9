"""DeleteRecords: move a partition's start forward; what lies below is removed."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import RecordServices
from ottla.metadata.topic_names import INTERNAL_TOPICS
from ottla.protocol.errors import ErrorCode, KafkaError

TO_HIGH_WATERMARK = -1


def _handle(services: RecordServices, _context: RequestContext, message: Any) -> Response:
    return {
        "topics": [
            {
                "name": topic.name,
                "partitions": [_one(services, topic.name, each) for each in topic.partitions],
            }
            for topic in message.topics
        ]
    }


def _one(services: RecordServices, topic: str, asked: Any) -> dict[str, Any]:
    try:
        partition = services.partitions.get(topic, asked.partition_index)
        if topic in INTERNAL_TOPICS:
            raise KafkaError(ErrorCode.invalid_topic_exception)
        if partition.config.compact and not partition.config.delete:
            raise KafkaError(ErrorCode.policy_violation)
        offset = partition.high_watermark if asked.offset == TO_HIGH_WATERMARK else asked.offset
        partition.log.delete_records(offset)
        partition.touch()
    except KafkaError as error:
        return {"partition_index": asked.partition_index, "low_watermark": -1, "error_code": error.code}
    return {
        "partition_index": asked.partition_index,
        "low_watermark": partition.log.log_start_offset,
        "error_code": ErrorCode.none,
    }


API = Api(key=21, name="DeleteRecords", versions=(0, 2), handle=_handle, kips=(107,))
