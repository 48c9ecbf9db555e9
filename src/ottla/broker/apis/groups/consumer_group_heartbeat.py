"""ConsumerGroupHeartbeat: join, keep up with and leave a group of the new protocol."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response, Result
from ottla.broker.services import GroupServices
from ottla.protocol.errors import ErrorCode, KafkaError


def _handle(services: GroupServices, context: RequestContext, message: Any) -> Result | Awaitable[Response]:
    if "consumer" not in services.config.value.group_coordinator_rebalance_protocols:
        raise KafkaError(ErrorCode.unsupported_version)
    return services.groups.request("consumer_group_heartbeat", message.group_id, context, message)


API = Api(
    key=68,
    name="ConsumerGroupHeartbeat",
    versions=(0, 1),
    handle=_handle,
    kips=(
        848,
        1082,
    ),
)
