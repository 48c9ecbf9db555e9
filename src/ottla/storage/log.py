"""One partition's log: what the broker appends to and reads from (Kafka's UnifiedLog).

Everything here belongs to one thread. Only a `Flush`, the removal of what `environment.removals` lists, and
compaction work elsewhere. Open a log with `recovery.open_log`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import LOG_OVERHEAD, PREFIX, BatchHeader, Buffer, has_valid_crc, iter_headers
from ottla.storage.cleaner import discard
from ottla.storage.cleaner_policy import CleaningFacts, segment_facts
from ottla.storage.control_marker import ControlMarker, parse_control_marker
from ottla.storage.environment import LogEnvironment
from ottla.storage.errors import LogClosedError, LogStorageError, refusals
from ottla.storage.leader_epochs import LeaderEpochCache
from ottla.storage.local_log import LocalLog, LogState
from ottla.storage.log_producers import LogProducers
from ottla.storage.log_reader import LogRead, LogReader, TimestampedOffset
from ottla.storage.retention import expired_segments
from ottla.storage.segment_scan import leader_epochs_of
from ottla.storage.txn_index import AbortedTxn

if TYPE_CHECKING:
    from ottla.config.topic import TopicConfig
    from ottla.storage.producer_state import BatchMetadata, ProducerState
    from ottla.storage.segments import SegmentList

__all__ = ["Log", "LogEnvironment", "LogRead", "TimestampedOffset"]

_CONTROL: Final = 0x20


class Log(LocalLog):
    """Appending, reading, and what depends on the records: leader epochs and producers."""

    __slots__ = (
        "_cleaning_generation",
        "_leader_epoch",
        "_leader_epochs",
        "_led_from",
        "_producers",
        "_reader",
        "_snapshot_offsets",
        "high_watermark",
    )

    def __init__(
        self,
        environment: LogEnvironment,
        directory: str,
        partition: str,
        config: TopicConfig,
        segments: SegmentList,
        state: LogState,
        *,
        now_ms: int,
    ) -> None:
        super().__init__(environment, directory, partition, config, segments, state, now_ms=now_ms)
        self._leader_epoch: int | None = None  # of the last append; None when the next must look around first
        self._leader_epochs: LeaderEpochCache | None = None
        self._led_from: tuple[int, int] | None = None  # epoch and offset
        self.high_watermark = self.log_start_offset
        self._producers = state.producers
        self._snapshot_offsets = state.snapshot_offsets
        self._reader = LogReader(segments)
        self._cleaning_generation = 0

    @property
    def leader_epochs(self) -> LeaderEpochCache:
        """Where each leader epoch starts. Raises LogStorageError when that cannot be loaded."""
        epochs = self._leader_epochs
        if epochs is None:
            epochs = LeaderEpochCache(self.environment.fs, self.directory)
            with refusals(f"cannot load the epochs of {self.partition}"):
                epochs.load(lambda: leader_epochs_of(list(self.segments)))
            self._leader_epochs = epochs
            if self._led_from is not None:
                epochs.assign(*self._led_from)
        return epochs

    def begin_leader_epoch(self, leader_epoch: int) -> None:
        """Lead in this epoch: it starts at the log's end, whether or not a record is ever written in it.

        Nothing is read or written before somebody asks.
        """
        self._led_from = (leader_epoch, self.log_end_offset)
        if self._leader_epochs is not None:
            self._leader_epochs.assign(*self._led_from)

    @property
    def producers(self) -> LogProducers:
        """The producer state with its snapshots. Raises LogStorageError when it cannot be loaded."""
        if self._producers is None:
            producers = LogProducers(self.environment, self.directory, self.partition, self._snapshot_offsets)
            with refusals(f"cannot load the producers of {self.partition}"):
                producers.reload(self.segments, self.log_start_offset, self.log_end_offset)
            producers.state.advance_high_watermark(self.high_watermark)
            self._producers = producers
            self._snapshot_offsets = ()
        return self._producers

    @property
    def producer_state(self) -> ProducerState:
        return self.producers.state

    # -- Appending -------------------------------------------------------------------------------------------

    def append(
        self,
        header: BatchHeader,
        body: Buffer,
        leader_epoch: int,
        now_ms: int,
        *,
        from_client: bool = True,
        transaction_version: int = 0,
    ) -> tuple[int, BatchMetadata | None]:
        """Append one valid batch as the leader of `leader_epoch`: `body` is everything from its attributes
        on. Returns its base offset, and the batch that was written there before when this one repeats it.

        The batch gets the next offsets; its bytes are neither copied nor changed. `from_client=False` is a
        coordinator's own batch, whose sequence numbers are not checked; `transaction_version` says which
        epochs a marker may have (KIP-890).

        Raises KafkaError: record_list_too_large for a batch above `segment.bytes`, what ProducerState.check
        and check_marker raise, and LogStorageError when the disk refuses. Nothing has changed then.
        """
        if leader_epoch != self._leader_epoch:
            self._begin_epoch(leader_epoch, self.log_end_offset)
        _, length, _, magic, crc, attributes, last_delta, _, max_timestamp, producer_id, _, _, _ = header
        base_offset = self.log_end_offset
        prefix = PREFIX.pack(base_offset, length, leader_epoch, magic, crc)
        marker = None
        if producer_id >= 0:
            if attributes & _CONTROL:
                marker = parse_control_marker(header, prefix + bytes(body))
                if marker is not None:
                    self.producer_state.check_marker(
                        header, marker, base_offset, transaction_version=transaction_version
                    )
            else:
                written = self.producer_state.check(header, base_offset, from_client=from_client)
                if written is not None:
                    return written.first_offset, written
        size = length + LOG_OVERHEAD
        last_offset = base_offset + last_delta
        active = self._active
        if (
            max_timestamp > self._roll_timestamp
            or active.size + size > self.config.segment_bytes
            or last_offset > active.last_possible_offset
        ):
            self._check_size(size)
            if self._must_roll(size, max_timestamp, last_offset, now_ms):
                self.roll(now_ms)
                active = self._active
        active.append((prefix, body), size, last_offset, max_timestamp)
        self.log_end_offset = last_offset + 1
        if producer_id >= 0:
            if marker is not None:
                self._end_transaction(header, marker, base_offset)
            elif not attributes & _CONTROL:
                self.producer_state.update(header, base_offset, max_timestamp)
        return base_offset, None

    def append_as_follower(self, records: Buffer, leader_epoch: int, now_ms: int) -> int:
        """Append batches that have offsets and leader epochs already, as fetched from the leader of
        `leader_epoch`; returns the new log end offset.

        Those before `log_end_offset` must have been left out. A batch of a later epoch ends it: who sent that
        was no longer the leader asked, and the rest may have to be truncated first. Raises KafkaError:
        corrupt_message, and LogStorageError; batches before the failing one stay.
        """
        view = memoryview(records)
        for position, header in iter_headers(view):
            if header.leader_epoch > leader_epoch:
                break
            if header.base_offset < self.log_end_offset or header.last_offset_delta < 0:
                raise KafkaError(
                    ErrorCode.corrupt_message,
                    f"a batch has offsets {header.base_offset} to {header.last_offset}, but "
                    f"{self.partition} goes on at {self.log_end_offset}",
                )
            batch = view[position : position + header.size]
            if not has_valid_crc(batch, header):
                raise KafkaError(
                    ErrorCode.corrupt_message,
                    f"the batch at offset {header.base_offset} of {self.partition} fails its checksum",
                )
            marker = None
            if header.producer_id >= 0 and header.attributes & _CONTROL:
                marker = parse_control_marker(header, batch)
            if header.leader_epoch != self._leader_epoch:
                self._begin_epoch(header.leader_epoch, header.base_offset)
            last_offset = header.last_offset
            if self._must_roll(header.size, header.max_timestamp, last_offset, now_ms) and (
                self._active.size or last_offset > self._active.last_possible_offset
            ):
                self.roll(now_ms, header.base_offset)
            self._active.append((batch,), header.size, last_offset, header.max_timestamp)
            self.log_end_offset = last_offset + 1
            if marker is not None:
                self._end_transaction(header, marker, header.base_offset)
            else:
                self.producer_state.replay(header, None)
        return self.log_end_offset

    def _check_size(self, size: int) -> None:
        if size > self.config.segment_bytes:
            raise KafkaError(
                ErrorCode.record_list_too_large,
                f"a batch of {size} bytes does not fit into a segment of {self.partition}, which may have "
                f"{self.config.segment_bytes}",
            )

    def _begin_epoch(self, leader_epoch: int, start_offset: int) -> None:
        """Before the first append after opening, and the first in a leader epoch. Raises LogStorageError."""
        if self._failure is not None:
            raise self._failure
        _ = self.producers  # loaded now, while the log still ends where the snapshot says
        with refusals(f"cannot begin a leader epoch of {self.partition}"):
            epochs = self.leader_epochs
            if leader_epoch >= 0:
                epochs.assign(leader_epoch, start_offset)
            if epochs.save():
                self._must_sync(epochs.path, directory=self.directory)
        self._is_changed = True
        self._leader_epoch = leader_epoch

    def _end_transaction(self, header: BatchHeader, marker: ControlMarker, offset: int) -> None:
        """Take in a marker that was written at `offset`, in the index first.

        Without its entry readers would take an aborted transaction for committed: if the disk refuses it, the
        transaction stays open, and the log takes no appends until recovery has written the entry.
        """
        state = self.producer_state
        completed = state.completed_transaction(header, marker, offset)
        if completed is not None and completed.is_aborted:
            try:
                self._active.txn_index.append(AbortedTxn(*completed[:4]))
            except OSError as error:
                self._fail(f"cannot note an aborted transaction of {self.partition}", error)
        state.end_transaction(header, marker, offset)

    def roll(self, now_ms: int, base_offset: int | None = None) -> None:
        """Begin a new segment at the log's end, or at a later `base_offset`. Raises LogStorageError.

        A producer snapshot goes with it, so that recovery need not look before the segment.
        """
        if self._active.size == 0 and base_offset is None:
            return
        start_offset = self.log_end_offset if base_offset is None else base_offset
        with refusals(f"cannot begin a segment of {self.partition}"):
            self.producers.take_snapshot(start_offset, sync=False)
            self._roll_segment(start_offset, now_ms)

    def _on_failure(self) -> None:
        self._leader_epoch = None

    # -- Reading ---------------------------------------------------------------------------------------------

    def read(self, offset: int, max_bytes: int, max_offset: int, *, min_one: bool = True) -> LogRead:
        """Read from the batch that contains `offset` on, below `max_offset` (high watermark, last stable
        offset, ...).

        At most `max_bytes`, so that the last batch may be cut off; with `min_one` the first is whole all the
        same.

        Raises KafkaError: offset_out_of_range, and LogStorageError.
        """
        end_offset = self.log_end_offset
        if not self.log_start_offset <= offset <= end_offset:
            raise KafkaError(
                ErrorCode.offset_out_of_range,
                f"offset {offset} of {self.partition} is not in {self.log_start_offset} to {end_offset}",
            )
        if offset >= max_offset or offset == end_offset:
            return self._reader.read_at_end(end_offset) if offset == end_offset else LogRead(b"", -1, -1)
        try:
            return self._reader.read(
                offset, max_bytes, min(max_offset, end_offset), end_offset, min_one=min_one
            )
        except OSError as error:
            raise LogStorageError.wrap(f"cannot read {self.partition} at {offset}", error) from error

    def aborted_transactions(self, offset: int, read: LogRead) -> list[AbortedTxn]:
        """What a consumer of committed records must skip in `read`, which was read from `offset` (KIP-98)."""
        with refusals(f"cannot read {self.partition} at {offset}"):
            return self._reader.aborted_transactions(offset, read, self.log_end_offset)

    def offset_for_timestamp(self, timestamp: int) -> TimestampedOffset | None:
        """The first record whose timestamp is `timestamp` or later; None when there is none."""
        with refusals(f"cannot search {self.partition}"):
            return self._reader.offset_for_timestamp(timestamp, self.log_start_offset)

    def max_timestamp_offset(self) -> TimestampedOffset | None:
        """The first record with the largest timestamp (KIP-734); None without records."""
        with refusals(f"cannot search {self.partition}"):
            return self._reader.max_timestamp_offset()

    def end_offset_for_epoch(self, leader_epoch: int) -> tuple[int, int]:
        """The largest epoch not above `leader_epoch` and its end offset; (-1, -1) when unknown (KIP-279)."""
        return self.leader_epochs.end_offset_for(leader_epoch, self.log_end_offset)

    @property
    def first_unstable_offset(self) -> int | None:
        """Where the first transaction starts that is undecided or whose end is not yet replicated."""
        first = self.producer_state.first_unstable_offset
        return None if first is None else max(first, self.log_start_offset)

    @property
    def last_stable_offset(self) -> int:
        """The offset below which every transaction is decided, for good: at most the high watermark."""
        unstable = self.first_unstable_offset
        high_watermark = self.high_watermark
        return high_watermark if unstable is None or unstable > high_watermark else unstable

    def advance_high_watermark(self, offset: int) -> bool:
        """Take note that everything below `offset` is committed; False when that is no news.

        Raises ValueError for an offset past the log's end.
        """
        if offset <= self.high_watermark:
            return False
        if offset > self.log_end_offset:
            raise ValueError(
                f"high watermark {offset} of {self.partition}, which ends at {self.log_end_offset}"
            )
        self.high_watermark = offset
        if self._producers is not None:
            self._producers.state.advance_high_watermark(offset)
        return True

    def update_high_watermark(self, offset: int) -> int:
        """Set the high watermark to what a checkpoint or a leader says, within the log; it may go back.

        Returns what it is now.
        """
        self.high_watermark = min(max(offset, self.log_start_offset), self.log_end_offset)
        if self._producers is not None:
            self._producers.state.advance_high_watermark(self.high_watermark)
        return self.high_watermark

    # -- Removing --------------------------------------------------------------------------------------------

    def delete_records(self, offset: int) -> int:
        """Move the log start offset up to `offset` (DeleteRecords, KIP-107); returns the log start offset.

        Segments behind it go with the next `apply_retention`. Raises KafkaError(offset_out_of_range) above
        the high watermark.
        """
        if not 0 <= offset <= self.high_watermark:
            raise KafkaError(
                ErrorCode.offset_out_of_range,
                f"cannot delete up to {offset} in {self.partition}: its high watermark is "
                f"{self.high_watermark}",
            )
        if offset > self.log_start_offset:
            self.log_start_offset = offset
            self.leader_epochs.truncate_from_start(offset)
            self.producer_state.advance_log_start(offset)
            self._is_changed = True
        return self.log_start_offset

    def apply_retention(self, now_ms: int) -> int:
        """Remove the segments that have expired; returns how many. Raises LogStorageError."""
        try:
            with refusals(f"cannot remove segments of {self.partition}"):
                expired = expired_segments(self, self.high_watermark, now_ms)
                if not expired:
                    return 0
                if len(expired) == len(self.segments):
                    self.roll(now_ms)
                next_segment = self.segments[len(expired)]
                self.delete_records(max(next_segment.base_offset, self.log_start_offset))
                self.segments.remove(expired, now_ms + self.config.file_delete_delay_ms)
                for segment in expired:
                    self.producers.snapshots.delete_at(segment.base_offset)
        finally:
            self._reader.forget_positions()
        return len(expired)

    def truncate_to(self, offset: int, now_ms: int) -> bool:
        """Cut off the batch that contains `offset` and all after it; says whether there was one.

        The caller checkpoints the recovery point before it relies on it again. Raises LogStorageError.
        """
        try:
            with refusals(f"cannot truncate {self.partition} to {offset}"):
                if offset >= self.log_end_offset:
                    self.leader_epochs.truncate_from_end(self.log_end_offset)
                    self._leader_epoch = None
                    return False
                if offset < self.segments.first.base_offset:
                    self.truncate_fully_and_start_at(offset, now_ms)
                    return True
                producers = self.producers
                producers.state.map_end_offset = self.log_end_offset
                self._truncate_segments(offset, now_ms)
                self.leader_epochs.truncate_from_end(offset)
                producers.reload(self.segments, self.log_start_offset, offset)
        finally:
            self._after_rewrite()
        return True

    def truncate_fully_and_start_at(self, offset: int, now_ms: int) -> None:
        """Drop everything; the log is empty then and goes on at `offset`. Raises LogStorageError."""
        try:
            with refusals(f"cannot truncate {self.partition}"):
                producers = self.producers
                self._restart_segments(offset, now_ms)
                self.leader_epochs.clear()
                producers.snapshots.restart(producers.state, offset)
        finally:
            self._after_rewrite()

    def replace_segments(self, new: Collection[int], old: Collection[int], now_ms: int) -> bool:
        """Put compacted segments, which lie there as `.cleaned`, in place of closed ones, by base offsets.

        False when an old one is gone, or the log was truncated since `cleaning_facts`: then the new ones are
        discarded, as they would bring removed records back. Safe against a crash at any point (see
        `SegmentList.replace`). Raises LogStorageError.
        """
        closed = {segment.base_offset for segment in self.segments if segment is not self._active}
        try:
            with refusals(f"cannot replace segments of {self.partition}"):
                if not closed.issuperset(old) or self._generation != self._cleaning_generation:
                    discard(self.environment.fs, self.directory, new)
                    return False
                gone = self.segments.replace(new, old, self.config, self._due_ms(now_ms))
                for base_offset in gone:
                    self.producers.snapshots.delete_at(base_offset)
        finally:
            self._reader.forget_positions()
        return True

    def cleaning_facts(self) -> CleaningFacts:
        """What compaction needs to know of this log. Raises OSError."""
        closed = segment_facts(segment for segment in self.segments if segment is not self._active)
        self._cleaning_generation = self._generation
        return CleaningFacts(
            directory=self.directory,
            segments=closed,
            active_base_offset=self._active.base_offset,
            log_start_offset=self.log_start_offset,
            log_end_offset=self.log_end_offset,
            high_watermark=self.high_watermark,
            last_stable_offset=self.last_stable_offset,
            last_records=self.producer_state.last_records(),
            config=self.config,
        )

    def _after_rewrite(self) -> None:
        self._reader.forget_positions()
        self._leader_epoch = None
        self.update_high_watermark(self.high_watermark)

    # -- Closing ---------------------------------------------------------------------------------------------

    def close(self, *, flush: bool = True) -> None:
        """Give everything back. From now on appends are refused: another log may be at this place by then.

        With `flush` indexes, producer snapshot and data are brought to the disk first, so that the next
        opening reads no records. Without it nothing is written: for a log that is about to be deleted. Raises
        LogStorageError.
        """
        try:
            if flush:
                self.prepare_close()
                if self.needs_sync:
                    self.flush()
        finally:
            self.segments.close()
            self._reader.forget_positions()
            self._failure = LogClosedError(f"the log of {self.partition} is closed")
            self._on_failure()

    def prepare_close(self) -> None:
        """Write what a clean opening goes by, not synced: indexes, producer snapshot, leader epochs.

        Raises LogStorageError.
        """
        if isinstance(self._failure, LogClosedError):
            return
        if self._failure is not None:
            raise self._failure
        if not self._is_changed:
            return
        with refusals(f"cannot close {self.partition}"):
            self._seal_active()
            self.producers.take_snapshot(self.log_end_offset, sync=False)
            self.leader_epochs.flush()
        self._is_changed = False
