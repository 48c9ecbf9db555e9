"""FindCoordinator: which broker coordinates a group or a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ottla.broker.api import Api
from ottla.broker.cluster_view import BrokerAt, broker_at
from ottla.broker.request import RequestContext
from ottla.broker.rights import ByHandler, require
from ottla.broker.services import GroupServices
from ottla.coordinator.shards import partition_for
from ottla.metadata.image import MetadataImage
from ottla.metadata.topic_names import OFFSETS_TOPIC, TRANSACTIONS_TOPIC
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.find_coordinator import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)

_TOPICS: Final[Mapping[int, str]] = {0: OFFSETS_TOPIC, 1: TRANSACTIONS_TOPIC}
"""Where the coordinators of a type keep their keys."""
_SEVERAL_KEYS_SINCE = 4


async def _handle(
    services: GroupServices, context: RequestContext, message: FindCoordinatorRequest
) -> FindCoordinatorResponse:
    if context.api_version >= _SEVERAL_KEYS_SINCE:
        keys = message.coordinator_keys
        return FindCoordinatorResponse(
            coordinators=[await _find(services, context, message.key_type, key) for key in keys]
        )
    found = await _find(services, context, message.key_type, message.key)
    return FindCoordinatorResponse(
        error_code=found.error_code,
        error_message=found.error_message,
        node_id=found.node_id,
        host=found.host,
        port=found.port,
    )


async def _find(services: GroupServices, context: RequestContext, key_type: int, key: str) -> Coordinator:
    try:
        topic = _TOPICS.get(key_type)
        if topic is None:
            raise KafkaError(ErrorCode.invalid_request, f"Coordinator type {key_type} is not supported.")
        resource_type = ResourceType.GROUP if topic == OFFSETS_TOPIC else ResourceType.TRANSACTIONAL_ID
        require(context, Operation.DESCRIBE, resource_type, key)
        await services.internal_topics.ensure_topic(topic)
        found = _leader(services.metadata.image, topic, key, context.session.listener)
    except KafkaError as error:
        return Coordinator(key=key, node_id=-1, port=-1, error_code=error.code, error_message=error.message)
    return Coordinator(key=key, node_id=found.node_id, host=found.host, port=found.port)


def _leader(image: MetadataImage, topic_name: str, key: str, listener: str) -> BrokerAt:
    """The leader of the partition that has the key. Raises KafkaError(coordinator_not_available)."""
    topic = image.topics.get(topic_name)
    if topic is not None:
        leader = topic.partitions[partition_for(key, len(topic.partitions))].leader
        found = broker_at(image, leader, listener)
        if found is not None:
            return found
    raise KafkaError(ErrorCode.coordinator_not_available)


APIS = (
    Api(
        GroupServices,
        FindCoordinatorRequest,
        FindCoordinatorResponse,
        _handle,
        right=ByHandler("DESCRIBE on each group or transactional id"),
        kips=(699, 890, 932),
        gaps=("There is no coordinator for share groups yet.",),
    ),
)
