"""DescribeTransactions, ListTransactions: what transactions there are (KIP-664)."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.rights import ByHandler, OnEach, itself, may
from ottla.broker.services import TransactionServices
from ottla.coordinator.shards import settled
from ottla.protocol.codes import Operation, ResourceType
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
        state = await settled(services.transactions.describe(transactional_id, client_of(context)))
        state.topics = [
            topic
            for topic in state.topics
            if may(context, Operation.DESCRIBE, ResourceType.TOPIC, topic.topic, is_asked_for=False)
        ]
        return state
    except KafkaError as error:
        return TransactionState(transactional_id=transactional_id, error_code=error.code)


async def _list(
    services: TransactionServices, context: RequestContext, message: ListTransactionsRequest
) -> ListTransactionsResponse:
    from ottla.coordination.transactions.listing import unknown_states

    states = [
        state
        for state in await services.transactions.list_transactions(message, client_of(context))
        if may(
            context,
            Operation.DESCRIBE,
            ResourceType.TRANSACTIONAL_ID,
            state.transactional_id,
            is_asked_for=False,
        )
    ]
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
        right=OnEach(
            Operation.DESCRIBE,
            ResourceType.TRANSACTIONAL_ID,
            "transactional_ids",
            lambda name, code: TransactionState(transactional_id=name, error_code=code),
            response=DescribeTransactionsResponse,
            into="transaction_states",
            name=itself,
        ),
        error=_describe_error,
        kips=(664,),
    ),
    Api(
        TransactionServices,
        ListTransactionsRequest,
        ListTransactionsResponse,
        _list,
        right=ByHandler("DESCRIBE on each transactional id for it to be listed"),
        kips=(664, 994, 1152),
    ),
)
