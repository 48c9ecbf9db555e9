"""EndTxn: commit or abort a transaction."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.apis.transactions import known_to_client
from ottla.broker.request import RequestContext
from ottla.broker.services import TransactionServices
from ottla.protocol.errors import KafkaError
from ottla.protocol.messages.end_txn import EndTxnRequest, EndTxnResponse

_FENCED_SINCE = 2


async def _handle(
    services: TransactionServices, context: RequestContext, message: EndTxnRequest
) -> EndTxnResponse:
    try:
        return await services.transactions.end_txn(message, client_of(context))
    except KafkaError as error:
        raise KafkaError(known_to_client(context, error, _FENCED_SINCE)) from error


APIS = (Api(TransactionServices, EndTxnRequest, EndTxnResponse, _handle, kips=(98, 588, 890)),)
