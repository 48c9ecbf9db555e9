"""Lists in the bytes of Kafka's ListSerde (KIP-466)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Generic, TypeVar

from ottla.streams.errors import SerializationError
from ottla.streams.serdes.scalars import FIXED_SIZES
from ottla.streams.serdes.serde import Serde

T = TypeVar("T")
_INT = struct.Struct(">i")
_CONSTANT_SIZE, _VARIABLE_SIZE, _NULL = 0, 1, -1


class List(Generic[T]):
    """A list of what `inner` takes; None may be in it."""

    def __init__(self, inner: Serde[T]) -> None:
        self.inner = inner
        self._size = FIXED_SIZES.get(type(inner))

    def serialize(self, topic: str, value: Sequence[T | None] | None) -> bytes | None:
        if value is None:
            return None
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            raise SerializationError(f"List does not take {value!r:.200}")
        items = [self.inner.serialize(topic, item) for item in value]
        if self._size is None:
            parts = [bytes([_VARIABLE_SIZE]), _INT.pack(len(items))]
            for item in items:
                parts.append(_INT.pack(_NULL if item is None else len(item)))
                parts.append(item or b"")
        else:
            nulls = [index for index, item in enumerate(items) if item is None]
            parts = [
                bytes([_CONSTANT_SIZE]),
                _INT.pack(len(nulls)),
                *map(_INT.pack, nulls),
                _INT.pack(len(items)),
            ]
            parts += [item for item in items if item is not None]
        return b"".join(parts)

    def deserialize(self, topic: str, data: bytes | None) -> list[T | None] | None:
        if data is None:
            return None
        reader = _Reader(data)
        strategy = reader.take(1)[0]
        if strategy == _CONSTANT_SIZE and self._size is not None:
            # What is null has no bytes, only its index in front.
            nulls = {reader.number() for _ in range(reader.count(4))}
            entries = [None if at in nulls else reader.take(self._size) for at in range(reader.count(0))]
        elif strategy == _VARIABLE_SIZE:
            entries = [reader.entry() for _ in range(reader.count(4))]
        else:
            raise SerializationError(f"a List of {self.inner!r} is not written with strategy {strategy}")
        return [self.inner.deserialize(topic, entry) for entry in entries]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, List) and self.inner == other.inner

    def __hash__(self) -> int:
        return hash((List, self.inner))

    def __repr__(self) -> str:
        return f"List({self.inner!r})"


class _Reader:
    """Takes a list apart; whatever does not lie in its bytes is an error."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if size < 0 or end > len(self._data):
            raise SerializationError(f"a List of {len(self._data)} bytes is cut short, or says wrong lengths")
        self._at, start = end, self._at
        return self._data[start:end]

    def number(self) -> int:
        value: int = _INT.unpack(self.take(4))[0]
        return value

    def entry(self) -> bytes | None:
        size = self.number()
        return None if size == _NULL else self.take(size)

    def count(self, size: int) -> int:
        """A number of entries of at least `size` bytes each (as in Java, never more than there are bytes)."""
        count = self.number()
        if count < 0 or count * max(size, 1) > len(self._data):
            raise SerializationError(f"a List of {len(self._data)} bytes cannot have {count} entries")
        return count
