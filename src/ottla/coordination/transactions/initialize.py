"""InitProducerId: a producer takes a transactional id and fences who had it before (KIP-98, KIP-360)."""

from __future__ import annotations

from ottla.coordination.runtime import Effects, Producer
from ottla.coordination.transactions.end import abort
from ottla.coordination.transactions.state import (
    MAX_EPOCH,
    NO_EPOCH,
    NO_PRODUCER_ID,
    ShardState,
    Transaction,
    TransactionState,
)
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest


def init_producer_id(
    state: ShardState, request: InitProducerIdRequest, now_ms: int
) -> tuple[Effects, Producer | None]:
    """Who may begin transactions from now on; None while an ongoing one is being aborted for it.

    Raises KafkaError.
    """
    transactional_id, timeout_ms = request.transactional_id, request.transaction_timeout_ms
    if not transactional_id:
        raise KafkaError(ErrorCode.invalid_request)
    if not 0 < timeout_ms <= state.config.transaction_max_timeout_ms:
        raise KafkaError(ErrorCode.invalid_transaction_timeout)
    transaction = state.transactions.get(transactional_id)
    if transaction is None:
        transaction = Transaction(
            transactional_id=transactional_id,
            producer_id=state.new_producer_id(),
            timeout_ms=timeout_ms,
            last_update_ms=now_ms,
        )
    if transaction.is_prepared:
        raise KafkaError(ErrorCode.concurrent_transactions)
    expected = Producer(request.producer_id, request.producer_epoch)
    is_expecting = expected.producer_id != NO_PRODUCER_ID
    if is_expecting and not _may_go_on(transaction, expected):
        raise KafkaError(ErrorCode.producer_fenced)
    if transaction.state is TransactionState.ONGOING:
        # The epoch of this abort is never given to anyone: whoever asks again gets the next one.
        return abort(state, transaction, now_ms), None
    producer, last_epoch = _next_producer(state, transaction, expected if is_expecting else None)
    return state.write(transaction.initialized(producer, timeout_ms, now_ms), last_epoch), producer


def _may_go_on(transaction: Transaction, expected: Producer) -> bool:
    """Whether a producer that has an id and epoch already is not one of another time (KIP-360)."""
    if transaction.producer_epoch == NO_EPOCH or expected.producer_id == transaction.producer_id:
        return True
    # It may ask again for the id that followed the last epoch of its own, having missed the answer.
    return (
        expected.producer_id == transaction.previous_producer_id and expected.producer_epoch >= MAX_EPOCH - 1
    )


def _next_producer(
    state: ShardState, transaction: Transaction, expected: Producer | None
) -> tuple[Producer, int]:
    """The next producer of a transactional id, and the epoch that may ask for it again."""
    epoch, last_epoch = transaction.producer_epoch, NO_EPOCH
    if expected is not None:
        last_epoch = state.last_epochs.get(transaction.transactional_id, NO_EPOCH)
        if epoch not in {NO_EPOCH, expected.producer_epoch}:
            if expected.producer_epoch != last_epoch:
                raise KafkaError(ErrorCode.producer_fenced)
            return transaction.producer, last_epoch  # asked again
        last_epoch = epoch
    if transaction.is_exhausted:
        return Producer(state.new_producer_id(), 0), last_epoch
    return Producer(transaction.producer_id, epoch + 1), last_epoch
