"""A log's segments on the local disk: appending, rolling, flushing, cutting, expiring (Kafka's LocalLog).

It knows offsets and bytes, and nothing of what the records mean: producers, leader epochs, the start of what
may be read and the high watermark are the business of `ottla.storage.log`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.storage.environment import LogEnvironment
from ottla.storage.errors import LogClosedError, LogStorageError
from ottla.storage.local.reader import LogReader
from ottla.storage.local.segment import Segment
from ottla.storage.local.segments import SegmentList
from ottla.storage.names import INDEX, SNAPSHOT, TIMEINDEX, TXNINDEX, segment_path

if TYPE_CHECKING:
    from ottla.config.topic import TopicConfig
    from ottla.records.batch import Buffer
    from ottla.storage.fs import FileSystem

__all__ = ["Flush", "FlushResult", "LocalLog", "Unsynced"]

_UNKNOWN_TIMESTAMP: Final = -(1 << 63)


class Unsynced(NamedTuple):
    """A file that was written, or a folder that was changed, and that a power loss could take back."""

    path: str
    is_directory: bool = False


class Flush:
    """Brings a log to the disk: prepared by the owner, called once in any thread, completed by the owner.

    It syncs the files that hold what was appended before it was made. `covers` are the entries of the log's
    own list that are synced with it. `end_offset` is what the recovery point becomes. `generation` tells a
    log that was truncated meanwhile, whose offsets then mean other records.
    """

    __slots__ = ("_fs", "_paths", "covers", "end_offset", "generation", "now_ms")

    def __init__(
        self,
        fs: FileSystem,
        paths: list[str],
        covers: tuple[Unsynced, ...],
        *,
        end_offset: int,
        generation: int,
        now_ms: int,
    ) -> None:
        self._fs = fs
        self._paths = paths
        self.covers = covers
        self.end_offset = end_offset
        self.generation = generation
        self.now_ms = now_ms

    def __call__(self) -> FlushResult:
        try:
            files = [entry.path for entry in self.covers if not entry.is_directory]
            for path in dict.fromkeys(self._paths + files):
                self._sync(self._fs.sync_file, path)
            for path in dict.fromkeys(entry.path for entry in self.covers if entry.is_directory):
                self._sync(self._fs.sync_dir, path)
        except OSError as error:
            return FlushResult(self, error)
        return FlushResult(self, None)

    @staticmethod
    def _sync(sync: Callable[[str], None], path: str) -> None:
        try:
            sync(path)
        except FileNotFoundError:
            pass  # an index that has no entries, or what retention or a deletion has taken away meanwhile


class FlushResult(NamedTuple):
    """How a flush went; hand it to `complete_flush`."""

    flush: Flush
    error: OSError | None


class LocalLog:
    """`log_end_offset` is the next offset to be written, `recovery_point` the offset up to which everything
    is known to be on the disk, `flush_due_offset` the end at which a flush is due.

    `is_changed` says that closing must bring indexes and producer snapshot up to date. `failure`, once set,
    refuses all writes. `generation` counts the truncations. `unsynced` is what opening wrote and a crash
    could still take back.
    """

    __slots__ = (
        "_roll_timestamp",
        "_unsynced",
        "active",
        "config",
        "directory",
        "environment",
        "failure",
        "flush_due_offset",
        "generation",
        "is_changed",
        "last_flush_ms",
        "log_end_offset",
        "partition",
        "reader",
        "recovery_point",
        "segments",
    )

    def __init__(
        self,
        environment: LogEnvironment,
        directory: str,
        partition: str,
        config: TopicConfig,
        segments: SegmentList,
        *,
        log_end_offset: int,
        recovery_point: int,
        now_ms: int,
        unsynced: tuple[Unsynced, ...] = (),
        is_changed: bool = False,
    ) -> None:
        self.environment = environment
        self.directory = directory
        self.partition = partition
        self.config = config
        self.segments = segments
        self.reader = LogReader(segments)
        self.log_end_offset = log_end_offset
        self.recovery_point = recovery_point
        self.last_flush_ms = now_ms
        self.is_changed = is_changed
        self.generation = 0
        self.failure: LogStorageError | None = None
        self._unsynced = unsynced
        self._activate()

    # -- Appending -------------------------------------------------------------------------------------------

    def append(self, buffers: Sequence[Buffer], size: int, last_offset: int, max_timestamp: int) -> None:
        """Append one batch of `size` bytes, given in pieces, that ends with `last_offset`.

        Raises LogStorageError when the disk refuses; nothing has changed then.
        """
        self.active.append(buffers, size, last_offset, max_timestamp)
        self.log_end_offset = last_offset + 1

    def may_have_to_roll(self, size: int, max_timestamp: int, last_offset: int) -> bool:
        """What each append asks first: False when the batch certainly belongs into the active segment."""
        active = self.active
        return (
            max_timestamp > self._roll_timestamp
            or active.size + size > self.config.segment_bytes
            or last_offset > active.last_possible_offset
        )

    def check_fits(self, size: int) -> None:
        """Raises KafkaError(record_list_too_large) for a batch above `segment.bytes`."""
        if size > self.config.segment_bytes:
            raise KafkaError(
                ErrorCode.record_list_too_large,
                f"a batch of {size} bytes does not fit into a segment of {self.partition}, which may have "
                f"{self.config.segment_bytes}",
            )

    def must_roll(self, size: int, max_timestamp: int, last_offset: int, now_ms: int) -> bool:
        """Whether a batch belongs into a new segment (`segment.bytes`, `segment.ms`, index full).

        Raises LogStorageError.
        """
        active = self.active
        config = self.config
        if active.size + size > config.segment_bytes or last_offset > active.last_possible_offset:
            return True
        if active.size == 0:
            return False
        max_age_ms = config.max_segment_ms - active.roll_jitter_ms
        try:
            first_timestamp = active.first_timestamp()
        except OSError as error:
            raise self.refused(f"cannot append to {self.partition}", error) from error
        if first_timestamp >= 0:
            self._roll_timestamp = first_timestamp + max_age_ms
        return active.age_ms(now_ms, max_timestamp) > max_age_ms

    def roll(self, base_offset: int, now_ms: int) -> None:
        """Begin a new active segment. Raises OSError; then the old one still is."""
        self.seal_active()
        segment = Segment(self.environment, self.directory, base_offset, self.config, created_ms=now_ms)
        segment.create()
        self.segments.add(segment)
        self._activate()
        self.must_sync(directory=self.directory)

    def _activate(self) -> None:
        """Follow a change of the last segment."""
        self.active = self.segments.active
        self.active.activate(self.config)
        self._roll_timestamp = _UNKNOWN_TIMESTAMP
        self._follow_flush()

    def reconfigure(self, config: TopicConfig) -> None:
        """Apply a changed topic configuration from the next append on."""
        self.config = config
        self._activate()

    # -- Flushing --------------------------------------------------------------------------------------------

    @property
    def unflushed_records(self) -> int:
        """How many offsets are not known to be on the disk."""
        return self.log_end_offset - self.recovery_point

    @property
    def needs_sync(self) -> bool:
        """Whether anything at all was written that a power loss could take back."""
        return self.unflushed_records > 0 or bool(self._unsynced)

    def must_sync(self, *paths: str, directory: str | None = None) -> None:
        """Have the next flush sync these files and this folder too."""
        folders = () if directory is None else (Unsynced(directory, is_directory=True),)
        self._unsynced = (*self._unsynced, *map(Unsynced, paths), *folders)

    def _follow_flush(self) -> None:
        """Set `flush_due_offset`: a flush is due once the log ends there, so that each append can ask."""
        if self.recovery_point < self.active.base_offset:
            self.flush_due_offset = 0  # a closed segment is not synced yet
        else:
            self.flush_due_offset = self.recovery_point + self.config.flush_messages

    def needs_flush(self, now_ms: int) -> bool:
        """Whether `flush.messages` or `flush.ms` asks for a flush, or a closed segment is not synced yet."""
        if self.unflushed_records <= 0:
            return False
        if self.log_end_offset >= self.flush_due_offset:
            return True
        return now_ms - self.last_flush_ms >= self.config.flush_ms

    def prepare_flush(self, now_ms: int = 0) -> Flush:
        """What syncs everything appended so far: call it in any thread, then hand the result to
        `complete_flush`.

        Raises LogStorageError after a failed flush.
        """
        if self.failure is not None:
            raise self.failure
        paths: list[str] = []
        if self.recovery_point < self.log_end_offset:
            for segment in self.segments.since(self.recovery_point):
                paths.append(segment.log_path)
                if segment is not self.active:
                    paths += (segment.path(INDEX), segment.path(TIMEINDEX), segment.path(TXNINDEX))
                if segment.base_offset > self.recovery_point:
                    paths.append(segment.path(SNAPSHOT))
        return Flush(
            self.environment.fs,
            paths,
            self._unsynced,
            end_offset=self.log_end_offset,
            generation=self.generation,
            now_ms=now_ms,
        )

    def complete_flush(self, result: FlushResult) -> None:
        """Take note of how a flush went.

        Raises LogStorageError when it failed. The system may have dropped the unwritten pages and call the
        next sync a success, so the log then takes no appends until it is opened, and so recovered, again.
        """
        flush, error = result
        if error is not None:
            self.fail(f"cannot sync {self.partition}", error)
        # By identity: while this flush ran, the same path may have been added anew.
        covered = {id(entry) for entry in flush.covers}
        self._unsynced = tuple(entry for entry in self._unsynced if id(entry) not in covered)
        if flush.generation == self.generation:
            self.recovery_point = max(self.recovery_point, flush.end_offset)
            self._follow_flush()
        self.last_flush_ms = max(self.last_flush_ms, flush.now_ms)

    def fail(self, action: str, error: OSError) -> NoReturn:
        """Refuse all further writes: memory and disk may have parted."""
        self.failure = self.refused(action, error)
        raise self.failure from error

    @contextmanager
    def refusals(self, action: str) -> Iterator[None]:
        """Raises LogStorageError where what is done inside raises OSError, and has that noted."""
        try:
            yield
        except OSError as error:
            raise self.refused(action, error) from error

    def refused(self, action: str, error: OSError) -> LogStorageError:
        """What to raise where the disk has refused something; it is noted."""
        self.environment.note_failure(self.directory)
        return LogStorageError.wrap(action, error)

    def seal_active(self) -> None:
        """Bring the active segment's indexes to their files, to be synced by the next flush.

        Raises OSError.
        """
        active = self.active
        active.seal()
        self.must_sync(
            active.path(INDEX),
            active.path(TIMEINDEX),
            active.path(TXNINDEX),
            segment_path(self.directory, self.log_end_offset, SNAPSHOT),
        )

    # -- Removing --------------------------------------------------------------------------------------------

    def _due_ms(self, now_ms: int) -> int:
        return now_ms + self.config.file_delete_delay_ms

    def remove_segments(self, doomed: Sequence[Segment], now_ms: int) -> None:
        """Take the oldest segments out; their files go after `file.delete.delay.ms`. Raises OSError."""
        self.reader.forget_positions()
        self.segments.remove(doomed, self._due_ms(now_ms))

    def replace_segments(self, new: Collection[int], old: Collection[int], now_ms: int) -> list[int]:
        """Put compacted segments in place of closed ones, by base offsets; returns those that are gone.

        Raises OSError (see `SegmentList.replace`).
        """
        self.reader.forget_positions()
        return self.segments.replace(new, old, self.config, self._due_ms(now_ms))

    def truncate_to(self, offset: int, now_ms: int) -> None:
        """Cut the log so that it ends at `offset`, which lies in it, on the disk as well. Raises OSError."""
        self._begin_rewrite(offset)
        self.segments.cut(self.segments.after(offset), self._due_ms(now_ms))
        self.segments.active.truncate(offset)
        self.log_end_offset = offset
        self._activate()

    def truncate_fully_and_start_at(self, offset: int, now_ms: int) -> None:
        """Drop all segments and begin an empty one at `offset`. Raises OSError."""
        self._begin_rewrite(min(offset, self.segments.first.base_offset))
        self.segments.cut(list(self.segments), self._due_ms(now_ms))
        segment = Segment(self.environment, self.directory, offset, self.config, created_ms=now_ms)
        segment.create()
        self.segments.add(segment)
        self.log_end_offset = self.recovery_point = offset
        self._activate()

    def distrust(self, offset: int) -> None:
        """What lies from `offset` on is about to be cut off: no checkpoint may say that it is on the disk,
        nor therefore what comes in its place. A flush that ends before it is cut says so again.
        """
        self.recovery_point = min(self.recovery_point, offset)
        self._follow_flush()

    def _begin_rewrite(self, offset: int) -> None:
        """Offsets from `offset` on will mean other records: flushes under way say nothing of them."""
        self.generation += 1
        self.is_changed = True
        self.reader.forget_positions()
        self.recovery_point = min(self.recovery_point, offset)
        self.must_sync(directory=self.directory)

    def expired_segments(self, log_start_offset: int, high_watermark: int, now_ms: int) -> list[Segment]:
        """The oldest segments that may go, in order; maybe all of them, but never an empty active one.

        They go for lying behind the log start offset, by `retention.bytes`, or by `retention.ms`; nothing at
        or above the high watermark does. Only `cleanup.policy=delete` has limits of size and time. Raises
        OSError.
        """
        segments = list(self.segments)
        ends = [segment.base_offset for segment in segments[1:]] + [self.log_end_offset]
        removable = 0
        for segment, end_offset in zip(segments, ends, strict=True):
            if end_offset > high_watermark or (segment is segments[-1] and segment.size == 0):
                break
            removable += 1

        def extend(count: int, is_expired: Callable[[int], bool]) -> int:
            while count < removable and is_expired(count):
                count += 1
            return count

        # The active segment stays whatever the log start offset is: it holds the log's end.
        count = extend(0, lambda number: number + 1 < len(segments) and ends[number] <= log_start_offset)
        config = self.config
        if not config.delete:
            return segments[:count]
        if config.retention_bytes >= 0:
            excess = sum(segment.size for segment in segments[count:]) - config.retention_bytes

            def is_excess(number: int) -> bool:
                nonlocal excess
                excess -= segments[number].size
                return excess >= 0

            count = extend(count, is_excess)
        if config.retention_ms >= 0:
            count = extend(
                count, lambda number: now_ms - segments[number].largest_timestamp() > config.retention_ms
            )
        return segments[:count]

    def close(self) -> None:
        """Give files and memory back; writes are refused from now on."""
        self.segments.close()
        self.reader.forget_positions()
        self.failure = LogClosedError(f"the log of {self.partition} is closed")
