"""LeaveGroup: leave a classic group, one member or several."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response, Result
from ottla.broker.services import GroupServices


def _handle(services: GroupServices, context: RequestContext, message: Any) -> Result | Awaitable[Response]:
    return services.groups.request("leave_group", message.group_id, context, message)


API = Api(
    key=13,
    name="LeaveGroup",
    versions=(0, 5),
    handle=_handle,
    kips=(
        345,
        800,
    ),
)
