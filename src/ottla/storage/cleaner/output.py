"""New segments beside the log, for compaction: private files, so that a worker thread may write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ottla.records.batch import NO_TIMESTAMP, BatchHeader
from ottla.storage.cleaner.filter import CleanedTransactions
from ottla.storage.cleaner.policy import CleaningPlan, SegmentFacts
from ottla.storage.local.indexes import encode_offset_index, encode_time_index
from ottla.storage.local.segments import discard
from ottla.storage.local.txn_index import encode_aborted
from ottla.storage.names import CLEANED, INDEX, LOG, TIMEINDEX, TXNINDEX, segment_path

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem

__all__ = ["CleanedGroup", "CleanedSegments", "SegmentWriter"]

_MAX_SEGMENT_BYTES: Final = 2**31 - 1
_MAX_OFFSET_RANGE: Final = 2**31 - 1
_CHUNK: Final = 1 << 20  # bytes gathered for one write


class SegmentWriter:
    """Writes `<base offset>.log.cleaned` and its offset and time index; `finish` or `abort` it."""

    __slots__ = (
        "_base_offset",
        "_bytes_since_index_entry",
        "_directory",
        "_file",
        "_fs",
        "_index_interval_bytes",
        "_max_timestamp",
        "_max_timestamp_offset",
        "_offsets",
        "_pending",
        "_pending_bytes",
        "_timestamps",
        "size",
    )

    def __init__(
        self, fs: FileSystem, directory: str, base_offset: int, *, index_interval_bytes: int
    ) -> None:
        self._fs = fs
        self._directory = directory
        self._base_offset = base_offset
        self._index_interval_bytes = index_interval_bytes
        self._bytes_since_index_entry = 0
        self._max_timestamp = NO_TIMESTAMP
        self._max_timestamp_offset = base_offset
        self._offsets: list[tuple[int, int]] = []  # (relative offset, position)
        self._timestamps: list[tuple[int, int]] = []  # (timestamp, relative offset)
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self.size = 0
        for suffix in (LOG, INDEX, TIMEINDEX):
            fs.unlink(self._path(suffix))
        self._file = fs.open_private(self._path(LOG))
        self._file.truncate(0)

    def _path(self, suffix: str) -> str:
        return segment_path(self._directory, self._base_offset, suffix + CLEANED)

    def append(self, batch: bytes, header: BatchHeader) -> None:
        """Add a batch as it is, with the offsets that its header says. Raises OSError."""
        if header.max_timestamp > self._max_timestamp:
            self._max_timestamp = header.max_timestamp
            self._max_timestamp_offset = header.last_offset
        if self._bytes_since_index_entry > self._index_interval_bytes:
            self._offsets.append((header.last_offset - self._base_offset, self.size))
            self._add_timestamp()
            self._bytes_since_index_entry = 0
        self._bytes_since_index_entry += len(batch)
        self._pending.append(batch)
        self._pending_bytes += len(batch)
        self.size += len(batch)
        if self._pending_bytes >= _CHUNK:
            self._write_pending()

    def _add_timestamp(self) -> None:
        last = self._timestamps[-1][0] if self._timestamps else NO_TIMESTAMP
        if self._max_timestamp > last:
            self._timestamps.append((self._max_timestamp, self._max_timestamp_offset - self._base_offset))

    def _write_pending(self) -> None:
        data = b"".join(self._pending)
        if data and self._file.write((data,), self.size - len(data)) != len(data):
            raise OSError(f"only a part of {len(data)} bytes could be written to {self._file.path}")
        self._pending.clear()
        self._pending_bytes = 0

    def finish(self, modified_ms: int) -> int:
        """Sync everything and set when the segment was last written, for retention; returns its size."""
        self._add_timestamp()
        self._write_pending()
        self._file.sync()
        self._file.close()
        for suffix, data in (
            (INDEX, encode_offset_index(self._offsets)),
            (TIMEINDEX, encode_time_index(self._timestamps)),
        ):
            self._fs.write_bytes(self._path(suffix), data)
            self._fs.sync_file(self._path(suffix))
        self._fs.set_modified_ms(self._path(LOG), modified_ms)
        return self.size

    def abort(self) -> None:
        """Remove what was written."""
        self._file.close()
        for suffix in (LOG, INDEX, TIMEINDEX):
            self._fs.unlink(self._path(suffix))


class CleanedGroup(NamedTuple):
    """Finished `.cleaned` segments, synced, and the segments that they are to replace together."""

    new_base_offsets: tuple[int, ...]
    old_base_offsets: tuple[int, ...]
    bytes_before: int
    bytes_after: int


class CleanedSegments:
    """The output of one group: one segment, or more when recompression outgrew the format's limits."""

    def __init__(
        self,
        fs: FileSystem,
        plan: CleaningPlan,
        group: Sequence[SegmentFacts],
        transactions: CleanedTransactions,
    ) -> None:
        self._fs = fs
        self._directory = plan.facts.directory
        self._index_interval_bytes = plan.facts.config.index_interval_bytes
        self._group = group
        self._transactions = transactions
        self._bytes_after = 0
        self._base_offsets: list[int] = []
        self._next_offset = group[0].base_offset
        self._writer = self._open(group[0].base_offset)

    def _open(self, base_offset: int) -> SegmentWriter:
        self._base_offsets.append(base_offset)
        return SegmentWriter(
            self._fs, self._directory, base_offset, index_interval_bytes=self._index_interval_bytes
        )

    def append(self, batch: bytes, header: BatchHeader) -> None:
        offset_range = header.last_offset - self._base_offsets[-1]
        if self._writer.size and (
            self._writer.size + len(batch) > _MAX_SEGMENT_BYTES or offset_range > _MAX_OFFSET_RANGE
        ):
            self._close()
            self._writer = self._open(self._next_offset)
        self._writer.append(batch, header)
        self._next_offset = header.next_offset

    def _close(self) -> None:
        retained = self._transactions.take_retained()
        if retained:
            path = self._txn_index_path(self._base_offsets[-1])
            self._fs.write_bytes(path, b"".join(map(encode_aborted, retained)))
            self._fs.sync_file(path)
        self._bytes_after += self._writer.size
        # The new segment is as old as the newest of those it replaces: retention by age looks at that.
        self._writer.finish(self._group[-1].modified_ms)

    def finish(self) -> CleanedGroup:
        self._close()
        return CleanedGroup(
            tuple(self._base_offsets),
            tuple(segment.base_offset for segment in self._group),
            sum(segment.size for segment in self._group),
            self._bytes_after,
        )

    def abort(self) -> None:
        """Remove everything that was written for the group."""
        self._writer.abort()
        discard(self._fs, self._directory, self._base_offsets)

    def _txn_index_path(self, base_offset: int) -> str:
        return segment_path(self._directory, base_offset, TXNINDEX + CLEANED)
