"""JoinGroup, SyncGroup, Heartbeat, LeaveGroup: being a member of a classic group, whose leader assigns."""

from __future__ import annotations

from typing import Final

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.rights import OnNamed
from ottla.broker.services import GroupServices
from ottla.coordinator.shards import Answered
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from ottla.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse
from ottla.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse
from ottla.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse

FIRST_SYNC_WITH_PROTOCOL = 5


def _join(
    services: GroupServices, context: RequestContext, message: JoinGroupRequest
) -> Answered[JoinGroupResponse]:
    return services.groups.join_group(message, client_of(context))


def _join_error(message: JoinGroupRequest, code: ErrorCode, _text: str | None) -> JoinGroupResponse:
    return JoinGroupResponse(error_code=code, member_id=message.member_id)


def _sync(
    services: GroupServices, context: RequestContext, message: SyncGroupRequest
) -> Answered[SyncGroupResponse]:
    unnamed = message.protocol_type is None or message.protocol_name is None
    if unnamed and context.api_version >= FIRST_SYNC_WITH_PROTOCOL:
        return SyncGroupResponse(error_code=ErrorCode.inconsistent_group_protocol)
    return services.groups.sync_group(message, client_of(context))


def _heartbeat(
    services: GroupServices, context: RequestContext, message: HeartbeatRequest
) -> Answered[HeartbeatResponse]:
    return services.groups.heartbeat(message, client_of(context))


def _leave(
    services: GroupServices, context: RequestContext, message: LeaveGroupRequest
) -> Answered[LeaveGroupResponse]:
    return services.groups.leave_group(message, client_of(context))


_READ: Final = OnNamed[JoinGroupRequest | SyncGroupRequest | HeartbeatRequest | LeaveGroupRequest](
    Operation.READ, ResourceType.GROUP, lambda message: message.group_id
)

APIS = (
    Api(
        GroupServices,
        JoinGroupRequest,
        JoinGroupResponse,
        _join,
        right=_READ,
        error=_join_error,
        kips=(62, 345, 394, 800),
    ),
    Api(GroupServices, SyncGroupRequest, SyncGroupResponse, _sync, right=_READ, kips=(345, 559)),
    Api(GroupServices, HeartbeatRequest, HeartbeatResponse, _heartbeat, right=_READ, kips=(345,)),
    Api(GroupServices, LeaveGroupRequest, LeaveGroupResponse, _leave, right=_READ, kips=(345, 800)),
)
