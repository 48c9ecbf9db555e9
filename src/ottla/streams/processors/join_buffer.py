"""Where records of a stream wait for a table (KIP-923)."""

from __future__ import annotations

import struct
from bisect import insort
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ottla.streams.processors.base import AnyRecord
from ottla.streams.processors.buffered import Buffered, decode_buffered, encode_buffered
from ottla.streams.records import Record
from ottla.streams.serdes import Serde
from ottla.streams.state.stack import StoreEnvironment
from ottla.streams.state.stores import RecordContext, StoreContext

__all__ = ["JoinBuffer", "JoinBufferBuilder"]

_LONG: Final = struct.Struct(">q")
_INT: Final = struct.Struct(">i")


class JoinBuffer:
    """Records in order of their times, then their keys; its changelog has them under both and a number."""

    persistent = False

    def __init__(
        self,
        name: str,
        key: Serde[Any],
        value: Serde[Any],
        grace_ms: int,
        logging: bool,
        context: StoreContext,
    ) -> None:
        self.name = name
        self._key = key
        self._value = value
        self._grace_ms = grace_ms
        self._logging = logging
        self._context = context
        self._topic = f"{context.application_id}-{name}-changelog"
        self._order: list[bytes] = []
        self._values: dict[bytes, Buffered] = {}
        self._stream_time = -1
        self._number = 0

    def put(self, record: AnyRecord) -> bool:
        """Have it wait; False where it is too late for that."""
        if self._stream_time - self._grace_ms > record.timestamp:
            return False
        self._number = (self._number + 1) & 0x7FFFFFFF
        key = self._key.serialize(self._topic, record.key) or b""
        place = _LONG.pack(record.timestamp) + key + _INT.pack(self._number)
        context = self._context.record_context
        assert context is not None
        value = Buffered(None, None, self._value.serialize(self._topic, record.value), context)
        self._keep(place, value)
        if self._logging:
            self._context.log_change(self.name, place, encode_buffered(value), record.timestamp, ())
        return True

    def take_due(self) -> Iterator[tuple[RecordContext, AnyRecord]]:
        """Those that have waited long enough, each removed after it was looked at."""
        due = self._stream_time - self._grace_ms
        while self._order:
            place = self._order[0]
            if _LONG.unpack_from(place)[0] > due:
                return
            value = self._values[place]
            record: Record[Any, Any] = Record(
                self._key.deserialize(self._topic, place[_LONG.size : -_INT.size]),
                self._value.deserialize(self._topic, value.new),
                value.context.timestamp,
                tuple(value.context.headers),
            )
            yield value.context, record
            del self._order[0]
            del self._values[place]
            if self._logging:
                self._context.log_change(self.name, place, None, value.context.timestamp, ())

    def restore(self, records: Iterable[tuple[bytes, bytes | None, int]]) -> None:
        for place, data, _ in records:
            if data is not None:
                self._keep(place, decode_buffered(data)[0])
            elif self._values.pop(place, None) is not None:
                self._order.remove(place)

    def flush(self) -> None:
        pass

    def commit(self, changelog_offset: int | None) -> None:
        pass

    def committed_offset(self) -> int | None:
        return None

    def close(self) -> None:
        self._order.clear()
        self._values.clear()

    def _keep(self, place: bytes, value: Buffered) -> None:
        if place not in self._values:
            insort(self._order, place)
        self._values[place] = value
        self._stream_time = max(self._stream_time, _LONG.unpack_from(place)[0])


class JoinBufferBuilder:
    """The buffer of a join, made anew for each task."""

    logging = True
    meaning = "a join's buffer"
    layout = ""

    def __init__(self, name: str, key: Serde[Any], value: Serde[Any], grace_ms: int) -> None:
        self.name = name
        self._key = key
        self._value = value
        self._grace_ms = grace_ms

    def build(self, context: StoreContext, _environment: StoreEnvironment | None = None) -> JoinBuffer:
        return JoinBuffer(self.name, self._key, self._value, self._grace_ms, self.logging, context)

    def changelog_config(self) -> dict[str, str]:
        return {"cleanup.policy": "compact"}
