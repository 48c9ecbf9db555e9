"""ListConfigResources: which resources have a configuration of their own (KIP-1142)."""

from __future__ import annotations

from collections.abc import Iterable

from ottla.broker.api import Api
from ottla.broker.apis.configs.config_resources import ResourceType
from ottla.broker.request import RequestContext
from ottla.broker.services import ConfigServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.list_config_resources import (
    ConfigResource,
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
)


def _handle(
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
            for name in _names(services, kind)
        ]
    )


def _names(services: ConfigServices, kind: int) -> Iterable[str]:
    image = services.metadata.image
    if kind == ResourceType.TOPIC:
        return image.topics
    if kind in {ResourceType.BROKER, ResourceType.BROKER_LOGGER}:
        return (str(services.node.node_id),)
    if kind == ResourceType.GROUP:
        return image.group_overrides
    if kind == ResourceType.CLIENT_METRICS:
        return ()
    raise KafkaError(ErrorCode.unsupported_version, f"Unknown resource type {kind}")


API = Api(key=74, name="ListConfigResources", versions=(0, 1), handle=_handle, kips=(1000, 1142))
