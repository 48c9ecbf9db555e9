"""Offset and time index of a segment: entries in memory while in use, a file behind them, a shared bound.

`<base offset>.index` leads from offsets to positions: 8 bytes for about every 4 KB of log
(`index.interval.bytes`). An entry holds a batch's last offset, relative to the segment's base, and the
batch's position, both u32 big-endian. In memory both make one integer that sorts by offset, so a lookup is
one bisection.

`<base offset>.timeindex` leads from timestamps to offsets: 12 bytes beside each of those. An entry says: up
to this offset no record has a timestamp above this one. It holds the timestamp (i64, milliseconds) and the
offset relative to the segment's base (u32), big-endian, and both only ascend. The last entry of a segment
that was closed or rolled carries the segment's largest timestamp, which time retention goes by.

Entries are appended in memory and written to the file in chunks, at the latest when the segment rolls or the
log is closed. A crash may therefore lose them: recovery rebuilds the indexes of every segment that was not
flushed. An index that nobody uses costs no memory: the cache lets go of it once all indexes together exceed
their bound.
"""

from __future__ import annotations

import struct
import sys
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar, Final

from ottla.records.batch import NO_TIMESTAMP
from ottla.storage.names import INDEX, TIMEINDEX, segment_path

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem

__all__ = [
    "CorruptIndexError",
    "IndexCache",
    "IndexFile",
    "OffsetIndex",
    "TimeIndex",
    "decode_offset_index",
    "decode_time_index",
    "encode_offset_index",
    "encode_time_index",
]

_SAVE_EVERY: Final = 512  # entries
_ENTRY_MEMORY: Final = 12  # bytes, of the larger kind


class CorruptIndexError(Exception):
    """An index file that contradicts its format; it is to be rebuilt from the log."""


class IndexCache:
    """Bounds the memory of all loaded indexes of a data folder, in bytes; the second-chance rule picks who
    leaves.
    """

    __slots__ = ("_indexes", "_max_bytes", "_used_bytes")

    def __init__(self, max_bytes: int = 128 << 20) -> None:
        self._max_bytes = max_bytes
        self._used_bytes = 0
        self._indexes: OrderedDict[IndexFile, int] = OrderedDict()

    @property
    def used_bytes(self) -> int:
        return self._used_bytes

    def account(self, index: IndexFile) -> None:
        """Take note of how large `index` is now, and make room if that is too much."""
        size = len(index) * _ENTRY_MEMORY
        self._used_bytes += size - self._indexes.pop(index, 0)
        self._indexes[index] = size
        candidates = len(self._indexes) * 2
        while self._used_bytes > self._max_bytes and candidates > 0:
            candidates -= 1
            self._evict_one(keep=index)

    def forget(self, index: IndexFile) -> None:
        self._used_bytes -= self._indexes.pop(index, 0)

    def _evict_one(self, *, keep: IndexFile) -> None:
        index, size = self._indexes.popitem(last=False)
        if index is not keep and not index.recently_used and index.unload():
            self._used_bytes -= size
        else:
            index.recently_used = False
            self._indexes[index] = size


class IndexFile(ABC):
    """One index of one segment. Opening it touches no disk; the file is read at first use."""

    __slots__ = ("_cache", "_directory", "_fs", "_is_loaded", "_saved", "base_offset", "recently_used")

    SUFFIX: ClassVar[str]
    ENTRY_SIZE: ClassVar[int]

    def __init__(self, fs: FileSystem, cache: IndexCache, directory: str, base_offset: int) -> None:
        self._fs = fs
        self._cache = cache
        self._directory = directory
        self._saved = 0  # entries in the file
        self._is_loaded = False
        self.base_offset = base_offset
        self.recently_used = True

    @property
    def path(self) -> str:
        return segment_path(self._directory, self.base_offset, self.SUFFIX)

    @abstractmethod
    def __len__(self) -> int:
        """How many entries are in memory, which is all of them once loaded."""

    @abstractmethod
    def _encode(self, start: int) -> bytes:
        """The entries from number `start` on, as the file has them."""

    @abstractmethod
    def _decode(self, data: bytes) -> None:
        """Replace the entries by a file's. Raises CorruptIndexError when they don't ascend."""

    @abstractmethod
    def _drop_from(self, start: int) -> None:
        """Forget the entries from number `start` on."""

    def load(self) -> None:
        """Read the file, if need be. Raises FileNotFoundError and CorruptIndexError: rebuild it then."""
        if self._is_loaded:
            return
        data = self._fs.read_bytes(self.path)
        if len(data) % self.ENTRY_SIZE:
            raise CorruptIndexError(f"{self.path}: {len(data)} bytes are no multiple of {self.ENTRY_SIZE}")
        self._decode(data)
        self._saved = len(self)
        self._is_loaded = True
        self._cache.account(self)

    @property
    def is_loaded(self) -> bool:
        return self._is_loaded

    def reset(self) -> None:
        """Start empty, whatever the file says: before a rebuild, and for a new segment."""
        self._drop_from(0)
        self._saved = 0
        self._is_loaded = True

    def _grew(self) -> None:
        """Called after an entry was added: writes the file now and then."""
        self.recently_used = True
        if len(self) - self._saved >= _SAVE_EVERY:
            try:
                self.save()
            except OSError:
                pass  # a full disk: the entries stay in memory and are tried again
            self._cache.account(self)

    def save(self) -> None:
        """Bring the file up to date, not synced; it exists afterwards. Raises OSError."""
        if not self._is_loaded:
            return
        file = self._fs.open_private(self.path)
        try:
            size = self._saved * self.ENTRY_SIZE
            data = self._encode(self._saved)
            if data and file.write((data,), size) != len(data):
                raise OSError(f"{self.path}: only a part of {len(data)} bytes could be written")
            file.truncate(size + len(data))
        finally:
            file.close()
        self._saved = len(self)

    def unload(self) -> bool:
        """Let go of the memory; False when the file could not be brought up to date."""
        try:
            self.save()
        except OSError:
            return False
        self._drop_from(0)
        self._is_loaded = False
        return True

    def _truncate_to(self, count: int) -> None:
        if count < len(self):
            self._drop_from(count)
            if count < self._saved:
                self._saved = count
                self.save()

    def close(self) -> None:
        """Let go of everything without writing."""
        self._cache.forget(self)
        self._drop_from(0)
        self._is_loaded = False


