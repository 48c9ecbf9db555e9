"""DescribeProducers: the idempotent and transactional producers that a partition remembers (KIP-664)."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import OnEach, its_name
from ottla.broker.services import RecordServices
from ottla.metadata.topic_names import check_topic_name
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    PartitionResponse,
    ProducerState,
    TopicRequest,
    TopicResponse,
)


def _handle(
    services: RecordServices, _context: RequestContext, message: DescribeProducersRequest
) -> DescribeProducersResponse:
    return DescribeProducersResponse(
        topics=[
            TopicResponse(
                name=topic.name,
                partitions=[
                    _one(services, topic.name, index) for index in dict.fromkeys(topic.partition_indexes)
                ],
            )
            for topic in {topic.name: topic for topic in message.topics}.values()
        ]
    )


def _one(services: RecordServices, topic: str, index: int) -> PartitionResponse:
    try:
        check_topic_name(topic)
        partition = services.partitions.get(topic, index)
    except KafkaError as error:
        return PartitionResponse(partition_index=index, error_code=error.code, error_message=error.message)
    return PartitionResponse(
        partition_index=index,
        active_producers=[
            ProducerState(
                producer_id=producer.producer_id,
                producer_epoch=producer.producer_epoch,
                last_sequence=producer.last_sequence,
                last_timestamp=producer.last_timestamp,
                coordinator_epoch=producer.coordinator_epoch,
                current_txn_start_offset=producer.current_txn_start_offset,
            )
            for producer in partition.log.producer_state.describe()
        ],
    )


def _topic_error(topic: TopicRequest, code: ErrorCode) -> TopicResponse:
    refused = [PartitionResponse(partition_index=index, error_code=code) for index in topic.partition_indexes]
    return TopicResponse(name=topic.name, partitions=refused)


APIS = (
    Api(
        RecordServices,
        DescribeProducersRequest,
        DescribeProducersResponse,
        _handle,
        right=OnEach(
            Operation.READ,
            ResourceType.TOPIC,
            "topics",
            _topic_error,
            response=DescribeProducersResponse,
            into="topics",
            name=its_name,
        ),
        kips=(664,),
    ),
)
