"""One partition of `__transaction_state`: where requests, timers and records come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from ottla.config.transactions import TransactionConfig
from ottla.coordination.runtime import (
    CancelTimer,
    CoordinatorRecord,
    Effects,
    Pending,
    Producer,
    RecordTypes,
    RequestInfo,
    SetTimer,
    TimerKey,
    once_written,
)
from ottla.coordination.transactions import end, waiting
from ottla.coordination.transactions.initialize import init_producer_id
from ottla.coordination.transactions.listing import described, listed
from ottla.coordination.transactions.markers import DueMarker, TopicPartition
from ottla.coordination.transactions.state import AT_REST, ShardState, Transaction, TransactionState
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages import describe_transactions, list_transactions
from ottla.protocol.messages.end_txn import EndTxnRequest, EndTxnResponse
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from ottla.protocol.messages.list_transactions import ListTransactionsRequest
from ottla.protocol.messages.records import transaction as records

TIMEOUTS_TIMER: Final[TimerKey] = ("timeouts",)
EXPIRATION_TIMER: Final[TimerKey] = ("expiration",)
_TIMED_OUT: Final = "timed-out"
_INT_MAX: Final = 0x7FFF_FFFF
"""The timeout of a transaction that has none (KIP-939)."""
_TOMBSTONES_MAX_BYTES: Final = 1 << 16
_EPOCH_BUMPS_SINCE_END_TXN: Final = 5


class Addition(NamedTuple):
    """Partitions that a producer writes to in its transaction."""

    transactional_id: str
    producer: Producer
    partitions: Sequence[TopicPartition]
    version: int
    """The transaction version of who asks"""


class TransactionShard:
    """The transactional ids of one partition; a `Shard` (see `ottla.coordination.runtime`)."""

    record_types = RecordTypes(records.RECORDS)

    def __init__(
        self,
        config: TransactionConfig,
        image: MetadataImage,
        new_producer_id: Callable[[], int],
        coordinator_epoch: Callable[[], int],
        send_marker: Callable[[str, Pending[DueMarker]], None],
    ) -> None:
        """The last three are what `ShardState` says of them."""
        self.state = ShardState(config, image, new_producer_id, coordinator_epoch, send_marker)

    def reconfigure(self, config: TransactionConfig) -> None:
        """Decide by changed settings from now on."""
        self.state.config = config

    # Requests of producers

    def init_producer_id(
        self, request: InitProducerIdRequest, info: RequestInfo[InitProducerIdResponse], now_ms: int
    ) -> Effects:
        """InitProducerId with a transactional id."""
        effects, producer = init_producer_id(self.state, request, now_ms)
        if producer is None:
            return effects.refuse(info, ErrorCode.concurrent_transactions)
        response = InitProducerIdResponse(
            producer_id=producer.producer_id, producer_epoch=producer.producer_epoch
        )
        return effects.reply(info, response)

    def add_partitions(self, asked: Addition, info: RequestInfo[ErrorCode], now_ms: int) -> Effects:
        """AddPartitionsToTxn, AddOffsetsToTxn: all of the partitions, or none."""
        transaction = self.state.find(asked.transactional_id)
        if transaction.is_prepared:
            # Before who asks is looked at: it may have the id already that follows this one.
            raise KafkaError(ErrorCode.concurrent_transactions)
        _check_producer(transaction, asked.producer)
        is_ongoing = transaction.state is TransactionState.ONGOING
        if is_ongoing and all(each in transaction.partitions for each in asked.partitions):
            return Effects.reply_with(info, ErrorCode.none)
        ongoing = transaction.with_partitions(asked.partitions, asked.version, now_ms)
        return self.state.write(ongoing).reply(info, ErrorCode.none)

    def verify_partitions(
        self, asked: Addition, info: RequestInfo[Mapping[TopicPartition, ErrorCode]]
    ) -> Effects:
        """AddPartitionsToTxn with `verify_only` (KIP-890): which of the partitions are in the transaction."""
        transaction = self.state.find(asked.transactional_id)
        _check_producer(transaction, asked.producer)
        if transaction.is_prepared:
            raise KafkaError(ErrorCode.concurrent_transactions)
        added = transaction.partitions
        absent = ErrorCode.transaction_abortable
        results = {each: ErrorCode.none if each in added else absent for each in asked.partitions}
        return Effects.reply_with(info, results)

    def end_txn(self, request: EndTxnRequest, info: RequestInfo[EndTxnResponse], now_ms: int) -> Effects:
        """EndTxn; answered once the end is decided, with who the producer is from then on."""
        transaction = self.state.find(request.transactional_id)
        is_bumping = info.api_version >= _EPOCH_BUMPS_SINCE_END_TXN
        asked = end.EndAsked(
            Producer(request.producer_id, request.producer_epoch),
            committed=request.committed,
            version=2 if is_bumping else 0,
        )
        effects, producer = end.end_transaction(self.state, transaction, asked, now_ms)
        response = EndTxnResponse()
        if is_bumping:
            response.producer_id, response.producer_epoch = producer
        return effects.reply(info, response)

    def await_end(
        self, transactional_id: str, info: RequestInfo[ErrorCode], now_ms: int, *, max_wait_ms: int
    ) -> Effects:
        """Wait until no transaction is being ended; not forever, so that whoever waits has to look."""
        return waiting.await_end(self.state, transactional_id, info, now_ms + max_wait_ms)

    # Administration

    def describe(
        self, transactional_id: str, info: RequestInfo[describe_transactions.TransactionState]
    ) -> Effects:
        """One entry of DescribeTransactions."""
        return Effects.reply_with(info, described(self.state, transactional_id))

    def list_transactions(
        self,
        request: ListTransactionsRequest,
        info: RequestInfo[list[list_transactions.TransactionState]],
        now_ms: int,
    ) -> Effects:
        """The entries of ListTransactions of this partition."""
        return Effects.reply_with(info, listed(self.state, request, now_ms))

    # Markers

    def markers_written(
        self, transactional_id: str, results: Mapping[TopicPartition, ErrorCode], now_ms: int
    ) -> Effects:
        """What became of a transaction's marker in each partition; an empty mapping where it was not sent."""
        return end.markers_written(self.state, transactional_id, results, now_ms)

    # Life of the shard

    def on_loaded(self, now_ms: int) -> Effects:
        """Go on with what another coordinator has left undone."""
        effects = Effects(timers=[self._next_timeouts(now_ms), self._next_expiration(now_ms)])
        for transaction in self.state.transactions.values():
            if transaction.is_prepared:
                key = (end.ENDING_TIMER, transaction.transactional_id)
                effects.timers.append(SetTimer(key, now_ms))
        return effects

    def on_unloaded(self) -> Effects:
        effects = waiting.refuse_all(self.state)
        effects.timers += [CancelTimer(TIMEOUTS_TIMER), CancelTimer(EXPIRATION_TIMER)]
        return effects

    def on_image(self, image: MetadataImage) -> Effects:
        """Markers for partitions that have gone are left out when they are next tried."""
        self.state.image = image
        return Effects()

    def on_timer(self, key: TimerKey, now_ms: int) -> Effects:
        if key == TIMEOUTS_TIMER:
            return self._find_timed_out(now_ms)
        if key == EXPIRATION_TIMER:
            return self._expire(now_ms)
        kind, transactional_id = key
        if kind == waiting.WAITING_TIMER:
            return waiting.wake_late(self.state, transactional_id, now_ms)
        if kind == end.ENDING_TIMER:
            return end.go_on(self.state, transactional_id, now_ms)
        return self._abort_timed_out(transactional_id, now_ms)

    def _find_timed_out(self, now_ms: int) -> Effects:
        # Each in a turn of its own: its record has a batch of its own, and others come in between.
        late = [each for each in self.state.transactions.values() if _is_timed_out(each, now_ms)]
        timers = [SetTimer((_TIMED_OUT, each.transactional_id), now_ms) for each in late]
        return Effects(timers=[*timers, self._next_timeouts(now_ms)])

    def _abort_timed_out(self, transactional_id: str, now_ms: int) -> Effects:
        transaction = self.state.transactions.get(transactional_id)
        if transaction is None or not _is_timed_out(transaction, now_ms):
            return Effects()
        try:
            return end.abort(self.state, transaction, now_ms)
        except KafkaError:
            return Effects()  # there is no producer id at hand: the next look will find one

    def _expire(self, now_ms: int) -> Effects:
        """Forget transactional ids that nobody used for long: as many as fit into a batch, then others."""
        unused_since_ms = now_ms - self.state.config.transactional_id_expiration_ms
        effects = Effects(timers=[self._next_expiration(now_ms)])
        size = 0
        for transaction in self.state.transactions.values():
            if transaction.state in AT_REST and transaction.last_update_ms <= unused_since_ms:
                if size > _TOMBSTONES_MAX_BYTES:
                    effects.continuations.append(once_written([SetTimer(EXPIRATION_TIMER, now_ms)]))
                    break
                key = records.TransactionLogKey(transactional_id=transaction.transactional_id)
                effects.records.append(CoordinatorRecord(key, None))
                size += 4 * len(transaction.transactional_id) + 16
        return effects

    def _next_timeouts(self, now_ms: int) -> SetTimer:
        interval_ms = self.state.config.transaction_abort_timed_out_transaction_cleanup_interval_ms
        return SetTimer(TIMEOUTS_TIMER, now_ms + interval_ms)

    def _next_expiration(self, now_ms: int) -> SetTimer:
        interval_ms = self.state.config.transaction_remove_expired_transaction_cleanup_interval_ms
        return SetTimer(EXPIRATION_TIMER, now_ms + interval_ms)

    # Records

    def replay(
        self,
        record: CoordinatorRecord,
        offset: int,  # noqa: ARG002
        timestamp_ms: int,  # noqa: ARG002
        producer_id: int = -1,  # noqa: ARG002
    ) -> None:
        key, value = record.key, record.value
        assert isinstance(key, records.TransactionLogKey)
        assert value is None or isinstance(value, records.TransactionLogValue)
        self.state.replay(key.transactional_id, value)

    def replay_transaction_end(self, producer_id: int, *, committed: bool) -> None:
        """There are no transactions in the topic of transactions."""


def _check_producer(transaction: Transaction, producer: Producer) -> None:
    if transaction.producer_id != producer.producer_id:
        raise KafkaError(ErrorCode.invalid_producer_id_mapping)
    if transaction.producer_epoch != producer.producer_epoch:
        raise KafkaError(ErrorCode.producer_fenced)


def _is_timed_out(transaction: Transaction, now_ms: int) -> bool:
    return (
        transaction.state is TransactionState.ONGOING
        and transaction.timeout_ms != _INT_MAX
        and transaction.start_ms + transaction.timeout_ms < now_ms
    )
