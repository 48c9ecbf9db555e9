"""What has a configuration: finding the resource that is meant, and ListConfigResources (KIP-1142)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from ottla.broker.api import Api
from ottla.broker.cluster_view import brokers_at
from ottla.broker.request import RequestContext
from ottla.broker.rights import OnCluster, require
from ottla.broker.services import ConfigServices
from ottla.metadata.topic_names import check_topic_name
from ottla.protocol import codes
from ottla.protocol.codes import Operation
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.list_config_resources import (
    ConfigResource,
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
)


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
    elif kind is ResourceType.CLIENT_METRICS:
        if not name:
            raise KafkaError(ErrorCode.invalid_request, "Client metrics subscription name must not be empty")
    elif name != str(services.node.node_id):
        raise KafkaError(
            ErrorCode.invalid_request,
            f"Unexpected broker id, expected {services.node.node_id} but received {name}"
            if name
            else "Broker id must not be empty",
        )
    return kind


def require_with(context: RequestContext, operation: Operation, resource_type: int, name: str) -> None:
    """Raises KafkaError where the client may not; of what is of no known type nothing is required."""
    if resource_type == ResourceType.TOPIC:
        require(context, operation, codes.ResourceType.TOPIC, name)
    elif resource_type == ResourceType.GROUP:
        require(context, operation, codes.ResourceType.GROUP, name)
    elif resource_type in list(ResourceType):
        require(context, operation, codes.ResourceType.CLUSTER)


def _list(
    services: ConfigServices, context: RequestContext, message: ListConfigResourcesRequest
) -> ListConfigResourcesResponse:
    if context.api_version == 0:
        asked: Iterable[int] = (ResourceType.CLIENT_METRICS,)
    else:
        asked = dict.fromkeys(message.resource_types) or tuple(ResourceType)
    return ListConfigResourcesResponse(
        config_resources=[
            ConfigResource(resource_name=name, resource_type=kind)
            for kind in asked
            for name in _names(services, kind, context.session.listener)
        ]
    )


def _names(services: ConfigServices, kind: int, listener: str) -> Iterable[str]:
    image = services.metadata.image
    if kind == ResourceType.TOPIC:
        return image.topics
    if kind in {ResourceType.BROKER, ResourceType.BROKER_LOGGER}:
        return [str(each.node_id) for each in brokers_at(image, listener, with_fenced=True)]
    if kind == ResourceType.GROUP:
        return image.group_overrides
    if kind == ResourceType.CLIENT_METRICS:
        return image.client_metrics
    raise KafkaError(ErrorCode.unsupported_version, f"Unknown resource type {kind}")


APIS = (
    Api(
        ConfigServices,
        ListConfigResourcesRequest,
        ListConfigResourcesResponse,
        _list,
        right=OnCluster(Operation.DESCRIBE_CONFIGS),
        kips=(1000, 1142),
    ),
)
