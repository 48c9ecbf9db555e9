"""Aggregates by sliding windows: records of a key that are at most so far apart share a window.

A record begins or ends windows: the one that ends with it (its left window), and, where later records are
there, the one that starts right after it (its right window). Windows are created as records need them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ottla.streams.expressions.aggregates import Aggregates
from ottla.streams.processors.base import AnyRecord
from ottla.streams.processors.windowed import NEVER, Found, WindowAggregate
from ottla.streams.records import ValueAndTimestamp, Window
from ottla.streams.windows import SlidingWindows

__all__ = ["SlidingWindowAggregate"]


class _Seen:
    """What the store has around a record."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.left: Found = None
        """The newest window that ends before the record."""
        self.right: Found = None
        """The newest window that the record lies in, and does not end."""
        self.has_left = False
        self.has_right = False
        self.previous: int | None = None
        """The time of the last record before this one."""


class SlidingWindowAggregate(WindowAggregate):
    def __init__(
        self,
        windows: SlidingWindows,
        initializer: Callable[[], Any],
        aggregator: Callable[[Any, Any, Any], Any] | Aggregates,
        store: str,
        *,
        send_old: bool,
        on_close: bool,
    ) -> None:
        super().__init__(initializer, aggregator, store, send_old=send_old, on_close=on_close)
        self.windows = windows
        self._size = windows.difference_ms
        self._close_time = NEVER

    def process(self, record: AnyRecord) -> None:
        timestamp = record.timestamp
        if record.key is None or record.value is None:
            self.drop()
            return
        self._stream_time = max(self._stream_time, timestamp)
        self._close_time = self._stream_time - self.windows.grace_ms
        if timestamp + self._size < self._close_time:
            self.drop()
            return
        if timestamp < self._size:
            self._process_early(record)
            return
        self._process(record)
        self.tell_closed(record, self._close_time)

    def closing_starts(self, last_close: int, close_time: int) -> tuple[int, int]:
        low = 0 if last_close == NEVER else max(0, last_close - self._size)
        return low, close_time - self._size - 1

    def _process(self, record: AnyRecord) -> None:
        seen = self._look_back(record)
        if seen is None:
            return
        timestamp, previous = record.timestamp, seen.previous
        if (
            previous is not None
            and previous + 1 not in seen.starts
            and previous + 1 + self._size >= timestamp
        ):
            self._begin(record, previous + 1)
        if not seen.has_left:
            start = timestamp - self._size
            if previous is not None and start <= previous:
                assert seen.left is not None
                self._put(record, start, ValueAndTimestamp(seen.left.value, timestamp))
            else:
                self._begin(record, start)
        self._begin_right(record, seen)

    def _look_back(self, record: AnyRecord) -> _Seen | None:
        """Add the record to the windows that it lies in, newest first, and see what else is there; None: all
        is done, since another record of the same time was there before."""
        seen = _Seen()
        timestamp, size = record.timestamp, self._size
        around = self._store.backward_fetch_range(record.key, max(0, timestamp - 2 * size), timestamp + 1)
        for start, found in around:
            seen.starts.append(start)
            end = start + size
            if start == timestamp + 1:
                seen.has_right = True
            elif end > timestamp:
                if seen.right is None:
                    seen.right = found
                self._put(record, start, found)
            elif end == timestamp:
                seen.has_left = True
                self._put(record, start, found)
                if found.timestamp >= timestamp:
                    return None
                seen.previous = found.timestamp
            else:
                seen.left = found
                seen.previous = found.timestamp
                break
        return seen

    def _process_early(self, record: AnyRecord) -> None:
        """A record so near to the epoch that the window which ends with it would start before: one window
        from the epoch on stands for all such."""
        seen = _Seen()
        timestamp = record.timestamp
        first: Found = None
        for start, found in self._store.fetch_range(record.key, 0, timestamp + 1):
            seen.starts.append(start)
            if start == 0:
                first = found
                if found.timestamp < timestamp:
                    seen.previous = found.timestamp
            elif start <= timestamp:
                seen.right = found
                self._put(record, start, found)
            else:
                seen.has_right = True
        if seen.right is None and first is not None and first.timestamp > timestamp:
            seen.right = first
        self._begin_right(record, seen)
        if seen.previous is not None and seen.previous + 1 not in seen.starts:
            self._begin(record, seen.previous + 1)
        if first is None:
            self._begin(record, 0)
        else:
            self._put(record, 0, first)

    def _begin_right(self, record: AnyRecord, seen: _Seen) -> None:
        """The window after the record, if later records are there to be in it."""
        right = seen.right
        if seen.has_right or right is None or right.timestamp <= record.timestamp:
            return
        start = record.timestamp + 1
        self._store.put(record.key, right, start)
        self.changed(record, Window(start, start + self._size), None, right.value, right.timestamp)

    def _begin(self, record: AnyRecord, start: int) -> None:
        self._put(record, start, ValueAndTimestamp(self.initializer(), record.timestamp))

    def _put(self, record: AnyRecord, start: int, found: ValueAndTimestamp[Any]) -> None:
        end = start + self._size
        if end < self._close_time:
            self.drop()
            return
        old = found.value
        new = self._add(record, old)
        timestamp = record.timestamp if old is None else max(record.timestamp, found.timestamp)
        self._store.put(record.key, None if new is None else ValueAndTimestamp(new, timestamp), start)
        self.changed(record, Window(start, end), old, new, timestamp)
