"""ConsumerGroupHeartbeat: join, keep up with and leave a group of the new protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import GroupServices
from ottla.coordinator.groups import Answered
from ottla.protocol.errors import ErrorCode, KafkaError

if TYPE_CHECKING:  # loaded with the first request
    from ottla.protocol.messages.consumer_group_heartbeat import (
        ConsumerGroupHeartbeatRequest,
        ConsumerGroupHeartbeatResponse,
    )


def _handle(
    services: GroupServices, context: RequestContext, message: ConsumerGroupHeartbeatRequest
) -> Answered[ConsumerGroupHeartbeatResponse]:
    if "consumer" not in services.config.value.group_coordinator_rebalance_protocols:
        raise KafkaError(ErrorCode.unsupported_version)
    return services.groups.consumer_group_heartbeat(message, client_of(context))


API = Api(key=68, name="ConsumerGroupHeartbeat", versions=(0, 1), handle=_handle, kips=(848, 1082))
