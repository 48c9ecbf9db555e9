"""DescribeTopicPartitions: topics and their partitions, a page at a time (KIP-966)."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import TopicServices
from ottla.metadata.topic_names import INTERNAL_TOPICS
from ottla.metadata.topics import is_valid_topic_name
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.security.operations import TOPIC_OPERATIONS


def _handle(services: TopicServices, _context: RequestContext, message: Any) -> Response:
    image = services.metadata.image
    asked = {topic.name for topic in message.topics}
    names = sorted(asked or image.topics)
    first_partition = 0
    if message.cursor is not None:
        if message.cursor.partition_index < 0:
            raise KafkaError(ErrorCode.invalid_request)
        names = [name for name in names if name >= message.cursor.topic_name]
        if names and names[0] == message.cursor.topic_name:
            first_partition = message.cursor.partition_index
    room = min(message.response_partition_limit, services.config.value.max_request_partition_size_limit)
    if room < 1:
        raise KafkaError(ErrorCode.invalid_request)
    topics: list[dict[str, Any]] = []
    cursor = None
    for name in names:
        if room == 0:
            cursor = {"topic_name": name, "partition_index": first_partition}
            break
        described = _describe(services, name, first_partition, room)
        topics.append(described)
        room -= len(described["partitions"])
        known = image.topics.get(name)
        next_partition = first_partition + len(described["partitions"])
        if known is not None and next_partition < len(known.partitions):
            cursor = {"topic_name": name, "partition_index": next_partition}
            break
        first_partition = 0
    return {"topics": topics, "next_cursor": cursor}


def _describe(services: TopicServices, name: str, first: int, limit: int) -> dict[str, Any]:
    topic = services.metadata.image.topics.get(name)
    if topic is None:
        valid = is_valid_topic_name(name)
        code = ErrorCode.unknown_topic_or_partition if valid else ErrorCode.invalid_topic_exception
        return {"error_code": code, "name": name, "partitions": []}
    return {
        "error_code": ErrorCode.none,
        "name": name,
        "topic_id": topic.topic_id,
        "is_internal": name in INTERNAL_TOPICS,
        "topic_authorized_operations": TOPIC_OPERATIONS,
        "partitions": [
            {
                "partition_index": index,
                "leader_id": state.leader,
                "leader_epoch": state.leader_epoch,
                "replica_nodes": state.replicas,
                "isr_nodes": state.isr,
                "eligible_leader_replicas": (),
                "last_known_elr": (),
            }
            for index, state in list(enumerate(topic.partitions))[first : first + limit]
        ],
    }


def _error(_message: Any, _code: ErrorCode, _text: str | None) -> Response:
    return {"topics": []}


API = Api(
    key=75,
    name="DescribeTopicPartitions",
    versions=(0, 0),
    handle=_handle,
    error=_error,
    kips=(966,),
    gaps=("Eligible leader replicas are always empty: there is one replica.",),
)
