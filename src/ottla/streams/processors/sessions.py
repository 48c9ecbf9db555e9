"""Aggregates by sessions: records of a key that follow each other within a gap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ottla.streams.expressions.aggregates import Aggregates
from ottla.streams.processors.base import AnyRecord
from ottla.streams.processors.windowed import WindowAggregate
from ottla.streams.records import Change, Record, Window, Windowed
from ottla.streams.windows import SessionWindows

__all__ = ["SessionWindowAggregate"]


class SessionWindowAggregate(WindowAggregate):
    """A record joins the sessions that it is near to; they become one, and what they were is deleted."""

    def __init__(
        self,
        windows: SessionWindows,
        initializer: Callable[[], Any],
        aggregator: Callable[[Any, Any, Any], Any] | Aggregates,
        merger: Callable[[Any, Any, Any], Any],
        store: str,
        *,
        send_old: bool,
        on_close: bool,
    ) -> None:
        super().__init__(initializer, aggregator, store, send_old=send_old, on_close=on_close)
        self.windows = windows
        self.merger = merger

    def process(self, record: AnyRecord) -> None:
        key, timestamp = record.key, record.timestamp
        if key is None:
            self.drop()
            return
        gap = self.windows.gap_ms
        self._stream_time = max(self._stream_time, timestamp)
        close_time = self._stream_time - self.windows.grace_ms - gap
        merged = list(self._store.find_sessions(key, timestamp - gap, timestamp + gap))
        aggregate = self.initializer()
        start = end = timestamp
        for session, value in merged:
            aggregate = self.merger(key, aggregate, value)
            start = min(start, session.window.start)
            end = max(end, session.window.end)
        if end < close_time:
            self.drop()
        else:
            if start != end or start != timestamp:
                for session, value in merged:
                    self._store.remove(session)
                    self._session_changed(session, value, None)
            aggregate = self._add(record, aggregate)
            whole = Windowed(key, Window(start, end))
            self._store.put(whole, aggregate)
            self._session_changed(whole, None, aggregate)
        self.tell_closed(record, close_time)

    def tell_closed(self, record: AnyRecord, close_time: int) -> None:
        if not self._on_close or not self._shall_look(close_time):
            return
        low, high = max(0, self._last_close), close_time - 1
        if high < 0 or high < low:
            return
        for session, value in self._store.find_closed_sessions(low, high):
            self.forward(Record(session, Change(value, None), session.window.end, record.headers))
        self._last_close = close_time
        self.step.task.metadata[self._name] = close_time

    def _session_changed(self, session: Windowed[Any], old: Any, new: Any) -> None:
        if not self._on_close:
            self.update(session, new, old, session.window.end, (), "latest")

    def _flushed(self, key: Any, new: Any, old: Any, timestamp: int) -> None:  # noqa: ARG002
        flushing = self.step.task.flushing
        headers = () if flushing is None else tuple(flushing.headers)
        self.forward(Record(key, Change(new, old), key.window.end, headers))
