"""DescribeTransactions, ListTransactions: what transactions there are (KIP-664)."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.services import TransactionServices
from ottla.coordinator.shards import settled
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TransactionState,
)
from ottla.protocol.messages.list_transactions import ListTransactionsRequest, ListTransactionsResponse


async def _describe(
    services: TransactionServices, context: RequestContext, message: DescribeTransactionsRequest
) -> DescribeTransactionsResponse:
    states = [await _describe_one(services, context, each) for each in message.transactional_ids]
    return DescribeTransactionsResponse(transaction_states=states)


async def _describe_one(
    services: TransactionServices, context: RequestContext, transactional_id: str
) -> TransactionState:
    try:
        return await settled(services.transactions.describe(transactional_id, client_of(context)))
    except KafkaError as error:
        return TransactionState(transactional_id=transactional_id, error_code=error.code)


async def _list(
    services: TransactionServices, context: RequestContext, message: ListTransactionsRequest
) -> ListTransactionsResponse:
    from ottla.coordination.transactions.listing import unknown_states

    states = await services.transactions.list_transactions(message, client_of(context))
    return ListTransactionsResponse(unknown_state_filters=unknown_states(message), transaction_states=states)


def _describe_error(
    message: DescribeTransactionsRequest, code: ErrorCode, _text: str | None
) -> DescribeTransactionsResponse:
    states = [TransactionState(transactional_id=each, error_code=code) for each in message.transactional_ids]
    return DescribeTransactionsResponse(transaction_states=states)


APIS = (
    Api(
        TransactionServices,
        DescribeTransactionsRequest,
        DescribeTransactionsResponse,
        _describe,
        error=_describe_error,
        kips=(664,),
    ),
    Api(
        TransactionServices,
        ListTransactionsRequest,
        ListTransactionsResponse,
        _list,
        kips=(664, 994, 1152),
    ),
)
