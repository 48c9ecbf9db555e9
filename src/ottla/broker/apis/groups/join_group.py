"""JoinGroup: enter a classic group, or its next generation."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response, Result
from ottla.broker.services import GroupServices


def _handle(services: GroupServices, context: RequestContext, message: Any) -> Result | Awaitable[Response]:
    return services.groups.request("join_group", message.group_id, context, message)


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
