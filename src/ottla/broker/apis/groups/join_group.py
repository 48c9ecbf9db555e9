"""JoinGroup: enter a classic group, or its next generation."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import GroupServices
from ottla.coordinator.groups import Answered
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse


def _handle(
    services: GroupServices, context: RequestContext, message: JoinGroupRequest
) -> Answered[JoinGroupResponse]:
    return services.groups.join_group(message, client_of(context))


def _error(message: JoinGroupRequest, code: ErrorCode, _text: str | None) -> JoinGroupResponse:
    return JoinGroupResponse(error_code=code, member_id=message.member_id)


API = Api(key=11, name="JoinGroup", versions=(0, 9), handle=_handle, error=_error, kips=(62, 345, 394, 800))
