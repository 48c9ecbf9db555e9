"""Columns that are put together of others: windowed keys, the changes of tables, the two sides of a join."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from ottla.client.columns.arrow import as_column, as_strings
from ottla.client.columns.binary import BinaryColumn
from ottla.streams.columnar.column import AnySerde, Column
from ottla.streams.columnar.objects import longs_of, objects_of
from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.records import Change, Window, Windowed
from ottla.streams.serdes import TimeWindowedSerde
from ottla.streams.windows import MAX_LONG, window_end

__all__ = ["ChangedValues", "Sides", "Taken", "WindowedKeys", "window_places"]


class WindowedKeys(Column):
    """Keys in windows of one size, each with its window's start (int64)."""

    __slots__ = ("_keys", "_size_ms", "_starts")

    def __init__(self, keys: Column, starts: pa.Array, size_ms: int) -> None:
        super().__init__(len(keys))
        self._keys: Final = keys
        self._starts: Final = starts
        self._size_ms: Final = size_ms

    def objects(self) -> list[Any]:
        if self._objects is None:
            size = self._size_ms
            pairs = zip(self._keys.objects(), objects_of(self._starts), strict=True)
            self._objects = [Windowed(key, Window(start, window_end(start, size))) for key, start in pairs]
        return self._objects

    def array(self) -> pa.Array:
        raise NotColumnar("windowed keys are no column")

    def unwindowed(self) -> Column:
        return self._keys

    def window_bounds(self, name: str) -> pa.Array:
        if name == "start":
            return self._starts
        most = pc.subtract(pa.scalar(MAX_LONG, pa.int64()), self._size_ms)
        return pc.add(pc.min_element_wise(self._starts, most), self._size_ms)

    def is_null(self) -> None:
        return None

    def take(self, indices: pa.Array) -> Column:
        return WindowedKeys(self._keys.take(indices), self._starts.take(indices), self._size_ms)

    def _encode(self, serde: AnySerde, topic: str) -> BinaryColumn:
        if not isinstance(serde, TimeWindowedSerde):
            return super()._encode(serde, topic)
        keys = as_strings(self._keys.encode(serde.inner, topic, as_keys=True))
        return as_column(_joined(keys, as_strings(longs_of(self._starts))))


def window_places(keys: BinaryColumn, starts: pa.Array) -> BinaryColumn:
    """Keys and their windows' starts as the changelog of a window store has them, of sequence number 0."""
    return as_column(_joined(as_strings(keys), as_strings(longs_of(starts)), b"\0\0\0\0"))


def _joined(keys: pa.Array, ends: pa.Array, last: bytes = b"") -> pa.Array:
    if keys.null_count:
        raise NotColumnar("a windowed key without a key")
    if keys.type != ends.type:
        ends = ends.cast(keys.type)
    parts = keys, ends, pa.scalar(last, keys.type)
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", keys.type))


class ChangedValues(Column):
    """Changes of a table: the new values, and the old ones where somebody asks for them."""

    __slots__ = ("_new", "_old")

    def __init__(self, new: Column, old: Column | None) -> None:
        super().__init__(len(new))
        self._new: Final = new
        self._old: Final = old

    def objects(self) -> list[Any]:
        if self._objects is None:
            old = [None] * self.length if self._old is None else self._old.objects()
            self._objects = list(map(Change, self._new.objects(), old))
        return self._objects

    def array(self) -> pa.Array:
        raise NotColumnar("changes are no column")

    def changes(self) -> tuple[Column, Column | None]:
        return self._new, self._old

    def is_null(self) -> None:
        return None

    def take(self, indices: pa.Array) -> Column:
        return ChangedValues(self._new.take(indices), None if self._old is None else self._old.take(indices))


class Sides(Column):
    """What the two sides of a join have, as objects with the fields `left` and `right`."""

    __slots__ = ("_sides",)

    def __init__(self, left: Column, right: Column) -> None:
        super().__init__(len(left))
        self._sides: Final = {"left": left, "right": right}

    def objects(self) -> list[Any]:
        if self._objects is None:
            left, right = (side.objects() for side in self._sides.values())
            self._objects = [{"left": one, "right": other} for one, other in zip(left, right, strict=True)]
        return self._objects

    def array(self) -> pa.Array:
        raise NotColumnar("what is joined is no column")

    def is_null(self) -> None:
        return None

    def take(self, indices: pa.Array) -> Column:
        return Sides(self._sides["left"].take(indices), self._sides["right"].take(indices))

    def _field(self, path: tuple[str, ...]) -> pa.Array:
        side = self._sides.get(path[0])
        return pa.nulls(self.length) if side is None else side.field(path[1:])


class Taken(Column):
    """Values by their numbers among a few."""

    __slots__ = ("_few", "_indices")

    def __init__(self, few: Column, indices: pa.Array) -> None:
        super().__init__(len(indices))
        self._few: Final = few
        self._indices: Final = indices

    def few(self) -> list[Any]:
        """Each of the values once."""
        return self._few.objects()

    def objects(self) -> list[Any]:
        if self._objects is None:
            few = self._few.objects()
            self._objects = [few[index] for index in self._indices.to_pylist()]
        return self._objects

    def array(self) -> pa.Array:
        return self._few.array().take(self._indices)

    def is_null(self) -> pa.Array | None:
        nulls = self._few.is_null()
        return None if nulls is None else nulls.take(self._indices)

    def take(self, indices: pa.Array) -> Column:
        return Taken(self._few, self._indices.take(indices))

    def _field(self, path: tuple[str, ...]) -> pa.Array:
        return self._few.field(path).take(self._indices)
