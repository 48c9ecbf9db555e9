"""A log's segments and offsets on disk: rolling, flushing, truncating, deleting (Kafka's LocalLog)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from ottla.storage.environment import LogEnvironment
from ottla.storage.errors import LogStorageError
from ottla.storage.flush import Flush, FlushResult, Unsynced
from ottla.storage.names import INDEX, SNAPSHOT, TIMEINDEX, TXNINDEX, segment_path
from ottla.storage.segment import Segment
from ottla.storage.segments import SegmentList

if TYPE_CHECKING:
    from ottla.config.topic import TopicConfig
    from ottla.storage.log_producers import LogProducers

__all__ = ["LocalLog", "LogState"]

UNKNOWN_TIMESTAMP: Final = -(1 << 63)


class LogState(NamedTuple):
    """What opening a log found out; the offsets are those of `Log`.

    `snapshot_offsets` are those of the producer snapshots in the folder; `producers` is their state when
    recovery had to build it. `unsynced` is what opening wrote and a crash could still lose. `is_changed` says
    that closing must bring indexes and producer snapshot up to date.
    """

    log_start_offset: int
    log_end_offset: int
    recovery_point: int
    snapshot_offsets: tuple[int, ...] = ()
    producers: LogProducers | None = None
    unsynced: tuple[Unsynced, ...] = ()
    is_changed: bool = False


class LocalLog:
    """`log_end_offset` is the next offset to be written, `log_start_offset` the first one that may be read,
    and `recovery_point` the offset up to which everything is known to be on the disk.
    """

    __slots__ = (
        "_active",
        "_failure",
        "_generation",
        "_is_changed",
        "_roll_timestamp",
        "_unsynced",
        "config",
        "directory",
        "environment",
        "flush_due_offset",
        "last_flush_ms",
        "log_end_offset",
        "log_start_offset",
        "partition",
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
        state: LogState,
        *,
        now_ms: int,
    ) -> None:
        self.environment = environment
        self.directory = directory
        self.partition = partition
        self.config = config
        self.segments = segments
        self.log_start_offset = state.log_start_offset
        self.log_end_offset = state.log_end_offset
        self.recovery_point = state.recovery_point
        self.last_flush_ms = now_ms
        self._activate()
        self._unsynced = state.unsynced
        self._is_changed = state.is_changed
        self._generation = 0
        self._failure: LogStorageError | None = None

    @property
    def size(self) -> int:
        """Bytes of all batches."""
        return self.segments.size

    @property
    def active(self) -> Segment:
        return self._active

    # -- Rolling ---------------------------------------------------------------------------------------------

    def _must_roll(self, size: int, max_timestamp: int, last_offset: int, now_ms: int) -> bool:
        """Whether a batch belongs into a new segment (`segment.bytes`, `segment.ms`, index full)."""
        active = self._active
        config = self.config
        if active.size + size > config.segment_bytes or last_offset > active.last_possible_offset:
            return True
        if active.size == 0:
            return False
        max_age_ms = config.max_segment_ms - active.roll_jitter_ms
        first_timestamp = active.first_timestamp()
        if first_timestamp >= 0:
            self._roll_timestamp = first_timestamp + max_age_ms
        return active.age_ms(now_ms, max_timestamp) > max_age_ms

    def _roll_segment(self, base_offset: int, now_ms: int) -> None:
        """Begin a new active segment. Raises OSError; then the old one still is."""
        self._seal_active()
        segment = Segment(self.environment, self.directory, base_offset, self.config, created_ms=now_ms)
        segment.create()
        self.segments.add(segment)
        self._activate()
        self._must_sync(directory=self.directory)

    def _activate(self) -> None:
        """Follow a change of the last segment."""
        self._active = self.segments.active
        self._active.activate(self.config)
        self._roll_timestamp = UNKNOWN_TIMESTAMP
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

    def _must_sync(self, *paths: str, directory: str | None = None) -> None:
        """Have the next flush sync these files and this folder too."""
        folders = () if directory is None else (Unsynced(directory, is_directory=True),)
        self._unsynced = (*self._unsynced, *map(Unsynced, paths), *folders)

    def _follow_flush(self) -> None:
        """Set `flush_due_offset`: a flush is due once the log ends there, so that each append can ask."""
        if self.recovery_point < self._active.base_offset:
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
        if self._failure is not None:
            raise self._failure
        paths: list[str] = []
        if self.recovery_point < self.log_end_offset:
            for segment in self.segments.since(self.recovery_point):
                paths.append(segment.log_path)
                if segment is not self._active:
                    paths += (segment.path(INDEX), segment.path(TIMEINDEX), segment.path(TXNINDEX))
                if segment.base_offset > self.recovery_point:
                    paths.append(segment.path(SNAPSHOT))
        return Flush(
            self.environment.fs,
            paths,
            self._unsynced,
            end_offset=self.log_end_offset,
            generation=self._generation,
            now_ms=now_ms,
        )

    def complete_flush(self, result: FlushResult) -> None:
        """Take note of how a flush went.

        Raises LogStorageError when it failed. The system may have dropped the unwritten pages and call the
        next sync a success, so the log then takes no appends until it is opened, and so recovered, again.
        """
        flush, error = result
        if error is not None:
            self._fail(f"cannot sync {self.partition}", error)
        # By identity: while this flush ran, the same path may have been added anew.
        covered = {id(entry) for entry in flush.covers}
        self._unsynced = tuple(entry for entry in self._unsynced if id(entry) not in covered)
        if flush.generation == self._generation:
            self.recovery_point = max(self.recovery_point, flush.end_offset)
            self._follow_flush()
        self.last_flush_ms = max(self.last_flush_ms, flush.now_ms)

    def _fail(self, action: str, error: OSError) -> NoReturn:
        """Refuse all further writes: memory and disk may have parted."""
        self._failure = LogStorageError.wrap(action, error)
        self._on_failure()
        raise self._failure from error

    def _on_failure(self) -> None:
        """Make the next append notice."""

    def flush(self, now_ms: int = 0) -> None:
        """Sync everything now, in this thread. Raises LogStorageError."""
        self.complete_flush(self.prepare_flush(now_ms)())

    # -- Removing --------------------------------------------------------------------------------------------

    def _due_ms(self, now_ms: int) -> int:
        return now_ms + self.config.file_delete_delay_ms

    def _truncate_segments(self, offset: int, now_ms: int) -> None:
        """Cut the log so that it ends at `offset`, which lies in it. Raises OSError."""
        self._begin_rewrite(offset)
        self.segments.remove(self.segments.after(offset), self._due_ms(now_ms))
        self.segments.active.truncate(offset)
        self.log_end_offset = offset
        self.log_start_offset = min(self.log_start_offset, offset)
        self._activate()

    def _restart_segments(self, offset: int, now_ms: int) -> None:
        """Drop all segments and begin an empty one at `offset`. Raises OSError."""
        self._begin_rewrite(min(offset, self.log_start_offset))
        self.segments.remove(list(self.segments), self._due_ms(now_ms))
        segment = Segment(self.environment, self.directory, offset, self.config, created_ms=now_ms)
        segment.create()
        self.segments.add(segment)
        self.log_start_offset = self.log_end_offset = self.recovery_point = offset
        self._activate()

    def _begin_rewrite(self, offset: int) -> None:
        """Offsets from `offset` on will mean other records: flushes under way say nothing of them."""
        self._generation += 1
        self._is_changed = True
        self.recovery_point = min(self.recovery_point, offset)
        self._must_sync(directory=self.directory)

    def _seal_active(self) -> None:
        """Bring the active segment's indexes to their files, to be synced by the next flush.

        Raises OSError.
        """
        active = self._active
        active.seal()
        self._must_sync(
            active.path(INDEX),
            active.path(TIMEINDEX),
            active.path(TXNINDEX),
            segment_path(self.directory, self.log_end_offset, SNAPSHOT),
        )
