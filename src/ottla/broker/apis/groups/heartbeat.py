"""Heartbeat: tell a classic group that a member is alive."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response, Result
from ottla.broker.services import GroupServices


def _handle(services: GroupServices, context: RequestContext, message: Any) -> Result | Awaitable[Response]:
    return services.groups.request("heartbeat", message.group_id, context, message)


API = Api(key=12, name="Heartbeat", versions=(0, 4), handle=_handle, kips=(345,))
