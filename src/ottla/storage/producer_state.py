"""What one partition knows of its idempotent and transactional producers (KIP-98, KIP-360, KIP-890).

The leader asks `check` before it appends a producer's batch and tells `update` or `end_transaction` after the
write; a follower and recovery only `replay`. The object is pure state in memory: `producer_snapshots` keeps
it on disk.

Sequence numbers count a producer's records in the partition, wrap to 0 after 2**31 - 1 and start at 0 in each
epoch. The last five batches of a producer are remembered, as many as a client keeps in flight, so that a
retried batch is recognised and answered with the offset it already has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import NO_PRODUCER_EPOCH, NO_SEQUENCE, NO_TIMESTAMP, BatchHeader
from ottla.records.markers import ControlMarker
from ottla.storage.verification import EXEMPT, Verification, Verifications

__all__ = [
    "BATCHES_RETAINED",
    "BatchMetadata",
    "CompletedTxn",
    "LastRecord",
    "ProducerDescription",
    "ProducerEntry",
    "ProducerState",
]

BATCHES_RETAINED: Final = 5
_SEQUENCE_MASK: Final = 0x7FFF_FFFF
_TRANSACTIONAL: Final = 0x10
# transaction.version from which a marker's epoch is one above the data's (KIP-890)
_STRICT_MARKERS_FROM: Final = 2
_MAX_EPOCH: Final = 0x7FFF

_new_tuple: Final = tuple.__new__


class BatchMetadata(NamedTuple):
    """One appended batch of a producer; `timestamp` is its max timestamp in milliseconds."""

    last_sequence: int
    last_offset: int
    offset_delta: int
    timestamp: int

    @property
    def first_sequence(self) -> int:
        return (self.last_sequence - self.offset_delta) & _SEQUENCE_MASK

    @property
    def first_offset(self) -> int:
        return self.last_offset - self.offset_delta


class CompletedTxn(NamedTuple):
    """A transaction that its marker at `last_offset` ended, and the last stable offset after it."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int
    is_aborted: bool


class LastRecord(NamedTuple):
    """What compaction must keep of a producer; `last_data_offset` is None when only a marker is left."""

    last_data_offset: int | None
    producer_epoch: int


class ProducerDescription(NamedTuple):
    """One producer as DescribeProducers shows it (KIP-664); -1 stands for no transaction."""

    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_timestamp: int
    coordinator_epoch: int
    current_txn_start_offset: int


class ProducerEntry:
    """One producer's state. Small on purpose: a partition may know hundreds of thousands of them."""

    __slots__ = (
        "batches",
        "coordinator_epoch",
        "current_txn_first_offset",
        "last_timestamp",
        "producer_epoch",
        "producer_id",
    )

    def __init__(
        self,
        producer_id: int,
        producer_epoch: int = NO_PRODUCER_EPOCH,
        coordinator_epoch: int = -1,
        last_timestamp: int = NO_TIMESTAMP,
        current_txn_first_offset: int | None = None,
        batches: tuple[BatchMetadata, ...] = (),
    ) -> None:
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.coordinator_epoch = coordinator_epoch
        self.last_timestamp = last_timestamp
        self.current_txn_first_offset = current_txn_first_offset
        self.batches = batches

    @property
    def last_sequence(self) -> int:
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE

    @property
    def last_data_offset(self) -> int:
        return self.batches[-1].last_offset if self.batches else -1

    def _enter_epoch(self, producer_epoch: int) -> None:
        if producer_epoch != self.producer_epoch:
            self.producer_epoch = producer_epoch
            self.batches = ()

    def add_batch(self, producer_epoch: int, batch: BatchMetadata) -> None:
        """Remember an appended batch; a new epoch forgets the batches of the one before."""
        if producer_epoch == self.producer_epoch:
            self.batches = (*self.batches[1 - BATCHES_RETAINED :], batch)
        else:
            self.producer_epoch = producer_epoch
            self.batches = (batch,)
        self.last_timestamp = batch.timestamp

    def end_transaction(self, producer_epoch: int, marker: ControlMarker) -> None:
        self._enter_epoch(producer_epoch)
        self.coordinator_epoch = marker.coordinator_epoch
        self.last_timestamp = marker.timestamp
        self.current_txn_first_offset = None


