"""DescribeConfigs: the settings of topics, brokers and groups, with where each value comes from."""

from __future__ import annotations

from collections.abc import Iterable

from ottla.broker import loggers
from ottla.broker.api import Api
from ottla.broker.apis.configs.config_resources import ResourceType, check_resource, require_with
from ottla.broker.request import RequestContext
from ottla.broker.rights import ByHandler
from ottla.broker.services import ConfigServices
from ottla.config.definition import ConfigType
from ottla.config.effective import (
    ConfigEntry,
    describe_broker,
    describe_client_metrics,
    describe_cluster_default,
    describe_group,
    describe_topic,
)
from ottla.config.layers import ConfigSource
from ottla.metadata.model import NO_OVERRIDES
from ottla.protocol.codes import Operation
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)

GROUPS_MAX = 1_000
"""In one request. A group need not exist to have a configuration, so that a few bytes of a request ask for
kilobytes of the answer; Kafka tells however many.
"""


def _handle(
    services: ConfigServices, context: RequestContext, message: DescribeConfigsRequest
) -> DescribeConfigsResponse:
    # A name costs a few bytes of a request and its description many of the answer, so it is told once.
    distinct = {_identity(resource): resource for resource in message.resources}
    refused_groups = sum(kind == ResourceType.GROUP for kind, _ in distinct) > GROUPS_MAX
    return DescribeConfigsResponse(
        results=[
            _too_many(resource)
            if refused_groups and resource.resource_type == ResourceType.GROUP
            else _one(services, context, message, resource)
            for resource in distinct.values()
        ]
    )


def _too_many(resource: DescribeConfigsResource) -> DescribeConfigsResult:
    return DescribeConfigsResult(
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
        error_code=ErrorCode.policy_violation,
        error_message=f"No more than {GROUPS_MAX} groups are described in one request.",
    )


def _one(
    services: ConfigServices,
    context: RequestContext,
    message: DescribeConfigsRequest,
    resource: DescribeConfigsResource,
) -> DescribeConfigsResult:
    result = DescribeConfigsResult(resource_type=resource.resource_type, resource_name=resource.resource_name)
    try:
        require_with(context, Operation.DESCRIBE_CONFIGS, *_identity(resource))
        entries = _describe(services, check_resource(services, *_identity(resource)), resource.resource_name)
    except KafkaError as error:
        result.error_code, result.error_message = error.code, error.message or ""
        return result
    if resource.configuration_keys:
        entries = [entry for entry in entries if entry.name in resource.configuration_keys]
    result.configs = _results(
        entries, synonyms=message.include_synonyms, documentation=message.include_documentation
    )
    return result


def _identity(resource: DescribeConfigsResource) -> tuple[int, str]:
    return resource.resource_type, resource.resource_name


def _describe(services: ConfigServices, kind: ResourceType, name: str) -> list[ConfigEntry]:
    image = services.metadata.image
    if kind is ResourceType.TOPIC:
        return describe_topic(image.topics[name].configs, services.config.layers)
    if kind is ResourceType.BROKER_LOGGER:
        return [_logger(*each) for each in loggers.levels().items()]
    if kind is ResourceType.GROUP:
        return describe_group(image.group_configs(name), services.config.layers)
    if kind is ResourceType.CLIENT_METRICS:
        return describe_client_metrics(
            image.client_metrics.get(name, NO_OVERRIDES).values, services.config.layers
        )
    return (
        describe_broker(services.config.layers) if name else describe_cluster_default(services.config.layers)
    )


def _logger(name: str, level: str) -> ConfigEntry:
    return ConfigEntry(
        name,
        level,
        ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG,
        is_sensitive=False,
        read_only=False,
        type=ConfigType.UNKNOWN,
        documentation=None,
        synonyms=(),
    )


def _results(
    entries: Iterable[ConfigEntry], *, synonyms: bool, documentation: bool
) -> list[DescribeConfigsResourceResult]:
    return [
        DescribeConfigsResourceResult(
            name=entry.name,
            value=entry.value,
            read_only=entry.read_only,
            config_source=entry.source,
            is_sensitive=entry.is_sensitive,
            config_type=entry.type,
            documentation=entry.documentation if documentation else None,
            synonyms=[
                DescribeConfigsSynonym(name=synonym.name, value=synonym.value, source=synonym.source)
                for synonym in (entry.synonyms if synonyms else ())
            ],
        )
        for entry in entries
    ]


APIS = (
    Api(
        ConfigServices,
        DescribeConfigsRequest,
        DescribeConfigsResponse,
        _handle,
        right=ByHandler("DESCRIBE_CONFIGS on each topic or group, or on the cluster"),
        kips=(133, 226, 412, 569, 848),
        gaps=(f"No more than {GROUPS_MAX} groups are described in one request.",),
    ),
)
