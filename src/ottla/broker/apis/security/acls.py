"""DescribeAcls, CreateAcls, DeleteAcls: who may do what (KIP-140)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import OnCluster
from ottla.broker.services import AccessServices
from ottla.metadata.acls import Acl, AclFilter
from ottla.protocol.codes import Operation, PatternType, Permission, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError, MalformedRequest
from ottla.protocol.messages.create_acls import (
    AclCreation,
    AclCreationResult,
    CreateAclsRequest,
    CreateAclsResponse,
)
from ottla.protocol.messages.delete_acls import (
    DeleteAclsFilter,
    DeleteAclsFilterResult,
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

_NO_AUTHORIZER = "No Authorizer is configured."
_KIPS = (4, 140, 290)
_Code = TypeVar("_Code", ResourceType, PatternType, Operation, Permission)


def _known(kind: type[_Code], code: int) -> _Code:
    """What a number of the protocol stands for. MalformedRequest, as in Kafka, where it is nothing."""
    if not code or code not in list(kind):
        raise MalformedRequest(f"{code} is no {kind.__name__}")
    return kind(code)


def _check_served(services: AccessServices) -> None:
    if not services.is_authorized:
        raise KafkaError(ErrorCode.security_disabled, _NO_AUTHORIZER)


def _describe(
    services: AccessServices, _context: RequestContext, message: DescribeAclsRequest
) -> DescribeAclsResponse:
    _check_served(services)
    wanted = _filter(message)
    wanted.check()
    found = sorted(acl for acl in services.metadata.image.acls.values() if wanted.matches(acl))
    return DescribeAclsResponse(resources=_by_resource(found))


def _by_resource(acls: Iterable[Acl]) -> list[DescribeAclsResource]:
    resources: dict[tuple[ResourceType, PatternType, str], list[AclDescription]] = {}
    for acl in acls:
        resources.setdefault(acl[:3], []).append(
            AclDescription(
                principal=acl.principal,
                host=acl.host,
                operation=acl.operation,
                permission_type=acl.permission,
            )
        )
    return [
        DescribeAclsResource(
            resource_type=resource_type, pattern_type=pattern_type, resource_name=name, acls=of_it
        )
        for (resource_type, pattern_type, name), of_it in resources.items()
    ]


async def _create(
    services: AccessServices, _context: RequestContext, message: CreateAclsRequest
) -> CreateAclsResponse:
    _check_served(services)
    wanted = [_acl(each) for each in message.creations]
    results = await services.access.create_acls(wanted)
    return CreateAclsResponse(
        results=[
            AclCreationResult(error_code=result.code, error_message=result.message)
            if isinstance(result := results[acl], KafkaError)
            else AclCreationResult()
            for acl in wanted
        ]
    )


def _acl(creation: AclCreation) -> Acl:
    return Acl(
        _known(ResourceType, creation.resource_type),
        _known(PatternType, creation.resource_pattern_type),
        creation.resource_name,
        creation.principal,
        creation.host,
        _known(Operation, creation.operation),
        _known(Permission, creation.permission_type),
    )


def _create_error(message: CreateAclsRequest, code: ErrorCode, text: str | None) -> CreateAclsResponse:
    return CreateAclsResponse(
        results=[AclCreationResult(error_code=code, error_message=text) for _ in message.creations]
    )


async def _delete(
    services: AccessServices, _context: RequestContext, message: DeleteAclsRequest
) -> DeleteAclsResponse:
    _check_served(services)
    wanted = [_filter(each) for each in message.filters]
    results = await services.access.delete_acls(wanted)
    return DeleteAclsResponse(
        filter_results=[
            DeleteAclsFilterResult(error_code=result.code, error_message=result.message)
            if isinstance(result := results[each], KafkaError)
            else DeleteAclsFilterResult(matching_acls=[_deleted(acl) for acl in result])
            for each in wanted
        ]
    )


def _filter(asked: DescribeAclsRequest | DeleteAclsFilter) -> AclFilter:
    return AclFilter(
        _known(ResourceType, asked.resource_type_filter),
        _known(PatternType, asked.pattern_type_filter),
        asked.resource_name_filter,
        asked.principal_filter,
        asked.host_filter,
        _known(Operation, asked.operation),
        _known(Permission, asked.permission_type),
    )


def _deleted(acl: Acl) -> DeleteAclsMatchingAcl:
    return DeleteAclsMatchingAcl(
        resource_type=acl.resource_type,
        resource_name=acl.name,
        pattern_type=acl.pattern_type,
        principal=acl.principal,
        host=acl.host,
        operation=acl.operation,
        permission_type=acl.permission,
    )


def _delete_error(message: DeleteAclsRequest, code: ErrorCode, text: str | None) -> DeleteAclsResponse:
    return DeleteAclsResponse(
        filter_results=[DeleteAclsFilterResult(error_code=code, error_message=text) for _ in message.filters]
    )


_ALTER = OnCluster(Operation.ALTER)

APIS = (
    Api(
        AccessServices,
        DescribeAclsRequest,
        DescribeAclsResponse,
        _describe,
        right=OnCluster(Operation.DESCRIBE),
        kips=_KIPS,
    ),
    Api(
        AccessServices,
        CreateAclsRequest,
        CreateAclsResponse,
        _create,
        right=_ALTER,
        error=_create_error,
        is_audited=True,
        kips=_KIPS,
    ),
    Api(
        AccessServices,
        DeleteAclsRequest,
        DeleteAclsResponse,
        _delete,
        right=_ALTER,
        error=_delete_error,
        is_audited=True,
        kips=_KIPS,
    ),
)
