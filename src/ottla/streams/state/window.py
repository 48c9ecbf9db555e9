"""Stores of a value for each key and window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from ottla.client.columns.columns import Columns
from ottla.streams.errors import StateStoreError
from ottla.streams.records import Window, Windowed
from ottla.streams.serdes.serde import Serde
from ottla.streams.state.segments import (
    WINDOW,
    Entry,
    KeyFirst,
    Segmented,
    TimeFirst,
    java_key,
    split_java_key,
)
from ottla.streams.state.stack import Stack, StoreEnvironment, StoreOptions
from ottla.streams.state.stores import FlushListener, RecordContext, StoreContext, Time, WindowedPairs
from ottla.streams.state.values import timestamp_of, with_timestamp
from ottla.streams.windows import MAX_LONG, instant, window_end

K = TypeVar("K")
V = TypeVar("V")


class WindowValues(Stack[K, V]):
    """A value for each key and window start; with `retain_duplicates` several, told apart by a number."""

    def __init__(
        self,
        name: str,
        key: Serde[K],
        value: Serde[V],
        options: StoreOptions,
        context: StoreContext,
        environment: StoreEnvironment,
        *,
        retention_ms: int,
        window_size_ms: int,
        retain_duplicates: bool = False,
        timestamped: bool = False,
        time_ordered: bool = False,
    ) -> None:
        super().__init__(name, key, value, options, context, environment)
        self.window_size_ms = window_size_ms
        self._timestamped = timestamped
        self._duplicates = retain_duplicates
        self._sequence = 0
        by_time = time_ordered or options.kind == "memory"
        self._layout = TimeFirst(WINDOW) if by_time else KeyFirst(WINDOW, retention_ms)
        self._entries = Segmented(self.top, self._layout, retention_ms, self._expired)

    def set_flush_listener(self, listener: FlushListener[Windowed[K], V], send_old_values: bool) -> bool:
        return self._tell(listener, self._window_at, send_old_values)

    def put(self, key: K, value: V | None, window_start: int) -> None:
        data = self._value.serialize(self.topic, value)
        if self._duplicates:
            if data is None:
                return
            self._sequence = (self._sequence + 1) & WINDOW.max_extra
        self._entries.put(self._bytes_of(key), window_start, self._sequence, data)

    def put_many(self, entries: Iterable[tuple[K, V | None, int]]) -> None:
        for key, value, start in entries:
            self.put(key, value, start)

    @property
    def observed_ms(self) -> int:
        """The greatest start that was put; -1 for none."""
        return self._entries.observed

    def put_together(
        self,
        windows: Sequence[tuple[bytes, int]],
        values: Sequence[bytes],
        contexts: Sequence[RecordContext | None],
        log: Callable[[], Columns],
    ) -> None:
        """Put the last value that each of some windows has been given, as bytes, by key and start, none of
        them expired; `log`: all of them, which go to the changelog unless a cache has them."""
        physical = self._layout.physical
        places = [physical(key, start, self._sequence) for key, start in windows]
        latest = list(zip(places, values, contexts, strict=True))
        starts = [start for _, start in windows]
        if not self.is_cached:
            self._put_together(latest, log)
            self._entries.observe(max(starts))
            return
        # What is dropped below a horizon is told before: windows that are put behind it wait for that.
        for each, start in zip(latest, starts, strict=True):
            self._entries.observe(start)
            self._put_together((each,), log)

    def fetch(self, key: K, start: Time) -> V | None:
        return self._value_of(self._entries.get(self._bytes_of(key), instant(start), self._sequence))

    def fetch_many(self, windows: Sequence[tuple[K, int]]) -> list[V | None]:
        wanted = [(self._bytes_of(key), start, self._sequence) for key, start in windows]
        return [self._value_of(data) for data in self._entries.get_many(wanted)]

    def fetch_range(self, key: K, start: Time, end: Time) -> Iterator[tuple[int, V]]:
        return self._of_key(key, start, end, reverse=False)

    def backward_fetch_range(self, key: K, start: Time, end: Time) -> Iterator[tuple[int, V]]:
        return self._of_key(key, start, end, reverse=True)

    def fetch_keys(self, key_from: K | None, key_to: K | None, start: Time, end: Time) -> WindowedPairs[K, V]:
        return self._between(key_from, key_to, start, end, reverse=False)

    def backward_fetch_keys(
        self, key_from: K | None, key_to: K | None, start: Time, end: Time
    ) -> WindowedPairs[K, V]:
        return self._between(key_from, key_to, start, end, reverse=True)

    def fetch_all(self, start: Time, end: Time) -> WindowedPairs[K, V]:
        return self._between(None, None, start, end, reverse=False)

    def backward_fetch_all(self, start: Time, end: Time) -> WindowedPairs[K, V]:
        return self._between(None, None, start, end, reverse=True)

    def all(self) -> WindowedPairs[K, V]:
        return self._between(None, None, 0, MAX_LONG, reverse=False)

    def backward_all(self) -> WindowedPairs[K, V]:
        return self._between(None, None, 0, MAX_LONG, reverse=True)

    def restore(self, records: Iterable[tuple[bytes, bytes | None, int]]) -> None:
        items = []
        for place, value, timestamp in records:
            try:
                key, start, sequence = split_java_key(WINDOW, place)
            except ValueError as error:
                raise StateStoreError(f"the changelog {self.topic} has {error}") from None
            items.append(
                (key, start, sequence, with_timestamp(value, timestamp) if self._timestamped else value)
            )
        self._entries.put_many(items, self._base_to_restore())

    def _log(self, place: bytes, value: bytes | None) -> None:
        key = java_key(WINDOW, *self._layout.split(place))
        if self._timestamped and value is not None:
            self.context.log_change(self.name, key, value[8:], timestamp_of(value))
        else:
            self.context.log_change(self.name, key, value, self._timestamp())

    def _expired(self) -> None:
        self.context.record_dropped(self.name)

    def _of_key(self, key: K, start: Time, end: Time, *, reverse: bool) -> Iterator[tuple[int, V]]:
        found = self._entries.of_key(self._bytes_of(key), instant(start), instant(end), reverse=reverse)
        for entry in found:
            value = self._value_of(entry.value)
            if value is not None:
                yield entry.time, value

    def _between(
        self, first: K | None, last: K | None, start: Time, end: Time, *, reverse: bool
    ) -> WindowedPairs[K, V]:
        low = None if first is None else self._bytes_of(first)
        high = None if last is None else self._bytes_of(last)
        return self._pairs(self._entries.between(low, high, instant(start), instant(end), reverse=reverse))

    def _pairs(self, entries: Iterator[Entry]) -> WindowedPairs[K, V]:
        for entry in entries:
            value = self._value_of(entry.value)
            if value is not None:
                yield self._windowed(entry.key, entry.time), value

    def split(self, place: bytes) -> tuple[bytes, int]:
        """The key, and the window's start, of an entry as the cache knows it."""
        key, start, _ = self._layout.split(place)
        return key, start

    def _window_at(self, place: bytes) -> Windowed[K]:
        return self._windowed(*self.split(place))

    def _windowed(self, key: bytes, start: int) -> Windowed[K]:
        return Windowed(self._key_of(key), Window(start, window_end(start, self.window_size_ms)))
