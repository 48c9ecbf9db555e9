"""InitProducerId: an identity for an idempotent producer."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import TransactionServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse


async def _handle(
    services: TransactionServices, _context: RequestContext, message: InitProducerIdRequest
) -> InitProducerIdResponse:
    if (message.producer_id == -1) != (message.producer_epoch == -1):
        raise KafkaError(ErrorCode.invalid_request)
    if message.transactional_id is not None:
        if not message.transactional_id:
            raise KafkaError(ErrorCode.invalid_request)
        raise KafkaError(ErrorCode.transactional_id_authorization_failed)
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
        error=_error,
        kips=(98, 360, 588, 890),
        gaps=("A transactional id is refused until the transaction coordinator exists.",),
    ),
)
