"""AlterConfigs: replace a resource's whole configuration (superseded by IncrementalAlterConfigs)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ottla.broker.api import Api
from ottla.broker.apis.configs.config_resources import ResourceType, check_resource
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import ConfigServices
from ottla.metadata.config_changes import ConfigResource
from ottla.metadata.model import Configs
from ottla.protocol.errors import ErrorCode, KafkaError


async def _handle(services: ConfigServices, _context: RequestContext, message: Any) -> Response:
    accepted, refused = accept_resources(services, message)
    for key, resource in list(accepted.items()):
        if len({config.name for config in resource.configs}) != len(resource.configs):
            del accepted[key]
            refused[key] = KafkaError(ErrorCode.invalid_request, "Error due to duplicate config keys")
    replacements = {
        key: {config.name: config.value for config in resource.configs} for key, resource in accepted.items()
    }
    results = await services.configs.replace_configs(replacements, validate_only=message.validate_only)
    return answer(message, {**refused, **results})


def accept_resources(
    services: ConfigServices, message: Any
) -> tuple[dict[ConfigResource, Any], dict[ConfigResource, KafkaError]]:
    """The resources that may be changed, and why the others may not."""
    accepted: dict[ConfigResource, Any] = {}
    refused: dict[ConfigResource, KafkaError] = {}
    for resource in message.resources:
        key = ConfigResource(resource.resource_type, resource.resource_name)
        if key in accepted or key in refused:
            accepted.pop(key, None)
            refused[key] = KafkaError(ErrorCode.invalid_request, "Each resource must appear at most once.")
            continue
        try:
            if key.kind == ResourceType.TOPIC and not key.name:
                raise KafkaError(ErrorCode.invalid_request, "Default topic resources are not allowed.")
            check_resource(services, key.kind, key.name)
            accepted[key] = resource
        except KafkaError as error:
            refused[key] = error
    return accepted, refused


def answer(message: Any, results: Mapping[ConfigResource, Configs | KafkaError]) -> Response:
    """The response of both APIs that change configuration; a resource named twice is answered twice."""
    keys = [ConfigResource(each.resource_type, each.resource_name) for each in message.resources]
    return {
        "responses": [
            {
                "resource_type": key.kind,
                "resource_name": key.name,
                "error_code": result.code if isinstance(result, KafkaError) else ErrorCode.none,
                "error_message": result.message if isinstance(result, KafkaError) else None,
            }
            for key, result in ((key, results[key]) for key in keys)
        ]
    }


def error_response(message: Any, code: ErrorCode, text: str | None) -> Response:
    """The same error for every resource."""
    failure = KafkaError(code, text)
    keys = [ConfigResource(each.resource_type, each.resource_name) for each in message.resources]
    return answer(message, dict.fromkeys(keys, failure))


API = Api(key=33, name="AlterConfigs", versions=(0, 2), handle=_handle, error=error_response, kips=(133,))
