"""Joins of streams: a record meets those of the other stream that are near enough in time, and have its key.

What a left or outer join has not seen meet anybody waits in a store of its own until nobody can come any
more.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ottla.streams.processors.base import AnyRecord, Operator
from ottla.streams.records import Record
from ottla.streams.serdes import Serde
from ottla.streams.windows import MAX_LONG, JoinWindows

__all__ = ["JoinSide", "KeepWindow", "SelfJoin", "SideKeySerde", "SideValueSerde"]

Joiner = Callable[[Any, Any, Any], Any]
"""Of the key, the left value, and the right one."""

_KEY: Final = struct.Struct(">qB")


class SideKey(NamedTuple):
    """A record that has met nobody."""

    timestamp: int
    is_left: bool
    key: Any


class SideKeySerde:
    """The time, then the side, then the key: in the order in which records stop waiting."""

    def __init__(self, key: Serde[Any]) -> None:
        self._key = key

    def serialize(self, topic: str, value: SideKey | None) -> bytes | None:
        if value is None:
            return None
        return _KEY.pack(value.timestamp, value.is_left) + (self._key.serialize(topic, value.key) or b"")

    def deserialize(self, topic: str, data: bytes | None) -> SideKey | None:
        if data is None:
            return None
        timestamp, side = _KEY.unpack_from(data)
        return SideKey(timestamp, bool(side), self._key.deserialize(topic, data[_KEY.size :]))


class SideValue(NamedTuple):
    is_left: bool
    value: Any


class SideValueSerde:
    """A byte for the side, then the value."""

    def __init__(self, left: Serde[Any], right: Serde[Any]) -> None:
        self._sides = (right, left)

    def serialize(self, topic: str, value: SideValue | None) -> bytes | None:
        if value is None:
            return None
        data = self._sides[value.is_left].serialize(topic, value.value) or b""
        return bytes((value.is_left,)) + data

    def deserialize(self, topic: str, data: bytes | None) -> SideValue | None:
        if data is None:
            return None
        return SideValue(bool(data[0]), self._sides[data[0]].deserialize(topic, data[1:]))


class KeepWindow(Operator):
    """Keeps a stream's records for those of the other that come later."""

    def __init__(self, store: str) -> None:
        self._name = store

    def prepare(self) -> None:
        self._window = self.store(self._name)

    def process(self, record: AnyRecord) -> None:
        self.forward(record)
        if record.key is not None:
            self._window.put(record.key, record.value, record.timestamp)


class _Time:
    """What both sides of a join know of time."""

    def __init__(self) -> None:
        self.stream_time = -1
        self.earliest_waiting = -1
        """Before the first look it is not known: the store may have been restored."""
        self.next_look = 0


