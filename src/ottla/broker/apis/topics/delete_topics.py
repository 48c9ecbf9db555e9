"""DeleteTopics: remove topics with all their records."""

from __future__ import annotations

from collections import Counter
from typing import Final
from uuid import UUID

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import ByHandler, may
from ottla.broker.services import TopicServices
from ottla.metadata.image import MetadataImage
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
)

VERSION_WITH_TOPIC_IDS = 6
_STRICT: Final = 5
"""Versions whose clients know that a quota may refuse what they ask for (KIP-599)"""


async def _handle(
    services: TopicServices, context: RequestContext, message: DeleteTopicsRequest
) -> DeleteTopicsResponse:
    if not services.config.value.delete_topic_enable:
        code = ErrorCode.topic_deletion_disabled if context.api_version >= 3 else ErrorCode.invalid_request
        raise KafkaError(code, "Topic deletion is disabled.")
    responses = []
    asked = Counter(_asked(context, message))
    names: dict[str, UUID | None] = {}
    for (name, topic_id), times in asked.items():
        try:
            _check_meaning(name, topic_id, times)
            found = _resolve(services.metadata.image, name, topic_id)
            _check_right(context, found, is_named=name is not None)
        except KafkaError as error:
            responses.append(_result(name, topic_id, error.code, error.message))
            continue
        except _NotDeletableError as refused:
            code = ErrorCode.topic_authorization_failed
            responses.append(_result(refused.shown, topic_id, code, None))
            continue
        if found in names:
            # By its name and by its id: which of the two was not meant, only the client can know.
            other = names.pop(found)
            topic_id = topic_id or other
            text = "The topic is given by its name and by its id."
            responses.append(_result(found, topic_id, ErrorCode.invalid_request, text))
        else:
            names[found] = topic_id
    permit = services.quotas.permit(context, strict_from=_STRICT)
    results = await services.topics.delete_topics(list(names), take=permit.take) if names else {}
    for name, topic in results.items():
        if isinstance(topic, KafkaError):
            responses.append(_result(name, names[name], topic.code, topic.message))
        else:
            responses.append(_result(name, topic.topic_id, ErrorCode.none, None))
    return DeleteTopicsResponse(responses=responses, throttle_time_ms=permit.wait_ms())


class _NotDeletableError(Exception):
    """The client may not delete a topic; `shown` is its name where he may know it."""

    def __init__(self, shown: str | None) -> None:
        super().__init__(shown)
        self.shown = shown


def _check_right(context: RequestContext, name: str, *, is_named: bool) -> None:
    if may(context, Operation.DELETE, ResourceType.CLUSTER, is_asked_for=False):
        return
    is_visible = may(context, Operation.DESCRIBE, ResourceType.TOPIC, name)
    if not (is_visible and may(context, Operation.DELETE, ResourceType.TOPIC, name)):
        raise _NotDeletableError(name if is_visible or is_named else None)


def _asked(context: RequestContext, message: DeleteTopicsRequest) -> list[tuple[str | None, UUID | None]]:
    if context.api_version >= VERSION_WITH_TOPIC_IDS:
        return [(topic.name, topic.topic_id) for topic in message.topics]
    return [(name, None) for name in message.topic_names]


def _check_meaning(name: str | None, topic_id: UUID | None, times: int) -> None:
    """Nothing is deleted for a request that can have meant something else."""
    if name is None and topic_id is None:
        raise KafkaError(ErrorCode.invalid_request, "Give the topic's name or its id.")
    if name is not None and topic_id is not None:
        raise KafkaError(ErrorCode.invalid_request, "Give the topic's name or its id, not both.")
    if times > 1:
        raise KafkaError(ErrorCode.invalid_request, "The topic is given twice.")


def _resolve(image: MetadataImage, name: str | None, topic_id: UUID | None) -> str:
    found = image.name_of(topic_id if name is None else name)
    if found is None:
        raise KafkaError(ErrorCode.unknown_topic_id)
    return found


def _result(
    name: str | None, topic_id: UUID | None, code: ErrorCode, text: str | None
) -> DeletableTopicResult:
    return DeletableTopicResult(name=name, topic_id=topic_id, error_code=code, error_message=text)


def _error(message: DeleteTopicsRequest, code: ErrorCode, text: str | None) -> DeleteTopicsResponse:
    named = [(topic.name, topic.topic_id) for topic in message.topics]
    asked = named or [(name, None) for name in message.topic_names]
    return DeleteTopicsResponse(responses=[_result(name, topic_id, code, text) for name, topic_id in asked])


APIS = (
    Api(
        TopicServices,
        DeleteTopicsRequest,
        DeleteTopicsResponse,
        _handle,
        right=ByHandler("DELETE on the cluster or on each topic, and DESCRIBE on it"),
        error=_error,
        is_audited=True,
        kips=(4, 516, 599),
    ),
)
