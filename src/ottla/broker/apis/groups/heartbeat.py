"""Heartbeat: tell a classic group that a member is alive."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ottla.broker.api import Api, Request, Response, Result


def _handle(request: Request, message: Any) -> Result | Awaitable[Response]:
    return request.broker.groups.request("heartbeat", message.group_id, request, message)


API = Api(key=12, name="Heartbeat", versions=(0, 4), handle=_handle, kips=(345,))
