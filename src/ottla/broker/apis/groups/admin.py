"""ListGroups, DescribeGroups, DeleteGroups: what there is, whoever is in it."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.rights import ByHandler, OnEach, itself, may, operations
from ottla.broker.services import GroupServices
from ottla.protocol.codes import Operation, ResourceType
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
    groups = await services.groups.list_groups(message, client_of(context))
    if not may(context, Operation.DESCRIBE, ResourceType.CLUSTER, is_asked_for=False):
        groups = [
            each
            for each in groups
            if may(context, Operation.DESCRIBE, ResourceType.GROUP, each.group_id, is_asked_for=False)
        ]
    return ListGroupsResponse(groups=groups)


async def _describe(
    services: GroupServices, context: RequestContext, message: DescribeGroupsRequest
) -> DescribeGroupsResponse:
    described, refused = await services.groups.describe_groups(message.groups, client_of(context))
    if message.include_authorized_operations:
        for group in described:
            if not group.error_code:
                group.authorized_operations = operations(
                    context, GROUP_OPERATIONS, ResourceType.GROUP, group.group_id
                )
    elsewhere = [DescribedGroup(group_id=name, error_code=error.code) for name, error in refused.items()]
    return DescribeGroupsResponse(groups=[*described, *elsewhere])


async def _delete(
    services: GroupServices, context: RequestContext, message: DeleteGroupsRequest
) -> DeleteGroupsResponse:
    results, refused = await services.groups.delete_groups(message.groups_names, client_of(context))
    others = [DeletableGroupResult(group_id=name, error_code=error.code) for name, error in refused.items()]
    return DeleteGroupsResponse(results=[*others, *results])


_LISTED = ByHandler("DESCRIBE on the cluster for all groups, or on each group for it to be listed")

APIS = (
    Api(GroupServices, ListGroupsRequest, ListGroupsResponse, _list, right=_LISTED, kips=(518, 848)),
    Api(
        GroupServices,
        DescribeGroupsRequest,
        DescribeGroupsResponse,
        _describe,
        right=OnEach(
            Operation.DESCRIBE,
            ResourceType.GROUP,
            "groups",
            lambda name, code: DescribedGroup(group_id=name, error_code=code),
            response=DescribeGroupsResponse,
            into="groups",
            name=itself,
        ),
        kips=(345, 430, 1043),
    ),
    Api(
        GroupServices,
        DeleteGroupsRequest,
        DeleteGroupsResponse,
        _delete,
        right=OnEach(
            Operation.DELETE,
            ResourceType.GROUP,
            "groups_names",
            lambda name, code: DeletableGroupResult(group_id=name, error_code=code),
            response=DeleteGroupsResponse,
            into="results",
            name=itself,
        ),
        is_audited=True,
        kips=(229, 1043),
    ),
)
