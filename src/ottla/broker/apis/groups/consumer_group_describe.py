"""ConsumerGroupDescribe: the state and the members of groups of the new protocol (KIP-848)."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import GroupServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.security.operations import GROUP_OPERATIONS


def _handle(services: GroupServices, context: RequestContext, message: Any) -> Response:
    if "consumer" not in services.config.value.group_coordinator_rebalance_protocols:
        raise KafkaError(ErrorCode.unsupported_version)
    owned, refused = services.groups.by_shard(message.group_ids)
    now_ms = context.received_ms
    described = [
        group
        for owner, group_ids in owned.items()
        for group in owner.shard.consumer_group_describe(group_ids, owner.asker(context), now_ms)
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
