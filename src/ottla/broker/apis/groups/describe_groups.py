"""DescribeGroups: the state and the members of classic groups."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import GroupServices
from ottla.protocol.messages.describe_groups import (
    DescribedGroup,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)
from ottla.security.operations import GROUP_OPERATIONS


async def _handle(
    services: GroupServices, context: RequestContext, message: DescribeGroupsRequest
) -> DescribeGroupsResponse:
    described, refused = await services.groups.describe_groups(message.groups, client_of(context))
    if message.include_authorized_operations:
        for group in described:
            if not group.error_code:
                group.authorized_operations = GROUP_OPERATIONS
    elsewhere = [DescribedGroup(group_id=name, error_code=error.code) for name, error in refused.items()]
    return DescribeGroupsResponse(groups=[*described, *elsewhere])


API = Api(key=15, name="DescribeGroups", versions=(0, 6), handle=_handle, kips=(345, 430, 1043))
