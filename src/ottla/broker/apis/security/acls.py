"""DescribeAcls, CreateAcls, DeleteAcls: who may do what."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import NoServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.create_acls import AclCreationResult, CreateAclsRequest, CreateAclsResponse
from ottla.protocol.messages.delete_acls import (
    DeleteAclsFilterResult,
    DeleteAclsRequest,
    DeleteAclsResponse,
)
from ottla.protocol.messages.describe_acls import DescribeAclsRequest, DescribeAclsResponse

_NO_AUTHORIZER = "No Authorizer is configured."
_GAPS = ("There is no authorizer yet: answered as by Kafka without one.",)
_KIPS = (4, 140, 290)


def _describe(
    _services: NoServices, _context: RequestContext, _message: DescribeAclsRequest
) -> DescribeAclsResponse:
    raise KafkaError(ErrorCode.security_disabled, _NO_AUTHORIZER)


def _create(
    _services: NoServices, _context: RequestContext, message: CreateAclsRequest
) -> CreateAclsResponse:
    refusal = AclCreationResult(error_code=ErrorCode.security_disabled, error_message=_NO_AUTHORIZER)
    return CreateAclsResponse(results=[refusal for _ in message.creations])


def _delete(
    _services: NoServices, _context: RequestContext, message: DeleteAclsRequest
) -> DeleteAclsResponse:
    refusal = DeleteAclsFilterResult(error_code=ErrorCode.security_disabled, error_message=_NO_AUTHORIZER)
    return DeleteAclsResponse(filter_results=[refusal for _ in message.filters])


APIS = (
    Api(NoServices, DescribeAclsRequest, DescribeAclsResponse, _describe, kips=_KIPS, gaps=_GAPS),
    Api(NoServices, CreateAclsRequest, CreateAclsResponse, _create, kips=_KIPS, gaps=_GAPS),
    Api(NoServices, DeleteAclsRequest, DeleteAclsResponse, _delete, kips=_KIPS, gaps=_GAPS),
)
