"""From offsets to positions: `<base offset>.index`, 8 bytes for about every 4 KB of log
(`index.interval.bytes`).

An entry holds a batch's last offset, relative to the segment's base, and the batch's position, both u32
big-endian. In memory both make one integer that sorts by offset, so a lookup is one bisection.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from ottla.storage.index_file import CorruptIndexError, IndexCache, IndexFile
from ottla.storage.names import INDEX

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem

__all__ = ["OffsetIndex", "decode_offset_index", "encode_offset_index"]

_ENTRY: Final = struct.Struct(">II")
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
    return b"".join(_ENTRY.pack(offset, position) for offset, position in entries)


class OffsetIndex(IndexFile):
    """The offset index of one segment. `load` it before anything else."""

    __slots__ = ("_entries",)

    SUFFIX = INDEX
    ENTRY_SIZE = _ENTRY.size

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
