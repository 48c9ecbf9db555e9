"""Updates of a table that are held back: until their window is over, or for a time, or until too many
wait."""

from __future__ import annotations

import struct
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from ottla.streams.errors import StreamsError
from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.processors.base import AnyRecord, Operator
from ottla.streams.processors.buffered import Buffered, decode_buffered, encode_buffered
from ottla.streams.processors.views import Found, ValueGetter
from ottla.streams.records import Change, Record, ValueAndTimestamp
from ottla.streams.serdes import Serde
from ottla.streams.state.stack import StoreEnvironment
from ottla.streams.state.stores import StoreContext
from ottla.streams.task.chunks import Chunk, Updates
from ottla.streams.task.steps import ProcessorStep

__all__ = ["Suppress", "SuppressBuffer", "SuppressBufferBuilder", "SuppressedTable", "SuppressLimits"]

_TIME: Final = struct.Struct(">q")
_VERSION: Final = (("v", b"\x03"),)
"""Says how a value of the changelog is to be read."""


@dataclass(frozen=True)
class SuppressLimits:
    """None: without a limit."""

    max_records: int | None
    max_bytes: int | None
    emit_early: bool
    """Whether the oldest go on where more come; else the task fails."""


class SuppressBuffer:
    """The latest update of each key, in order of the time of the first that waits."""

    persistent = False

    def __init__(
        self, name: str, key: Serde[Any], value: Serde[Any], logging: bool, context: StoreContext
    ) -> None:
        self.name = name
        self.size = 0
        self._key = key
        self._value = value
        self._logging = logging
        self._context = context
        self._topic = f"{context.application_id}-{name}-changelog"
        self._order: list[tuple[int, bytes]] = []
        self._times: dict[bytes, int] = {}
        self._values: dict[bytes, Buffered] = {}
        self._dirty: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._values)

    def first_time(self) -> int | None:
        return self._order[0][0] if self._order else None

    def put(self, time: int, record: AnyRecord) -> None:
        key = self._key.serialize(self._topic, record.key) or b""
        change = record.value
        new = self._value.serialize(self._topic, change.new)
        old = self._value.serialize(self._topic, change.old)
        before = self._values.get(key)
        context = self._context.record_context
        assert context is not None
        self._keep(time, key, Buffered(old if before is None else before.prior, old, new, context))
        self._dirty[key] = None

    def encoded(self, chunk: Chunk) -> Updates:
        """What `put_many` takes. Raises NotColumnar."""
        return chunk.encode_changes(self._topic, self._key, self._value)

    def put_many(self, chunk: Chunk, updates: Updates, ends: list[int], rows: range) -> None:
        """Put some rows of a chunk, which wait until their windows' `ends`: of each key the last is kept."""
        keys, news, olds = updates
        some = keys[rows.start : rows.stop]
        last = dict(zip(some, rows, strict=True))
        first = last if olds is None else dict(zip(reversed(some), reversed(rows), strict=True))
        contexts = chunk.contexts(list(last.values()))
        for (key, row), context in zip(last.items(), contexts, strict=True):
            before = self._values.get(key)
            prior = before.prior if before is not None else None if olds is None else olds[first[key]]
            old = None if olds is None else olds[row]
            self._keep(ends[row], key, Buffered(prior, old, news[row], context))
            self._dirty[key] = None

    def first(self) -> tuple[bytes, Any, Change[Any], Buffered]:
        """The oldest: its bytes, its key, the change, and what is kept of it."""
        data = self._order[0][1]
        kept = self._values[data]
        change: Change[Any] = Change(self._read(kept.new), self._read(kept.old))
        return data, self._key.deserialize(self._topic, data), change, kept

    def remove(self, key: bytes) -> None:
        kept = self._values.pop(key)
        place = self._times.pop(key), key
        del self._order[bisect_left(self._order, place)]
        self.size -= len(key) + kept.size()
        self._dirty[key] = None

    def prior(self, key: Any) -> tuple[bool, Any]:
        """Whether an update of the key waits, and what others still see."""
        kept = self._values.get(self._key.serialize(self._topic, key) or b"")
        return (False, None) if kept is None else (True, self._read(kept.prior))

    def flush(self) -> None:
        if self._logging:
            for key in self._dirty:
                kept = self._values.get(key)
                if kept is None:
                    self._context.log_change(self.name, key, None, -1, ())
                else:
                    data = encode_buffered(kept) + _TIME.pack(self._times[key])
                    self._context.log_change(self.name, key, data, kept.context.timestamp, _VERSION)
        self._dirty.clear()

    def restore(self, records: Iterable[tuple[bytes, bytes | None, int]]) -> None:
        for key, data, _ in records:
            if data is not None:
                kept, rest = decode_buffered(data)
                self._keep(_TIME.unpack(rest)[0], key, kept)
            elif key in self._values:
                self.remove(key)
        self._dirty.clear()

    def commit(self, changelog_offset: int | None) -> None:
        pass

    def committed_offset(self) -> int | None:
        return None

    def close(self) -> None:
        self._order.clear()
        self._times.clear()
        self._values.clear()
        self._dirty.clear()

    def _read(self, data: bytes | None) -> Any:
        return None if data is None else self._value.deserialize(self._topic, data)

    def _keep(self, time: int, key: bytes, kept: Buffered) -> None:
        before = self._values.get(key)
        if before is None:
            self._times[key] = time
            insort(self._order, (time, key))
            self.size += len(key)
        else:
            self.size -= before.size()
        self.size += kept.size()
        self._values[key] = kept


