"""Bytes by bytes, in order: what every store stands on."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

Pair = tuple[bytes, bytes]

_FIRST_CHUNK: Final = 16
_LARGEST_CHUNK: Final = 4096
_INSERT_AT_MOST: Final = 64
"""More new keys than these are sorted in together."""


class OrderedBytes(Protocol):
    """A range is from `start` (included) to `end` (excluded; None: to the last key)."""

    @property
    def persistent(self) -> bool: ...

    def get(self, key: bytes) -> bytes | None: ...

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]: ...

    def put(self, key: bytes, value: bytes | None) -> None:
        """None deletes."""

    def put_many(self, items: Iterable[tuple[bytes, bytes | None]]) -> None: ...

    def scan(self, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[Pair]:
        """The range's pairs. What is written meanwhile, further on in the range, may or may not be seen."""

    def drop_below(self, end: bytes) -> None:
        """Delete all keys before `end`."""

    def approximate_count(self) -> int: ...

    def commit(self, offset: int | None) -> None:
        """Make what was written durable, in one step with the changelog's next offset (None: leave it)."""

    def committed_offset(self) -> int | None: ...

    def close(self) -> None:
        """What was written since the last commit need not be there when it is opened again."""


class ChunkedScan:
    """Gives `scan` to a store that reads some pairs at a time, so that it may change between them."""

    def read(self, start: bytes, end: bytes | None, limit: int, *, reverse: bool) -> list[Pair]:
        """The first (reversed: last) `limit` pairs of the range."""
        raise NotImplementedError

    def scan(self, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[Pair]:
        limit = _FIRST_CHUNK
        while True:
            pairs = self.read(start, end, limit, reverse=reverse)
            yield from pairs
            if len(pairs) < limit:
                return
            if reverse:
                end = pairs[-1][0]
            else:
                start = pairs[-1][0] + b"\0"
            limit = min(limit * 4, _LARGEST_CHUNK)


def overlaid(
    keys: Iterable[bytes], value_of: Callable[[bytes], bytes | None], below: Iterator[Pair], *, reverse: bool
) -> Iterator[Pair]:
    """What is `below`, with `keys` over it, both in order; a key without a value hides what is below."""
    pair = next(below, None)
    for key in keys:
        while pair is not None and (pair[0] > key if reverse else pair[0] < key):
            yield pair
            pair = next(below, None)
        if pair is not None and pair[0] == key:
            pair = next(below, None)
        value = value_of(key)
        if value is not None:
            yield key, value
    if pair is not None:
        yield pair
        yield from below


class SortedKeys:
    """Keys in order. Adding and removing cost little until somebody asks for the order."""

    def __init__(self) -> None:
        self._sorted: list[bytes] = []
        self._added: dict[bytes, None] = {}
        self._removed: set[bytes] = set()

    def add(self, key: bytes) -> None:
        """A key that is not there."""
        if key in self._removed:
            self._removed.remove(key)
        else:
            self._added[key] = None

    def remove(self, key: bytes) -> None:
        """A key that is there."""
        if key in self._added:
            del self._added[key]
        else:
            self._removed.add(key)

    def between(
        self, start: bytes, end: bytes | None, limit: int | None = None, *, reverse: bool = False
    ) -> list[bytes]:
        """The first (reversed: last) `limit` keys of the range."""
        keys = self._in_order()
        low = bisect_left(keys, start)
        high = len(keys) if end is None else bisect_left(keys, end, low)
        if reverse:
            return keys[low if limit is None else max(low, high - limit) : high][::-1]
        return keys[low : high if limit is None else min(high, low + limit)]

    def take_below(self, end: bytes) -> list[bytes]:
        """Remove the keys before `end`, and say which they were."""
        keys = self._in_order()
        count = bisect_left(keys, end)
        taken = keys[:count]
        del keys[:count]
        return taken

    def _in_order(self) -> list[bytes]:
        if self._removed:
            if len(self._removed) <= _INSERT_AT_MOST:
                for key in sorted(self._removed):
                    del self._sorted[bisect_left(self._sorted, key)]
            else:
                removed = self._removed
                self._sorted = [key for key in self._sorted if key not in removed]
            self._removed = set()
        if self._added:
            if len(self._added) <= _INSERT_AT_MOST:
                for key in self._added:
                    insort(self._sorted, key)
            else:
                self._sorted.extend(self._added)
                self._sorted.sort()
            self._added = {}
        return self._sorted


class MemoryBytes(ChunkedScan):
    """In this process' memory alone."""

    persistent = False

    def __init__(self) -> None:
        self._data: dict[bytes, bytes] = {}
        self._keys = SortedKeys()
        self._offset: int | None = None

    def get(self, key: bytes) -> bytes | None:
        return self._data.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return list(map(self._data.get, keys))

    def put(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            if self._data.pop(key, None) is not None:
                self._keys.remove(key)
            return
        if key not in self._data:
            self._keys.add(key)
        self._data[key] = value

    def put_many(self, items: Iterable[tuple[bytes, bytes | None]]) -> None:
        for key, value in items:
            self.put(key, value)

    def read(self, start: bytes, end: bytes | None, limit: int, *, reverse: bool) -> list[Pair]:
        data = self._data
        return [(key, data[key]) for key in self._keys.between(start, end, limit, reverse=reverse)]

    def drop_below(self, end: bytes) -> None:
        for key in self._keys.take_below(end):
            del self._data[key]

    def approximate_count(self) -> int:
        return len(self._data)

    def commit(self, offset: int | None) -> None:
        if offset is not None:
            self._offset = offset

    def committed_offset(self) -> int | None:
        return self._offset

    def close(self) -> None:
        return
