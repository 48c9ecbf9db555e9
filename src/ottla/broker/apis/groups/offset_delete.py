"""OffsetDelete: forget positions of partitions that a group no longer reads (KIP-496)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import GroupServices
from ottla.coordinator.groups import Answered

if TYPE_CHECKING:  # loaded with the first request
    from ottla.protocol.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteResponse


def _handle(
    services: GroupServices, context: RequestContext, message: OffsetDeleteRequest
) -> Answered[OffsetDeleteResponse]:
    return services.groups.offset_delete(message, client_of(context))


API = Api(key=47, name="OffsetDelete", versions=(0, 0), handle=_handle, kips=(496,))
