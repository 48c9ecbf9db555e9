"""Access control lists, and what a principal may do with a resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from ottla.client.admin.calls import ANYWHERE, CONTROLLER, Calls, Node, outcome
from ottla.client.admin.results import Results
from ottla.client.errors import ClientError
from ottla.client.face import Face, awaited
from ottla.protocol.codes import Operation as AclOperation
from ottla.protocol.codes import PatternType
from ottla.protocol.codes import Permission as AclPermission
from ottla.protocol.codes import ResourceType as AclResourceType
from ottla.protocol.messages.create_acls import AclCreation, CreateAclsRequest, CreateAclsResponse
from ottla.protocol.messages.delete_acls import (
    DeleteAclsFilter,
    DeleteAclsMatchingAcl,
    DeleteAclsRequest,
    DeleteAclsResponse,
)
from ottla.protocol.messages.describe_acls import (
    AclDescription,
    DescribeAclsRequest,
    DescribeAclsResource,
    DescribeAclsResponse,
)

__all__ = [
    "BlockingAcls",
    "Acl",
    "AclFilter",
    "AclOperation",
    "AclPermission",
    "AclResourceType",
    "Acls",
    "PatternType",
]

F = TypeVar("F", DescribeAclsRequest, DeleteAclsFilter)


class Acl(NamedTuple):
    """Who may, or may not, do what with which resources, and from which host (`*`: any)."""

    principal: str
    operation: AclOperation
    resource_type: AclResourceType
    resource_name: str
    pattern_type: PatternType = PatternType.LITERAL
    permission: AclPermission = AclPermission.ALLOW
    host: str = "*"


class AclFilter(NamedTuple):
    """Which ACLs are meant; None and ANY are all."""

    principal: str | None = None
    operation: AclOperation = AclOperation.ANY
    resource_type: AclResourceType = AclResourceType.ANY
    resource_name: str | None = None
    pattern_type: PatternType = PatternType.ANY
    permission: AclPermission = AclPermission.ANY
    host: str | None = None


class Acls:
    """Admin calls about access control lists."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def describe(self, which: AclFilter | None = None) -> list[Acl]:
        """The ACLs that a filter takes; all without one."""
        request = _filter(DescribeAclsRequest, AclFilter() if which is None else which)
        response = await self._calls.one(request, DescribeAclsResponse, ANYWHERE)
        return [_acl(resource, each) for resource in response.resources for each in resource.acls]

    async def create(self, acls: Iterable[Acl]) -> Results[Acl, None]:
        """Add ACLs; one that is there already stays."""

        async def ask(node: Node, keys: Sequence[Acl]) -> Mapping[Acl, ClientError | None]:
            request = CreateAclsRequest(
                creations=[
                    AclCreation(
                        resource_type=acl.resource_type,
                        resource_name=acl.resource_name,
                        resource_pattern_type=acl.pattern_type,
                        principal=acl.principal,
                        host=acl.host,
                        operation=acl.operation,
                        permission_type=acl.permission,
                    )
                    for acl in keys
                ]
            )
            response = await self._calls.send(request, CreateAclsResponse, node)
            return {
                acl: outcome(each.error_code, None, each.error_message)
                for acl, each in zip(keys, response.results, strict=False)
            }

        return await self._calls.each(acls, CONTROLLER, ask)

    async def delete(self, filters: Iterable[AclFilter]) -> Results[AclFilter, Results[Acl, None]]:
        """Delete what each filter takes: the ACLs that it found, and what came of each."""

        async def ask(
            node: Node, keys: Sequence[AclFilter]
        ) -> Mapping[AclFilter, Results[Acl, None] | ClientError]:
            request = DeleteAclsRequest(filters=[_filter(DeleteAclsFilter, each) for each in keys])
            response = await self._calls.send(request, DeleteAclsResponse, node)
            return {
                key: outcome(
                    each.error_code,
                    Results(
                        {
                            _acl(acl, acl): outcome(acl.error_code, None, acl.error_message)
                            for acl in each.matching_acls
                        }
                    ),
                    each.error_message,
                )
                for key, each in zip(keys, response.filter_results, strict=False)
            }

        return await self._calls.each(filters, CONTROLLER, ask)


class BlockingAcls(Face[Acls]):
    """`Acls` for callers that wait."""

    describe = awaited(Acls.describe)
    create = awaited(Acls.create)
    delete = awaited(Acls.delete)


def _filter(kind: type[F], which: AclFilter) -> F:
    return kind(
        resource_type_filter=which.resource_type,
        resource_name_filter=which.resource_name,
        pattern_type_filter=which.pattern_type,
        principal_filter=which.principal,
        host_filter=which.host,
        operation=which.operation,
        permission_type=which.permission,
    )


def _acl(
    resource: DescribeAclsResource | DeleteAclsMatchingAcl, each: AclDescription | DeleteAclsMatchingAcl
) -> Acl:
    return Acl(
        each.principal,
        AclOperation(each.operation),
        AclResourceType(resource.resource_type),
        resource.resource_name,
        PatternType(resource.pattern_type),
        AclPermission(each.permission_type),
        each.host,
    )
