"""IncrementalAlterConfigs: change single settings of topics, brokers and groups (KIP-339)."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.apis.configs.alter_configs import accept_resources, answer, error_response
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import ConfigServices
from ottla.metadata.config_changes import ConfigOperation


async def _handle(services: ConfigServices, _context: RequestContext, message: Any) -> Response:
    accepted, refused = accept_resources(services, message)
    changes = {
        key: [ConfigOperation(each.name, each.config_operation, each.value) for each in resource.configs]
        for key, resource in accepted.items()
    }
    results = await services.configs.alter_configs(changes, validate_only=message.validate_only)
    return answer(message, {**refused, **results})


API = Api(
    key=44,
    name="IncrementalAlterConfigs",
    versions=(0, 1),
    handle=_handle,
    error=error_response,
    kips=(339, 848),
)
