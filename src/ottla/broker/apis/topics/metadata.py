"""Metadata: the brokers, the topics and their partitions' leaders; creates topics that clients ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response, Result
from ottla.broker.services import TopicServices
from ottla.metadata.topic_names import INTERNAL_TOPICS
from ottla.metadata.topics import is_valid_topic_name
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.wire import encode_response_body, frame_response
from ottla.security.operations import CLUSTER_OPERATIONS, TOPIC_OPERATIONS

if TYPE_CHECKING:
    from uuid import UUID

    from ottla.metadata.image import MetadataImage
    from ottla.metadata.model import Topic

FIRST_VERSION_BY_TOPIC_ID = 12
_ENCODED_KEPT = 8


def _handle(services: TopicServices, context: RequestContext, message: Any) -> Result | Awaitable[Result]:
    _check(context, message)
    missing = _to_create(services, message)
    if missing:
        return _create_and_answer(services, context, message, missing)
    return _answer(services, context, message)


def _check(context: RequestContext, message: Any) -> None:
    """Versions 10 and 11 can name a topic by its id, but no broker answers that."""
    if context.api_version < FIRST_VERSION_BY_TOPIC_ID:
        for asked in message.topics or ():
            if asked.name is None or asked.topic_id is not None:
                raise KafkaError(
                    ErrorCode.invalid_request, f"Topics need names in version {context.api_version}."
                )


def _is_by_id(message: Any) -> bool:
    """Whether any topic is asked for by its id. Ids win: names beside them are not looked at."""
    return any(asked.topic_id is not None for asked in message.topics or ())


def _wants_all(context: RequestContext, message: Any) -> bool:
    return message.topics is None or (context.api_version == 0 and not message.topics)


def _to_create(services: TopicServices, message: Any) -> Sequence[str]:
    if not (message.allow_auto_topic_creation and services.config.value.auto_create_topics_enable):
        return ()
    if _is_by_id(message):
        return ()
    topics = services.metadata.image.topics
    return [
        asked.name
        for asked in message.topics or ()
        if asked.name and asked.name not in topics and is_valid_topic_name(asked.name)
    ]


async def _create_and_answer(
    services: TopicServices, context: RequestContext, message: Any, missing: Sequence[str]
) -> Result:
    await services.topics.auto_create_topics(missing)
    return _answer(services, context, message)


def _answer(services: TopicServices, context: RequestContext, message: Any) -> Result:
    if not _wants_all(context, message):
        image = services.metadata.image
        # Each once, however often it is asked for: the answer stays no large multiple of the request.
        if _is_by_id(message):
            topic_ids = dict.fromkeys(
                asked.topic_id for asked in message.topics if asked.topic_id is not None
            )
            topics = [_by_id(image, topic_id, message) for topic_id in topic_ids]
        else:
            names = dict.fromkeys(asked.name for asked in message.topics)
            topics = [_by_name(image, name, message) for name in names]
        return _response(services, context, message, topics)
    body = _encoded_all(services, context, message)
    return frame_response(context.api_key, context.api_version, context.correlation_id, body)


def _encoded_all(services: TopicServices, context: RequestContext, message: Any) -> bytes:
    """The whole cluster, encoded once for an image: every client asks for it every few minutes."""
    image, cache = services.metadata.image, services.encoded
    key = (
        context.api_version,
        message.include_cluster_authorized_operations,
        message.include_topic_authorized_operations,
        context.session.listener,
    )
    cached = cache.get(key)
    if cached is not None and cached[0] is image:
        return cached[1]
    response = _response(
        services, context, message, [_describe(topic, message) for topic in image.topics.values()]
    )
    body = encode_response_body(context.api_key, context.api_version, response)
    if len(cache) >= _ENCODED_KEPT:
        cache.clear()
    cache[key] = image, body
    return body


def _response(
    services: TopicServices, context: RequestContext, message: Any, topics: list[dict[str, Any]]
) -> Response:
    node = services.node
    address = node.address(context.session.listener)
    response = {
        "brokers": []
        if address is None
        else [{"node_id": node.node_id, "host": address[0], "port": address[1], "rack": node.rack}],
        "cluster_id": services.node.cluster_id,
        "controller_id": services.node.node_id,
        "topics": topics,
    }
    if message.include_cluster_authorized_operations:
        response["cluster_authorized_operations"] = CLUSTER_OPERATIONS
    return response


def _by_id(image: MetadataImage, topic_id: UUID, message: Any) -> dict[str, Any]:
    topic = image.topics_by_id.get(topic_id)
    if topic is None:
        return {
            "error_code": ErrorCode.unknown_topic_id,
            "name": None,
            "topic_id": topic_id,
            "partitions": (),
        }
    return _describe(topic, message)


def _by_name(image: MetadataImage, name: str | None, message: Any) -> dict[str, Any]:
    if name is None:
        return {"error_code": ErrorCode.unknown_topic_id, "name": None, "partitions": ()}
    topic = image.topics.get(name)
    if topic is None:
        valid = is_valid_topic_name(name)
        code = ErrorCode.unknown_topic_or_partition if valid else ErrorCode.invalid_topic_exception
        return {"error_code": code, "name": name, "partitions": ()}
    return _describe(topic, message)


def _describe(topic: Topic, message: Any) -> dict[str, Any]:
    described: dict[str, Any] = {
        "error_code": ErrorCode.none,
        "name": topic.name,
        "topic_id": topic.topic_id,
        "is_internal": topic.name in INTERNAL_TOPICS,
        "partitions": [
            {
                "error_code": ErrorCode.none,
                "partition_index": index,
                "leader_id": state.leader,
                "leader_epoch": state.leader_epoch,
                "replica_nodes": state.replicas,
                "isr_nodes": state.isr,
            }
            for index, state in enumerate(topic.partitions)
        ],
    }
    if message.include_topic_authorized_operations:
        described["topic_authorized_operations"] = TOPIC_OPERATIONS
    return described


def _error(message: Any, code: ErrorCode, _text: str | None) -> Response:
    topics = [
        {"error_code": code, "name": asked.name or "", "topic_id": asked.topic_id}
        for asked in message.topics or ()
    ]
    return {"error_code": code, "topics": topics}


API = Api(
    key=3,
    name="Metadata",
    versions=(0, 13),
    handle=_handle,
    error=_error,
    kips=(4, 78, 204, 430, 516, 1102),
)
