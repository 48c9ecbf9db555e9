"""One partition's log: what the broker appends to and reads from (Kafka's UnifiedLog).

Everything here belongs to one thread. Only a `Flush`, the removal of what `environment.removals` lists, and
compaction work elsewhere. Open a log with `lifecycle.open_log`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import LOG_OVERHEAD, PREFIX, BatchHeader, Buffer, has_valid_crc, iter_headers
from ottla.records.markers import ControlMarker, parse_control_marker
from ottla.storage.errors import LogClosedError, LogStorageError
from ottla.storage.leader_epochs import LeaderEpochCache
from ottla.storage.local.log import Flush, FlushResult, LocalLog
from ottla.storage.local.reader import LogRead, TimestampedOffset
from ottla.storage.local.segment import MAX_RELATIVE_OFFSET as _MAX_GAP
from ottla.storage.local.segments import discard
from ottla.storage.local.txn_index import AbortedTxn
from ottla.storage.producer_snapshots import LogProducers

if TYPE_CHECKING:
    from ottla.storage.local.segments import SegmentList
    from ottla.storage.producer_state import BatchMetadata, ProducerState
    from ottla.storage.verification import Verification

__all__ = ["Log"]

_TRANSACTIONAL: Final = 0x10
_CONTROL: Final = 0x20


class Log:
    """Has a local log, and knows what its records mean: where reading may start, what is committed, which
    leaders and producers wrote.

    `log_start_offset` is the first offset that may be read, `high_watermark` the one below which everything
    is committed. `leader_epochs` knows where each leader epoch starts.
    """

    __slots__ = (
        "_leader_epoch",
        "_producers",
        "_snapshot_offsets",
        "high_watermark",
        "leader_epochs",
        "local",
        "log_start_offset",
    )

    def __init__(
        self,
        local: LocalLog,
        log_start_offset: int,
        *,
        producers: LogProducers | None = None,
        snapshot_offsets: tuple[int, ...] = (),
    ) -> None:
        """`snapshot_offsets` are those of the producer snapshots in the folder; `producers` is their state
        where recovery had to build it.
        """
        self.local = local
        self.log_start_offset = self.high_watermark = log_start_offset
        self.leader_epochs = LeaderEpochCache(local.environment.fs, local.directory, local.segments)
        self._leader_epoch: int | None = None  # of the last append; None when the next must look around first
        self._producers = producers
        self._snapshot_offsets = snapshot_offsets

    # -- The local log ---------------------------------------------------------------------------------------

    @property
    def log_end_offset(self) -> int:
        """The next offset to be written."""
        return self.local.log_end_offset

    @property
    def recovery_point(self) -> int:
        """The offset up to which everything is known to be on the disk."""
        return self.local.recovery_point

    @property
    def partition(self) -> str:
        """`<topic>-<partition>`, for messages."""
        return self.local.partition

    @property
    def segments(self) -> SegmentList:
        return self.local.segments

    @property
    def size(self) -> int:
        """Bytes of all batches."""
        return self.local.segments.size

    def prepare_flush(self, now_ms: int = 0) -> Flush:
        """What syncs everything appended so far: call it in any thread, then hand the result to
        `complete_flush`.

        Raises LogStorageError after a failed flush.
        """
        return self.local.prepare_flush(now_ms)

    def complete_flush(self, result: FlushResult) -> None:
        """Take note of how a flush went. Raises LogStorageError when it failed: appends are refused then."""
        try:
            self.local.complete_flush(result)
        except LogStorageError:
            self._leader_epoch = None
            raise

    def flush(self, now_ms: int = 0) -> None:
        """Sync everything now, in this thread. Raises LogStorageError."""
        self.complete_flush(self.prepare_flush(now_ms)())

    # -- Leaders and producers -------------------------------------------------------------------------------

    def begin_leader_epoch(self, leader_epoch: int) -> None:
        """Lead in this epoch: it starts at the log's end, whether or not a record is ever written in it."""
        self.leader_epochs.lead_from(leader_epoch, self.log_end_offset)

    def end_offset_for_epoch(self, leader_epoch: int) -> tuple[int, int]:
        """The largest epoch not above `leader_epoch` and its end offset; (-1, -1) when unknown (KIP-279)."""
        return self.leader_epochs.end_offset_for(leader_epoch, self.log_end_offset)

    @property
    def producers(self) -> LogProducers:
        """The producer state with its snapshots. Raises LogStorageError when it cannot be loaded."""
        if self._producers is None:
            local = self.local
            producers = LogProducers(
                local.environment, local.directory, local.partition, self._snapshot_offsets
            )
            with self.local.refusals(f"cannot load the producers of {self.partition}"):
                producers.reload(local.segments, self.log_start_offset, local.log_end_offset)
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
        verification: Verification | None = None,
        transaction_version: int = 0,
    ) -> tuple[int, BatchMetadata | None]:
        """Append one valid batch as the leader of `leader_epoch`: `body` is everything from its attributes
        on. Returns its base offset, and the batch that was written there before when this one repeats it.

        The batch gets the next offsets; its bytes are neither copied nor changed. `from_client=False` is a
        coordinator's own batch, whose sequence numbers are not checked; `verification` is what a client's
        was verified with; `transaction_version` says which epochs a marker may have (KIP-890, KIP-1228).

        Raises KafkaError: record_list_too_large for a batch above `segment.bytes`, what ProducerState's
        checks raise, and LogStorageError when the disk refuses. Nothing has changed then.
        """
        local = self.local
        if leader_epoch != self._leader_epoch:
            self._begin_epoch(leader_epoch, local.log_end_offset)
        _, length, _, magic, crc, attributes, last_delta, _, max_timestamp, producer_id, _, _, _ = header
        base_offset = local.log_end_offset
        prefix = PREFIX.pack(base_offset, length, leader_epoch, magic, crc)
        marker = None
        if producer_id >= 0:
            if attributes & _CONTROL:
                marker = parse_control_marker(header, prefix + bytes(body))
                if marker is not None:
                    self.producer_state.check_marker(header, marker, transaction_version=transaction_version)
            else:
                state = self.producer_state
                if from_client and attributes & _TRANSACTIONAL:
                    written = state.check_transactional(header, base_offset, verification)
                else:
                    written = state.check(header, base_offset, from_client=from_client)
                if written is not None:
                    return written.first_offset, written
        size = length + LOG_OVERHEAD
        last_offset = base_offset + last_delta
        if local.may_have_to_roll(size, max_timestamp, last_offset):
            local.check_fits(size)
            if local.must_roll(size, max_timestamp, last_offset, now_ms):
                self.roll(now_ms)
        local.append((prefix, body), size, last_offset, max_timestamp)
        if producer_id >= 0:
            if marker is not None:
                self._end_transaction(header, marker, base_offset)
            elif not attributes & _CONTROL:
                self.producer_state.update(header, base_offset, max_timestamp)
        return base_offset, None

    def append_as_follower(self, records: Buffer, leader_epoch: int, now_ms: int) -> int:
        """Append batches as fetched from the leader of `leader_epoch`; returns the new log end offset.

        Those before `log_end_offset` must have been left out. A batch of a later epoch ends it: who sent that
        was no longer the leader asked, and the rest may have to be truncated first. Raises KafkaError:
        corrupt_message, and LogStorageError; batches before the failing one stay.
        """
        local = self.local
        view = memoryview(records)
        for position, header in iter_headers(view):
            if header.leader_epoch > leader_epoch:
                break
            base_offset, last_offset = header.base_offset, header.last_offset
            if base_offset < local.log_end_offset or last_offset < base_offset:
                raise KafkaError(
                    ErrorCode.corrupt_message,
                    f"a batch has offsets {base_offset} to {last_offset}, but {self.partition} goes on at "
                    f"{local.log_end_offset}",
                )
            batch = view[position : position + header.size]
            if not has_valid_crc(batch, header):
                raise KafkaError(
                    ErrorCode.corrupt_message,
                    f"the batch at offset {base_offset} of {self.partition} fails its checksum",
                )
            marker = None
            if header.producer_id >= 0 and header.attributes & _CONTROL:
                marker = parse_control_marker(header, batch)
            if header.leader_epoch != self._leader_epoch:
                self._begin_epoch(header.leader_epoch, base_offset)
            active = local.active
            if local.must_roll(header.size, header.max_timestamp, last_offset, now_ms) and (
                active.size or last_offset > active.last_possible_offset
            ):
                # Where the leader's log was compacted, the gap lies inside the segment if that can be.
                self.roll(now_ms, base_offset if last_offset > local.log_end_offset + _MAX_GAP else None)
            local.append((batch,), header.size, last_offset, header.max_timestamp)
            if marker is not None:
                self._end_transaction(header, marker, base_offset)
            else:
                self.producer_state.replay(header, None)
        return local.log_end_offset

    def _begin_epoch(self, leader_epoch: int, start_offset: int) -> None:
        """Before the first append after opening, and the first in a leader epoch. Raises LogStorageError."""
        local = self.local
        if local.failure is not None:
            raise local.failure
        _ = self.producers  # loaded now, while the log still ends where the snapshot says
        with self.local.refusals(f"cannot begin a leader epoch of {self.partition}"):
            epochs = self.leader_epochs
            if leader_epoch >= 0:
                epochs.assign(leader_epoch, start_offset)
            if epochs.save():
                local.must_sync(epochs.path, directory=local.directory)
        local.is_changed = True
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
                self.local.active.txn_index.append(AbortedTxn(*completed[:4]))
            except OSError as error:
                self._leader_epoch = None
                self.local.fail(f"cannot note an aborted transaction of {self.partition}", error)
        state.end_transaction(header, marker, offset)

    def roll(self, now_ms: int, base_offset: int | None = None) -> None:
        """Begin a new segment at the log's end, or at a later `base_offset`. Raises LogStorageError.

        A producer snapshot goes with it, so that recovery need not look before the segment.
        """
        local = self.local
        if local.active.size == 0 and base_offset is None:
            return
        start_offset = local.log_end_offset if base_offset is None else base_offset
        with self.local.refusals(f"cannot begin a segment of {self.partition}"):
            self.producers.take_snapshot(start_offset, sync=False)
            local.roll(start_offset, now_ms)

    # -- Reading ---------------------------------------------------------------------------------------------

    def read(self, offset: int, max_bytes: int, max_offset: int, *, min_one: bool = True) -> LogRead:
        """Read from the batch that contains `offset` on, below `max_offset` (high watermark, last stable
        offset, ...).

        At most `max_bytes`, so that the last batch may be cut off; with `min_one` the first is whole all the
        same.

        Raises KafkaError: offset_out_of_range, and LogStorageError.
        """
        local = self.local
        end_offset = local.log_end_offset
        if not self.log_start_offset <= offset <= end_offset:
            raise KafkaError(
                ErrorCode.offset_out_of_range,
                f"offset {offset} of {self.partition} is not in {self.log_start_offset} to {end_offset}",
            )
        if offset >= max_offset or offset == end_offset:
            return local.reader.read_at_end(end_offset) if offset == end_offset else LogRead(b"", -1, -1)
        try:
            return local.reader.read(
                offset, max_bytes, min(max_offset, end_offset), end_offset, min_one=min_one
            )
        except OSError as error:
            raise self.local.refused(f"cannot read {self.partition} at {offset}", error) from error

    def aborted_transactions(self, offset: int, read: LogRead) -> list[AbortedTxn]:
        """What a consumer of committed records must skip in `read`, which was read from `offset` (KIP-98)."""
        with self.local.refusals(f"cannot read {self.partition} at {offset}"):
            return self.local.reader.aborted_transactions(offset, read, self.log_end_offset)

    def offset_for_timestamp(self, timestamp: int) -> TimestampedOffset | None:
        """The first record whose timestamp is `timestamp` or later; None when there is none."""
        with self.local.refusals(f"cannot search {self.partition}"):
            return self.local.reader.offset_for_timestamp(timestamp, self.log_start_offset)

    def max_timestamp_offset(self) -> TimestampedOffset | None:
        """The first record with the largest timestamp (KIP-734); None without records."""
        with self.local.refusals(f"cannot search {self.partition}"):
            return self.local.reader.max_timestamp_offset()

    # -- What is committed -----------------------------------------------------------------------------------

    @property
    def last_stable_offset(self) -> int:
        """The offset below which every transaction is decided, for good: at most the high watermark."""
        high_watermark = self.high_watermark
        state = (self._producers or self.producers).state
        if not state.ongoing and not state.unreplicated:  # nearly always, and each fetch asks
            return high_watermark
        first = state.first_unstable_offset
        return high_watermark if first is None else min(max(first, self.log_start_offset), high_watermark)

    def advance_high_watermark(self, offset: int) -> bool:
        """Take note that everything below `offset` is committed; False when that is no news.

        Raises ValueError for an offset past the log's end.
        """
        if offset <= self.high_watermark:
            return False
        if offset > self.local.log_end_offset:
            raise ValueError(
                f"high watermark {offset} of {self.partition}, which ends at {self.log_end_offset}"
            )
        self.high_watermark = offset
        producers = self._producers
        if producers is not None and producers.state.unreplicated:
            producers.state.advance_high_watermark(offset)
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
            self.local.is_changed = True
        return self.log_start_offset

    def apply_retention(self, now_ms: int) -> int:
        """Remove the segments that have expired; returns how many. Raises LogStorageError."""
        local = self.local
        with self.local.refusals(f"cannot remove segments of {self.partition}"):
            expired = local.expired_segments(self.log_start_offset, self.high_watermark, now_ms)
            if not expired:
                return 0
            if len(expired) == len(local.segments):
                self.roll(now_ms)
            next_segment = local.segments[len(expired)]
            self.delete_records(max(next_segment.base_offset, self.log_start_offset))
            local.remove_segments(expired, now_ms)
            for segment in expired:
                self.producers.snapshots.delete_at(segment.base_offset)
        return len(expired)

    def truncate_to(self, offset: int, now_ms: int) -> bool:
        """Cut off the batch that contains `offset` and all after it; says whether there was one.

        The caller has checkpointed a recovery point that is not above `offset`. Raises LogStorageError.
        """
        local = self.local
        if offset < local.segments.first.base_offset:
            self.truncate_fully_and_start_at(offset, now_ms)
            return True
        try:
            with self.local.refusals(f"cannot truncate {self.partition} to {offset}"):
                if offset >= local.log_end_offset:
                    self.leader_epochs.truncate_from_end(local.log_end_offset)
                    return False
                producers = self.producers
                producers.state.map_end_offset = local.log_end_offset
                local.truncate_to(offset, now_ms)
                self.log_start_offset = min(self.log_start_offset, offset)
                self.leader_epochs.truncate_from_end(offset)
                producers.reload(local.segments, self.log_start_offset, offset)
        finally:
            self._after_truncation()
        return True

    def truncate_fully_and_start_at(self, offset: int, now_ms: int) -> None:
        """Drop everything; the log is empty then and goes on at `offset`. Raises LogStorageError."""
        try:
            with self.local.refusals(f"cannot truncate {self.partition}"):
                producers = self.producers
                self.local.truncate_fully_and_start_at(offset, now_ms)
                self.log_start_offset = offset
                self.leader_epochs.clear()
                producers.snapshots.restart(producers.state, offset)
        finally:
            self._after_truncation()

    def _after_truncation(self) -> None:
        self._leader_epoch = None
        self.update_high_watermark(self.high_watermark)

    def replace_segments(
        self, new: Collection[int], old: Collection[int], generation: int, now_ms: int
    ) -> bool:
        """Put compacted segments, which lie there as `.cleaned`, in place of closed ones, by base offsets.

        False when an old one is gone, or the log was truncated since it had the local log's `generation`: the
        new ones are discarded then. Safe against a crash (see `SegmentList.replace`). Raises LogStorageError.
        """
        local = self.local
        closed = {segment.base_offset for segment in local.segments if segment is not local.active}
        with self.local.refusals(f"cannot replace segments of {self.partition}"):
            if not closed.issuperset(old) or local.generation != generation:
                discard(local.environment.fs, local.directory, new)
                return False
            for base_offset in local.replace_segments(new, old, now_ms):
                self.producers.snapshots.delete_at(base_offset)
        return True

    # -- Closing ---------------------------------------------------------------------------------------------

    def close(self, *, flush: bool = True) -> None:
        """Give everything back. From now on appends are refused: another log may be at this place by then.

        With `flush` all is brought to the disk first, so that the next opening reads no records. Without it
        nothing is written: for a log that is about to be deleted. Raises LogStorageError.
        """
        local = self.local
        try:
            if flush:
                self.prepare_close()
                if local.needs_sync:
                    self.flush()
        finally:
            local.close()
            self._leader_epoch = None

    def prepare_close(self) -> None:
        """Write what a clean opening goes by, not synced: indexes, producer snapshot, leader epochs.

        Raises LogStorageError.
        """
        local = self.local
        if isinstance(local.failure, LogClosedError):
            return
        if local.failure is not None:
            raise local.failure
        if not local.is_changed:
            return
        with self.local.refusals(f"cannot close {self.partition}"):
            local.seal_active()
            self.producers.take_snapshot(local.log_end_offset, sync=False)
            self.leader_epochs.flush()
        local.is_changed = False
