"""DeleteGroups: remove groups that have no members, with their positions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import GroupServices

if TYPE_CHECKING:
    from ottla.coordination.runtime import Effects, RequestInfo
    from ottla.coordinator.group_shard import ShardOwner


async def _handle(services: GroupServices, context: RequestContext, message: Any) -> Response:
    owned, refused = services.groups.by_shard(message.groups_names)
    results: list[Any] = [{"group_id": name, "error_code": code} for name, code in refused.items()]
    for owner, group_ids in owned.items():
        answer = owner.perform(context, _deletion(owner, group_ids))
        results += (await answer if inspect.isawaitable(answer) else answer)["results"]
    return {"results": results}


def _deletion(owner: ShardOwner, group_ids: list[str]) -> Callable[[RequestInfo, int], Effects]:
    return lambda info, _now_ms: owner.shard.delete_groups(group_ids, info)


API = Api(key=42, name="DeleteGroups", versions=(0, 3), handle=_handle, kips=(229, 1043))
