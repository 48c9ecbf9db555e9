"""DescribeTopicPartitions: topics and their partitions, a page at a time (KIP-966)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from ottla.broker.api import Api
from ottla.broker.cluster_view import leader_at, offline_replicas
from ottla.broker.request import RequestContext
from ottla.broker.rights import ByHandler, may, operations
from ottla.broker.services import TopicServices
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import Topic
from ottla.metadata.topic_names import INTERNAL_TOPICS
from ottla.metadata.topics import is_valid_topic_name
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.describe_topic_partitions import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsRequestCursor,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponseCursor,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
)
from ottla.security.operations import TOPIC_OPERATIONS


def _handle(
    services: TopicServices, context: RequestContext, message: DescribeTopicPartitionsRequest
) -> DescribeTopicPartitionsResponse:
    image = services.metadata.image
    asked = dict.fromkeys(topic.name for topic in message.topics)
    names = sorted(asked or image.topics)
    if message.cursor is not None:
        cursor_name = message.cursor.topic_name
        if asked and cursor_name not in asked:
            raise KafkaError(
                ErrorCode.invalid_request,
                f"DescribeTopicPartitionsRequest topic list should contain the cursor topic: {cursor_name}",
            )
        if message.cursor.partition_index < 0:
            raise KafkaError(ErrorCode.invalid_request)
        names = names[bisect_left(names, cursor_name) :]
    limit = services.config.value.max_request_partition_size_limit
    room = max(1, min(message.response_partition_limit, limit))
    hidden: list[str] = []
    visible = _visible(context, names, hidden, is_asked_for=bool(asked))
    response = _page(image, visible, message.cursor, room, context)
    if hidden and asked:
        refused = [
            DescribeTopicPartitionsResponseTopic(error_code=ErrorCode.topic_authorization_failed, name=name)
            for name in hidden
        ]
        response.topics = [*response.topics, *refused]
    return response


def _visible(
    context: RequestContext, names: Iterable[str], hidden: list[str], *, is_asked_for: bool
) -> Iterator[str]:
    """Those that the client may know of; it is asked no further than a page goes. The others are noted."""
    for name in names:
        if may(context, Operation.DESCRIBE, ResourceType.TOPIC, name, is_asked_for=is_asked_for):
            yield name
        else:
            hidden.append(name)


def _page(
    image: MetadataImage,
    names: Iterable[str],
    cursor: DescribeTopicPartitionsRequestCursor | None,
    room: int,
    context: RequestContext,
) -> DescribeTopicPartitionsResponse:
    """Of these topics at most `room` partitions, and where the next page begins."""
    response = DescribeTopicPartitionsResponse()
    topics: list[DescribeTopicPartitionsResponseTopic] = []
    response.topics = topics
    for name in names:
        if room == 0:
            response.next_cursor = DescribeTopicPartitionsResponseCursor(topic_name=name, partition_index=0)
            break
        first_partition = cursor.partition_index if cursor is not None and cursor.topic_name == name else 0
        described = _describe(image, name, first_partition, room, context)
        topics.append(described)
        room -= len(described.partitions)
        known = image.topics.get(name)
        next_partition = first_partition + len(described.partitions)
        if known is not None and next_partition < len(known.partitions):
            response.next_cursor = DescribeTopicPartitionsResponseCursor(
                topic_name=name, partition_index=next_partition
            )
            break
    return response


def _describe(
    image: MetadataImage, name: str, first: int, limit: int, context: RequestContext
) -> DescribeTopicPartitionsResponseTopic:
    allowed = operations(context, TOPIC_OPERATIONS, ResourceType.TOPIC, name)
    topic = image.topics.get(name)
    if topic is None:
        valid = is_valid_topic_name(name)
        code = ErrorCode.unknown_topic_or_partition if valid else ErrorCode.invalid_topic_exception
        return DescribeTopicPartitionsResponseTopic(
            error_code=code, name=name, topic_authorized_operations=allowed
        )
    return DescribeTopicPartitionsResponseTopic(
        name=name,
        topic_id=topic.topic_id,
        is_internal=name in INTERNAL_TOPICS,
        topic_authorized_operations=allowed,
        partitions=[
            _partition(image, topic, index, context.session.listener)
            for index in range(first, min(first + limit, len(topic.partitions)))
        ],
    )


def _partition(
    image: MetadataImage, topic: Topic, index: int, listener: str
) -> DescribeTopicPartitionsResponsePartition:
    state = topic.partitions[index]
    leader, code = leader_at(image, state, listener)
    return DescribeTopicPartitionsResponsePartition(
        error_code=code,
        partition_index=index,
        leader_id=leader,
        leader_epoch=state.leader_epoch,
        replica_nodes=state.replicas,
        isr_nodes=state.isr,
        eligible_leader_replicas=state.elr,
        last_known_elr=state.last_known_elr,
        offline_replicas=offline_replicas(image, topic, index),
    )


def _error(
    message: DescribeTopicPartitionsRequest, code: ErrorCode, _text: str | None
) -> DescribeTopicPartitionsResponse:
    return DescribeTopicPartitionsResponse(
        topics=[
            DescribeTopicPartitionsResponseTopic(error_code=code, name=topic.name) for topic in message.topics
        ]
    )


APIS = (
    Api(
        TopicServices,
        DescribeTopicPartitionsRequest,
        DescribeTopicPartitionsResponse,
        _handle,
        right=ByHandler("DESCRIBE on each topic"),
        error=_error,
        kips=(966,),
    ),
)
