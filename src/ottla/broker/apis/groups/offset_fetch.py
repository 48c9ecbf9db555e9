"""OffsetFetch: the positions that groups have committed."""

from __future__ import annotations

from collections.abc import Awaitable

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import GroupServices
from ottla.coordination.runtime import Client
from ottla.coordinator.groups import Answered, together
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


def _handle(
    services: GroupServices, context: RequestContext, message: OffsetFetchRequest
) -> Answered[OffsetFetchResponse]:
    is_single = context.api_version < _GROUPS_SINCE
    asked = [_as_group(message)] if is_single else {each.group_id: each for each in message.groups}.values()
    client = client_of(context)
    groups = together([_group(services, client, each, message.require_stable) for each in asked])
    if isinstance(groups, Awaitable):
        return _eventually(groups, is_single=is_single)
    return _response(groups, is_single=is_single)


async def _eventually(
    groups: Awaitable[list[OffsetFetchResponseGroup]], *, is_single: bool
) -> OffsetFetchResponse:
    return _response(await groups, is_single=is_single)


def _group(
    services: GroupServices, client: Client, group: OffsetFetchRequestGroup, require_stable: bool
) -> Answered[OffsetFetchResponseGroup]:
    try:
        answered = services.groups.offset_fetch(group, client, require_stable=require_stable)
    except KafkaError as error:
        return _refused(group, client, error)
    return _waited(group, client, answered) if isinstance(answered, Awaitable) else answered


async def _waited(
    group: OffsetFetchRequestGroup, client: Client, answered: Awaitable[OffsetFetchResponseGroup]
) -> OffsetFetchResponseGroup:
    try:
        return await answered
    except KafkaError as error:
        return _refused(group, client, error)


def _refused(group: OffsetFetchRequestGroup, client: Client, error: KafkaError) -> OffsetFetchResponseGroup:
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


def _response(groups: list[OffsetFetchResponseGroup], *, is_single: bool) -> OffsetFetchResponse:
    """Up to version 7 the response was one group, too."""
    if not is_single:
        return OffsetFetchResponse(groups=groups)
    (group,) = groups
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
