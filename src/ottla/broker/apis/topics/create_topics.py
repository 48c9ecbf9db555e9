"""CreateTopics: new topics, or only a check whether they could be made."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import TopicServices
from ottla.config.effective import describe_topic
from ottla.metadata.model import Topic
from ottla.metadata.topics import NewTopic
from ottla.protocol.errors import ErrorCode, KafkaError


async def _handle(services: TopicServices, _context: RequestContext, message: Any) -> Response:
    results = await services.topics.create_topics(
        [_new_topic(topic) for topic in message.topics], validate_only=message.validate_only
    )
    return {"topics": [_result(services, name, result) for name, result in results.items()]}


def _new_topic(topic: Any) -> NewTopic:
    return NewTopic(
        topic.name,
        topic.num_partitions,
        topic.replication_factor,
        tuple((each.partition_index, each.broker_ids) for each in topic.assignments),
        {config.name: config.value for config in topic.configs},
    )


def _result(services: TopicServices, name: str, result: Topic | KafkaError) -> dict[str, Any]:
    if isinstance(result, KafkaError):
        return {"name": name, "error_code": result.code, "error_message": result.message, "configs": []}
    return {
        "name": name,
        "topic_id": result.topic_id,
        "error_code": ErrorCode.none,
        "num_partitions": len(result.partitions),
        "replication_factor": len(result.partitions[0].replicas),
        "configs": [
            {
                "name": entry.name,
                "value": entry.value,
                "read_only": entry.read_only,
                "config_source": entry.source,
                "is_sensitive": entry.is_sensitive,
            }
            for entry in describe_topic(result.configs, services.sources.layers)
        ],
    }


def _error(message: Any, code: ErrorCode, text: str | None) -> Response:
    return {
        "topics": [
            {"name": topic.name, "error_code": code, "error_message": text} for topic in message.topics
        ]
    }


API = Api(
    key=19,
    name="CreateTopics",
    versions=(2, 7),
    handle=_handle,
    error=_error,
    kips=(4, 464, 516, 525),
)
