"""ListGroups: every group, filtered by state and type (KIP-518, KIP-848)."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api, Request, Response
from ottla.protocol.errors import ErrorCode


def _handle(request: Request, message: Any) -> Response:
    return {
        "error_code": ErrorCode.none,
        "groups": [
            group
            for owner in request.broker.groups.shards
            for group in owner.shard.list_groups(message.states_filter, message.types_filter)
        ],
    }


API = Api(key=16, name="ListGroups", versions=(0, 5), handle=_handle, kips=(518, 848))
