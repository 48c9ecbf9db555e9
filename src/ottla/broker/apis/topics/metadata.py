"""Metadata: the brokers, the topics and their partitions' leaders; creates topics that clients ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

from ottla.broker.api import Api, Request, Response, Result
from ottla.metadata.topics import is_valid_topic_name
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages import encode_response_body, frame_response
from ottla.security.operations import CLUSTER_OPERATIONS, TOPIC_OPERATIONS

if TYPE_CHECKING:
    from ottla.metadata.image import MetadataImage
    from ottla.metadata.model import Topic

FIRST_VERSION_BY_TOPIC_ID = 12
_ENCODED_KEPT = 8
INTERNAL_TOPICS = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state"})


def _handle(request: Request, message: Any) -> Result | Awaitable[Result]:
    _check(request, message)
    missing = _to_create(request, message)
    if missing:
        return _create_and_answer(request, message, missing)
    return _answer(request, message)


def _check(request: Request, message: Any) -> None:
    """Versions 10 and 11 can name a topic by its id, but no broker answers that."""
    if request.api_version < FIRST_VERSION_BY_TOPIC_ID:
        for asked in message.topics or ():
            if asked.name is None or asked.topic_id is not None:
                raise KafkaError(
                    ErrorCode.invalid_request, f"Topics need names in version {request.api_version}."
                )


def _wants_all(request: Request, message: Any) -> bool:
    return message.topics is None or (request.api_version == 0 and not message.topics)


def _to_create(request: Request, message: Any) -> Sequence[str]:
    if not (message.allow_auto_topic_creation and request.broker.config.auto_create_topics_enable):
        return ()
    topics = request.broker.image.topics
    return [
        asked.name
        for asked in message.topics or ()
        if asked.name and asked.name not in topics and is_valid_topic_name(asked.name)
    ]


async def _create_and_answer(request: Request, message: Any, missing: Sequence[str]) -> Result:
    await request.broker.controller.auto_create_topics(missing)
    return _answer(request, message)


def _answer(request: Request, message: Any) -> Result:
    if not _wants_all(request, message):
        image = request.broker.image
        # Each once, however often it is asked for: the answer stays no large multiple of the request.
        distinct = {(asked.name, asked.topic_id): asked for asked in message.topics}
        return _response(request, message, [_one(image, asked, message) for asked in distinct.values()])
    body = _encoded_all(request, message)
    return frame_response(request.api_key, request.api_version, request.correlation_id, body)


def _encoded_all(request: Request, message: Any) -> bytes:
    """The whole cluster, encoded once for an image: every client asks for it every few minutes."""
    image, cache = request.broker.image, request.broker.encoded_metadata
    key = (
        request.api_version,
        message.include_cluster_authorized_operations,
        message.include_topic_authorized_operations,
    )
    cached = cache.get(key)
    if cached is not None and cached[0] is image:
        return cached[1]
    response = _response(request, message, [_describe(topic, message) for topic in image.topics.values()])
    body = encode_response_body(request.api_key, request.api_version, response)
    if len(cache) >= _ENCODED_KEPT:
        cache.clear()
    cache[key] = image, body
    return body


def _response(request: Request, message: Any, topics: list[dict[str, Any]]) -> Response:
    broker = request.broker
    host, port = broker.advertised_address
    response = {
        "brokers": [
            {"node_id": broker.node_id, "host": host, "port": port, "rack": broker.config.broker_rack}
        ],
        "cluster_id": broker.cluster_id,
        "controller_id": broker.node_id,
        "topics": topics,
    }
    if message.include_cluster_authorized_operations:
        response["cluster_authorized_operations"] = CLUSTER_OPERATIONS
    return response


def _one(image: MetadataImage, asked: Any, message: Any) -> dict[str, Any]:
    if asked.name is None:
        topic = image.topics_by_id.get(asked.topic_id)
        missing = ErrorCode.unknown_topic_id
    else:
        topic = image.topics.get(asked.name)
        valid = is_valid_topic_name(asked.name)
        missing = ErrorCode.unknown_topic_or_partition if valid else ErrorCode.invalid_topic_exception
    if topic is None:
        return {"error_code": missing, "name": asked.name, "topic_id": asked.topic_id, "partitions": ()}
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
