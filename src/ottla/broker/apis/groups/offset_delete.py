"""OffsetDelete: forget positions of partitions that a group no longer reads (KIP-496)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import GroupServices


def _handle(services: GroupServices, context: RequestContext, message: Any) -> Response | Awaitable[Response]:
    owner = services.groups.shard_of(message.group_id)
    return owner.perform(context, lambda info, _now_ms: owner.shard.offset_delete(message, info))


API = Api(key=47, name="OffsetDelete", versions=(0, 0), handle=_handle, kips=(496,))