class SuppressBufferBuilder:
    """The buffer of an operator, made anew for each task."""

    logging = True
    meaning = "a buffer of updates"
    layout = ""

    def __init__(self, name: str, key: Serde[Any], value: Serde[Any]) -> None:
        self.name = name
        self._key = key
        self._value = value

    def build(self, context: StoreContext, _environment: StoreEnvironment | None = None) -> SuppressBuffer:
        return SuppressBuffer(self.name, self._key, self._value, self.logging, context)

    def changelog_config(self) -> dict[str, str]:
        return {"cleanup.policy": "compact"}


class Suppress(Operator):
    def __init__(self, store: str, wait_ms: int, limits: SuppressLimits, *, by_window: bool) -> None:
        """`by_window`: updates wait from their window's end on, and what a window deletes is nothing to
        nobody."""
        self._name = store
        self._wait_ms = wait_ms
        self._limits = limits
        self._by_window = by_window
        self._stream_time = -1

    def prepare(self) -> None:
        self._buffer: SuppressBuffer = self.store(self._name)

    def process(self, record: AnyRecord) -> None:
        self._stream_time = max(self._stream_time, record.timestamp)
        self._buffer.put(record.key.window.end if self._by_window else record.timestamp, record)
        due = self._stream_time - self._wait_ms
        while (first := self._buffer.first_time()) is not None and first <= due:
            self._let_go()
        if not self._is_full():
            return
        if not self._limits.emit_early:
            raise StreamsError(
                f"{self.step.name} holds back {len(self._buffer)} updates, {self._buffer.size} bytes: more"
                f" than max_records={self._limits.max_records} or max_bytes={self._limits.max_bytes} allow"
            )
        while self._is_full():
            self._let_go()

    def process_chunk(self, chunk: Chunk) -> None:
        limits = self._limits
        if not self._by_window or limits.max_records is not None or limits.max_bytes is not None:
            raise NotColumnar("each update may let others go")
        buffer = self._buffer
        updates, ends = buffer.encoded(chunk), chunk.window_ends()
        times = list(accumulate(chunk.times(), max, initial=self._stream_time))[1:]
        least = list(accumulate(reversed(ends), min))[::-1]
        start = 0
        while start < len(times):
            # Nothing is due before the stream's time reaches the earliest end of all that waits or comes.
            first = buffer.first_time()
            earliest = least[start] if first is None else min(first, least[start])
            stop = min(bisect_left(times, earliest + self._wait_ms, start) + 1, len(times))
            buffer.put_many(chunk, updates, ends, range(start, stop))
            self._stream_time = times[stop - 1]
            self._let_due_go_at(chunk, stop - 1)
            start = stop

    def _let_due_go_at(self, chunk: Chunk, row: int) -> None:
        task, due = self.step.task, self._stream_time - self._wait_ms
        first = self._buffer.first_time()
        if first is None or first > due:
            return
        raw, stream_time = task.raw, task.stream_time
        task.raw, task.stream_time = chunk.source(row)
        try:
            while (first := self._buffer.first_time()) is not None and first <= due:
                self._let_go()
        finally:
            task.raw, task.stream_time = raw, stream_time

    def _is_full(self) -> bool:
        limits, buffer = self._limits, self._buffer
        if limits.max_records is not None and len(buffer) > limits.max_records:
            return True
        return limits.max_bytes is not None and buffer.size > limits.max_bytes

    def _let_go(self) -> None:
        data, key, change, kept = self._buffer.first()
        if change.new is not None or not self._by_window:
            task = self.step.task
            outer, task.flushing = task.flushing, kept.context
            try:
                self.forward(Record(key, change, kept.context.timestamp, tuple(kept.context.headers)))
            finally:
                task.flushing = outer
        self._buffer.remove(data)


class SuppressedTable:
    """A table as others read it below: without what is held back."""

    is_versioned = False

    def __init__(self, store: str, parent: ValueGetter) -> None:
        self._name = store
        self._parent = parent

    def prepare(self, step: ProcessorStep) -> None:
        self._parent.prepare(step)
        buffer = step.store(self._name)
        assert isinstance(buffer, SuppressBuffer)
        self._buffer = buffer

    def get(self, key: Any) -> Found:
        waits, prior = self._buffer.prior(key)
        if not waits:
            return self._parent.get(key)
        return None if prior is None else ValueAndTimestamp(prior, -1)

    def get_as_of(self, key: Any, timestamp: int) -> Found:  # noqa: ARG002
        return self.get(key)
