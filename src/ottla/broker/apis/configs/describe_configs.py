"""DescribeConfigs: the settings of topics, brokers and groups, with where each value comes from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ottla.broker.api import Api, Request, Response
from ottla.broker.apis.configs.config_resources import ResourceType, check_resource
from ottla.config.effective import (
    ConfigEntry,
    describe_broker,
    describe_cluster_default,
    describe_group,
    describe_topic,
)
from ottla.protocol.errors import ErrorCode, KafkaError


def _handle(request: Request, message: Any) -> Response:
    distinct = {_identity(resource): resource for resource in message.resources}
    return {"results": [_one(request, message, resource) for resource in distinct.values()]}


def _one(request: Request, message: Any, resource: Any) -> dict[str, Any]:
    result: dict[str, Any] = {
        "resource_type": resource.resource_type,
        "resource_name": resource.resource_name,
        "error_code": ErrorCode.none,
        "configs": [],
    }
    try:
        entries = _describe(request, check_resource(request, *_identity(resource)), resource.resource_name)
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


def _describe(request: Request, kind: ResourceType, name: str) -> list[ConfigEntry]:
    broker, image = request.broker, request.broker.image
    if kind is ResourceType.TOPIC:
        return describe_topic(image.topics[name].configs, broker.settings.layers)
    if kind is ResourceType.GROUP:
        return describe_group(image.group_configs(name), broker.settings.layers)
    return (
        describe_broker(broker.settings.layers) if name else describe_cluster_default(broker.settings.layers)
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
