"""DescribeAcls: who may do what."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import NoServices
from ottla.protocol.errors import ErrorCode, KafkaError

NO_AUTHORIZER = "No Authorizer is configured."


def _handle(_services: NoServices, _context: RequestContext, _message: Any) -> Response:
    raise KafkaError(ErrorCode.security_disabled, NO_AUTHORIZER)


API = Api(
    key=29,
    name="DescribeAcls",
    versions=(1, 3),
    handle=_handle,
    kips=(4, 140, 290),
    gaps=("There is no authorizer yet: answered as by Kafka without one.",),
)
