"""What the four APIs on configuration share: the kinds of resources, and finding the one that is meant."""

from __future__ import annotations

from enum import IntEnum

from ottla.broker.services import ConfigServices
from ottla.metadata.topic_names import check_topic_name
from ottla.protocol.errors import ErrorCode, KafkaError


class ResourceType(IntEnum):
    """Kafka's ConfigResource.Type codes."""

    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


def check_resource(services: ConfigServices, resource_type: int, name: str) -> ResourceType:
    """The kind of a resource that this broker can answer for.

    Raises KafkaError: unknown_topic_or_partition, invalid_topic_exception, invalid_request.
    """
    try:
        kind = ResourceType(resource_type)
    except ValueError:
        raise KafkaError(ErrorCode.invalid_request, f"Unknown resource type {resource_type}") from None
    if kind is ResourceType.TOPIC:
        check_topic_name(name)
        if name not in services.metadata.image.topics:
            raise KafkaError(ErrorCode.unknown_topic_or_partition)
    elif kind is ResourceType.BROKER:
        if name and name != str(services.node.node_id):
            raise KafkaError(
                ErrorCode.invalid_request,
                f"Unexpected broker id: {name} is neither {services.node.node_id} nor empty",
            )
    elif kind is ResourceType.GROUP:
        if not name:
            raise KafkaError(ErrorCode.invalid_request, "Group name must not be empty")
    else:
        raise KafkaError(ErrorCode.invalid_request, f"{kind.name} resources are not supported.")
    return kind
