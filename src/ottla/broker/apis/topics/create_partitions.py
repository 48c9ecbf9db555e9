"""CreatePartitions: let topics grow."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import TopicServices
from ottla.metadata.topics import NewPartitions
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopicResult,
)


async def _handle(
    services: TopicServices, _context: RequestContext, message: CreatePartitionsRequest
) -> CreatePartitionsResponse:
    wanted = [
        NewPartitions(
            topic.name,
            topic.count,
            None if topic.assignments is None else [each.broker_ids for each in topic.assignments],
        )
        for topic in message.topics
    ]
    results = await services.topics.create_partitions(wanted, validate_only=message.validate_only)
    return CreatePartitionsResponse(
        results=[
            _refusal(name, result.code, result.message)
            if isinstance(result, KafkaError)
            else CreatePartitionsTopicResult(name=name)
            for name, result in results.items()
        ]
    )


def _refusal(name: str, code: ErrorCode, text: str | None) -> CreatePartitionsTopicResult:
    return CreatePartitionsTopicResult(name=name, error_code=code, error_message=text)


def _error(message: CreatePartitionsRequest, code: ErrorCode, text: str | None) -> CreatePartitionsResponse:
    return CreatePartitionsResponse(results=[_refusal(topic.name, code, text) for topic in message.topics])


API = Api(key=37, name="CreatePartitions", versions=(0, 3), handle=_handle, error=_error, kips=(195, 599))
