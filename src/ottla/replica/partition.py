"""One partition that this broker leads: its log, its high watermark, and who waits for its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ottla.metadata.topic_names import INTERNAL_TOPICS
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import ATTRIBUTES, TRANSACTIONAL_MASK, parse_header
from ottla.records.validation import ValidationOptions, validate

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from ottla.config.topic import TopicConfig
    from ottla.metadata.model import PartitionState
    from ottla.records.batch import Buffer
    from ottla.records.markers import EndMarker
    from ottla.storage.local.reader import LogRead
    from ottla.storage.log import Log
    from ottla.storage.verification import Verification

READ_COMMITTED: Final = 1


class Waiter(Protocol):
    """Something that new data in a partition may complete."""

    def appended(self, size: int) -> None:
        """`size` bytes became readable, or 0 when the partition was moved or deleted."""

    def touched(self) -> None:
        """Something of the partition changed that nobody waits for, such as its log start offset."""


class Partition:
    """A partition whose log is here, seen by its leader.

    While this broker is the only one in sync, what it appends is committed at once; otherwise the high
    watermark moves when the others have it (`advance_high_watermark`).
    """

    __slots__ = (
        "_has_enough_in_sync",
        "_is_alone",
        "_options",
        "_sync_soon",
        "_uncommitted_bytes",
        "_waiters",
        "config",
        "index",
        "is_closed",
        "is_internal",
        "leader_epoch",
        "log",
        "state",
        "topic",
        "topic_id",
    )

    def __init__(
        self,
        topic: str,
        topic_id: UUID,
        index: int,
        log: Log,
        state: PartitionState,
        options: ValidationOptions,
        sync_soon: Callable[[Log], None],
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.index = index
        self.is_internal = topic in INTERNAL_TOPICS
        self.log = log
        self.is_closed = False
        """It was deleted, or moved away."""
        self.config: TopicConfig = log.local.config
        self._options = options
        self._sync_soon = sync_soon
        self._waiters: dict[Waiter, None] | None = None
        self._uncommitted_bytes = 0
        self.take_state(state)

    def __str__(self) -> str:
        return f"{self.topic}-{self.index}"

    @property
    def high_watermark(self) -> int:
        """Offset below which records are committed."""
        return self.log.high_watermark

    @property
    def last_stable_offset(self) -> int:
        """Offset below which every transaction is decided (KIP-98)."""
        return self.log.last_stable_offset

    @property
    def log_dir(self) -> str:
        """The data folder that the log lies in."""
        return self.log.local.directory.rpartition("/")[0]

    def take_state(self, state: PartitionState) -> None:
        """Lead in the state that the cluster has decided on: its epoch, and who is in sync."""
        self.state = state
        self.leader_epoch = state.leader_epoch
        self._is_alone = len(state.isr) <= 1
        self._count_in_sync()
        self.log.begin_leader_epoch(state.leader_epoch)
        if self._is_alone:
            self.advance_high_watermark(self.log.log_end_offset)

    def _count_in_sync(self) -> None:
        # As in Kafka, no more are asked for than there are replicas.
        asked = min(self.config.min_insync_replicas, len(self.state.replicas))
        self._has_enough_in_sync = len(self.state.isr) >= asked

    def reconfigure(self, config: TopicConfig, options: ValidationOptions) -> None:
        """Apply a changed topic configuration at once."""
        self.config = config
        self._count_in_sync()
        self._options = options
        self.log.local.reconfigure(config)

    def check_leader_epoch(self, current_leader_epoch: int) -> None:
        """Fence a client whose metadata is older or newer than ours (KIP-320); -1 does not ask."""
        if current_leader_epoch in {-1, self.leader_epoch}:
            return
        if current_leader_epoch < self.leader_epoch:
            raise KafkaError(ErrorCode.fenced_leader_epoch)
        raise KafkaError(ErrorCode.unknown_leader_epoch)

    def append(
        self,
        records: Buffer,
        now_ms: int,
        *,
        acks: int,
        allow_zstd: bool = True,
        verification: Verification | None = None,
    ) -> tuple[int, int, bool]:
        """Check a client's batch and append it. `verification` is None for a client without a transactional
        id, whose batches can't be of a transaction.

        Returns its base offset; the time of the append in ms, -1 unless the topic stamps records with it (as
        in Kafka a repeated batch has its timestamp there); and whether `flush.messages` asks for it to be on
        the disk before it is answered.
        Raises KafkaError (RecordValidationError where it can be said which records are at fault) with what
        Kafka answers; nothing is written then.
        """
        if acks == -1 and not self._has_enough_in_sync:
            raise self._too_few_in_sync()
        header, body, append_time_ms = validate(records, self._options, now_ms, allow_zstd=allow_zstd)
        if header.attributes & TRANSACTIONAL_MASK and verification is None:
            raise KafkaError(ErrorCode.transactional_id_authorization_failed)
        log = self.log
        base_offset, repeated = log.append(header, body, self.leader_epoch, now_ms, verification=verification)
        local = log.local
        end_offset = local.log_end_offset
        if repeated is not None:
            append_time_ms = repeated.timestamp
        elif self._is_alone:
            log.advance_high_watermark(end_offset)
            if self._waiters is not None:
                self.wake(header.size)
        else:
            self._uncommitted_bytes += header.size
        must_be_durable = False
        if end_offset >= local.flush_due_offset:
            self._sync_soon(log)
            must_be_durable = local.unflushed_records >= self.config.flush_messages
        return base_offset, append_time_ms, must_be_durable

    def _too_few_in_sync(self) -> KafkaError:
        return KafkaError(
            ErrorCode.not_enough_replicas,
            f"The size of the current ISR ({len(self.state.isr)}) is insufficient to satisfy "
            f"min.insync.replicas={self.config.min_insync_replicas} for partition {self}",
        )

    def begin_verification(
        self, producer_id: int, producer_epoch: int, sequence: int, now_ms: int, *, adds_partition: bool
    ) -> Verification | None:
        """Before the transaction coordinator is asked about a batch (see `ProducerState`); None where the
        transaction is open here already. Raises KafkaError: invalid_producer_epoch, kafka_storage_error.
        """
        return self.log.producer_state.begin_verification(
            producer_id, producer_epoch, sequence, now_ms, adds_partition=adds_partition
        )

    def append_marker(self, marker: EndMarker, now_ms: int) -> int:
        """End a producer's transaction here, as `acks=all`; returns the marker's offset.

        Raises KafkaError: invalid_producer_epoch and transaction_coordinator_fenced for a marker that is out
        of date, not_enough_replicas, kafka_storage_error.
        """
        if not self._has_enough_in_sync:
            raise self._too_few_in_sync()
        return self.append_own(marker.encode(now_ms), now_ms, transaction_version=marker.transaction_version)

    def append_own(self, batch: bytes, now_ms: int, *, transaction_version: int = 0) -> int:
        """Append a batch of the broker's own making (an internal topic's, a marker); returns its base offset.

        A transactional one must have been verified in the same turn (`ProducerState.check_verified`).
        """
        header = parse_header(batch)
        body = memoryview(batch)[ATTRIBUTES:]
        log = self.log
        base_offset, _ = log.append(
            header,
            body,
            self.leader_epoch,
            now_ms,
            from_client=False,
            transaction_version=transaction_version,
        )
        self._uncommitted_bytes += header.size
        if self._is_alone:
            self.advance_high_watermark(log.log_end_offset)
        if log.log_end_offset >= log.local.flush_due_offset:
            self._sync_soon(log)
        return base_offset

    def advance_high_watermark(self, offset: int) -> None:
        """Take note that everything below `offset` is on all replicas that are in sync, and wake who waits.

        Raises ValueError for an offset past the log's end.
        """
        if self.log.advance_high_watermark(offset):
            # All that is not committed counts as soon as some is: it only says that a look may be worth it.
            size, self._uncommitted_bytes = self._uncommitted_bytes, 0
            self.wake(max(size, 1))

    def close(self) -> None:
        """Turn away who waits, as the partition is no longer here."""
        self.is_closed = True
        self.log.close(flush=False)
        self.wake(0)

    def read(self, offset: int, max_bytes: int, isolation_level: int, *, min_one: bool) -> LogRead:
        """Record batches from `offset` on, as they lie in the file.

        At most `max_bytes`, but the first batch whole when `min_one`; never past the high watermark (or the
        last stable offset).  Raises KafkaError: offset_out_of_range, kafka_storage_error.
        """
        log = self.log
        upper = log.last_stable_offset if isolation_level == READ_COMMITTED else log.high_watermark
        return log.read(offset, max_bytes, upper, min_one=min_one)

    def aborted_transactions(self, offset: int, read: LogRead) -> list[tuple[int, int]]:
        """Producer id and first offset of what a reader of committed records must skip in `read`."""
        if not len(read.records):
            return []
        return [(txn.producer_id, txn.first_offset) for txn in self.log.aborted_transactions(offset, read)]

    def diverging_epoch(self, last_fetched_epoch: int, fetch_offset: int) -> tuple[int, int] | None:
        """(epoch, end offset) up to which a reader agrees with this log, when it does not agree (KIP-595).

        Raises KafkaError(offset_out_of_range) for an epoch that this log knows nothing of.
        """
        epoch, end_offset = self.end_of_epoch(last_fetched_epoch)
        if end_offset < 0:
            raise KafkaError(ErrorCode.offset_out_of_range)
        if epoch < last_fetched_epoch or end_offset < fetch_offset:
            return epoch, end_offset
        return None

    def end_of_epoch(self, leader_epoch: int) -> tuple[int, int]:
        """The largest epoch not above `leader_epoch` and where it ends; (-1, -1) when unknown (KIP-320)."""
        if leader_epoch == self.leader_epoch:
            return leader_epoch, self.log.log_end_offset
        return self.log.end_offset_for_epoch(leader_epoch)

    def epoch_of(self, offset: int) -> int:
        """The leader epoch that wrote `offset`, or -1."""
        epoch = self.log.leader_epochs.epoch_for(offset)
        return -1 if epoch is None else epoch

    def wake(self, size: int) -> None:
        """Tell those who wait that something is new."""
        if self._waiters:
            for waiter in tuple(self._waiters):
                waiter.appended(size)

    def touch(self) -> None:
        """Tell those who follow the partition that something else of it is new."""
        if self._waiters:
            for waiter in tuple(self._waiters):
                waiter.touched()

    def add_waiter(self, waiter: Waiter) -> None:
        """Have `waiter` told of appends, until it is removed."""
        if self._waiters is None:
            self._waiters = {}
        self._waiters[waiter] = None

    def remove_waiter(self, waiter: Waiter) -> None:
        """Stop telling `waiter`."""
        if self._waiters is not None:
            self._waiters.pop(waiter, None)
            if not self._waiters:
                self._waiters = None
