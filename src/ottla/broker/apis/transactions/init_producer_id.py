"""InitProducerId: an identity for an idempotent producer, or for the only one with a transactional id."""

from __future__ import annotations

from functools import partial

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.apis.transactions import refuse
from ottla.broker.request import RequestContext
from ottla.broker.rights import ByHandler, may, may_with_some, require
from ottla.broker.services import TransactionServices
from ottla.coordinator.shards import Answered, unless_refused
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse

_FENCED_SINCE = 4


def _handle(
    services: TransactionServices, context: RequestContext, message: InitProducerIdRequest
) -> Answered[InitProducerIdResponse]:
    if message.transactional_id is not None:
        require(context, Operation.WRITE, ResourceType.TRANSACTIONAL_ID, message.transactional_id)
    elif not may(
        context, Operation.IDEMPOTENT_WRITE, ResourceType.CLUSTER, is_asked_for=False
    ) and not may_with_some(context, Operation.WRITE, ResourceType.TOPIC):
        raise KafkaError(ErrorCode.cluster_authorization_failed)
    if (message.producer_id == -1) != (message.producer_epoch == -1):
        raise KafkaError(ErrorCode.invalid_request)
    if message.transactional_id is None:
        return _without_transactions(services)
    return unless_refused(
        lambda: services.transactions.init_producer_id(message, client_of(context)),
        partial(refuse, context, _FENCED_SINCE),
    )


async def _without_transactions(services: TransactionServices) -> InitProducerIdResponse:
    producer_id = await services.producer_ids.next_producer_id()
    return InitProducerIdResponse(producer_id=producer_id, producer_epoch=0)


def _error(_message: InitProducerIdRequest, code: ErrorCode, _text: str | None) -> InitProducerIdResponse:
    return InitProducerIdResponse(error_code=code, producer_id=-1, producer_epoch=-1)


APIS = (
    Api(
        TransactionServices,
        InitProducerIdRequest,
        InitProducerIdResponse,
        _handle,
        right=ByHandler(
            "WRITE on the transactional id; without one IDEMPOTENT_WRITE on the cluster, or WRITE on a topic"
        ),
        error=_error,
        kips=(98, 360, 588, 890),
    ),
)
