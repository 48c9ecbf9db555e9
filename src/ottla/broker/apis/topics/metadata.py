"""Metadata: the brokers, the topics and their partitions' leaders; creates topics that clients ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from ottla.broker.api import Api
from ottla.broker.apis.topics import may_create
from ottla.broker.cluster_view import brokers_at, controller_in, leader_at, offline_replicas
from ottla.broker.request import RequestContext
from ottla.broker.rights import ByHandler, may, operations
from ottla.broker.services import TopicServices
from ottla.metadata.acls import CLUSTER_NAME
from ottla.metadata.topic_names import INTERNAL_TOPICS
from ottla.metadata.topics import is_valid_topic_name
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from ottla.protocol.wire import encode, frame_response
from ottla.security.operations import CLUSTER_OPERATIONS, TOPIC_OPERATIONS

if TYPE_CHECKING:
    from uuid import UUID

    from ottla.metadata.image import MetadataImage
    from ottla.metadata.model import Topic


Answer: TypeAlias = MetadataResponse | bytes

FIRST_VERSION_BY_TOPIC_ID = 12
FIRST_VERSION_OF_LISTENERS = 6
"""Of telling clients that a leader is there, but not at their listener (KIP-103)"""
_ENCODED_KEPT = 8


def _handle(
    services: TopicServices, context: RequestContext, message: MetadataRequest
) -> Answer | Awaitable[Answer]:
    _check(context, message)
    missing = _to_create(services, context, message)
    if missing:
        return _create_and_answer(services, context, message, missing)
    return _answer(services, context, message)


def _check(context: RequestContext, message: MetadataRequest) -> None:
    """Versions 10 and 11 can name a topic by its id, but no broker answers that."""
    if context.api_version < FIRST_VERSION_BY_TOPIC_ID:
        for asked in message.topics or ():
            if asked.name is None or asked.topic_id is not None:
                raise KafkaError(
                    ErrorCode.invalid_request, f"Topics need names in version {context.api_version}."
                )


def _is_by_id(message: MetadataRequest) -> bool:
    """Whether any topic is asked for by its id. Ids win: names beside them are not looked at."""
    return any(asked.topic_id is not None for asked in message.topics or ())


def _to_create(services: TopicServices, context: RequestContext, message: MetadataRequest) -> Sequence[str]:
    if not (message.allow_auto_topic_creation and services.config.value.auto_create_topics_enable):
        return ()
    if _is_by_id(message):
        return ()
    topics = services.metadata.image.topics
    return [
        asked.name
        for asked in message.topics or ()
        if asked.name
        and asked.name not in topics
        and is_valid_topic_name(asked.name)
        and _is_visible(context, asked.name)
        and may_create(context, asked.name)
    ]


def _is_visible(context: RequestContext, name: str, *, is_asked_for: bool = True) -> bool:
    return may(context, Operation.DESCRIBE, ResourceType.TOPIC, name, is_asked_for=is_asked_for)


async def _create_and_answer(
    services: TopicServices, context: RequestContext, message: MetadataRequest, missing: Sequence[str]
) -> Answer:
    await services.topics.auto_create_topics(missing)
    return _answer(services, context, message)


def _answer(services: TopicServices, context: RequestContext, message: MetadataRequest) -> Answer:
    image, wanted = services.metadata.image, message.topics
    if wanted is None or (context.api_version == 0 and not wanted):  # version 0 has no null
        body = _encoded_all(services, context, message)
        return frame_response(context.api_key, context.api_version, context.correlation_id, body)
    # Each once, however often it is asked for: the answer stays no large multiple of the request.
    if _is_by_id(message):
        topic_ids = dict.fromkeys(asked.topic_id for asked in wanted if asked.topic_id is not None)
        topics = [_by_id(image, topic_id, context, message) for topic_id in topic_ids]
    else:
        names = dict.fromkeys(asked.name for asked in wanted)
        topics = [_by_name(services, name, context, message) for name in names]
    return _response(services, context, message, topics)


def _encoded_all(services: TopicServices, context: RequestContext, message: MetadataRequest) -> bytes:
    """The whole cluster, encoded once for an image: every client asks for it every few minutes."""
    image, cache = services.metadata.image, services.encoded
    key = (
        context.api_version,
        message.include_cluster_authorized_operations,
        message.include_topic_authorized_operations,
        context.session.listener,
    )
    is_same_for_all = context.session.access is None
    cached = cache.get(key) if is_same_for_all else None
    if cached is not None and cached[0] is image:
        return cached[1]
    response = _response(
        services,
        context,
        message,
        [
            _describe(image, topic, context, message)
            for topic in image.topics.values()
            if is_same_for_all or _is_visible(context, topic.name, is_asked_for=False)
        ],
    )
    body = encode(response, context.api_version)
    if not is_same_for_all:
        return body
    if len(cache) >= _ENCODED_KEPT:
        cache.clear()
    cache[key] = image, body
    return body


def _response(
    services: TopicServices,
    context: RequestContext,
    message: MetadataRequest,
    topics: Sequence[MetadataResponseTopic],
) -> MetadataResponse:
    image = services.metadata.image
    response = MetadataResponse(
        cluster_id=services.node.cluster_id,
        controller_id=controller_in(image, services.node.node_id),
        brokers=[
            MetadataResponseBroker(node_id=each.node_id, host=each.host, port=each.port, rack=each.rack)
            for each in brokers_at(image, context.session.listener)
        ],
        topics=topics,
    )
    if message.include_cluster_authorized_operations:
        may_describe = may(context, Operation.DESCRIBE, ResourceType.CLUSTER, is_asked_for=False)
        response.cluster_authorized_operations = (
            operations(context, CLUSTER_OPERATIONS, ResourceType.CLUSTER, CLUSTER_NAME) if may_describe else 0
        )
    return response


def _by_id(
    image: MetadataImage, topic_id: UUID, context: RequestContext, message: MetadataRequest
) -> MetadataResponseTopic:
    topic = image.topics_by_id.get(topic_id)
    if topic is None:
        return MetadataResponseTopic(error_code=ErrorCode.unknown_topic_id, name=None, topic_id=topic_id)
    if not _is_visible(context, topic.name):
        # The name is what must not be told.
        code = ErrorCode.topic_authorization_failed
        return MetadataResponseTopic(error_code=code, name=None, topic_id=topic_id)
    return _describe(image, topic, context, message)


def _by_name(
    services: TopicServices, name: str | None, context: RequestContext, message: MetadataRequest
) -> MetadataResponseTopic:
    if name is None:
        return MetadataResponseTopic(error_code=ErrorCode.unknown_topic_id, name=None)
    if not _is_visible(context, name):
        return MetadataResponseTopic(error_code=ErrorCode.topic_authorization_failed, name=name)
    image = services.metadata.image
    topic = image.topics.get(name)
    if topic is None:
        valid = is_valid_topic_name(name)
        code = ErrorCode.unknown_topic_or_partition if valid else ErrorCode.invalid_topic_exception
        if (
            valid
            and message.allow_auto_topic_creation
            and services.config.value.auto_create_topics_enable
            and not may_create(context, name)
        ):
            code = ErrorCode.topic_authorization_failed
        return MetadataResponseTopic(error_code=code, name=name)
    return _describe(image, topic, context, message)


def _describe(
    image: MetadataImage, topic: Topic, context: RequestContext, message: MetadataRequest
) -> MetadataResponseTopic:
    described = MetadataResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.name in INTERNAL_TOPICS,
        partitions=[_partition(image, topic, index, context) for index in range(len(topic.partitions))],
    )
    if message.include_topic_authorized_operations:
        described.topic_authorized_operations = operations(
            context, TOPIC_OPERATIONS, ResourceType.TOPIC, topic.name
        )
    return described


def _partition(
    image: MetadataImage, topic: Topic, index: int, context: RequestContext
) -> MetadataResponsePartition:
    state = topic.partitions[index]
    leader, code = leader_at(image, state, context.session.listener)
    if code is ErrorCode.listener_not_found and context.api_version < FIRST_VERSION_OF_LISTENERS:
        code = ErrorCode.leader_not_available
    return MetadataResponsePartition(
        error_code=code,
        partition_index=index,
        leader_id=leader,
        leader_epoch=state.leader_epoch,
        replica_nodes=state.replicas,
        isr_nodes=state.isr,
        offline_replicas=offline_replicas(image, topic, index),
    )


def _error(message: MetadataRequest, code: ErrorCode, _text: str | None) -> MetadataResponse:
    topics = [
        MetadataResponseTopic(error_code=code, name=asked.name or "", topic_id=asked.topic_id)
        for asked in message.topics or ()
    ]
    return MetadataResponse(error_code=code, topics=topics)


APIS = (
    Api(
        TopicServices,
        MetadataRequest,
        MetadataResponse,
        _handle,
        right=ByHandler("DESCRIBE on each topic; CREATE on the cluster or the topic where it is made"),
        error=_error,
        kips=(4, 78, 204, 430, 516, 1102),
    ),
)
