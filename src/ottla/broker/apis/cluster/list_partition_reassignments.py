"""ListPartitionReassignments: replica moves that are under way (KIP-455)."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import ClusterServices
from ottla.protocol.errors import ErrorCode


def _handle(_services: ClusterServices, _context: RequestContext, _message: Any) -> Response:
    return {"error_code": ErrorCode.none, "topics": []}


API = Api(
    key=46,
    name="ListPartitionReassignments",
    versions=(0, 0),
    handle=_handle,
    kips=(455,),
    gaps=("Always empty: with one broker nothing moves.",),
)
