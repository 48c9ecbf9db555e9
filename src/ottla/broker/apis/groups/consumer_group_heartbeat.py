"""ConsumerGroupHeartbeat: join, keep up with and leave a group of the new protocol."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ottla.broker.api import Api, Request, Response, Result
from ottla.protocol.errors import ErrorCode, KafkaError


def _handle(request: Request, message: Any) -> Result | Awaitable[Response]:
    if not request.broker.serves_consumer_protocol:
        raise KafkaError(ErrorCode.unsupported_version)
    return request.broker.groups.request("consumer_group_heartbeat", message.group_id, request, message)


API = Api(
    key=68,
    name="ConsumerGroupHeartbeat",
    versions=(0, 1),
    handle=_handle,
    kips=(
        848,
        1082,
    ),
)
