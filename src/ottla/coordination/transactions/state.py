"""What the coordinator knows of a transactional id, and how it may change.

A `Transaction` never changes: a transition gives the next one, whose record makes it the current one when it
is replayed. The names and numbers are those of Kafka's records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from ottla.config.transactions import TransactionConfig
from ottla.coordination.runtime import CoordinatorRecord, Effects, Pending, Producer, RequestInfo
from ottla.coordination.transactions.markers import DueMarker, TopicPartition
from ottla.metadata import model
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.records.transaction import (
    PartitionsSchema,
    TransactionLogKey,
    TransactionLogValue,
)

NO_PRODUCER_ID: Final = -1
NO_EPOCH: Final = -1
MAX_EPOCH: Final = 0x7FFF
EPOCH_BUMP_SINCE: Final = 2
"""The transaction version from which every end bumps the epoch (KIP-890)."""


class TransactionState(IntEnum):
    """Where a transaction stands, by the number in its records."""

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5
    DEAD = 6
    """Never recorded: expired, until its tombstone is replayed."""
    PREPARE_EPOCH_FENCE = 7
    """Never recorded: ongoing, and about to be aborted for a newer producer or by its timeout."""

    @property
    def shown(self) -> str:
        """As DescribeTransactions spells it: `PrepareCommit`."""
        return self.name.title().replace("_", "")


_EMPTY, _ONGOING = TransactionState.EMPTY, TransactionState.ONGOING
_PREPARE_COMMIT, _PREPARE_ABORT = TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT
_COMPLETE_COMMIT, _COMPLETE_ABORT = TransactionState.COMPLETE_COMMIT, TransactionState.COMPLETE_ABORT
_DEAD, _FENCE = TransactionState.DEAD, TransactionState.PREPARE_EPOCH_FENCE

COMPLETE: Final = (_COMPLETE_COMMIT, _COMPLETE_ABORT)
PREPARED: Final = (_PREPARE_COMMIT, _PREPARE_ABORT)
AT_REST: Final = (_EMPTY, *COMPLETE)
"""Nothing is under way: a producer may begin, a transactional id may expire."""

TRANSITIONS: Final[Mapping[TransactionState, tuple[TransactionState, ...]]] = MappingProxyType(
    {
        #                 may become
        _EMPTY:           (_EMPTY, _ONGOING, _PREPARE_ABORT, _DEAD),
        _ONGOING:         (_ONGOING, _PREPARE_COMMIT, _PREPARE_ABORT, _FENCE),
        _PREPARE_COMMIT:  (_COMPLETE_COMMIT,),
        _PREPARE_ABORT:   (_COMPLETE_ABORT,),
        _COMPLETE_COMMIT: (_EMPTY, _ONGOING, _PREPARE_ABORT, _DEAD),
        _COMPLETE_ABORT:  (_EMPTY, _ONGOING, _PREPARE_ABORT, _DEAD),
        _DEAD:            (),
        _FENCE:           (_PREPARE_ABORT,),
    }
)  # fmt: skip
"""Which state may follow which."""

Partitions: TypeAlias = Mapping[TopicPartition, None]
"""In the order in which they were added."""


class Transaction(NamedTuple):
    """A transactional id at one moment. Times are in milliseconds since the epoch."""

    transactional_id: str
    producer_id: int
    timeout_ms: int
    last_update_ms: int
    previous_producer_id: int = NO_PRODUCER_ID
    """Of the state before this one: it differs right after the id was rotated."""
    next_producer_id: int = NO_PRODUCER_ID
    """While prepared, the id to go on with after the last epoch of this one."""
    producer_epoch: int = NO_EPOCH
    state: TransactionState = _EMPTY
    partitions: Partitions = MappingProxyType({})
    start_ms: int = -1
    client_version: int = 0
    """The transaction version that began, or ended, the transaction."""

    @property
    def producer(self) -> Producer:
        return Producer(self.producer_id, self.producer_epoch)

    @property
    def is_prepared(self) -> bool:
        """How it ends is decided, and its markers are still to be written."""
        return self.state in PREPARED

    @property
    def is_exhausted(self) -> bool:
        """The next epoch is only for fencing the producer: a new id is due."""
        return self.producer_epoch >= MAX_EPOCH - 1

    def initialized(self, producer: Producer, timeout_ms: int, now_ms: int) -> Transaction:
        """Empty, for this producer."""
        return self._replace(
            state=self._to(_EMPTY),
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            previous_producer_id=self.producer_id,
            timeout_ms=timeout_ms,
            partitions={},
            start_ms=-1,
            last_update_ms=now_ms,
        )

    def with_partitions(self, added: Iterable[TopicPartition], version: int, now_ms: int) -> Transaction:
        """Ongoing, in these partitions too."""
        return self._replace(
            state=self._to(_ONGOING),
            previous_producer_id=self.producer_id,
            partitions={**self.partitions, **dict.fromkeys(added)},
            start_ms=now_ms if self.state in AT_REST else self.start_ms,
            last_update_ms=now_ms,
            client_version=version,
        )

    def prepared(self, to: TransactionState, version: int, next_producer_id: int, now_ms: int) -> Transaction:
        """About to commit or to abort; from version 2 on the epoch ends with the transaction (KIP-890)."""
        is_bumped = version >= EPOCH_BUMP_SINCE and self.producer_epoch < MAX_EPOCH
        return self._replace(
            state=self._to(to),
            previous_producer_id=self.producer_id,
            next_producer_id=next_producer_id,
            producer_epoch=self.producer_epoch + is_bumped,
            # Version 2 aborts also what has not begun, and it has to have begun some time.
            start_ms=now_ms if self.state in AT_REST else self.start_ms,
            last_update_ms=now_ms,
            client_version=version,
        )

    def fenced(self, now_ms: int) -> Transaction:
        """About to abort, under an epoch that no producer has; before version 2, where every end has one."""
        return self._replace(
            state=self._to(_FENCE, _PREPARE_ABORT),
            previous_producer_id=self.producer_id,
            producer_epoch=min(self.producer_epoch + 1, MAX_EPOCH),
            last_update_ms=now_ms,
            client_version=0,
        )

    def completed(self, now_ms: int) -> Transaction:
        """Over, with the producer that may begin the next one."""
        is_rotated = self.client_version >= EPOCH_BUMP_SINCE and self.next_producer_id != NO_PRODUCER_ID
        return self._replace(
            state=self._to(_COMPLETE_COMMIT if self.state is _PREPARE_COMMIT else _COMPLETE_ABORT),
            producer_id=self.next_producer_id if is_rotated else self.producer_id,
            producer_epoch=0 if is_rotated else self.producer_epoch,
            previous_producer_id=self.producer_id,
            next_producer_id=NO_PRODUCER_ID,
            partitions={},
            last_update_ms=now_ms,
        )

    def _to(self, *steps: TransactionState) -> TransactionState:
        at = self.state
        for step in steps:
            assert step in TRANSITIONS[at], f"{self.transactional_id} from {at.name} to {step.name}"
            at = step
        return at


# Records


def record_of(transaction: Transaction, log_version: int) -> CoordinatorRecord:
    """What makes this the current state; `log_version` is 0 before transaction version 1."""
    by_topic: dict[str, list[int]] = {}
    for topic, number in transaction.partitions:
        by_topic.setdefault(topic, []).append(number)
    is_empty = transaction.state is _EMPTY
    value = TransactionLogValue(
        producer_id=transaction.producer_id,
        previous_producer_id=transaction.previous_producer_id,
        next_producer_id=transaction.next_producer_id,
        producer_epoch=transaction.producer_epoch,
        transaction_timeout_ms=transaction.timeout_ms,
        transaction_status=transaction.state,
        transaction_partitions=None
        if is_empty
        else [PartitionsSchema(topic=topic, partition_ids=numbers) for topic, numbers in by_topic.items()],
        transaction_last_update_timestamp_ms=transaction.last_update_ms,
        transaction_start_timestamp_ms=transaction.start_ms,
        client_transaction_version=transaction.client_version,
    )
    return CoordinatorRecord(
        TransactionLogKey(transactional_id=transaction.transactional_id), value, log_version
    )


def transaction_of(transactional_id: str, value: TransactionLogValue) -> Transaction:
    """The state that a record tells. Raises KafkaError(corrupt_message) for one that is never recorded."""
    status = value.transaction_status
    if not _EMPTY <= status <= _COMPLETE_ABORT:
        raise KafkaError(ErrorCode.corrupt_message, f"transaction {transactional_id} in state {status}")
    partitions = {
        (each.topic, number): None
        for each in value.transaction_partitions or ()
        for number in each.partition_ids
    }
    return Transaction(
        transactional_id=transactional_id,
        producer_id=value.producer_id,
        previous_producer_id=value.previous_producer_id,
        next_producer_id=value.next_producer_id,
        producer_epoch=value.producer_epoch,
        timeout_ms=value.transaction_timeout_ms,
        state=TransactionState(status),
        partitions=partitions,
        start_ms=value.transaction_start_timestamp_ms,
        last_update_ms=value.transaction_last_update_timestamp_ms,
        client_version=value.client_transaction_version,
    )


# The shard


class Waiting(NamedTuple):
    """Somebody who waits for the end of a transaction."""

    info: RequestInfo[ErrorCode]
    deadline_ms: int


@dataclass(slots=True)
class Ending:
    """How far the end of a prepared transaction has come."""

    unmarked: dict[TopicPartition, None]
    """The partitions that are still without its marker."""
    attempts: int = 0
    """How often in a row something failed that is tried again."""


@dataclass(slots=True)
class ShardState:
    """What one partition of `__transaction_state` holds, and what its decisions depend on."""

    config: TransactionConfig
    image: MetadataImage
    new_producer_id: Callable[[], int]
    """Raises KafkaError(coordinator_load_in_progress) where there is none at hand."""
    coordinator_epoch: Callable[[], int]
    """The leader epoch of the partition."""
    send_marker: Callable[[str, Pending[DueMarker]], None]
    """Called with a transactional id, and its marker, or why what it tells could not be committed."""
    transactions: dict[str, Transaction] = field(default_factory=dict)

    # What no record has, as in Kafka: lost with this broker, at no cost but a little time.
    last_epochs: dict[str, int] = field(default_factory=dict)
    """By transactional id, the epoch before the current one, where the producer that had it may go on."""
    endings: dict[str, Ending] = field(default_factory=dict)
    """Of prepared transactions."""
    waiting: dict[str, list[Waiting]] = field(default_factory=dict)
    """By transactional id."""

    @property
    def transaction_version(self) -> int:
        """The finalized level of the feature: what is done without a client is done by this version."""
        return self.image.features.get(model.TRANSACTION_VERSION, 0)

    def find(self, transactional_id: str) -> Transaction:
        """Raises KafkaError: invalid_request for no id, invalid_producer_id_mapping for an unknown one."""
        if not transactional_id:
            raise KafkaError(ErrorCode.invalid_request)
        transaction = self.transactions.get(transactional_id)
        if transaction is None:
            raise KafkaError(ErrorCode.invalid_producer_id_mapping)
        return transaction

    def write(self, transaction: Transaction, last_epoch: int | None = None) -> Effects:
        """Make this the current state; with `last_epoch`, have the producer before it go on, or, -1, not."""
        effects = Effects(records=[record_of(transaction, 1 if self.transaction_version >= 1 else 0)])
        if last_epoch is not None:
            effects.continuations.append(partial(self._note_epoch, transaction.transactional_id, last_epoch))
        return effects

    def _note_epoch(
        self, transactional_id: str, last_epoch: int, error: KafkaError | None, _now_ms: int
    ) -> Effects:
        if error is not None:
            return Effects()
        if last_epoch == NO_EPOCH:
            self.last_epochs.pop(transactional_id, None)
        else:
            self.last_epochs[transactional_id] = last_epoch
        return Effects()

    def replay(self, transactional_id: str, value: TransactionLogValue | None) -> None:
        """Take in one record."""
        if value is None:
            self.transactions.pop(transactional_id, None)
            self.last_epochs.pop(transactional_id, None)
        else:
            self.transactions[transactional_id] = transaction_of(transactional_id, value)
