"""ListGroups: every group, filtered by state and type (KIP-518, KIP-848)."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import GroupServices
from ottla.protocol.errors import ErrorCode


def _handle(services: GroupServices, _context: RequestContext, message: Any) -> Response:
    return {
        "error_code": ErrorCode.none,
        "groups": [
            group
            for owner in services.groups.shards
            for group in owner.shard.list_groups(message.states_filter, message.types_filter)
        ],
    }


API = Api(key=16, name="ListGroups", versions=(0, 5), handle=_handle, kips=(518, 848))
