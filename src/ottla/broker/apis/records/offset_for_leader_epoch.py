"""OffsetForLeaderEpoch: where a leader epoch ended, by which clients and followers find diverged records."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import RecordServices
from ottla.protocol.errors import KafkaError
from ottla.protocol.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
)


def _handle(
    services: RecordServices, _context: RequestContext, message: OffsetForLeaderEpochRequest
) -> OffsetForLeaderEpochResponse:
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(
                topic=topic.topic,
                partitions=[_one(services, topic.topic, each) for each in topic.partitions],
            )
            for topic in message.topics
        ]
    )


def _one(services: RecordServices, topic: str, asked: OffsetForLeaderPartition) -> EpochEndOffset:
    try:
        partition = services.partitions.get(topic, asked.partition)
        partition.check_leader_epoch(asked.current_leader_epoch)
        epoch, end_offset = partition.end_of_epoch(asked.leader_epoch)
    except KafkaError as error:
        return EpochEndOffset(partition=asked.partition, error_code=error.code)
    return EpochEndOffset(partition=asked.partition, leader_epoch=epoch, end_offset=end_offset)


API = Api(key=23, name="OffsetForLeaderEpoch", versions=(2, 4), handle=_handle, kips=(279, 320))
