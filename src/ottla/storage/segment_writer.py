"""Building a new segment beside the log, for compaction: private files, so that a worker thread may do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ottla.records.batch import NO_TIMESTAMP, BatchHeader
from ottla.storage.names import CLEANED, INDEX, LOG, TIMEINDEX, segment_path
from ottla.storage.offset_index import encode_offset_index
from ottla.storage.time_index import encode_time_index

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem

__all__ = ["SegmentWriter"]

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
        "last_offset",
        "size",
    )

    def __init__(
        self, fs: FileSystem, directory: str, base_offset: int, *, index_interval_bytes: int = 4096
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
        self.last_offset = base_offset - 1
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
        self.last_offset = header.last_offset
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
