"""What offset and time index have in common: entries in memory while in use, a file behind them, a shared
bound.

Entries are appended in memory and written to the file in chunks, at the latest when the segment rolls or the
log is closed. A crash may therefore lose them: recovery rebuilds the indexes of every segment that was not
flushed. An index that nobody uses costs no memory: the cache lets go of it once all indexes together exceed
their bound.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar, Final

from ottla.storage.names import segment_path

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem

__all__ = ["CorruptIndexError", "IndexCache", "IndexFile"]

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
