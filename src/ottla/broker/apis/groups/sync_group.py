"""SyncGroup: hand the leader's assignment to the members of a classic group."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import GroupServices
from ottla.coordinator.groups import Answered
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse

FIRST_VERSION_WITH_PROTOCOL = 5


def _handle(
    services: GroupServices, context: RequestContext, message: SyncGroupRequest
) -> Answered[SyncGroupResponse]:
    unnamed = message.protocol_type is None or message.protocol_name is None
    if unnamed and context.api_version >= FIRST_VERSION_WITH_PROTOCOL:
        return SyncGroupResponse(error_code=ErrorCode.inconsistent_group_protocol)
    return services.groups.sync_group(message, client_of(context))


API = Api(key=14, name="SyncGroup", versions=(0, 5), handle=_handle, kips=(345, 559))
