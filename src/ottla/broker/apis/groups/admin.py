"""ListGroups, DescribeGroups, DeleteGroups: what there is, whoever is in it."""

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
from ottla.protocol.messages.describe_groups import (
    DescribedGroup,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)
from ottla.protocol.messages.list_groups import ListGroupsRequest, ListGroupsResponse
from ottla.security.operations import GROUP_OPERATIONS


async def _list(
    services: GroupServices, context: RequestContext, message: ListGroupsRequest
) -> ListGroupsResponse:
    return ListGroupsResponse(groups=await services.groups.list_groups(message, client_of(context)))


async def _describe(
    services: GroupServices, context: RequestContext, message: DescribeGroupsRequest
) -> DescribeGroupsResponse:
    described, refused = await services.groups.describe_groups(message.groups, client_of(context))
    if message.include_authorized_operations:
        for group in described:
            if not group.error_code:
                group.authorized_operations = GROUP_OPERATIONS
    elsewhere = [DescribedGroup(group_id=name, error_code=error.code) for name, error in refused.items()]
    return DescribeGroupsResponse(groups=[*described, *elsewhere])


async def _delete(
    services: GroupServices, context: RequestContext, message: DeleteGroupsRequest
) -> DeleteGroupsResponse:
    results, refused = await services.groups.delete_groups(message.groups_names, client_of(context))
    others = [DeletableGroupResult(group_id=name, error_code=error.code) for name, error in refused.items()]
    return DeleteGroupsResponse(results=[*others, *results])


APIS = (
    Api(GroupServices, ListGroupsRequest, ListGroupsResponse, _list, kips=(518, 848)),
    Api(GroupServices, DescribeGroupsRequest, DescribeGroupsResponse, _describe, kips=(345, 430, 1043)),
    Api(GroupServices, DeleteGroupsRequest, DeleteGroupsResponse, _delete, kips=(229, 1043)),
)
