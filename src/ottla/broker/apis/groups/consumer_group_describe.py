"""ConsumerGroupDescribe: the state and the members of groups of the new protocol (KIP-848)."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api, Request, Response
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.security.operations import GROUP_OPERATIONS


def _handle(request: Request, message: Any) -> Response:
    if not request.broker.serves_consumer_protocol:
        raise KafkaError(ErrorCode.unsupported_version)
    owned, refused = request.broker.groups.by_shard(message.group_ids)
    now_ms = request.broker.clock.now_ms()
    described = [
        group
        for owner, group_ids in owned.items()
        for group in owner.shard.consumer_group_describe(group_ids, owner.asker(request), now_ms)
    ]
    if message.include_authorized_operations:
        for group in described:
            group["authorized_operations"] = GROUP_OPERATIONS
    return {"groups": described + [{"group_id": name, "error_code": code} for name, code in refused.items()]}


def _error(message: Any, code: ErrorCode, text: str | None) -> Response:
    return {
        "groups": [
            {"group_id": name, "error_code": code, "error_message": text} for name in message.group_ids
        ]
    }


API = Api(
    key=69, name="ConsumerGroupDescribe", versions=(0, 1), handle=_handle, error=_error, kips=(848, 1099)
)
