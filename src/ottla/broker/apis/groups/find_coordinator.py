"""FindCoordinator: which broker coordinates a group or a transaction."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api, Request, Response
from ottla.coordinator.groups import OFFSETS_TOPIC
from ottla.protocol.errors import ErrorCode, KafkaError

GROUP, TRANSACTION, SHARE = 0, 1, 2


async def _handle(request: Request, message: Any) -> Response:
    keys = message.coordinator_keys if request.api_version >= 4 else (message.key,)
    coordinators = [await _find(request, message.key_type, key) for key in keys]
    if request.api_version >= 4:
        return {"coordinators": coordinators}
    del coordinators[0]["key"]
    return coordinators[0]


async def _find(request: Request, key_type: int, key: str) -> dict[str, Any]:
    broker = request.broker
    try:
        if key_type == TRANSACTION:
            raise KafkaError(
                ErrorCode.transactional_id_authorization_failed, "Transactions are not supported yet."
            )
        if key_type != GROUP:
            raise KafkaError(ErrorCode.invalid_request, f"Coordinator type {key_type} is not supported.")
        await broker.controller.ensure_offsets_topic(OFFSETS_TOPIC)
    except KafkaError as error:
        return {
            "key": key,
            "node_id": -1,
            "host": "",
            "port": -1,
            "error_code": error.code,
            "error_message": error.message,
        }
    host, port = broker.advertised_address
    return {
        "key": key,
        "node_id": broker.node_id,
        "host": host,
        "port": port,
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
