"""SyncGroup: hand the leader's assignment to the members of a classic group."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response, Result
from ottla.broker.services import GroupServices


def _handle(services: GroupServices, context: RequestContext, message: Any) -> Result | Awaitable[Response]:
    return services.groups.request("sync_group", message.group_id, context, message)


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