_OFFSET_ENTRY: Final = struct.Struct(">II")
_POSITION_BITS: Final = 32
_POSITION_MASK: Final = 0xFFFF_FFFF


def decode_offset_index(data: bytes, source: str = "offset index") -> array[int]:
    """A file's entries as integers.

    Kafka's preallocated zeros at the end are left out. Raises CorruptIndexError.
    """
    entries = array("Q")
    entries.frombytes(data)
    if sys.byteorder == "little":
        entries.byteswap()
    while entries and entries[-1] == 0:
        entries.pop()
    previous = -1
    for number, entry in enumerate(entries):
        if entry >> _POSITION_BITS <= previous >> _POSITION_BITS:
            raise CorruptIndexError(f"{source}: entry {number} does not ascend")
        previous = entry
    return entries


def encode_offset_index(entries: Iterable[tuple[int, int]]) -> bytes:
    """A file of (relative offset, position) entries."""
    return b"".join(_OFFSET_ENTRY.pack(offset, position) for offset, position in entries)


class OffsetIndex(IndexFile):
    """The offset index of one segment. `load` it before anything else."""

    __slots__ = ("_entries",)

    SUFFIX = INDEX
    ENTRY_SIZE = _OFFSET_ENTRY.size

    def __init__(self, fs: FileSystem, cache: IndexCache, directory: str, base_offset: int) -> None:
        super().__init__(fs, cache, directory, base_offset)
        self._entries = array("Q")

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> Iterator[tuple[int, int]]:
        """(offset, position) of every entry."""
        for entry in self._entries:
            yield self.base_offset + (entry >> _POSITION_BITS), entry & _POSITION_MASK

    @property
    def last_position(self) -> int:
        """The position of the last entry's batch; 0 without entries."""
        return self._entries[-1] & _POSITION_MASK if self._entries else 0

    def append(self, last_offset: int, position: int) -> None:
        """Add the batch at `position` that ends with `last_offset`, which must be after all others."""
        self._entries.append((last_offset - self.base_offset) << _POSITION_BITS | position)
        self._grew()

    def lookup(self, offset: int) -> tuple[int, int]:
        """Where to begin a search for `offset`, and how many bytes from there the next entry is (0: none).

        The batch at that position ends at or before `offset`, or it is the segment's first.
        """
        self.recently_used = True
        entries = self._entries
        slot = bisect_right(entries, (offset - self.base_offset) << _POSITION_BITS | _POSITION_MASK)
        position = entries[slot - 1] & _POSITION_MASK if slot else 0
        return position, (entries[slot] & _POSITION_MASK) - position if slot < len(entries) else 0

    def offset_after(self, position: int) -> int | None:
        """An offset that lies behind all batches that begin before `position`: the next entry's.

        None: no entry.
        """
        self.recently_used = True
        slot = bisect_left(self._entries, position, key=lambda entry: entry & _POSITION_MASK)
        if slot == len(self._entries):
            return None
        return self.base_offset + (self._entries[slot] >> _POSITION_BITS)

    def truncate(self, offset: int) -> None:
        """Forget the entries of `offset` and what is behind it."""
        self._truncate_to(bisect_left(self._entries, max(offset - self.base_offset, 0) << _POSITION_BITS))

    def _encode(self, start: int) -> bytes:
        entries = self._entries[start:]
        if sys.byteorder == "little":
            entries.byteswap()
        return entries.tobytes()

    def _decode(self, data: bytes) -> None:
        self._entries = decode_offset_index(data, self.path)

    def _drop_from(self, start: int) -> None:
        del self._entries[start:]


_TIME_ENTRY: Final = struct.Struct(">qI")
_PADDING: Final = array("q", (0, 0))


def decode_time_index(data: bytes, source: str = "time index") -> tuple[array[int], array[int]]:
    """A file's timestamps and relative offsets, without the padding. Raises CorruptIndexError."""
    timestamps = array("q")
    offsets = array("I")
    for timestamp, offset in _TIME_ENTRY.iter_unpack(data):
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
    return b"".join(_TIME_ENTRY.pack(timestamp, offset) for timestamp, offset in entries)


class TimeIndex(IndexFile):
    """The time index of one segment. `load` it before anything else."""

    __slots__ = ("_offsets", "_timestamps")

    SUFFIX = TIMEINDEX
    ENTRY_SIZE = _TIME_ENTRY.size

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
