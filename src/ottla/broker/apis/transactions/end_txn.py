"""EndTxn: commit or abort a transaction."""

from __future__ import annotations

from functools import partial

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.apis.transactions import refuse
from ottla.broker.request import RequestContext
from ottla.broker.rights import OnNamed
from ottla.broker.services import TransactionServices
from ottla.coordinator.shards import Answered, unless_refused
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.messages.end_txn import EndTxnRequest, EndTxnResponse

_FENCED_SINCE = 2


def _handle(
    services: TransactionServices, context: RequestContext, message: EndTxnRequest
) -> Answered[EndTxnResponse]:
    return unless_refused(
        lambda: services.transactions.end_txn(message, client_of(context)),
        partial(refuse, context, _FENCED_SINCE),
    )


APIS = (
    Api(
        TransactionServices,
        EndTxnRequest,
        EndTxnResponse,
        _handle,
        right=OnNamed[EndTxnRequest](
            Operation.WRITE, ResourceType.TRANSACTIONAL_ID, lambda message: message.transactional_id
        ),
        kips=(98, 588, 890),
    ),
)
