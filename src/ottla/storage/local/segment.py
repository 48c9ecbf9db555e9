"""One segment of a log: the file with its batches, and its offset, time and transaction index (Kafka's
LogSegment).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ottla.records.batch import HEADER_SIZE, LOG_OVERHEAD, NO_TIMESTAMP, BatchHeader, Buffer, parse_header
from ottla.records.codec import decode_batch
from ottla.storage.errors import LogStorageError, refusals
from ottla.storage.local.indexes import CorruptIndexError, OffsetIndex, TimeIndex
from ottla.storage.local.scan import LOCATOR, find_batch, scan_headers
from ottla.storage.local.txn_index import TransactionIndex
from ottla.storage.names import INDEX, LOG, TIMEINDEX, TXNINDEX, segment_path

if TYPE_CHECKING:
    from ottla.config.topic import TopicConfig
    from ottla.storage.environment import LogEnvironment
    from ottla.storage.fs import File, Records

__all__ = ["MAX_RELATIVE_OFFSET", "Segment"]

MAX_RELATIVE_OFFSET: Final = 0x7FFF_FFFF
_FULL: Final = -1
_LARGE: Final = 8 << 10  # bytes between index entries that speak of large batches
_SLICED: Final = 16 << 10  # bytes from which on records are better read when they are sent


class Segment:
    """Opened without touching the disk; what is not known yet is read at first use.

    `size` is the end of the last whole batch: bytes behind it are what a failed write left.
    `last_possible_offset` bounds what may still be appended: offsets are stored relative to the base in 31
    bits, and a full index ends it.
    """

    __slots__ = (
        "_bytes_since_index_entry",
        "_directory",
        "_environment",
        "_file",
        "_first_timestamp",
        "_has_torn_tail",
        "_max_timestamp",
        "_max_timestamp_offset",
        "_offset_index",
        "_time_index",
        "_txn_index",
        "base_offset",
        "config",
        "created_ms",
        "last_possible_offset",
        "roll_jitter_ms",
        "size",
    )

    def __init__(
        self,
        environment: LogEnvironment,
        directory: str,
        base_offset: int,
        config: TopicConfig,
        *,
        size: int = 0,
        created_ms: int = 0,
    ) -> None:
        self._environment = environment
        self._directory = directory
        self.base_offset = base_offset
        self.config = config
        self.size = size
        self.created_ms = created_ms
        self.roll_jitter_ms = 0
        self.last_possible_offset = base_offset + MAX_RELATIVE_OFFSET
        self._bytes_since_index_entry = 0
        self._has_torn_tail = False
        self._file: File | None = None
        self._offset_index: OffsetIndex | None = None
        self._time_index: TimeIndex | None = None
        self._txn_index: TransactionIndex | None = None
        self._first_timestamp: int | None = None
        self._max_timestamp: int | None = None
        self._max_timestamp_offset = base_offset

    def create(self) -> None:
        """Make the file of a new segment and begin its indexes. Raises OSError."""
        self.file.truncate(0)
        self._new_offset_index().reset()
        self._new_time_index().reset()
        self._max_timestamp = NO_TIMESTAMP
        self._environment.fs.unlink(self.path(TXNINDEX))

    def activate(self, config: TopicConfig) -> None:
        """Become the segment that takes appends, under this configuration."""
        self.config = config
        jitter_ms = min(config.segment_jitter_ms, config.segment_ms)
        self.roll_jitter_ms = self._environment.random.randrange(jitter_ms) if jitter_ms > 0 else 0

    # -- Files -----------------------------------------------------------------------------------------------

    def path(self, suffix: str) -> str:
        return segment_path(self._directory, self.base_offset, suffix)

    @property
    def log_path(self) -> str:
        return segment_path(self._directory, self.base_offset, LOG)

    @property
    def file(self) -> File:
        file = self._file
        if file is None:
            file = self._file = self._environment.fs.open(self.log_path)
        return file

    def _new_offset_index(self) -> OffsetIndex:
        environment = self._environment
        self._offset_index = OffsetIndex(
            environment.fs, environment.index_cache, self._directory, self.base_offset
        )
        return self._offset_index

    def _new_time_index(self) -> TimeIndex:
        environment = self._environment
        self._time_index = TimeIndex(
            environment.fs, environment.index_cache, self._directory, self.base_offset
        )
        return self._time_index

    def offset_index(self) -> OffsetIndex:
        """The loaded offset index. Use it at once: loading another index may unload it."""
        index = self._offset_index
        if index is None:
            index = self._new_offset_index()
        if not index.is_loaded:
            try:
                index.load()
            except (FileNotFoundError, CorruptIndexError):
                self.rebuild_indexes()
                index = self.offset_index()
        return index

    def time_index(self) -> TimeIndex:
        """The loaded time index. Use it at once: loading another index may unload it."""
        index = self._time_index
        if index is None:
            index = self._new_time_index()
        if not index.is_loaded:
            try:
                index.load()
            except (FileNotFoundError, CorruptIndexError):
                self.rebuild_indexes()
                index = self.time_index()
        return index

    @property
    def txn_index(self) -> TransactionIndex:
        index = self._txn_index
        if index is None:
            index = self._txn_index = TransactionIndex(self._environment.fs, self.path(TXNINDEX))
        return index

    # -- Writing ---------------------------------------------------------------------------------------------

    def append(self, buffers: Sequence[Buffer], size: int, last_offset: int, max_timestamp: int) -> None:
        """Append one batch of `size` bytes, given in pieces, that ends with `last_offset`.

        Raises LogStorageError when the disk does not take all of it; then the segment is as before.
        """
        position = self.size
        if self._has_torn_tail:
            self._cut_torn_tail()
        known = self._max_timestamp
        if known is None:
            with refusals(f"cannot append to {self.log_path}"):
                known = self.max_timestamp
        file = self._file
        if file is None:
            file = self.file
        try:
            written = file.write(buffers, position)
        except OSError as error:
            self._undo_write()
            raise LogStorageError.wrap(f"cannot append to {self.log_path}", error) from error
        if written != size:
            self._undo_write()
            raise LogStorageError(
                f"cannot append to {self.log_path}: the disk took {written} of {size} bytes; is it full?"
            )
        self.size = position + size
        if max_timestamp > known:
            self._max_timestamp = max_timestamp
            self._max_timestamp_offset = last_offset
        if self._bytes_since_index_entry > self.config.index_interval_bytes:
            try:
                self._add_index_entries(last_offset, position)
            except OSError:
                return  # it is appended all the same, and with the next batch it is tried again
            self._bytes_since_index_entry = size
        else:
            self._bytes_since_index_entry += size

    def _add_index_entries(self, last_offset: int, position: int) -> None:
        index_bytes = self.config.segment_index_bytes
        offset_index = self.offset_index()
        offset_index.append(last_offset, position)
        is_full = (len(offset_index) + 1) * OffsetIndex.ENTRY_SIZE > index_bytes
        time_index = self.time_index()
        time_index.append(self.max_timestamp, self._max_timestamp_offset)
        # One time entry is kept free for the largest timestamp, which is added when the segment ends.
        if is_full or (len(time_index) + 2) * TimeIndex.ENTRY_SIZE > index_bytes:
            self.last_possible_offset = _FULL

    def note(self, position: int, header: BatchHeader) -> None:
        """Take in a batch that already lies at `position`, while the indexes are rebuilt from the file."""
        if header.max_timestamp > self.max_timestamp:
            self._max_timestamp = header.max_timestamp
            self._max_timestamp_offset = header.last_offset
        if self._bytes_since_index_entry > self.config.index_interval_bytes:
            self._add_index_entries(header.last_offset, position)
            self._bytes_since_index_entry = 0
        self._bytes_since_index_entry += header.size

    def begin_rebuild(self) -> None:
        """Forget the indexes and what was derived from the batches; `note` them all afterwards."""
        if self._offset_index is None:
            self._new_offset_index()
        if self._time_index is None:
            self._new_time_index()
        assert self._offset_index is not None
        assert self._time_index is not None
        self._offset_index.reset()
        self._time_index.reset()
        self._max_timestamp = NO_TIMESTAMP
        self._max_timestamp_offset = self.base_offset
        self._first_timestamp = None
        self._bytes_since_index_entry = 0
        self.last_possible_offset = self.base_offset + MAX_RELATIVE_OFFSET

    def rebuild_indexes(self) -> None:
        """Build offset and time index anew from the batch headers, and sync them. Raises OSError."""
        self.begin_rebuild()
        for position, header in scan_headers(self.file, 0, self.size):
            self.note(position, header)
        self.seal()
        # Flushes leave segments behind the recovery point alone.
        for path in (self.path(INDEX), self.path(TIMEINDEX)):
            if self._environment.fs.exists(path):
                self._environment.fs.sync_file(path)

    def _undo_write(self) -> None:
        self._environment.note_failure(self._directory)
        self._has_torn_tail = True
        try:
            self._cut_torn_tail()
        except LogStorageError:
            pass  # the next append tries again, and recovery cuts what is no whole batch

    def _cut_torn_tail(self) -> None:
        try:
            self.file.truncate(self.size)
        except OSError as error:
            raise LogStorageError.wrap(f"cannot cut a failed write off {self.log_path}", error) from error
        self._has_torn_tail = False

    def seal(self) -> None:
        """Note the largest timestamp in the time index and write both indexes, not synced. Raises OSError.

        Done when the segment stops being the active one, and when the log is closed.
        """
        if self._has_torn_tail:
            self._cut_torn_tail()
        if self._max_timestamp is not None:
            self.time_index().append(self._max_timestamp, self._max_timestamp_offset)
            self.time_index().save()
        if self._offset_index is not None or self.size:
            self.offset_index().save()

    def truncate(self, offset: int) -> bool:
        """Cut off the batch that contains `offset` and all behind it; says whether there was one.

        Raises OSError.
        """
        position = self.position_of(offset)
        self.offset_index().truncate(offset)
        self.time_index().truncate(offset)
        self.txn_index.truncate(offset)
        self._bytes_since_index_entry = 0
        self.last_possible_offset = self.base_offset + MAX_RELATIVE_OFFSET
        if position is None:
            return False
        self.cut(position)
        if position == 0:
            self._first_timestamp = None
        timestamp, timestamp_offset = self.time_index().last
        start = self.offset_index().lookup(timestamp_offset)[0]
        for _, header in scan_headers(self.file, start, position):
            if header.max_timestamp > timestamp:
                timestamp, timestamp_offset = header.max_timestamp, header.last_offset
        self._max_timestamp, self._max_timestamp_offset = timestamp, timestamp_offset
        return True

    def cut(self, position: int) -> None:
        """Have the file end there, for good: what was behind it must not come back behind what is appended
        next. Raises OSError.
        """
        self.file.truncate(position)
        self.file.sync()
        self.size = position
        self._has_torn_tail = False

    def close(self) -> None:
        """Give back descriptors and memory; nothing is written."""
        if self._file is not None:
            self._file.close()
            self._file = None
        for index in (self._offset_index, self._time_index):
            if index is not None:
                index.close()
        self._offset_index = self._time_index = self._txn_index = None

    # -- Reading ---------------------------------------------------------------------------------------------

    def position_of(self, offset: int) -> int | None:
        """Where the first batch begins that ends at `offset` or later; None when all end before."""
        start, _ = self.offset_index().lookup(offset)
        return find_batch(self.file, offset, start, self.size)

    def read(
        self, offset: int, max_bytes: int, end: int, *, min_one: bool, position: int | None = None
    ) -> tuple[int, Records] | None:
        """Read from the batch that contains `offset`, or the next one, up to `end` (a position).

        Returns (position, records): at most `max_bytes`, the last batch maybe cut off, but never the first:
        with `min_one` it is whole whatever its size, else there are no records where it does not fit. None
        when all batches end before `offset`. `position` skips the search when the caller knows it. Raises
        OSError.
        """
        if position is None:
            start, distance = self.offset_index().lookup(offset)
            if distance > _LARGE:
                # Batches as large as this have an index entry each: the next one is likely the one looked
                # for.
                candidate = start + distance
                if candidate < end:
                    base_offset, size = self._batch_at(candidate)
                    if size and base_offset <= offset:
                        return candidate, self._read_at(candidate, max_bytes, end, min_one)
            position = find_batch(self.file, offset, start, self.size)
        if position is None or position >= self.size:
            return None
        return position, self._read_at(position, max_bytes, end, min_one)

    def _read_at(self, position: int, max_bytes: int, end: int, min_one: bool) -> Records:
        file, available = self.file, end - position
        if available <= 0:
            return b""
        if min_one and max_bytes < HEADER_SIZE:
            max_bytes = HEADER_SIZE
        size = min(max_bytes, available)
        if size < _SLICED:
            data = file.pread(size, position)
            if size == available:
                return data
            is_headed = len(data) >= HEADER_SIZE
            first_size = LOCATOR.unpack_from(data)[1] + LOG_OVERHEAD if is_headed else HEADER_SIZE
            if first_size <= len(data):
                return data
            if not (min_one and is_headed):
                return b""
            size = min(first_size, available)
        elif size < available:
            _, first_size = self._batch_at(position)
            if first_size > size:
                if not min_one:
                    return b""
                size = min(first_size, available)
        return file.slice(size, position) if size >= _SLICED else file.pread(size, position)

    def _batch_at(self, position: int) -> tuple[int, int]:
        """Base offset and size of the batch that begins there; size 0 when the file ends before."""
        data = self.file.pread(LOCATOR.size, position)
        if len(data) < LOCATOR.size:
            return 0, 0
        base_offset, length, _ = LOCATOR.unpack(data)
        return base_offset, length + LOG_OVERHEAD

    def offset_after(self, position: int) -> int | None:
        """An offset behind everything that begins before `position`; None when the index does not reach
        there.
        """
        return self.offset_index().offset_after(position)

    def end_offset(self) -> int:
        """The offset after the last batch, found from the last index entry on. Raises OSError."""
        end_offset = self.base_offset
        start = self.offset_index().last_position
        for _, header in scan_headers(self.file, start, self.size):
            end_offset = header.next_offset
        return end_offset

    # -- Timestamps (milliseconds) ---------------------------------------------------------------------------

    @property
    def max_timestamp(self) -> int:
        """The largest timestamp of the segment's records; -1 without any."""
        if self._max_timestamp is None:
            self._max_timestamp, self._max_timestamp_offset = (
                self.time_index().last if self.size else (NO_TIMESTAMP, self.base_offset)
            )
        return self._max_timestamp

    @property
    def max_timestamp_offset(self) -> int:
        """The last offset of the batch that has the largest timestamp."""
        _ = self.max_timestamp
        return self._max_timestamp_offset

    def first_timestamp(self) -> int:
        """The largest timestamp of the first batch, by which the segment rolls; -1 when unknown."""
        if self._first_timestamp is None:
            if self.size < HEADER_SIZE:
                return NO_TIMESTAMP
            self._first_timestamp = parse_header(self.file.pread(HEADER_SIZE, 0)).max_timestamp
        return self._first_timestamp

    def modified_ms(self) -> int:
        return self._environment.fs.modified_ms(self.log_path)

    def largest_timestamp(self) -> int:
        """What time retention goes by: the largest record timestamp, or when the file was last written."""
        timestamp = self.max_timestamp
        return timestamp if timestamp >= 0 else self.modified_ms()

    def age_ms(self, now_ms: int, max_timestamp: int) -> int:
        """How long the segment has been filling: by its records' timestamps, or else by the clock."""
        first_timestamp = self.first_timestamp()
        return max_timestamp - first_timestamp if first_timestamp >= 0 else now_ms - self.created_ms

    def find_timestamp(self, timestamp: int, start_offset: int) -> tuple[int, int, int] | None:
        """(timestamp, offset, leader epoch) of the first record from `start_offset` on not older."""
        from_offset = max(self.time_index().lookup(timestamp), start_offset)
        start, _ = self.offset_index().lookup(from_offset)
        for position, header in scan_headers(self.file, start, self.size):
            if header.max_timestamp < timestamp or header.last_offset < start_offset:
                continue
            for record_timestamp, offset in self._timestamps(position, header):
                if record_timestamp >= timestamp and offset >= start_offset:
                    return record_timestamp, offset, header.leader_epoch
        return None

    def find_max_timestamp(self) -> tuple[int, int, int] | None:
        """(timestamp, offset, leader epoch) of the first record with the largest timestamp; None without
        records.
        """
        timestamp = self.max_timestamp
        if timestamp < 0:
            return None
        start, _ = self.offset_index().lookup(self._max_timestamp_offset)
        for position, header in scan_headers(self.file, start, self.size):
            if header.max_timestamp == timestamp:
                for record_timestamp, offset in self._timestamps(position, header):
                    if record_timestamp == timestamp:
                        return timestamp, offset, header.leader_epoch
        return None

    def _timestamps(self, position: int, header: BatchHeader) -> list[tuple[int, int]]:
        batch = self.file.pread(header.size, position)
        records = decode_batch(batch, max_bytes=self._environment.max_decoded_batch_bytes)
        return [(record.timestamp, record.offset) for record in records]
