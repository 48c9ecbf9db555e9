"""OffsetCommit: store a group's positions."""

from __future__ import annotations

from collections.abc import Awaitable

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import GroupServices
from ottla.coordinator.groups import Answered
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)


def _handle(
    services: GroupServices, context: RequestContext, message: OffsetCommitRequest
) -> Answered[OffsetCommitResponse]:
    try:
        answered = services.groups.offset_commit(message, client_of(context))
    except KafkaError as error:
        return _refused(services, context, message, error)
    if isinstance(answered, Awaitable):
        return _eventually(services, context, message, answered)
    return answered


async def _eventually(
    services: GroupServices,
    context: RequestContext,
    message: OffsetCommitRequest,
    answered: Awaitable[OffsetCommitResponse],
) -> OffsetCommitResponse:
    try:
        return await answered
    except KafkaError as error:
        return _refused(services, context, message, error)


def _refused(
    services: GroupServices, context: RequestContext, message: OffsetCommitRequest, error: KafkaError
) -> OffsetCommitResponse:
    """What does not exist is told so, whatever else is wrong."""
    from ottla.coordination.groups.offsets.commit import commit_refusal  # with the first group

    return commit_refusal(services.metadata.image, message, context.api_version, error.code)


def _error(message: OffsetCommitRequest, code: ErrorCode, _text: str | None) -> OffsetCommitResponse:
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


API = Api(
    key=8,
    name="OffsetCommit",
    versions=(2, 10),
    handle=_handle,
    error=_error,
    kips=(211, 320, 345, 848),
)
