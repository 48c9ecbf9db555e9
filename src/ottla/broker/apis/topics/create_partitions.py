"""CreatePartitions: let topics grow."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import TopicServices
from ottla.metadata.model import Topic
from ottla.metadata.topics import NewPartitions
from ottla.protocol.errors import ErrorCode, KafkaError


async def _handle(services: TopicServices, _context: RequestContext, message: Any) -> Response:
    wanted = [
        NewPartitions(
            topic.name,
            topic.count,
            None if topic.assignments is None else [each.broker_ids for each in topic.assignments],
        )
        for topic in message.topics
    ]
    results = await services.topics.create_partitions(wanted, validate_only=message.validate_only)
    return {"results": [_result(name, result) for name, result in results.items()]}


def _result(name: str, result: Topic | KafkaError) -> dict[str, Any]:
    if isinstance(result, KafkaError):
        return {"name": name, "error_code": result.code, "error_message": result.message}
    return {"name": name, "error_code": ErrorCode.none}


def _error(message: Any, code: ErrorCode, text: str | None) -> Response:
    return {
        "results": [
            {"name": topic.name, "error_code": code, "error_message": text} for topic in message.topics
        ]
    }


API = Api(key=37, name="CreatePartitions", versions=(0, 3), handle=_handle, error=_error, kips=(195, 599))