class JoinSide(Operator):
    """One side of a join: its records look for others in the other's window."""

    def __init__(
        self,
        windows: JoinWindows,
        joiner: Joiner,
        other_store: str,
        waiting_store: str | None,
        shared: str,
        *,
        is_left: bool,
        is_outer: bool,
    ) -> None:
        """`is_outer`: whether records of this side that meet nobody have a result. `shared` names what both
        sides of the join share in a task."""
        self._windows = windows
        self._joiner = joiner
        self._other_name = other_store
        self._waiting_name = waiting_store
        self._shared = shared
        self._is_left = is_left
        self._is_outer = is_outer
        self._before = windows.before_ms if is_left else windows.after_ms
        self._after = windows.after_ms if is_left else windows.before_ms

    def prepare(self) -> None:
        self._other = self.store(self._other_name)
        self._waiting = None if self._waiting_name is None else self.store(self._waiting_name)
        shared = self.step.task.shared.setdefault(self._shared, _Time())
        assert isinstance(shared, _Time)
        self._time = shared

    def process(self, record: AnyRecord) -> None:
        key, value, timestamp = record.key, record.value, record.timestamp
        time = self._time
        time.stream_time = max(time.stream_time, timestamp)
        if key is None or value is None:
            if self._is_outer and value is not None:
                self.forward(record.with_value(self._joined(key, value, None)))
            else:
                self.drop()
            return
        if timestamp == time.stream_time and self._waiting is not None:
            self._let_go(record)
        first, last = max(0, timestamp - self._before), max(0, timestamp + self._after)
        has_met = False
        for other_time, other in self._other.fetch_range(key, first, last):
            has_met = True
            if self._waiting is not None:
                self._met(SideKey(other_time, not self._is_left, key))
            joined = self._joined(key, value, other)
            self.forward(Record(key, joined, max(timestamp, other_time), record.headers))
        if self._is_outer and not has_met:
            if self._waiting is None or last < time.stream_time:
                self.forward(record.with_value(self._joined(key, value, None)))
            else:
                if timestamp < time.earliest_waiting:
                    time.earliest_waiting = timestamp
                self._waiting.put(SideKey(timestamp, self._is_left, key), SideValue(self._is_left, value))

    def _met(self, other: SideKey) -> None:
        """The other has met somebody, and waits no longer."""
        assert self._waiting is not None
        if self._waiting.get(other):
            self._waiting.put(other, None)

    def _joined(self, key: Any, mine: Any, other: Any) -> Any:
        return self._joiner(key, mine, other) if self._is_left else self._joiner(key, other, mine)

    def _let_go(self, record: AnyRecord) -> None:
        """Forward what has waited until nobody can come any more."""
        time, task = self._time, self.step.task
        if time.earliest_waiting + self._after + self._windows.grace_ms >= time.stream_time:
            return
        now = self.step.wall_clock_ms
        if now < time.next_look:
            return
        time.next_look = now + task.emit_interval_ms
        time.earliest_waiting = MAX_LONG
        is_open = {True: False, False: False}
        gone: dict[SideKey, None] = {}
        assert self._waiting is not None
        for waiting, kept in self._waiting.all():
            time.earliest_waiting = waiting.timestamp
            if all(is_open.values()):
                break
            if self._may_meet(waiting):
                is_open[waiting.is_left] = True
                continue
            left, right = (kept.value, None) if kept.is_left else (None, kept.value)
            joined = self._joiner(waiting.key, left, right)
            self.forward(Record(waiting.key, joined, waiting.timestamp, record.headers))
            gone[waiting] = None
        for waiting in gone:
            self._waiting.put(waiting, None)

    def _may_meet(self, waiting: SideKey) -> bool:
        after = self._windows.after_ms if waiting.is_left else self._windows.before_ms
        return waiting.timestamp + after + self._windows.grace_ms >= self._time.stream_time


class SelfJoin(Operator):
    """A join of a stream with itself, with one window for both sides; its results come as an inner join's."""

    def __init__(self, windows: JoinWindows, joiner: Joiner, store: str) -> None:
        self._windows = windows
        self._joiner = joiner
        self._name = store
        self._retention = windows.size_ms + windows.grace_ms
        self._stream_time = -1

    def prepare(self) -> None:
        self._window = self.store(self._name)

    def process(self, record: AnyRecord) -> None:
        key, value, timestamp = record.key, record.value, record.timestamp
        if key is None or value is None:
            self.drop()
            return
        self._stream_time = max(self._stream_time, timestamp)
        before, after = self._windows.before_ms, self._windows.after_ms
        is_due = timestamp > self._stream_time - self._retention + 1
        itself = record.with_value(self._joiner(key, value, value))
        for time, other in self._around(record, before, after):
            joined = self._joiner(key, value, other)
            self.forward(Record(key, joined, max(timestamp, time), record.headers))
        for time, other in self._around(record, after, before):
            if timestamp < time and is_due:
                is_due = False
                self.forward(itself)
            joined = self._joiner(key, other, value)
            self.forward(Record(key, joined, max(timestamp, time), record.headers))
        if is_due:
            self.forward(itself)

    def _around(self, record: AnyRecord, before: int, after: int) -> Any:
        timestamp = record.timestamp
        return self._window.fetch_range(record.key, max(0, timestamp - before), max(0, timestamp + after))
