"""DescribeConfigs: the settings of topics, brokers and groups, with where each value comes from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ottla.broker.api import Api
from ottla.broker.apis.configs.config_resources import ResourceType, check_resource
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import ConfigServices
from ottla.config.effective import (
    ConfigEntry,
    describe_broker,
    describe_cluster_default,
    describe_group,
    describe_topic,
)
from ottla.protocol.errors import ErrorCode, KafkaError


def _handle(services: ConfigServices, _context: RequestContext, message: Any) -> Response:
    distinct = {_identity(resource): resource for resource in message.resources}
    return {"results": [_one(services, message, resource) for resource in distinct.values()]}


def _one(services: ConfigServices, message: Any, resource: Any) -> dict[str, Any]:
    result: dict[str, Any] = {
        "resource_type": resource.resource_type,
        "resource_name": resource.resource_name,
        "error_code": ErrorCode.none,
        "configs": [],
    }
    try:
        entries = _describe(services, check_resource(services, *_identity(resource)), resource.resource_name)
    except KafkaError as error:
        return result | {"error_code": error.code, "error_message": error.message or ""}
    if resource.configuration_keys:
        entries = [entry for entry in entries if entry.name in resource.configuration_keys]
    result["configs"] = config_entries(
        entries,
        synonyms=message.include_synonyms,
        documentation=message.include_documentation,
    )
    return result


def _identity(resource: Any) -> tuple[int, str]:
    return resource.resource_type, resource.resource_name


def _describe(services: ConfigServices, kind: ResourceType, name: str) -> list[ConfigEntry]:
    image = services.metadata.image
    if kind is ResourceType.TOPIC:
        return describe_topic(image.topics[name].configs, services.config.layers)
    if kind is ResourceType.GROUP:
        return describe_group(image.group_configs(name), services.config.layers)
    return (
        describe_broker(services.config.layers) if name else describe_cluster_default(services.config.layers)
    )


def config_entries(
    entries: Iterable[ConfigEntry], *, synonyms: bool = False, documentation: bool = False
) -> list[dict[str, Any]]:
    """Config entries as responses carry them."""
    return [
        {
            "name": entry.name,
            "value": entry.value,
            "read_only": entry.read_only,
            "config_source": entry.source,
            "is_sensitive": entry.is_sensitive,
            "config_type": entry.type,
            "documentation": entry.documentation if documentation else None,
            "synonyms": [
                {"name": synonym.name, "value": synonym.value, "source": synonym.source}
                for synonym in (entry.synonyms if synonyms else ())
            ],
        }
        for entry in entries
    ]


API = Api(
    key=32,
    name="DescribeConfigs",
    versions=(1, 4),
    handle=_handle,
    kips=(133, 226, 569, 848),
    gaps=("Loggers and client metrics are not described.",),
)
