"""OffsetCommit, OffsetFetch, OffsetDelete: the positions of groups."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.rights import All, ByHandler, OnEach, OnNamed, its_name, may, name_or_id, require
from ottla.broker.services import GroupServices
from ottla.coordination.groups.offsets.commit import commit_refusal
from ottla.coordination.groups.offsets.fetch import fetch_refusal
from ottla.coordination.runtime import Client
from ottla.coordinator.shards import Answered, together, unless_refused
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from ottla.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from ottla.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
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
    return OffsetCommitResponse(topics=[_commit_topic_error(topic, code) for topic in message.topics])


def _commit_topic_error(topic: OffsetCommitRequestTopic, code: ErrorCode) -> OffsetCommitResponseTopic:
    return OffsetCommitResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        partitions=[
            OffsetCommitResponsePartition(partition_index=each.partition_index, error_code=code)
            for each in topic.partitions
        ],
    )


def _fetch(
    services: GroupServices, context: RequestContext, message: OffsetFetchRequest
) -> Answered[OffsetFetchResponse]:
    is_single = context.api_version < _FETCH_OF_GROUPS_SINCE
    asked = [_as_group(message)] if is_single else {each.group_id: each for each in message.groups}.values()
    client = client_of(context)
    groups = together(
        [_fetch_group(services, context, client, each, message.require_stable) for each in asked]
    )
    if isinstance(groups, Awaitable):
        return _fetch_eventually(groups, is_single=is_single)
    return _fetch_response(groups, is_single=is_single)


async def _fetch_eventually(
    groups: Awaitable[list[OffsetFetchResponseGroup]], *, is_single: bool
) -> OffsetFetchResponse:
    return _fetch_response(await groups, is_single=is_single)


def _fetch_group(
    services: GroupServices,
    context: RequestContext,
    client: Client,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> Answered[OffsetFetchResponseGroup]:
    try:
        require(context, Operation.DESCRIBE, ResourceType.GROUP, group.group_id)
        answered = services.groups.offset_fetch(group, client, require_stable=require_stable)
    except KafkaError as error:
        return _fetch_refused(group, client, error)
    if isinstance(answered, Awaitable):
        return _fetch_waited(services, context, group, client, answered)
    return _shown(services, context, group, answered)


async def _fetch_waited(
    services: GroupServices,
    context: RequestContext,
    group: OffsetFetchRequestGroup,
    client: Client,
    answered: Awaitable[OffsetFetchResponseGroup],
) -> OffsetFetchResponseGroup:
    try:
        return _shown(services, context, group, await answered)
    except KafkaError as error:
        return _fetch_refused(group, client, error)


def _shown(
    services: GroupServices,
    context: RequestContext,
    group: OffsetFetchRequestGroup,
    answer: OffsetFetchResponseGroup,
) -> OffsetFetchResponseGroup:
    """Without the topics that the client may not know of; where it named them, it is told that it may not."""
    if context.session.access is None:
        return answer
    image = services.metadata.image
    is_named = group.topics is not None
    topics = []
    for topic in answer.topics:
        name = name_or_id(image, topic)
        if name is None or may(context, Operation.DESCRIBE, ResourceType.TOPIC, name, is_asked_for=is_named):
            topics.append(topic)
        elif is_named:
            topics.append(_hidden(topic))
    answer.topics = topics
    return answer


def _hidden(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopics:
    return OffsetFetchResponseTopics(
        name=topic.name,
        topic_id=topic.topic_id,
        partitions=[
            OffsetFetchResponsePartitions(
                partition_index=each.partition_index,
                committed_offset=-1,
                committed_leader_epoch=-1,
                metadata="",
                error_code=ErrorCode.topic_authorization_failed,
            )
            for each in topic.partitions
        ],
    )


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


def _delete_topic_error(topic: OffsetDeleteRequestTopic, code: ErrorCode) -> OffsetDeleteResponseTopic:
    return OffsetDeleteResponseTopic(
        name=topic.name,
        partitions=[
            OffsetDeleteResponsePartition(partition_index=each.partition_index, error_code=code)
            for each in topic.partitions
        ],
    )


APIS = (
    Api(
        GroupServices,
        OffsetCommitRequest,
        OffsetCommitResponse,
        _commit,
        right=All(
            OnNamed[OffsetCommitRequest](
                Operation.READ, ResourceType.GROUP, lambda message: message.group_id
            ),
            OnEach(
                Operation.READ,
                ResourceType.TOPIC,
                "topics",
                _commit_topic_error,
                response=OffsetCommitResponse,
                into="topics",
                name=name_or_id,
            ),
        ),
        error=_commit_error,
        kips=(211, 320, 345, 848),
    ),
    Api(
        GroupServices,
        OffsetFetchRequest,
        OffsetFetchResponse,
        _fetch,
        right=ByHandler("DESCRIBE on each group; DESCRIBE on each topic"),
        kips=(88, 447, 709, 848),
    ),
    Api(
        GroupServices,
        OffsetDeleteRequest,
        OffsetDeleteResponse,
        _delete,
        right=All(
            OnNamed[OffsetDeleteRequest](
                Operation.DELETE, ResourceType.GROUP, lambda message: message.group_id
            ),
            OnEach(
                Operation.READ,
                ResourceType.TOPIC,
                "topics",
                _delete_topic_error,
                response=OffsetDeleteResponse,
                into="topics",
                name=its_name,
            ),
        ),
        is_audited=True,
        kips=(496,),
    ),
)
