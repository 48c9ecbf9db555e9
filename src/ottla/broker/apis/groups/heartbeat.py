"""Heartbeat: tell a classic group that a member is alive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import GroupServices
from ottla.coordinator.groups import Answered

if TYPE_CHECKING:  # loaded with the first request
    from ottla.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse


def _handle(
    services: GroupServices, context: RequestContext, message: HeartbeatRequest
) -> Answered[HeartbeatResponse]:
    return services.groups.heartbeat(message, client_of(context))


API = Api(key=12, name="Heartbeat", versions=(0, 4), handle=_handle, kips=(345,))
