"""How transactions are shown: DescribeTransactions and ListTransactions (KIP-664, KIP-994, KIP-1152)."""

from __future__ import annotations

from ottla.coordination.patterns import matching_names
from ottla.coordination.transactions.state import ShardState, Transaction, TransactionState
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages import describe_transactions, list_transactions
from ottla.protocol.messages.list_transactions import ListTransactionsRequest

_BY_NAME = {state.shown: state for state in TransactionState}


def described(state: ShardState, transactional_id: str) -> describe_transactions.TransactionState:
    """One entry of DescribeTransactions. Raises KafkaError."""
    if not transactional_id:
        raise KafkaError(ErrorCode.invalid_request)
    transaction = state.transactions.get(transactional_id)
    if transaction is None:
        raise KafkaError(ErrorCode.transactional_id_not_found)
    ending = state.endings.get(transactional_id)
    topics: dict[str, list[int]] = {}
    for topic, number in transaction.partitions if ending is None else ending.unmarked:
        topics.setdefault(topic, []).append(number)
    return describe_transactions.TransactionState(
        transactional_id=transactional_id,
        transaction_state=transaction.state.shown,
        transaction_timeout_ms=transaction.timeout_ms,
        transaction_start_time_ms=transaction.start_ms,
        producer_id=transaction.producer_id,
        producer_epoch=transaction.producer_epoch,
        topics=[
            describe_transactions.TopicData(topic=topic, partitions=numbers)
            for topic, numbers in topics.items()
        ],
    )


def unknown_states(request: ListTransactionsRequest) -> list[str]:
    """The filters that are no state's name."""
    return [name for name in dict.fromkeys(request.state_filters) if name not in _BY_NAME]


def listed(
    state: ShardState, request: ListTransactionsRequest, now_ms: int
) -> list[list_transactions.TransactionState]:
    """Those that pass all filters; an empty one lets all pass.

    Raises KafkaError(invalid_regular_expression).
    """
    states = {_BY_NAME.get(name) for name in request.state_filters}
    producer_ids = frozenset(request.producer_id_filters)

    def passes(transaction: Transaction) -> bool:
        duration_ms = now_ms - transaction.start_ms
        return (
            (not producer_ids or transaction.producer_id in producer_ids)
            and (not states or transaction.state in states)
            and not 0 <= request.duration_filter >= duration_ms
        )

    passing = [each for each in state.transactions.values() if passes(each)]
    if request.transactional_id_pattern:
        names = [each.transactional_id for each in passing]
        matching = matching_names(request.transactional_id_pattern, names, "Transaction ID pattern")
        passing = [each for each in passing if each.transactional_id in matching]
    return [
        list_transactions.TransactionState(
            transactional_id=each.transactional_id,
            producer_id=each.producer_id,
            transaction_state=each.state.shown,
        )
        for each in passing
    ]
