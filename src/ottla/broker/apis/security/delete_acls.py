"""DeleteAcls: take back what CreateAcls said."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.apis.security.describe_acls import NO_AUTHORIZER
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import NoServices
from ottla.protocol.errors import ErrorCode


def _handle(_services: NoServices, _context: RequestContext, message: Any) -> Response:
    refusal = {
        "error_code": ErrorCode.security_disabled,
        "error_message": NO_AUTHORIZER,
        "matching_acls": (),
    }
    return {"filter_results": [refusal for _ in message.filters]}


API = Api(
    key=31,
    name="DeleteAcls",
    versions=(1, 3),
    handle=_handle,
    kips=(4, 140, 290),
    gaps=("There is no authorizer yet: answered as by Kafka without one.",),
)
