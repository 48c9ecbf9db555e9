"""ListGroups: every group, filtered by state and type (KIP-518, KIP-848)."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import GroupServices
from ottla.protocol.messages.list_groups import ListGroupsRequest, ListGroupsResponse


async def _handle(
    services: GroupServices, context: RequestContext, message: ListGroupsRequest
) -> ListGroupsResponse:
    return ListGroupsResponse(groups=await services.groups.list_groups(message, client_of(context)))


API = Api(key=16, name="ListGroups", versions=(0, 5), handle=_handle, kips=(518, 848))
