"""How values lie in stores, and in their changelogs."""

from __future__ import annotations

import struct
from typing import Generic, TypeVar

from ottla.streams.errors import SerializationError
from ottla.streams.records import ValueAndTimestamp
from ottla.streams.serdes.serde import Serde

V = TypeVar("V")
_LONG = struct.Struct(">q")


class TimestampedSerde(Generic[V]):
    """A timestamp in 8 bytes, then the value (ValueAndTimestampSerializer)."""

    def __init__(self, inner: Serde[V]) -> None:
        self.inner = inner
        self._serialize = inner.serialize
        self._deserialize = inner.deserialize

    def serialize(self, topic: str, value: ValueAndTimestamp[V] | None) -> bytes | None:
        if value is None:
            return None
        data = self._serialize(topic, value.value)
        return None if data is None else _LONG.pack(value.timestamp) + data

    def deserialize(self, topic: str, data: bytes | None) -> ValueAndTimestamp[V] | None:
        if data is None:
            return None
        if len(data) < _LONG.size:
            raise SerializationError(f"{len(data)} bytes are too few for a timestamp and a value")
        value = self._deserialize(topic, data[8:])
        return None if value is None else ValueAndTimestamp(value, _LONG.unpack_from(data)[0])


def with_timestamp(value: bytes | None, timestamp: int) -> bytes | None:
    """A changelog's value, whose time is its record's, as it lies in a store."""
    return None if value is None else _LONG.pack(timestamp) + value


def timestamp_of(data: bytes) -> int:
    """The timestamp of a value as it lies in a store."""
    timestamp: int = _LONG.unpack_from(data)[0]
    return timestamp
