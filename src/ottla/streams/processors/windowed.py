"""Aggregates of streams by key and window: tumbling, hopping and unlimited windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ottla.streams.expressions.aggregates import Aggregates
from ottla.streams.processors.base import AnyRecord, adding
from ottla.streams.processors.table_store import TableProcessor
from ottla.streams.records import Change, Record, ValueAndTimestamp, Window, Windowed
from ottla.streams.windows import TimeWindows, UnlimitedWindows, window_end

__all__ = ["TimeWindowAggregate", "WindowAggregate"]

Found = ValueAndTimestamp[Any] | None
NEVER = -1


class WindowAggregate(TableProcessor):
    """What aggregates by windows have in common: their store, late records, and what is told when a window
    closes."""

    def __init__(
        self,
        initializer: Callable[[], Any],
        aggregator: Callable[[Any, Any, Any], Any] | Aggregates,
        store: str,
        *,
        send_old: bool,
        on_close: bool,
    ) -> None:
        super().__init__(send_old=send_old)
        self.initializer = initializer
        self.aggregator = aggregator
        self._name = store
        self._on_close = on_close
        self._stream_time = NEVER
        self._last_close = NEVER
        self._next_look = 0

    def prepare(self) -> None:
        self._store: Any = self.store(self._name)
        self._add = adding(self.aggregator, self.step)
        if not self._on_close:
            self._is_cached = self._store.set_flush_listener(self._flushed, self.send_old)
        self._last_close = self.step.task.metadata.get(self._name, NEVER)

    def changed(self, record: AnyRecord, window: Window, old: Any, new: Any, timestamp: int) -> None:
        if not self._on_close:
            self.update(Windowed(record.key, window), new, old, timestamp, record.headers, "latest")

    def tell_closed(self, record: AnyRecord, close_time: int) -> None:
        """Forward what can change no more, where that is what is asked for."""
        if not self._on_close or not self._shall_look(close_time):
            return
        low, high = self.closing_starts(self._last_close, close_time)
        if high < 0 or not self.is_worth_looking(low, high):
            return
        for key, found in self._store.fetch_all(low, high):
            self.forward(Record(key, Change(found.value, None), found.timestamp, record.headers))
        self._last_close = close_time
        self.step.task.metadata[self._name] = close_time

    def _shall_look(self, close_time: int) -> bool:
        now = self.step.wall_clock_ms
        if now < self._next_look:
            return False
        self._next_look = now + self.step.task.emit_interval_ms
        return self._last_close == NEVER or self._last_close < close_time

    def closing_starts(self, last_close: int, close_time: int) -> tuple[int, int]:
        """The first and the last start of windows that have closed since `last_close` (-1: since ever)."""
        raise NotImplementedError

    def is_worth_looking(self, low: int, high: int) -> bool:  # noqa: ARG002
        return True


class TimeWindowAggregate(WindowAggregate):
    """Each record goes into all windows that it lies in, except those that have closed."""

    def __init__(
        self,
        windows: TimeWindows | UnlimitedWindows,
        initializer: Callable[[], Any],
        aggregator: Callable[[Any, Any, Any], Any] | Aggregates,
        store: str,
        *,
        send_old: bool,
        on_close: bool,
    ) -> None:
        super().__init__(initializer, aggregator, store, send_old=send_old, on_close=on_close)
        self.windows = windows

    def process(self, record: AnyRecord) -> None:
        key, timestamp = record.key, record.timestamp
        if key is None:
            self.drop()
            return
        self._stream_time = max(self._stream_time, timestamp)
        close_time = self._stream_time - self.windows.grace_ms
        size = self.windows.size_ms
        for start in self.windows.starts_for(timestamp):
            end = window_end(start, size)
            if end <= close_time:
                self.drop()
                continue
            found: Found = self._store.fetch(key, start)
            old = self.initializer() if found is None else found.value
            newest = timestamp if found is None else max(timestamp, found.timestamp)
            new = self._add(record, old)
            self._store.put(key, None if new is None else ValueAndTimestamp(new, newest), start)
            self.changed(record, Window(start, end), old, new, newest)
        self.tell_closed(record, close_time)

    def closing_starts(self, last_close: int, close_time: int) -> tuple[int, int]:
        size = self.windows.size_ms
        return (0 if last_close == NEVER else max(0, last_close - size) + 1), close_time - size

    def is_worth_looking(self, low: int, high: int) -> bool:
        if self._last_close == NEVER:
            return True
        return self.windows.starts_for(high) != self.windows.starts_for(low - 1)
