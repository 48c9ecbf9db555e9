"""DeleteGroups: remove groups that have no members, with their positions."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import GroupServices
from ottla.protocol.messages.delete_groups import (
    DeletableGroupResult,
    DeleteGroupsRequest,
    DeleteGroupsResponse,
)


async def _handle(
    services: GroupServices, context: RequestContext, message: DeleteGroupsRequest
) -> DeleteGroupsResponse:
    results, refused = await services.groups.delete_groups(message.groups_names, client_of(context))
    others = [DeletableGroupResult(group_id=name, error_code=error.code) for name, error in refused.items()]
    return DeleteGroupsResponse(results=[*others, *results])


API = Api(key=42, name="DeleteGroups", versions=(0, 3), handle=_handle, kips=(229, 1043))
