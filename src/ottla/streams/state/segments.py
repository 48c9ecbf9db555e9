"""Entries by key and time with a retention: what window and session stores are made of.

An entry is a key, a time, and something that tells entries of one key and time apart: a window's start and
sequence number; a session's end and start. Expired entries are never seen, and are dropped in bulk later.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

from ottla.streams.state.ordered_bytes import OrderedBytes
from ottla.streams.state.stores import NO_TIMESTAMP
from ottla.streams.windows import MAX_LONG

_LONG: Final = struct.Struct(">q")
MIN_SEGMENT_INTERVAL_MS: Final = 60_000


class Entry(NamedTuple):
    key: bytes
    time: int
    extra: int
    value: bytes


class Tail(NamedTuple):
    """How Java ends its keys: the time in 8 bytes, then `extra` in `extra_format`."""

    extra_format: struct.Struct
    max_extra: int

    @property
    def size(self) -> int:
        return 8 + self.extra_format.size


WINDOW: Final = Tail(struct.Struct(">i"), 2**31 - 1)
"""WindowKeySchema: start, sequence number."""
SESSION: Final = Tail(struct.Struct(">q"), MAX_LONG)
"""SessionKeySchema: end, start."""


def java_key(tail: Tail, key: bytes, time: int, extra: int) -> bytes:
    """The key of the changelog: also what it is in Java's stores."""
    return key + _LONG.pack(time) + tail.extra_format.pack(extra)


def split_java_key(tail: Tail, data: bytes) -> tuple[bytes, int, int]:
    at = len(data) - tail.size
    if at < 0:
        raise ValueError(f"a key of {len(data)} bytes, of which {tail.size} say its window")
    return data[:at], _LONG.unpack_from(data, at)[0], tail.extra_format.unpack_from(data, at + 8)[0]


class Layout(Protocol):
    """Where an entry lies among others."""

    tail: Tail

    def physical(self, key: bytes, time: int, extra: int) -> bytes: ...

    def split(self, physical: bytes) -> tuple[bytes, int, int]: ...

    def live_from(self, oldest: int) -> int:
        """The earliest time whose entries are still taken, where `oldest` is the last expired time."""

    def horizon(self, time: int) -> bytes:
        """Where entries of `time` and later begin."""

    def of_key(
        self, store: OrderedBytes, key: bytes, start: int, end: int, *, reverse: bool
    ) -> Iterator[Entry]: ...

    def between(
        self,
        store: OrderedBytes,
        first: bytes | None,
        last: bytes | None,
        start: int,
        end: int,
        *,
        reverse: bool,
    ) -> Iterator[Entry]: ...


