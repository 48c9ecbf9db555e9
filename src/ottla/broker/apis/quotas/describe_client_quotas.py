"""DescribeClientQuotas: the limits that were set for users and clients (KIP-546)."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import NoServices
from ottla.protocol.errors import ErrorCode, KafkaError

ENTITY_TYPES = frozenset({"user", "client-id", "ip"})
MATCH_TYPES = frozenset({0, 1, 2})


def _handle(_services: NoServices, _context: RequestContext, message: Any) -> Response:
    for component in message.components:
        if component.entity_type not in ENTITY_TYPES:
            raise KafkaError(
                ErrorCode.unsupported_version, f"Custom entity type '{component.entity_type}' not supported"
            )
        if component.match_type not in MATCH_TYPES:
            raise KafkaError(ErrorCode.invalid_request, f"Unexpected match type: {component.match_type}")
    return {"error_code": ErrorCode.none, "entries": []}


def _error(_message: Any, code: ErrorCode, text: str | None) -> Response:
    return {"error_code": code, "error_message": text, "entries": None}


API = Api(
    key=48,
    name="DescribeClientQuotas",
    versions=(0, 1),
    handle=_handle,
    error=_error,
    kips=(546, 612),
    gaps=("Always empty until quotas exist.",),
)
