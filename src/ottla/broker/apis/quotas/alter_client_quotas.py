"""AlterClientQuotas: limit what users and clients may use (KIP-546)."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import NoServices
from ottla.protocol.errors import ErrorCode

_WHY = "Client quotas are not supported yet."


def _handle(_services: NoServices, _context: RequestContext, message: Any) -> Response:
    return {
        "entries": [
            {
                "error_code": ErrorCode.unsupported_version,
                "error_message": _WHY,
                "entity": [
                    {"entity_type": part.entity_type, "entity_name": part.entity_name}
                    for part in entry.entity
                ],
            }
            for entry in message.entries
        ]
    }


API = Api(
    key=49,
    name="AlterClientQuotas",
    versions=(0, 1),
    handle=_handle,
    kips=(546, 612),
    gaps=("Refused until quotas exist.",),
)
