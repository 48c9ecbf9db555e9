"""OffsetFetch: the positions that groups have committed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import GroupServices
from ottla.protocol.errors import KafkaError


def _handle(services: GroupServices, context: RequestContext, message: Any) -> Response:
    from ottla.coordination.groups.offsets.fetch import FETCH_GROUPS_SINCE, as_single_group_response

    if context.api_version >= FETCH_GROUPS_SINCE:
        distinct = {group.group_id: group for group in message.groups}
        return {
            "groups": [_one(services, context, group, message.require_stable) for group in distinct.values()]
        }
    topics = message.topics and tuple(
        SimpleNamespace(name=topic.name, topic_id=None, partition_indexes=topic.partition_indexes)
        for topic in message.topics
    )
    group = SimpleNamespace(group_id=message.group_id, topics=topics, member_id=None, member_epoch=-1)
    return as_single_group_response(_one(services, context, group, message.require_stable))


def _one(
    services: GroupServices, context: RequestContext, group: Any, require_stable: bool
) -> dict[str, Any]:
    try:
        shard = services.groups.shard_of(group.group_id).shard
    except KafkaError as error:
        from ottla.coordination.groups.offsets.fetch import fetch_error

        return fetch_error(group, error.code, context.api_version)
    return shard.offset_fetch(group, require_stable=require_stable, api_version=context.api_version)


API = Api(key=9, name="OffsetFetch", versions=(1, 10), handle=_handle, kips=(88, 447, 709, 848))
