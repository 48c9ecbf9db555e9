"""Stores of a value for each key and session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from ottla.streams.errors import StateStoreError
from ottla.streams.records import Window, Windowed
from ottla.streams.serdes.serde import Serde
from ottla.streams.state.segments import (
    SESSION,
    Entry,
    KeyFirst,
    Layout,
    Segmented,
    TimeFirst,
    java_key,
    split_java_key,
)
from ottla.streams.state.stack import Stack, StoreEnvironment, StoreOptions
from ottla.streams.state.stores import FlushListener, StoreContext, Time, WindowedPairs
from ottla.streams.windows import MAX_LONG, instant

K = TypeVar("K")
V = TypeVar("V")


class SessionValues(Stack[K, V]):
    """A value for each key and session. A session is of the time at which it ends."""

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
        time_ordered: bool = False,
    ) -> None:
        super().__init__(name, key, value, options, context, environment)
        self._layout: Layout = KeyFirst(SESSION, retention_ms)
        if time_ordered or options.kind == "memory":
            self._layout = TimeFirst(
                SESSION,
                extra_first=time_ordered,
                retention_ms=None if options.kind == "memory" else retention_ms,
            )
        self._entries = Segmented(self.top, self._layout, retention_ms, self._expired)

    def set_flush_listener(self, listener: FlushListener[Windowed[K], V], send_old_values: bool) -> bool:
        return self._tell(listener, self._session_at, send_old_values)

    def put(self, session: Windowed[K], aggregate: V | None) -> None:
        start, end = session.window
        data = self._value.serialize(self.topic, aggregate)
        self._entries.put(self._bytes_of(session.key), end, start, data)

    def remove(self, session: Windowed[K]) -> None:
        start, end = session.window
        self._entries.remove(self._bytes_of(session.key), end, start)

    def fetch(self, key: K) -> WindowedPairs[K, V]:
        return self.find_sessions(key, 0, MAX_LONG)

    def backward_fetch(self, key: K) -> WindowedPairs[K, V]:
        return self._pairs(self._entries.of_key(self._bytes_of(key), 0, MAX_LONG, reverse=True), MAX_LONG)

    def fetch_keys(self, key_from: K | None, key_to: K | None) -> WindowedPairs[K, V]:
        return self.find_sessions_of_keys(key_from, key_to, 0, MAX_LONG)

    def backward_fetch_keys(self, key_from: K | None, key_to: K | None) -> WindowedPairs[K, V]:
        low, high = self._bounds(key_from, key_to)
        return self._pairs(self._entries.between(low, high, 0, MAX_LONG, reverse=True), MAX_LONG)

    def fetch_session(self, key: K, start: Time, end: Time) -> V | None:
        return self._value_of(self._entries.get(self._bytes_of(key), instant(end), instant(start)))

    def find_sessions(self, key: K, earliest_end: Time, latest_start: Time) -> WindowedPairs[K, V]:
        found = self._entries.of_key(self._bytes_of(key), instant(earliest_end), MAX_LONG)
        return self._pairs(found, instant(latest_start))

    def find_sessions_of_keys(
        self, key_from: K | None, key_to: K | None, earliest_end: Time, latest_start: Time
    ) -> WindowedPairs[K, V]:
        low, high = self._bounds(key_from, key_to)
        found = self._entries.between(low, high, instant(earliest_end), MAX_LONG)
        return self._pairs(found, instant(latest_start))

    def find_closed_sessions(self, earliest_end: Time, latest_end: Time) -> WindowedPairs[K, V]:
        # As in Java what is there is found, even if it is older than the retention.
        found = self._entries.between(
            None, None, instant(earliest_end), instant(latest_end), with_expired=True
        )
        return self._pairs(found, MAX_LONG)

    def restore(self, records: Iterable[tuple[bytes, bytes | None, int]]) -> None:
        items = []
        for place, value, _ in records:
            try:
                items.append((*split_java_key(SESSION, place), value))
            except ValueError as error:
                raise StateStoreError(f"the changelog {self.topic} has {error}") from None
        self._entries.put_many(items, self._base_to_restore())

    def _log(self, place: bytes, value: bytes | None) -> None:
        key = java_key(SESSION, *self._layout.split(place))
        self.context.log_change(self.name, key, value, self._timestamp())

    def _expired(self) -> None:
        self.context.record_dropped(self.name)

    def _bounds(self, first: K | None, last: K | None) -> tuple[bytes | None, bytes | None]:
        return (
            None if first is None else self._bytes_of(first),
            None if last is None else self._bytes_of(last),
        )

    def _pairs(self, entries: Iterator[Entry], latest_start: int) -> WindowedPairs[K, V]:
        for entry in entries:
            if entry.extra <= latest_start and (value := self._value_of(entry.value)) is not None:
                yield self._windowed(entry.key, entry.time, entry.extra), value

    def _session_at(self, place: bytes) -> Windowed[K]:
        return self._windowed(*self._layout.split(place))

    def _windowed(self, key: bytes, end: int, start: int) -> Windowed[K]:
        return Windowed(self._key_of(key), Window(start, end))
