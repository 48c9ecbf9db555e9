"""LeaveGroup: leave a classic group, one member or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import GroupServices
from ottla.coordinator.groups import Answered

if TYPE_CHECKING:  # loaded with the first request
    from ottla.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse


def _handle(
    services: GroupServices, context: RequestContext, message: LeaveGroupRequest
) -> Answered[LeaveGroupResponse]:
    return services.groups.leave_group(message, client_of(context))


API = Api(key=13, name="LeaveGroup", versions=(0, 5), handle=_handle, kips=(345, 800))
