"""DeleteTopics: remove topics with all their records."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import TopicServices
from ottla.protocol.errors import ErrorCode, KafkaError

VERSION_WITH_TOPIC_IDS = 6


async def _handle(services: TopicServices, context: RequestContext, message: Any) -> Response:
    if not services.config.value.delete_topic_enable:
        code = ErrorCode.topic_deletion_disabled if context.api_version >= 3 else ErrorCode.invalid_request
        raise KafkaError(code, "Topic deletion is disabled.")
    responses = []
    names: dict[str, Any] = {}
    for name, topic_id in _asked(context, message):
        try:
            names[_resolve(services, name, topic_id)] = topic_id
        except KafkaError as error:
            responses.append(_result(name, topic_id, error.code, error.message))
    results = await services.topics.delete_topics(list(names)) if names else {}
    for name, topic in results.items():
        if isinstance(topic, KafkaError):
            responses.append(_result(name, names[name], topic.code, topic.message))
        else:
            responses.append(_result(name, topic.topic_id, ErrorCode.none, None))
    return {"responses": responses}


def _asked(context: RequestContext, message: Any) -> list[tuple[str | None, Any]]:
    if context.api_version >= VERSION_WITH_TOPIC_IDS:
        return [(topic.name, topic.topic_id) for topic in message.topics]
    return [(name, None) for name in message.topic_names]


def _resolve(services: TopicServices, name: str | None, topic_id: Any) -> str:
    if name is not None:
        if topic_id is not None:
            raise KafkaError(ErrorCode.invalid_request, "Give the topic's name or its id, not both.")
        return name
    topic = services.metadata.image.topics_by_id.get(topic_id)
    if topic is None:
        raise KafkaError(ErrorCode.unknown_topic_id)
    return topic.name


def _result(name: str | None, topic_id: Any, code: ErrorCode, text: str | None) -> dict[str, Any]:
    return {"name": name, "topic_id": topic_id, "error_code": code, "error_message": text}


def _error(message: Any, code: ErrorCode, text: str | None) -> Response:
    asked = message.topics or ()
    names = [(topic.name, topic.topic_id) for topic in asked] or [
        (name, None) for name in message.topic_names or ()
    ]
    return {"responses": [_result(name, topic_id, code, text) for name, topic_id in names]}


API = Api(key=20, name="DeleteTopics", versions=(1, 6), handle=_handle, error=_error, kips=(4, 516, 599))
