"""OffsetCommit, OffsetFetch, OffsetDelete: the positions of groups."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import GroupServices
from ottla.coordination.groups.offsets.commit import commit_refusal
from ottla.coordination.groups.offsets.fetch import fetch_refusal
from ottla.coordination.runtime import Client
from ottla.coordinator.shards import Answered, together, unless_refused
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from ottla.protocol.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteResponse
from ottla.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponseTopic,
)

_FETCH_OF_GROUPS_SINCE = 8


def _commit(
    services: GroupServices, context: RequestContext, message: OffsetCommitRequest
) -> Answered[OffsetCommitResponse]:
    return unless_refused(
        lambda: services.groups.offset_commit(message, client_of(context)),
        partial(_commit_refused, services, context, message),
    )


def _commit_refused(
    services: GroupServices, context: RequestContext, message: OffsetCommitRequest, error: KafkaError
) -> OffsetCommitResponse:
    """What does not exist is told so, whatever else is wrong."""
    return commit_refusal(services.metadata.image, message, context.api_version, error.code)


def _commit_error(message: OffsetCommitRequest, code: ErrorCode, _text: str | None) -> OffsetCommitResponse:
    topics = [
        OffsetCommitResponseTopic(
            name=topic.name,
            topic_id=topic.topic_id,
            partitions=[
                OffsetCommitResponsePartition(partition_index=each.partition_index, error_code=code)
                for each in topic.partitions
            ],
        )
        for topic in message.topics
    ]
    return OffsetCommitResponse(topics=topics)


def _fetch(
    services: GroupServices, context: RequestContext, message: OffsetFetchRequest
) -> Answered[OffsetFetchResponse]:
    is_single = context.api_version < _FETCH_OF_GROUPS_SINCE
    asked = [_as_group(message)] if is_single else {each.group_id: each for each in message.groups}.values()
    client = client_of(context)
    groups = together([_fetch_group(services, client, each, message.require_stable) for each in asked])
    if isinstance(groups, Awaitable):
        return _fetch_eventually(groups, is_single=is_single)
    return _fetch_response(groups, is_single=is_single)


async def _fetch_eventually(
    groups: Awaitable[list[OffsetFetchResponseGroup]], *, is_single: bool
) -> OffsetFetchResponse:
    return _fetch_response(await groups, is_single=is_single)


def _fetch_group(
    services: GroupServices, client: Client, group: OffsetFetchRequestGroup, require_stable: bool
) -> Answered[OffsetFetchResponseGroup]:
    try:
        answered = services.groups.offset_fetch(group, client, require_stable=require_stable)
    except KafkaError as error:
        return _fetch_refused(group, client, error)
    return _fetch_waited(group, client, answered) if isinstance(answered, Awaitable) else answered


async def _fetch_waited(
    group: OffsetFetchRequestGroup, client: Client, answered: Awaitable[OffsetFetchResponseGroup]
) -> OffsetFetchResponseGroup:
    try:
        return await answered
    except KafkaError as error:
        return _fetch_refused(group, client, error)


def _fetch_refused(
    group: OffsetFetchRequestGroup, client: Client, error: KafkaError
) -> OffsetFetchResponseGroup:
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


def _fetch_response(groups: list[OffsetFetchResponseGroup], *, is_single: bool) -> OffsetFetchResponse:
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


def _delete(
    services: GroupServices, context: RequestContext, message: OffsetDeleteRequest
) -> Answered[OffsetDeleteResponse]:
    return services.groups.offset_delete(message, client_of(context))


APIS = (
    Api(
        GroupServices,
        OffsetCommitRequest,
        OffsetCommitResponse,
        _commit,
        error=_commit_error,
        kips=(211, 320, 345, 848),
    ),
    Api(GroupServices, OffsetFetchRequest, OffsetFetchResponse, _fetch, kips=(88, 447, 709, 848)),
    Api(GroupServices, OffsetDeleteRequest, OffsetDeleteResponse, _delete, kips=(496,)),
)
