"""SyncGroup: hand the leader's assignment to the members of a classic group."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ottla.broker.api import Api, Request, Response, Result


def _handle(request: Request, message: Any) -> Result | Awaitable[Response]:
    return request.broker.groups.request("sync_group", message.group_id, request, message)


API = Api(
    key=14,
    name="SyncGroup",
    versions=(0, 5),
    handle=_handle,
    kips=(
        345,
        559,
    ),
)
