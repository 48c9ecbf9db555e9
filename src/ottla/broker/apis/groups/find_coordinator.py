"""FindCoordinator: which broker coordinates a group or a transaction."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import GroupServices
from ottla.coordinator.groups import OFFSETS_TOPIC
from ottla.protocol.errors import ErrorCode, KafkaError

GROUP, TRANSACTION, SHARE = 0, 1, 2


async def _handle(services: GroupServices, context: RequestContext, message: Any) -> Response:
    keys = message.coordinator_keys if context.api_version >= 4 else (message.key,)
    coordinators = [await _find(services, context, message.key_type, key) for key in keys]
    if context.api_version >= 4:
        return {"coordinators": coordinators}
    del coordinators[0]["key"]
    return coordinators[0]


async def _find(services: GroupServices, context: RequestContext, key_type: int, key: str) -> dict[str, Any]:
    try:
        if key_type == TRANSACTION:
            raise KafkaError(
                ErrorCode.transactional_id_authorization_failed, "Transactions are not supported yet."
            )
        if key_type != GROUP:
            raise KafkaError(ErrorCode.invalid_request, f"Coordinator type {key_type} is not supported.")
        address = services.node.address(context.session.listener)
        if address is None:
            raise KafkaError(ErrorCode.coordinator_not_available)
        await services.internal_topics.ensure_offsets_topic(OFFSETS_TOPIC)
    except KafkaError as error:
        return {
            "key": key,
            "node_id": -1,
            "host": "",
            "port": -1,
            "error_code": error.code,
            "error_message": error.message,
        }
    return {
        "key": key,
        "node_id": services.node.node_id,
        "host": address[0],
        "port": address[1],
        "error_code": ErrorCode.none,
        "error_message": None,
    }


API = Api(
    key=10,
    name="FindCoordinator",
    versions=(0, 6),
    handle=_handle,
    kips=(699, 890, 932),
    gaps=("There is no coordinator for transactions or share groups yet.",),
)
