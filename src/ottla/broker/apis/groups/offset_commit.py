"""OffsetCommit: store a group's positions."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response, Result
from ottla.broker.services import GroupServices
from ottla.protocol.errors import ErrorCode


def _handle(services: GroupServices, context: RequestContext, message: Any) -> Result | Awaitable[Response]:
    return services.groups.request("offset_commit", message.group_id, context, message)


def _error(message: Any, code: ErrorCode, _text: str | None) -> Response:
    return {
        "topics": [
            {
                "name": topic.name,
                "topic_id": topic.topic_id,
                "partitions": [
                    {"partition_index": each.partition_index, "error_code": code} for each in topic.partitions
                ],
            }
            for topic in message.topics
        ]
    }


API = Api(
    key=8,
    name="OffsetCommit",
    versions=(2, 10),
    handle=_handle,
    error=_error,
    kips=(
        211,
        320,
        345,
        848,
    ),
)
