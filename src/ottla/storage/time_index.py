"""From timestamps to offsets: `<base offset>.timeindex`, 12 bytes for about every 4 KB of log.

An entry says: up to this offset no record has a timestamp above this one. It holds the timestamp (i64,
milliseconds) and the offset relative to the segment's base (u32), big-endian, and both only ascend. The last
entry of a segment that was closed or rolled carries the segment's largest timestamp, which time retention
goes by.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from ottla.records.batch import NO_TIMESTAMP
from ottla.storage.index_file import CorruptIndexError, IndexCache, IndexFile
from ottla.storage.names import TIMEINDEX

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem

__all__ = ["TimeIndex", "decode_time_index", "encode_time_index"]

_ENTRY: Final = struct.Struct(">qI")
_PADDING: Final = array("q", (0, 0))


def decode_time_index(data: bytes, source: str = "time index") -> tuple[array[int], array[int]]:
    """A file's timestamps and relative offsets, without the padding. Raises CorruptIndexError."""
    timestamps = array("q")
    offsets = array("I")
    for timestamp, offset in _ENTRY.iter_unpack(data):
        timestamps.append(timestamp)
        offsets.append(offset)
    # A lone (0, 0) is a record with timestamp 0; several are padding, for real entries ascend.
    if timestamps[-2:] == _PADDING and offsets[-1] == 0:
        while timestamps and timestamps[-1] == 0 and offsets[-1] == 0:
            timestamps.pop()
            offsets.pop()
    for number in range(1, len(timestamps)):
        if timestamps[number] <= timestamps[number - 1] or offsets[number] < offsets[number - 1]:
            raise CorruptIndexError(f"{source}: entry {number} does not ascend")
    return timestamps, offsets


def encode_time_index(entries: Iterable[tuple[int, int]]) -> bytes:
    """A file of (timestamp, relative offset) entries."""
    return b"".join(_ENTRY.pack(timestamp, offset) for timestamp, offset in entries)


class TimeIndex(IndexFile):
    """The time index of one segment. `load` it before anything else."""

    __slots__ = ("_offsets", "_timestamps")

    SUFFIX = TIMEINDEX
    ENTRY_SIZE = _ENTRY.size

    def __init__(self, fs: FileSystem, cache: IndexCache, directory: str, base_offset: int) -> None:
        super().__init__(fs, cache, directory, base_offset)
        self._timestamps = array("q")
        self._offsets = array("I")

    def __len__(self) -> int:
        return len(self._timestamps)

    def entries(self) -> Iterator[tuple[int, int]]:
        """(timestamp, offset) of every entry."""
        for timestamp, offset in zip(self._timestamps, self._offsets, strict=True):
            yield timestamp, self.base_offset + offset

    @property
    def last(self) -> tuple[int, int]:
        """(timestamp, offset) of the last entry; (-1, base offset) without entries."""
        if not self._timestamps:
            return NO_TIMESTAMP, self.base_offset
        return self._timestamps[-1], self.base_offset + self._offsets[-1]

    def append(self, timestamp: int, offset: int) -> None:
        """Add an entry, unless its timestamp is not above all others'."""
        if not self._timestamps or timestamp > self._timestamps[-1]:
            if timestamp <= NO_TIMESTAMP:
                return
            self._timestamps.append(timestamp)
            self._offsets.append(offset - self.base_offset)
            self._grew()

    def lookup(self, timestamp: int) -> int:
        """The offset up to which all timestamps are at most `timestamp`; the base offset without any."""
        self.recently_used = True
        slot = bisect_right(self._timestamps, timestamp)
        return self.base_offset + (self._offsets[slot - 1] if slot else 0)

    def truncate(self, offset: int) -> None:
        """Forget the entries that speak of `offset` or what is behind it."""
        self._truncate_to(bisect_left(self._offsets, max(offset - self.base_offset, 0)))

    def _encode(self, start: int) -> bytes:
        return encode_time_index(zip(self._timestamps[start:], self._offsets[start:], strict=True))

    def _decode(self, data: bytes) -> None:
        self._timestamps, self._offsets = decode_time_index(data, self.path)

    def _drop_from(self, start: int) -> None:
        del self._timestamps[start:]
        del self._offsets[start:]