def segment_interval(retention_ms: int) -> int:
    """How long the segments are that a store on disk drops in whole."""
    return max(retention_ms // 2, MIN_SEGMENT_INTERVAL_MS)


class KeyFirst:
    """By segment of time, then key, then time: Java's RocksDB stores, which drop whole segments."""

    def __init__(self, tail: Tail, retention_ms: int) -> None:
        self.tail = tail
        self.interval_ms = segment_interval(retention_ms)

    def physical(self, key: bytes, time: int, extra: int) -> bytes:
        return _LONG.pack(time // self.interval_ms) + java_key(self.tail, key, time, extra)

    def split(self, physical: bytes) -> tuple[bytes, int, int]:
        return split_java_key(self.tail, physical[8:])

    def live_from(self, oldest: int) -> int:
        return max(oldest, 0) // self.interval_ms * self.interval_ms

    def horizon(self, time: int) -> bytes:
        return _LONG.pack(max(time, 0) // self.interval_ms)

    def of_key(
        self, store: OrderedBytes, key: bytes, start: int, end: int, *, reverse: bool
    ) -> Iterator[Entry]:
        low = key + _LONG.pack(start)
        high = java_key(self.tail, key, end, self.tail.max_extra) + b"\0"
        size = 8 + len(key) + self.tail.size
        for segment in self._segments(store, start, end, reverse):
            for physical, value in store.scan(segment + low, segment + high, reverse=reverse):
                if len(physical) == size:
                    _, time, extra = self.split(physical)
                    if start <= time <= end:
                        yield Entry(key, time, extra, value)

    def between(
        self,
        store: OrderedBytes,
        first: bytes | None,
        last: bytes | None,
        start: int,
        end: int,
        *,
        reverse: bool,
    ) -> Iterator[Entry]:
        low = first or b""
        high = None if last is None else self._after(last)
        for segment in self._segments(store, start, end, reverse):
            stop = _next(segment) if high is None else segment + high
            for physical, value in store.scan(segment + low, stop, reverse=reverse):
                key, time, extra = self.split(physical)
                if start <= time <= end and (first is None or key >= first) and (last is None or key <= last):
                    yield Entry(key, time, extra, value)

    def _after(self, last: bytes) -> bytes:
        """Behind every entry of a key up to `last`: a shorter key's tail may lie behind a longer key."""
        return max(last[:length] + b"\x80" for length in range(len(last) + 1))

    def _segments(self, store: OrderedBytes, start: int, end: int, reverse: bool) -> Iterator[bytes]:
        return _numbers(store, start // self.interval_ms, end // self.interval_ms, reverse)


class TimeFirst:
    """By time, then key: what is asked for by time, and Java's stores in memory."""

    def __init__(self, tail: Tail, *, extra_first: bool = False, retention_ms: int | None = None) -> None:
        """`retention_ms`: whole segments of that are dropped, as in Java's stores on disk."""
        self.tail = tail
        self._interval_ms = 1 if retention_ms is None else segment_interval(retention_ms)
        self._extra_first = extra_first

    def physical(self, key: bytes, time: int, extra: int) -> bytes:
        packed = self.tail.extra_format.pack(extra)
        return _LONG.pack(time) + (packed + key if self._extra_first else key + packed)

    def split(self, physical: bytes) -> tuple[bytes, int, int]:
        time: int = _LONG.unpack_from(physical)[0]
        size = self.tail.extra_format.size
        at = 8 if self._extra_first else len(physical) - size
        extra: int = self.tail.extra_format.unpack_from(physical, at)[0]
        return physical[8 + size :] if self._extra_first else physical[8:at], time, extra

    def live_from(self, oldest: int) -> int:
        if self._interval_ms == 1:
            return oldest + 1
        return max(oldest, 0) // self._interval_ms * self._interval_ms

    def horizon(self, time: int) -> bytes:
        return _LONG.pack(max(time, 0))

    def of_key(
        self, store: OrderedBytes, key: bytes, start: int, end: int, *, reverse: bool
    ) -> Iterator[Entry]:
        return self.between(store, key, key, start, end, reverse=reverse)

    def between(
        self,
        store: OrderedBytes,
        first: bytes | None,
        last: bytes | None,
        start: int,
        end: int,
        *,
        reverse: bool,
    ) -> Iterator[Entry]:
        if start > end:
            return
        for low, stop in self._ranges(store, first, last, start, end, reverse):
            for physical, value in store.scan(low, stop, reverse=reverse):
                key, time, extra = self.split(physical)
                if (first is None or key >= first) and (last is None or key <= last):
                    yield Entry(key, time, extra, value)

    def _ranges(
        self,
        store: OrderedBytes,
        first: bytes | None,
        last: bytes | None,
        start: int,
        end: int,
        reverse: bool,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Where to look: at all that is of these times, or, where keys come next, from key to key of each."""
        if self._extra_first or (first is None and last is None):
            yield _LONG.pack(start), _next(_LONG.pack(end))
            return
        for stamp in _numbers(store, start, end, reverse):
            stop = _next(stamp) if last is None else stamp + last + b"\xff" * self.tail.extra_format.size
            yield stamp + (first or b""), stop


def _numbers(store: OrderedBytes, start: int, end: int, reverse: bool) -> Iterator[bytes]:
    """The numbers from `start` to `end` that keys begin with, found by leaping from one to the next."""
    low, high = _LONG.pack(start), _next(_LONG.pack(end))
    while (found := next(store.scan(low, high, reverse=reverse), None)) is not None:
        number = found[0][:8]
        yield number
        if reverse:
            high = number
        else:
            low = _next(number)


def _next(prefix: bytes) -> bytes:
    """The first key that does not begin with `prefix`, 8 bytes of a number that is not negative."""
    return (int.from_bytes(prefix) + 1).to_bytes(8)


class Segmented:
    """Entries over ordered bytes, with observed time and retention."""

    def __init__(
        self, store: OrderedBytes, layout: Layout, retention_ms: int, expired: Callable[[], None]
    ) -> None:
        self._store = store
        self.layout = layout
        self._retention_ms = retention_ms
        self._expired = expired
        self.observed = NO_TIMESTAMP
        self._dropped_to = b""

    def put(self, key: bytes, time: int, extra: int, value: bytes | None) -> None:
        if self.observe(time):
            self._store.put(self.layout.physical(key, time, extra), value)
        else:
            self._expired()

    def put_many(self, items: list[tuple[bytes, int, int, bytes | None]], base: OrderedBytes) -> None:
        """What comes from a changelog goes to `base`, below the cache and the changelog."""
        writes = []
        for key, time, extra, value in items:
            if self.observe(time):
                writes.append((self.layout.physical(key, time, extra), value))
        base.put_many(writes)

    def get(self, key: bytes, time: int, extra: int) -> bytes | None:
        if time < self._oldest():
            return None
        return self._store.get(self.layout.physical(key, time, extra))

    def get_many(self, wanted: list[tuple[bytes, int, int]]) -> list[bytes | None]:
        oldest = self._oldest()
        found = self._store.get_many([self.layout.physical(*each) for each in wanted])
        return [value if each[1] >= oldest else None for each, value in zip(wanted, found, strict=True)]

    def remove(self, key: bytes, time: int, extra: int) -> None:
        self.observed = max(self.observed, time)
        self._store.put(self.layout.physical(key, time, extra), None)

    def of_key(self, key: bytes, start: int, end: int, *, reverse: bool = False) -> Iterator[Entry]:
        start = max(start, self._oldest(), 0)
        if start > end:
            return iter(())
        return self.layout.of_key(self._store, key, start, end, reverse=reverse)

    def between(
        self,
        first: bytes | None,
        last: bytes | None,
        start: int,
        end: int,
        *,
        reverse: bool = False,
        with_expired: bool = False,
    ) -> Iterator[Entry]:
        start = max(start, 0 if with_expired else self._oldest(), 0)
        if start > end or (first is not None and last is not None and first > last):
            return iter(())
        return self.layout.between(self._store, first, last, start, end, reverse=reverse)

    def _oldest(self) -> int:
        return self.observed - self._retention_ms + 1

    def observe(self, time: int) -> bool:
        """Whether an entry of that time is still taken; what became too old is dropped."""
        if time > self.observed:
            self.observed = time
        live_from = self.layout.live_from(self.observed - self._retention_ms)
        if time < live_from:
            return False
        horizon = self.layout.horizon(live_from)
        if horizon > self._dropped_to:
            self._store.drop_below(horizon)
            self._dropped_to = horizon
        return True
