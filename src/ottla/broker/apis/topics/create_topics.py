"""CreateTopics, CreatePartitions: new topics, and more partitions of them, or only a check of that."""

from __future__ import annotations

from typing import Final

from ottla.broker.api import Api
from ottla.broker.apis.topics import may_create
from ottla.broker.request import RequestContext
from ottla.broker.rights import ByHandler, OnEach, its_name, may
from ottla.broker.services import TopicServices
from ottla.config.effective import describe_topic
from ottla.metadata.model import Topic
from ottla.metadata.topics import NewPartitions, NewTopic
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopicResult,
)
from ottla.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)

_STRICT_TOPICS: Final = 6
_STRICT_PARTITIONS: Final = 3
"""Versions whose clients know that a quota may refuse what they ask for (KIP-599)"""


async def _create_topics(
    services: TopicServices, context: RequestContext, message: CreateTopicsRequest
) -> CreateTopicsResponse:
    allowed = {
        name: may_create(context, name) for name in dict.fromkeys(each.name for each in message.topics)
    }
    permit = services.quotas.permit(context, strict_from=_STRICT_TOPICS)
    results = await services.topics.create_topics(
        [_new_topic(topic) for topic in message.topics if allowed[topic.name]],
        validate_only=message.validate_only,
        take=permit.take,
    )
    return CreateTopicsResponse(
        throttle_time_ms=permit.wait_ms(),
        topics=[
            *(_topic_result(services, context, name, result) for name, result in results.items()),
            *(
                _topic_result(services, context, name, KafkaError(ErrorCode.topic_authorization_failed))
                for name, is_allowed in allowed.items()
                if not is_allowed
            ),
        ],
    )


def _new_topic(topic: CreatableTopic) -> NewTopic:
    return NewTopic(
        topic.name,
        topic.num_partitions,
        topic.replication_factor,
        tuple((each.partition_index, each.broker_ids) for each in topic.assignments),
        {config.name: config.value for config in topic.configs},
    )


def _topic_result(
    services: TopicServices, context: RequestContext, name: str, result: Topic | KafkaError
) -> CreatableTopicResult:
    if isinstance(result, KafkaError):
        return CreatableTopicResult(
            name=name, error_code=result.code, error_message=result.message, configs=()
        )
    if not may(context, Operation.DESCRIBE_CONFIGS, ResourceType.TOPIC, name, is_asked_for=False):
        return CreatableTopicResult(
            name=name,
            topic_id=result.topic_id,
            topic_config_error_code=ErrorCode.topic_authorization_failed,
            num_partitions=-1,
            replication_factor=-1,
            configs=(),
        )
    return CreatableTopicResult(
        name=name,
        topic_id=result.topic_id,
        num_partitions=len(result.partitions),
        replication_factor=len(result.partitions[0].replicas),
        configs=[
            CreatableTopicConfigs(
                name=entry.name,
                value=entry.value,
                read_only=entry.read_only,
                config_source=entry.source,
                is_sensitive=entry.is_sensitive,
            )
            for entry in describe_topic(result.configs, services.sources.layers)
        ],
    )


def _topics_error(message: CreateTopicsRequest, code: ErrorCode, text: str | None) -> CreateTopicsResponse:
    return CreateTopicsResponse(
        topics=[
            CreatableTopicResult(name=topic.name, error_code=code, error_message=text)
            for topic in message.topics
        ]
    )


async def _create_partitions(
    services: TopicServices, context: RequestContext, message: CreatePartitionsRequest
) -> CreatePartitionsResponse:
    wanted = [
        NewPartitions(
            topic.name,
            topic.count,
            None if topic.assignments is None else [each.broker_ids for each in topic.assignments],
        )
        for topic in message.topics
    ]
    permit = services.quotas.permit(context, strict_from=_STRICT_PARTITIONS)
    results = await services.topics.create_partitions(
        wanted, validate_only=message.validate_only, take=permit.take
    )
    return CreatePartitionsResponse(
        throttle_time_ms=permit.wait_ms(),
        results=[
            _partitions_refusal(name, result.code, result.message)
            if isinstance(result, KafkaError)
            else CreatePartitionsTopicResult(name=name)
            for name, result in results.items()
        ],
    )


def _partitions_refusal(name: str, code: ErrorCode, text: str | None) -> CreatePartitionsTopicResult:
    return CreatePartitionsTopicResult(name=name, error_code=code, error_message=text)


def _partitions_error(
    message: CreatePartitionsRequest, code: ErrorCode, text: str | None
) -> CreatePartitionsResponse:
    return CreatePartitionsResponse(
        results=[_partitions_refusal(topic.name, code, text) for topic in message.topics]
    )


APIS = (
    Api(
        TopicServices,
        CreateTopicsRequest,
        CreateTopicsResponse,
        _create_topics,
        right=ByHandler(
            "CREATE on the cluster or on each topic; DESCRIBE_CONFIGS on a topic to be told of its settings"
        ),
        error=_topics_error,
        is_audited=True,
        kips=(4, 464, 516, 525),
    ),
    Api(
        TopicServices,
        CreatePartitionsRequest,
        CreatePartitionsResponse,
        _create_partitions,
        right=OnEach(
            Operation.ALTER,
            ResourceType.TOPIC,
            "topics",
            lambda topic, code: _partitions_refusal(topic.name, code, None),
            response=CreatePartitionsResponse,
            into="results",
            name=its_name,
        ),
        error=_partitions_error,
        is_audited=True,
        kips=(195, 599),
    ),
)
