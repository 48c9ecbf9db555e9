"""DescribeGroups: the state and the members of classic groups."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import GroupServices
from ottla.security.operations import GROUP_OPERATIONS


def _handle(services: GroupServices, context: RequestContext, message: Any) -> Response:
    owned, refused = services.groups.by_shard(message.groups)
    described = [
        group
        for owner, group_ids in owned.items()
        for group in owner.shard.describe_groups(group_ids, owner.asker(context))
    ]
    if message.include_authorized_operations:
        for group in described:
            group["authorized_operations"] = GROUP_OPERATIONS
    return {"groups": described + [{"group_id": name, "error_code": code} for name, code in refused.items()]}


API = Api(key=15, name="DescribeGroups", versions=(0, 6), handle=_handle, kips=(345, 430, 1043))
