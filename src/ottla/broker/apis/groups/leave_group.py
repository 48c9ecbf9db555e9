"""LeaveGroup: leave a classic group, one member or several."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ottla.broker.api import Api, Request, Response, Result


def _handle(request: Request, message: Any) -> Result | Awaitable[Response]:
    return request.broker.groups.request("leave_group", message.group_id, request, message)


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