class ProducerState:
    """All producers of one partition, its open transactions and those not yet below the high watermark.

    `map_end_offset` is the log end offset that the state covers. The log sets it after each append, also of
    batches without a producer, because a snapshot is named after it.
    """

    __slots__ = ("_producers", "_verifications", "map_end_offset", "ongoing", "partition", "unreplicated")

    def __init__(self, partition: str) -> None:
        self.partition = partition
        self.map_end_offset = 0
        self._producers: dict[int, ProducerEntry] = {}
        self._verifications = Verifications()
        # First offset -> producer id, in the order of first offsets: transactions start at ascending offsets.
        self.ongoing: dict[int, int] = {}
        # First offset -> marker offset of ended transactions whose marker may not be replicated yet, in
        # marker order.
        self.unreplicated: dict[int, int] = {}

    def check(
        self, header: BatchHeader, next_offset: int, *, from_client: bool = True
    ) -> BatchMetadata | None:
        """Decide whether a data batch that carries a producer id may be appended at `next_offset`.

        Returns None when it may, or the batch that this one repeats: then nothing is to be written and the
        answer is that batch's offset and timestamp. With `from_client=False` (a coordinator's own records)
        sequence numbers are not looked at.

        Raises KafkaError: invalid_producer_epoch from a fenced producer, out_of_order_sequence_number,
        invalid_txn_state for a plain record inside of a transaction.
        """
        entry = self._producers.get(header[9])  # by position: attribute access costs a third of this method
        if entry is None:
            # Its state may have expired or been deleted with the records, so any sequence number may start
            # (KIP-360).
            return None
        epoch = header.producer_epoch
        if epoch == entry.producer_epoch:
            if from_client:
                first_sequence = header.base_sequence
                batches = entry.batches
                expected = (batches[-1][0] + 1) & _SEQUENCE_MASK if batches else 0
                duplicate = self._duplicate(batches, first_sequence, header) if batches else None
                if duplicate is not None:
                    return duplicate
                if first_sequence != expected:
                    raise self._out_of_order(header, next_offset, f"expected {expected}")
        elif epoch < entry.producer_epoch:
            raise self._behind(header.producer_id, epoch, entry.producer_epoch)
        elif from_client and header.base_sequence != 0 and entry.producer_epoch != NO_PRODUCER_EPOCH:
            raise self._out_of_order(header, next_offset, f"epoch {epoch} is new and must start with 0")
        if entry.current_txn_first_offset is not None and not header.attributes & _TRANSACTIONAL:
            raise KafkaError(
                ErrorCode.invalid_txn_state,
                f"producer {header.producer_id} sent a batch outside of its transaction that is open in "
                f"{self.partition} since offset {entry.current_txn_first_offset}",
            )
        return None

    def has_ongoing_transaction(self, producer_id: int, producer_epoch: int) -> bool:
        """Whether there are records here of the producer's transaction that is open.

        Raises KafkaError(invalid_producer_epoch) for a producer that a later epoch has fenced.
        """
        entry = self._producers.get(producer_id)
        if entry is None:
            return False
        if producer_epoch < entry.producer_epoch:
            raise self._behind(producer_id, producer_epoch, entry.producer_epoch)
        return producer_epoch == entry.producer_epoch and entry.current_txn_first_offset is not None

    def begin_verification(
        self, producer_id: int, producer_epoch: int, sequence: int, now_ms: int, *, adds_partition: bool
    ) -> Verification | None:
        """Before the coordinator is asked whether a transaction has this partition, or told that it has.

        `sequence` is that of the batch that waits for the answer, -1 for a coordinator's own. Returns the
        guard to append it with, None where nothing is to be asked: the transaction is in the log already.
        Raises KafkaError(invalid_producer_epoch).
        """
        if self.has_ongoing_transaction(producer_id, producer_epoch):
            return None
        return self._verifications.begin(
            producer_id, producer_epoch, sequence, now_ms, adds_partition=adds_partition
        )

    def verification_refused(self, producer_id: int, producer_epoch: int, verification: Verification) -> None:
        """The coordinator has refused for good: forget the guard, unless a later question needs it."""
        self._verifications.refused(producer_id, producer_epoch, verification)

    def check_verified(
        self, producer_id: int, producer_epoch: int, verification: Verification | None
    ) -> None:
        """See that a transactional batch may be written: its transaction is in the log, or its coordinator
        was asked with the guard that is still the one of its producer. Ask in the same turn as you append.

        Raises KafkaError: invalid_producer_epoch, invalid_txn_state.
        """
        if self.has_ongoing_transaction(producer_id, producer_epoch) or verification is EXEMPT:
            return
        if verification is None or self._verifications.get(producer_id) is not verification:
            raise KafkaError(
                ErrorCode.invalid_txn_state,
                f"the batch of producer {producer_id} is not part of a transaction that is open in "
                f"{self.partition}",
            )

    def check_transactional(
        self, header: BatchHeader, next_offset: int, verification: Verification | None
    ) -> BatchMetadata | None:
        """`check` for a client's batch of a transaction, written under this guard.

        Raises KafkaError also: invalid_txn_state where the transaction is not known to be open.
        """
        producer_id, sequence = header.producer_id, header.base_sequence
        entry = self._producers.get(producer_id)
        has_batches = entry is not None and bool(entry.batches)
        if entry is not None and has_batches and entry.producer_epoch == header.producer_epoch:
            duplicate = self._duplicate(entry.batches, sequence, header)
            if duplicate is not None:
                return duplicate
        self.check_verified(producer_id, header.producer_epoch, verification)
        guard = self._verifications.get(producer_id)
        if guard is not None:
            if guard.adds_partition and sequence != 0 and not has_batches:
                raise self._out_of_order(header, next_offset, "a producer that is not known starts with 0")
            if sequence > guard.lowest_sequence:
                raise self._out_of_order(
                    header, next_offset, f"{guard.lowest_sequence} has yet to be written"
                )
        return self.check(header, next_offset)

    @staticmethod
    def _duplicate(
        batches: tuple[BatchMetadata, ...], first_sequence: int, header: BatchHeader
    ) -> BatchMetadata | None:
        delta = header.last_offset_delta
        last_sequence = (first_sequence + delta) & _SEQUENCE_MASK
        for batch in batches:
            if batch[0] == last_sequence and batch[2] == delta:
                return batch
        return None

    def update(self, header: BatchHeader, base_offset: int, timestamp: int) -> None:
        """Take in a producer's data batch, now written at `base_offset` with this max timestamp."""
        producer_id = header[9]
        entry = self._producers.get(producer_id)
        if entry is None:
            entry = self._producers[producer_id] = ProducerEntry(producer_id)
        delta = header.last_offset_delta
        sequence = header.base_sequence
        # A coordinator's own batches need not be numbered.
        last_sequence = (sequence + delta) & _SEQUENCE_MASK if sequence >= 0 else NO_SEQUENCE
        batch: BatchMetadata = _new_tuple(
            BatchMetadata, (last_sequence, base_offset + delta, delta, timestamp)
        )
        entry.add_batch(header.producer_epoch, batch)
        if header.attributes & _TRANSACTIONAL:
            self._verifications.written(producer_id)
            if entry.current_txn_first_offset is None:
                entry.current_txn_first_offset = base_offset
                self.ongoing[base_offset] = producer_id

    def check_marker(
        self, header: BatchHeader, marker: ControlMarker, *, transaction_version: int = 0
    ) -> None:
        """Decide whether the transaction coordinator's marker may be appended.

        Raises KafkaError: invalid_producer_epoch when a newer epoch has written (from transaction version 2
        on also the same one, for each transaction ends with a bump, KIP-890), transaction_coordinator_fenced
        when a newer coordinator has ended a transaction.
        """
        entry = self._producers.get(header.producer_id)
        if entry is None:
            return
        epoch = header.producer_epoch
        current = entry.producer_epoch
        if epoch < current:
            raise self._behind(header.producer_id, epoch, current)
        if epoch == current and transaction_version >= _STRICT_MARKERS_FROM:
            # A marker that was written already comes again when its coordinator lost the answer: harmless.
            is_retry = entry.current_txn_first_offset is None or epoch == _MAX_EPOCH
            if not is_retry:
                raise self._behind(header.producer_id, epoch, current)
        if marker.coordinator_epoch < entry.coordinator_epoch:
            raise KafkaError(
                ErrorCode.transaction_coordinator_fenced,
                f"coordinator epoch {marker.coordinator_epoch} in {self.partition} is behind "
                f"{entry.coordinator_epoch}",
            )

    def completed_transaction(
        self, header: BatchHeader, marker: ControlMarker, offset: int
    ) -> CompletedTxn | None:
        """The transaction that the marker at `offset` ends; None when the producer has none open here.

        Changes nothing, so that the log can write the transaction index before it calls `end_transaction`.
        """
        entry = self._producers.get(header.producer_id)
        if entry is None or entry.current_txn_first_offset is None:
            return None
        first_offset = entry.current_txn_first_offset
        next_ongoing = next((first for first in self.ongoing if first != first_offset), None)
        last_stable_offset = offset + 1 if next_ongoing is None else next_ongoing
        return CompletedTxn(
            header.producer_id, first_offset, offset, last_stable_offset, is_aborted=not marker.is_commit
        )

    def end_transaction(self, header: BatchHeader, marker: ControlMarker, offset: int) -> CompletedTxn | None:
        """Take in a marker now written at `offset`: its transaction is decided, though maybe not replicated.

        It counts as unstable until `advance_high_watermark` passes its marker.
        """
        completed = self.completed_transaction(header, marker, offset)
        entry = self._producers.get(header.producer_id)
        if entry is None:
            entry = self._producers[header.producer_id] = ProducerEntry(header.producer_id)
        entry.end_transaction(header.producer_epoch, marker)
        self._verifications.ended(header.producer_id, header.producer_epoch)
        if completed is not None:
            self.ongoing.pop(completed.first_offset, None)
            self.unreplicated[completed.first_offset] = offset
        return completed

    def replay(self, header: BatchHeader, marker: ControlMarker | None) -> CompletedTxn | None:
        """Take in a batch as it lies in the log, on a follower or in recovery: the leader has checked it.

        `marker` is what `parse_control_marker` found; a control batch without one (cleaned empty, or of
        another kind) changes nothing. Returns the transaction that the batch ended.
        """
        if not header.has_producer_id:
            return None
        if not header.is_control:
            self.update(header, header.base_offset, header.max_timestamp)
            return None
        return None if marker is None else self.end_transaction(header, marker, header.base_offset)

    @property
    def first_unstable_offset(self) -> int | None:
        """Where the first transaction starts that is open, or ended by a marker above the high watermark."""
        if not self.ongoing and not self.unreplicated:
            return None
        first_unreplicated = min(self.unreplicated, default=None)
        first_ongoing = next(iter(self.ongoing), None)
        if first_ongoing is None or first_unreplicated is None:
            return first_unreplicated if first_ongoing is None else first_ongoing
        return min(first_ongoing, first_unreplicated)

    @property
    def first_undecided_offset(self) -> int | None:
        """Where the first open transaction starts, whatever the high watermark is."""
        return next(iter(self.ongoing), None)

    def advance_high_watermark(self, high_watermark: int) -> None:
        """Forget the ended transactions whose markers are now replicated."""
        unreplicated = self.unreplicated
        while unreplicated:
            first_offset, marker_offset = next(iter(unreplicated.items()))
            if marker_offset >= high_watermark:
                return
            del unreplicated[first_offset]

    def advance_log_start(self, log_start_offset: int) -> None:
        """Follow a deletion of records. Producers stay known although their batches may be gone."""
        self.advance_high_watermark(log_start_offset)
        self.map_end_offset = max(self.map_end_offset, log_start_offset)

    @property
    def producers(self) -> Mapping[int, ProducerEntry]:
        return MappingProxyType(self._producers)

    @property
    def is_empty(self) -> bool:
        return not self._producers and not self.unreplicated

    def clear(self, map_end_offset: int) -> None:
        """Forget everything; the state then covers a log that ends at `map_end_offset`."""
        self._producers.clear()
        self._verifications.clear()
        self.ongoing.clear()
        self.unreplicated.clear()
        self.map_end_offset = map_end_offset

    def load(self, entries: Iterable[ProducerEntry], map_end_offset: int) -> None:
        """Replace everything with a snapshot's entries."""
        self.clear(map_end_offset)
        for entry in entries:
            self._producers[entry.producer_id] = entry
        ongoing = (
            (entry.current_txn_first_offset, entry.producer_id)
            for entry in self._producers.values()
            if entry.current_txn_first_offset is not None
        )
        self.ongoing.update(sorted(ongoing))

    def remove_expired(self, now_ms: int, expiration_ms: int) -> int:
        """Forget producers idle for `producer.id.expiration.ms` without an open transaction."""
        expired = [
            producer_id
            for producer_id, entry in self._producers.items()
            if is_expired(entry, now_ms, expiration_ms)
        ]
        for producer_id in expired:
            del self._producers[producer_id]
        self._verifications.remove_expired(now_ms, expiration_ms)
        return len(expired)

    def describe(self) -> list[ProducerDescription]:
        return [
            ProducerDescription(
                entry.producer_id,
                entry.producer_epoch,
                entry.last_sequence,
                entry.last_timestamp,
                entry.coordinator_epoch,
                -1 if entry.current_txn_first_offset is None else entry.current_txn_first_offset,
            )
            for entry in self._producers.values()
        ]

    def last_records(self) -> dict[int, LastRecord]:
        """By producer id, what compaction must not lose (see `cleaner_filter`)."""
        return {
            producer_id: LastRecord(
                entry.batches[-1].last_offset if entry.batches else None, entry.producer_epoch
            )
            for producer_id, entry in self._producers.items()
        }

    def _behind(self, producer_id: int, producer_epoch: int, current_epoch: int) -> KafkaError:
        return KafkaError(
            ErrorCode.invalid_producer_epoch,
            f"producer {producer_id} came with epoch {producer_epoch} to {self.partition}, where epoch "
            f"{current_epoch} has written",
        )

    def _out_of_order(self, header: BatchHeader, offset: int, why: str) -> KafkaError:
        return KafkaError(
            ErrorCode.out_of_order_sequence_number,
            f"producer {header.producer_id} (epoch {header.producer_epoch}) sent sequence number "
            f"{header.base_sequence} for offset {offset} of {self.partition}: {why}",
        )


def is_expired(entry: ProducerEntry, now_ms: int, expiration_ms: int) -> bool:
    """Whether a producer has been idle for `expiration_ms`; one with an open transaction never is."""
    return entry.current_txn_first_offset is None and now_ms - entry.last_timestamp >= expiration_ms
