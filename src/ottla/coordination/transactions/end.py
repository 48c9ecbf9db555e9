"""How transactions end: EndTxn, the fencing of producers, timeouts, and the markers that are written then.

The decision is recorded first, and with that the transaction is committed or aborted. Its partitions are told
by markers, as often as it takes, and when all of them have theirs the transaction is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

from ottla.coordination.runtime import Effects, Pending, Producer, Reply, SetTimer
from ottla.coordination.transactions.markers import DueMarker, TopicPartition, TxnMarker
from ottla.coordination.transactions.state import (
    COMPLETE,
    EPOCH_BUMP_SINCE,
    MAX_EPOCH,
    NO_EPOCH,
    NO_PRODUCER_ID,
    Ending,
    ShardState,
    Transaction,
    TransactionState,
)
from ottla.coordination.transactions.waiting import wake
from ottla.protocol.errors import ErrorCode, KafkaError

ENDING_TIMER: Final = "ending"
"""Kind of the timers after which the end of a transaction goes on; a transactional id follows."""
_RETRY_MS: Final = 20
_RETRY_MAX_MS: Final = 1000

_NEEDS_NONE: Final = frozenset(
    {
        ErrorCode.invalid_producer_epoch,
        ErrorCode.unsupported_for_message_format,
        ErrorCode.unsupported_version,
    }
)
"""The partition has nothing of this transaction, or is already past it: it needs no marker."""


class EndAsked(NamedTuple):
    """What EndTxn asks."""

    producer: Producer
    committed: bool
    version: int
    """The client's transaction version"""


# Decisions


def end_transaction(
    state: ShardState, transaction: Transaction, asked: EndAsked, now_ms: int
) -> tuple[Effects, Producer]:
    """Have the transaction committed or aborted, as its producer asks; who the producer is from then on.

    Raises KafkaError.
    """
    check = _check_bumping if asked.version >= EPOCH_BUMP_SINCE else _check
    wanted = TransactionState.COMPLETE_COMMIT if asked.committed else TransactionState.COMPLETE_ABORT
    if check(transaction, asked.producer, wanted):
        return Effects(), transaction.producer
    to = TransactionState.PREPARE_COMMIT if asked.committed else TransactionState.PREPARE_ABORT
    return _prepare(state, transaction, to, asked.version, now_ms)


def _check(transaction: Transaction, producer: Producer, wanted: TransactionState) -> bool:
    """Whether the transaction has ended already as it is `wanted` to; KafkaError where it can't."""
    if transaction.producer_id != producer.producer_id:
        raise KafkaError(ErrorCode.invalid_producer_id_mapping)
    if transaction.producer_epoch != producer.producer_epoch:
        raise KafkaError(ErrorCode.producer_fenced)
    if transaction.is_prepared:
        raise KafkaError(ErrorCode.concurrent_transactions)
    if transaction.state is TransactionState.ONGOING:
        return False
    if transaction.state is not wanted:
        raise KafkaError(ErrorCode.invalid_txn_state)
    return True


def _check_bumping(transaction: Transaction, producer: Producer, wanted: TransactionState) -> bool:
    """The same where each end bumps the epoch, so that it tells a retry from the next transaction's end.

    A producer that does not know whether its transaction had begun may abort it.
    """
    if transaction.is_prepared:
        raise KafkaError(ErrorCode.concurrent_transactions)
    is_rotated = (
        producer == (transaction.previous_producer_id, MAX_EPOCH - 1)
        and transaction.producer_epoch == 0
        and transaction.producer_id != producer.producer_id
    )
    if transaction.producer_id != producer.producer_id and not is_rotated:
        raise KafkaError(ErrorCode.invalid_producer_id_mapping)
    # An end of an older client has bumped no epoch: who asks then is a zombie, and not told the newer one.
    is_retry = (transaction.state in COMPLETE and transaction.client_version >= EPOCH_BUMP_SINCE) and (
        is_rotated or transaction.producer_epoch == producer.producer_epoch + 1
    )
    if not is_retry and transaction.producer_epoch != producer.producer_epoch:
        raise KafkaError(ErrorCode.producer_fenced)
    if is_retry:
        if transaction.state is not wanted:
            raise KafkaError(ErrorCode.invalid_txn_state)
        return True
    if wanted is TransactionState.COMPLETE_COMMIT and transaction.state is not TransactionState.ONGOING:
        raise KafkaError(ErrorCode.invalid_txn_state)
    return False


