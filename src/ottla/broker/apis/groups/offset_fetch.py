"""OffsetFetch: the positions that groups have committed."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import GroupServices
from ottla.coordination.runtime import Client
from ottla.coordinator.groups import settled
from ottla.protocol.errors import KafkaError
from ottla.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponseTopic,
)

_GROUPS_SINCE = 8


async def _handle(
    services: GroupServices, context: RequestContext, message: OffsetFetchRequest
) -> OffsetFetchResponse:
    client, require_stable = client_of(context), message.require_stable
    if context.api_version < _GROUPS_SINCE:
        return _single(await _group(services, client, _as_group(message), require_stable=require_stable))
    distinct = {group.group_id: group for group in message.groups}
    groups = [
        await _group(services, client, group, require_stable=require_stable) for group in distinct.values()
    ]
    return OffsetFetchResponse(groups=groups)


async def _group(
    services: GroupServices, client: Client, group: OffsetFetchRequestGroup, *, require_stable: bool
) -> OffsetFetchResponseGroup:
    try:
        return await settled(services.groups.offset_fetch(group, client, require_stable=require_stable))
    except KafkaError as error:
        from ottla.coordination.groups.offsets.fetch import fetch_refusal  # with the first group

        return fetch_refusal(group, client.api_version, error.code)


def _as_group(message: OffsetFetchRequest) -> OffsetFetchRequestGroup:
    """Up to version 7 the request was one group."""
    topics = message.topics
    return OffsetFetchRequestGroup(
        group_id=message.group_id,
        topics=None
        if topics is None
        else [
            OffsetFetchRequestTopics(name=each.name, partition_indexes=each.partition_indexes)
            for each in topics
        ],
    )


def _single(group: OffsetFetchResponseGroup) -> OffsetFetchResponse:
    """And so was the response."""
    topics = [
        OffsetFetchResponseTopic(
            name=topic.name,
            partitions=[
                OffsetFetchResponsePartition(
                    partition_index=each.partition_index,
                    committed_offset=each.committed_offset,
                    committed_leader_epoch=each.committed_leader_epoch,
                    metadata=each.metadata,
                    error_code=each.error_code,
                )
                for each in topic.partitions
            ],
        )
        for topic in group.topics
    ]
    return OffsetFetchResponse(topics=topics, error_code=group.error_code)


API = Api(key=9, name="OffsetFetch", versions=(1, 10), handle=_handle, kips=(88, 447, 709, 848))
