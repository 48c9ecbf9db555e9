"""Keys or values of some records, as bytes, as Python's values or as an Arrow column: each is made of
another when it is asked for, and kept."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from ottla.client.columns.arrow import as_column, as_strings
from ottla.client.columns.binary import BinaryColumn
from ottla.client.columns.implementation import IMPLEMENTATION
from ottla.streams.columnar.json_text import json_text
from ottla.streams.columnar.objects import array_of, longs_of, objects_of
from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.records import Change, Windowed
from ottla.streams.serdes import Bytes, Integer, Json, Long, Serde, Short, Text

__all__ = ["Column"]

AnySerde = Serde[Any]

_BY_BYTES: Final = (Text, Bytes)
"""Serdes whose values lie in Arrow as their bytes do."""
_ONE_WAY: Final = (Text, Bytes, Json, Long)
"""Serdes that write a value alike whatever the topic."""
_ONE_SPELLING: Final = (Text, Bytes, Long, Integer, Short)
"""Serdes that read a value of no other bytes than those that they write for it."""


class Column:
    """Made by one of its class methods. Immutable, but for what is kept of what was asked for."""

    __slots__ = ("_array", "_bytes", "_encoded", "_fields", "_objects", "_serde", "_topic", "length")

    def __init__(self, length: int) -> None:
        self.length = length
        self._bytes: BinaryColumn | None = None
        self._serde: AnySerde | None = None
        self._topic = ""
        self._objects: list[Any] | None = None
        self._array: pa.Array | None = None
        self._fields: dict[tuple[str, ...], pa.Array] = {}
        self._encoded: tuple[AnySerde, BinaryColumn] | None = None

    @classmethod
    def of_bytes(cls, data: BinaryColumn, serde: AnySerde, topic: str) -> Column:
        """What `serde` reads from records of `topic`. Raises NotColumnar where it cannot read one of them."""
        made = cls(len(data))
        made._bytes, made._serde, made._topic = data, serde, topic
        if isinstance(serde, _BY_BYTES):
            made.array()
        else:
            made.objects()
        return made

    @classmethod
    def of_objects(cls, values: list[Any]) -> Column:
        made = cls(len(values))
        made._objects = values
        return made

    @classmethod
    def of_array(cls, array: pa.Array) -> Column:
        made = cls(len(array))
        made._array = array
        return made

    def __len__(self) -> int:
        return self.length

    def unwindowed(self) -> Column:
        """The values, in place of a windowed key the key."""
        if self._bytes is not None or self._array is not None or not self.length:
            return self
        values = self.objects()
        if not any(type(each) is Windowed for each in values):
            return self
        return Column.of_objects([each.key if type(each) is Windowed else each for each in values])

    def window_bounds(self, name: str) -> pa.Array:
        """The "start" or "end" of each key's window. Raises NotColumnar where a key has none."""
        values = self.objects()
        if not all(type(each) is Windowed for each in values):
            raise NotColumnar("a key has no window")
        return pa.array([getattr(each.window, name) for each in values], pa.int64())

    def changes(self) -> tuple[Column, Column | None]:
        """The new values of changes, and the old ones; None where no change has one. Raises NotColumnar where
        a value is no change, or not the latest."""
        values = self.objects()
        if not all(type(each) is Change and each.is_latest for each in values):
            raise NotColumnar("a value is no change")
        old = [each.old for each in values]
        has_old = any(each is not None for each in old)
        return Column.of_objects([each.new for each in values]), Column.of_objects(old) if has_old else None

    def is_null(self) -> pa.Array | None:
        """Where the values are null; None where none is."""
        if self._objects is not None:
            if None not in self._objects:
                return None
            return pa.array([each is None for each in self._objects], pa.bool_())
        array = self._array
        if array is None and self._bytes is not None and isinstance(self._serde, _BY_BYTES):
            array = as_strings(self._bytes)
        if array is None:
            return None if None not in self.objects() else self.is_null()
        return pc.is_null(array) if array.null_count else None

    def objects(self) -> list[Any]:
        """A value for each record."""
        if self._objects is None:
            if self._array is not None:
                self._objects = objects_of(self._array)
            else:
                self._objects = self._read()
        return self._objects

    def array(self) -> pa.Array:
        """The values as a column. Raises NotColumnar where they have no one type, or are objects."""
        if self._array is None:
            if self._bytes is not None and isinstance(self._serde, _BY_BYTES):
                self._array = _checked_text(self._bytes, is_text=isinstance(self._serde, Text))
            else:
                self._array = array_of(self.objects())
        return self._array

    def field(self, path: tuple[str, ...]) -> pa.Array:
        """The field at `path` of each value, null where it or a parent is missing."""
        if not path:
            return self.array()
        found = self._fields.get(path)
        if found is None:
            found = self._fields[path] = self._field(path)
        return found

    def _field(self, path: tuple[str, ...]) -> pa.Array:
        if self._array is not None and pa.types.is_struct(self._array.type):
            array = self._array
            for name in path:
                if not pa.types.is_struct(array.type):
                    raise NotColumnar(f"{array.type} has no fields")
                if array.type.get_field_index(name) < 0:
                    return pa.nulls(self.length)
                array = pc.struct_field(array, name)
            return array
        values: list[Any] = self.objects()
        for name in path:
            try:
                values = [value.get(name) for value in values]
            except AttributeError:
                values = [_get(value, name) for value in values]
        return array_of(values)

    def take(self, indices: pa.Array) -> Column:
        """The values at `indices`."""
        made = Column(len(indices))
        if self._bytes is not None:
            made._bytes = as_column(as_strings(self._bytes).take(indices))
            made._serde, made._topic = self._serde, self._topic
        if self._array is not None:
            made._array = self._array.take(indices)
        if self._objects is not None:
            values = self._objects
            made._objects = [values[index] for index in objects_of(indices)]
        made._fields = {path: array.take(indices) for path, array in self._fields.items()}
        return made

    def encode(self, serde: AnySerde, topic: str, *, as_keys: bool = False) -> BinaryColumn:
        """The bytes that `serde` makes for `topic`. Raises NotColumnar where it does not take a value.

        What the same serde has read, and nobody has changed, is not made anew. `as_keys`: equal values have
        the same bytes, however others wrote them, so that they are one key and lie in one partition.
        """
        if (
            self._bytes is not None
            and self._serde == serde
            and not (as_keys and type(serde) not in _ONE_SPELLING)
        ):
            return self._bytes
        if self._encoded is not None and self._encoded[0] == serde:
            return self._encoded[1]
        made = self._encode(serde, topic)
        if type(serde) in _ONE_WAY:
            self._encoded = serde, made
        return made

    def _encode(self, serde: AnySerde, topic: str) -> BinaryColumn:
        if self._array is not None:
            if isinstance(serde, Json):
                text = json_text(self._array)
                if text is not None:
                    return as_column(text)
            kind = self._array.type
            if (isinstance(serde, Text) and pa.types.is_string(kind)) or (
                isinstance(serde, Bytes) and pa.types.is_binary(kind)
            ):
                return as_column(self._array)
            if isinstance(serde, Long) and pa.types.is_int64(kind) and not self._array.null_count:
                return longs_of(self._array)
        serialize = serde.serialize
        try:
            return BinaryColumn.of([serialize(topic, value) for value in self.objects()])
        except Exception as error:  # serdes may be the user's: the record alone says more
            raise NotColumnar(str(error)) from error

    def _read(self) -> list[Any]:
        assert self._bytes is not None
        assert self._serde is not None
        deserialize, topic = self._serde.deserialize, self._topic
        rows: list[bytes | None] = IMPLEMENTATION.strings(self._bytes.raw)
        try:
            if isinstance(self._serde, Json):
                decode = self._serde.decode
                made = [None if row is None else decode(row) for row in rows]
                if made.count(None) > rows.count(None):
                    self._bytes = None  # a null that is read is a tombstone that is written
                return made
            return [deserialize(topic, row) for row in rows]
        except Exception as error:
            raise NotColumnar(str(error)) from error


def _checked_text(data: BinaryColumn, *, is_text: bool) -> pa.Array:
    try:
        return as_strings(data).cast(pa.string() if is_text else pa.binary())
    except pa.ArrowException as error:
        raise NotColumnar(str(error)) from error


def _get(value: Any, name: str) -> Any:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise NotColumnar(f"{type(value).__name__} has no fields")
    return value.get(name)