def abort(state: ShardState, transaction: Transaction, now_ms: int) -> Effects:
    """Abort an ongoing transaction, and fence its producer. Raises KafkaError where there is no new id."""
    version = state.transaction_version
    if version >= EPOCH_BUMP_SINCE:
        return _prepare(state, transaction, TransactionState.PREPARE_ABORT, version, now_ms)[0]
    return _begin_ending(state, transaction.fenced(now_ms), NO_EPOCH)


def _prepare(
    state: ShardState, transaction: Transaction, to: TransactionState, version: int, now_ms: int
) -> tuple[Effects, Producer]:
    is_bumped = version >= EPOCH_BUMP_SINCE
    is_rotated = is_bumped and transaction.is_exhausted
    next_producer_id = state.new_producer_id() if is_rotated else NO_PRODUCER_ID
    prepared = transaction.prepared(to, version, next_producer_id, now_ms)
    effects = _begin_ending(state, prepared, transaction.producer_epoch if is_bumped else None)
    return effects, prepared.completed(now_ms).producer


# What follows from them


def _begin_ending(state: ShardState, prepared: Transaction, last_epoch: int | None) -> Effects:
    effects = state.write(prepared, last_epoch)
    effects.continuations.append(partial(_on_prepared, state, prepared.transactional_id))
    return effects


def _on_prepared(state: ShardState, transactional_id: str, error: KafkaError | None, now_ms: int) -> Effects:
    return go_on(state, transactional_id, now_ms) if error is None else Effects()


def go_on(state: ShardState, transactional_id: str, now_ms: int) -> Effects:
    """Have the markers written that a prepared transaction lacks, or complete it where it lacks none.

    The marker leaves as an answer does: not before the decision is committed.
    """
    transaction = state.transactions.get(transactional_id)
    if transaction is None or not transaction.is_prepared:
        return Effects()
    ending = state.endings.get(transactional_id)
    if ending is None:
        ending = state.endings[transactional_id] = Ending(dict(transaction.partitions))
    if not ending.unmarked:
        return _complete(state, transaction, ending, now_ms)
    marker = TxnMarker(
        transaction.producer,
        committed=transaction.state is TransactionState.PREPARE_COMMIT,
        partitions=tuple(ending.unmarked),
        coordinator_epoch=state.coordinator_epoch(),
        transaction_version=transaction.client_version,
    )
    order: Pending[DueMarker] = Pending()
    order.on_given = partial(state.send_marker, transactional_id, order)
    return Effects(replies=[Reply(order, DueMarker(transactional_id, marker))])


def markers_written(
    state: ShardState, transactional_id: str, results: Mapping[TopicPartition, ErrorCode], now_ms: int
) -> Effects:
    """Take note of what became of the markers; an empty mapping is that none could be sent."""
    transaction, ending = state.transactions.get(transactional_id), state.endings.get(transactional_id)
    if transaction is None or ending is None or not transaction.is_prepared:
        return Effects()
    for partition, code in results.items():
        is_gone = code is ErrorCode.unknown_topic_or_partition and not _exists(state, partition)
        if code is ErrorCode.none or code in _NEEDS_NONE or is_gone:
            ending.unmarked.pop(partition, None)
    if not ending.unmarked:
        return _complete(state, transaction, ending, now_ms)
    if ErrorCode.transaction_coordinator_fenced in results.values():
        return Effects()  # another one is at it already, and will not be disturbed
    return _try_again(ending, transactional_id, now_ms)


def _complete(state: ShardState, transaction: Transaction, ending: Ending, now_ms: int) -> Effects:
    effects = state.write(transaction.completed(now_ms))
    effects.continuations.append(partial(_on_completed, state, transaction.transactional_id, ending))
    return effects


def _on_completed(
    state: ShardState, transactional_id: str, ending: Ending, error: KafkaError | None, now_ms: int
) -> Effects:
    if error is not None:
        return _try_again(ending, transactional_id, now_ms)
    state.endings.pop(transactional_id, None)
    return wake(state, transactional_id)


def _try_again(ending: Ending, transactional_id: str, now_ms: int) -> Effects:
    delay_ms = min(_RETRY_MS << min(ending.attempts, 10), _RETRY_MAX_MS)
    ending.attempts += 1
    return Effects(timers=[SetTimer((ENDING_TIMER, transactional_id), now_ms + delay_ms)])


def _exists(state: ShardState, partition: TopicPartition) -> bool:
    name, number = partition
    topic = state.image.topics.get(name)
    return topic is not None and number < len(topic.partitions)
