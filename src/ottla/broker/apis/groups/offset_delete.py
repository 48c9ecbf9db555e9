"""OffsetDelete: forget positions of partitions that a group no longer reads (KIP-496)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ottla.broker.api import Api, Request, Response


def _handle(request: Request, message: Any) -> Response | Awaitable[Response]:
    owner = request.broker.groups.shard_of(message.group_id)
    return owner.perform(request, lambda info, _now_ms: owner.shard.offset_delete(message, info))


API = Api(key=47, name="OffsetDelete", versions=(0, 0), handle=_handle, kips=(496,))
