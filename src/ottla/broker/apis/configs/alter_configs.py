"""AlterConfigs, IncrementalAlterConfigs: replace the configuration of a topic, a broker or a group, or change
single settings of it (KIP-339).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from ottla.broker import loggers
from ottla.broker.api import Api
from ottla.broker.apis.configs.config_resources import ResourceType, check_resource, require_with
from ottla.broker.request import RequestContext
from ottla.broker.rights import ByHandler
from ottla.broker.services import ConfigServices
from ottla.metadata.config_changes import ConfigOperation, ConfigResource
from ottla.metadata.model import NO_OVERRIDES, Configs
from ottla.protocol.codes import Operation
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages import alter_configs, incremental_alter_configs
from ottla.protocol.messages.alter_configs import AlterConfigsRequest, AlterConfigsResponse
from ottla.protocol.messages.incremental_alter_configs import (
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)


class _Resource(Protocol):
    """What is to be changed, in both APIs."""

    resource_type: int
    resource_name: str


R = TypeVar("R", bound=_Resource)
A = TypeVar("A")
Results = Mapping[ConfigResource, Configs | KafkaError]


async def _replace(
    services: ConfigServices, context: RequestContext, message: AlterConfigsRequest
) -> AlterConfigsResponse:
    accepted, refused = _accept(services, context, message.resources)
    for key, resource in list(accepted.items()):
        if len({config.name for config in resource.configs}) != len(resource.configs):
            del accepted[key]
            refused[key] = KafkaError(ErrorCode.invalid_request, "Error due to duplicate config keys")
    for key in list(accepted):
        if key.kind == ResourceType.BROKER_LOGGER:
            del accepted[key]
            refused[key] = KafkaError(ErrorCode.invalid_request, f"Unknown resource type {key.kind}")
    replacements = {
        key: {config.name: config.value for config in resource.configs} for key, resource in accepted.items()
    }
    results = await services.configs.replace_configs(replacements, validate_only=message.validate_only)
    return _replaced(message, {**refused, **results})


async def _change(
    services: ConfigServices, context: RequestContext, message: IncrementalAlterConfigsRequest
) -> IncrementalAlterConfigsResponse:
    accepted, refused = _accept(services, context, message.resources)
    changes = {
        key: [ConfigOperation(each.name, each.config_operation, each.value) for each in resource.configs]
        for key, resource in accepted.items()
    }
    of_loggers = {key: changes.pop(key) for key in accepted if key.kind == ResourceType.BROKER_LOGGER}
    results = await services.configs.alter_configs(changes, validate_only=message.validate_only)
    return _changed(message, {**refused, **results, **_change_loggers(of_loggers, message.validate_only)})


def _change_loggers(
    changes: Mapping[ConfigResource, Sequence[ConfigOperation]], validate_only: bool
) -> dict[ConfigResource, Configs | KafkaError]:
    """Of this process alone, at once (KIP-412)."""
    results: dict[ConfigResource, Configs | KafkaError] = {}
    for resource, operations in changes.items():
        try:
            if len({each.name for each in operations}) != len(operations):
                raise KafkaError(ErrorCode.invalid_request, "Error due to duplicate config keys")
            loggers.check(operations)
        except KafkaError as error:
            results[resource] = error
            continue
        if not validate_only:
            loggers.apply(operations)
        results[resource] = NO_OVERRIDES
    return results


def _key(resource: _Resource) -> ConfigResource:
    return ConfigResource(resource.resource_type, resource.resource_name)


def _accept(
    services: ConfigServices, context: RequestContext, resources: Sequence[R]
) -> tuple[dict[ConfigResource, R], dict[ConfigResource, KafkaError]]:
    """The resources that may be changed, and why the others may not."""
    accepted: dict[ConfigResource, R] = {}
    refused: dict[ConfigResource, KafkaError] = {}
    for resource in resources:
        key = _key(resource)
        if key in accepted or key in refused:
            accepted.pop(key, None)
            refused[key] = KafkaError(ErrorCode.invalid_request, "Each resource must appear at most once.")
            continue
        try:
            require_with(context, Operation.ALTER_CONFIGS, *key)
            if key.kind == ResourceType.TOPIC and not key.name:
                raise KafkaError(ErrorCode.invalid_request, "Default topic resources are not allowed.")
            check_resource(services, key.kind, key.name)
            accepted[key] = resource
        except KafkaError as error:
            refused[key] = error
    return accepted, refused


def _answers(
    make: Callable[[ConfigResource, int, str | None], A], resources: Sequence[_Resource], results: Results
) -> list[A]:
    """What became of each resource; one that is named twice is answered twice."""
    answers = []
    for key in map(_key, resources):
        result = results[key]
        if isinstance(result, KafkaError):
            answers.append(make(key, result.code, result.message))
        else:
            answers.append(make(key, ErrorCode.none, None))
    return answers


def _replaced(message: AlterConfigsRequest, results: Results) -> AlterConfigsResponse:
    def make(key: ConfigResource, code: int, text: str | None) -> alter_configs.AlterConfigsResourceResponse:
        return alter_configs.AlterConfigsResourceResponse(
            error_code=code, error_message=text, resource_type=key.kind, resource_name=key.name
        )

    return AlterConfigsResponse(responses=_answers(make, message.resources, results))


def _changed(message: IncrementalAlterConfigsRequest, results: Results) -> IncrementalAlterConfigsResponse:
    def make(
        key: ConfigResource, code: int, text: str | None
    ) -> incremental_alter_configs.AlterConfigsResourceResponse:
        return incremental_alter_configs.AlterConfigsResourceResponse(
            error_code=code, error_message=text, resource_type=key.kind, resource_name=key.name
        )

    return IncrementalAlterConfigsResponse(responses=_answers(make, message.resources, results))


def _all_failed(resources: Sequence[_Resource], code: ErrorCode, text: str | None) -> Results:
    return dict.fromkeys(map(_key, resources), KafkaError(code, text))


def _replace_error(message: AlterConfigsRequest, code: ErrorCode, text: str | None) -> AlterConfigsResponse:
    return _replaced(message, _all_failed(message.resources, code, text))


def _change_error(
    message: IncrementalAlterConfigsRequest, code: ErrorCode, text: str | None
) -> IncrementalAlterConfigsResponse:
    return _changed(message, _all_failed(message.resources, code, text))


_ALTER = ByHandler("ALTER_CONFIGS on each topic or group, or on the cluster")

APIS = (
    Api(
        ConfigServices,
        AlterConfigsRequest,
        AlterConfigsResponse,
        _replace,
        right=_ALTER,
        error=_replace_error,
        is_audited=True,
        kips=(133,),
    ),
    Api(
        ConfigServices,
        IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse,
        _change,
        right=_ALTER,
        error=_change_error,
        is_audited=True,
        kips=(339, 412, 848),
    ),
)
