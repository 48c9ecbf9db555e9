"""JoinGroup: enter a classic group, or its next generation."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ottla.broker.api import Api, Request, Response, Result


def _handle(request: Request, message: Any) -> Result | Awaitable[Response]:
    return request.broker.groups.request("join_group", message.group_id, request, message)


API = Api(
    key=11,
    name="JoinGroup",
    versions=(0, 9),
    handle=_handle,
    kips=(
        62,
        345,
        394,
        800,
    ),
)
