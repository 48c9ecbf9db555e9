"""Values in Avro's binary encoding, read by functions that are made of one another.

Every length and count is held to what is left of the value before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from struct import Struct as Packed
from typing import Final, cast

from ottla.connect.data.schema import RANGES, Schema, Struct, Type, Value
from ottla.connect.errors import DataError

__all__ = [
    "Cursor",
    "READERS",
    "Reader",
    "array_reader",
    "branch_reader",
    "entries_reader",
    "enum_reader",
    "fixed_reader",
    "integer_reader",
    "map_reader",
    "read_bytes",
    "read_nothing",
    "struct_reader",
    "union_reader",
]

_FLOAT: Final = Packed("<f")
_DOUBLE: Final = Packed("<d")
_MAX_EMPTY: Final = 65_536
"""Elements of an array that need no bytes of their own"""


class Cursor:
    """Where in a value one is."""

    __slots__ = ("data", "end", "position")

    def __init__(self, data: memoryview) -> None:
        self.data: Final = data
        self.position = 0
        self.end: Final = len(data)

    def long(self) -> int:
        """Raises DataError for more than 64 bits, IndexError at the end."""
        data, at = self.data, self.position
        byte = data[at]
        value, shift = byte & 0x7F, 7
        while byte >= 0x80:
            at += 1
            byte = data[at]
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 70 or value >> 64:
                raise DataError("an integer of more than 64 bits")
        self.position = at + 1
        return (value >> 1) ^ -(value & 1)

    def take(self, length: int) -> memoryview:
        """Raises DataError where there is less."""
        start = self.position
        if not 0 <= length <= self.end - start:
            raise DataError(f"{length} bytes, where {self.end - start} are left")
        self.position = start + length
        return self.data[start : self.position]


Reader = Callable[[Cursor], Value]


def read_nothing(_cursor: Cursor) -> Value:
    return None


def integer_reader(kind: Type) -> Reader:
    allowed = RANGES[kind]

    def read(cursor: Cursor) -> Value:
        value = cursor.long()
        if value not in allowed:
            raise DataError(f"{value} is out of range for {kind}")
        return value

    return read


def _boolean(cursor: Cursor) -> Value:
    return cursor.take(1)[0] != 0


def _float(cursor: Cursor) -> Value:
    return cast("float", _FLOAT.unpack(cursor.take(4))[0])


def _double(cursor: Cursor) -> Value:
    return cast("float", _DOUBLE.unpack(cursor.take(8))[0])


def read_bytes(cursor: Cursor) -> Value:
    return bytes(cursor.take(cursor.long()))


def _string(cursor: Cursor) -> Value:
    return str(cursor.take(cursor.long()), "utf-8")


READERS: Final[Mapping[Type, Reader]] = {
    Type.BOOLEAN: _boolean,
    Type.FLOAT32: _float,
    Type.FLOAT64: _double,
    Type.BYTES: read_bytes,
    Type.STRING: _string,
}


def fixed_reader(size: int) -> Reader:
    return lambda cursor: bytes(cursor.take(size))


def enum_reader(symbols: Sequence[str]) -> Reader:
    def read(cursor: Cursor) -> Value:
        index = cursor.long()
        if not 0 <= index < len(symbols):
            raise DataError(f"an enum has no symbol {index}")
        return symbols[index]

    return read


def union_reader(branches: Sequence[Reader]) -> Reader:
    def read(cursor: Cursor) -> Value:
        index = cursor.long()
        if not 0 <= index < len(branches):
            raise DataError(f"a union has no branch {index}")
        return branches[index](cursor)

    return read


def branch_reader(schema: Schema, index: int, read: Reader) -> Reader:
    def read_branch(cursor: Cursor) -> Value:
        struct = Struct(schema)
        struct.values[index] = read(cursor)
        return struct

    return read_branch


def struct_reader(schema: Schema, fields: Sequence[Reader]) -> Reader:
    def read(cursor: Cursor) -> Value:
        struct = Struct(schema)
        struct.values[:] = [one(cursor) for one in fields]
        return struct

    return read


def _blocks(cursor: Cursor, one: Callable[[Cursor], None]) -> None:
    total = 0
    while count := cursor.long():
        if count < 0:
            count = -count
            cursor.long()  # the block's size, for those who skip it
        total += count
        if count > cursor.end - cursor.position + _MAX_EMPTY or total > cursor.end + _MAX_EMPTY:
            raise DataError(f"{total} elements, where {cursor.end - cursor.position} bytes are left")
        for _ in range(count):
            one(cursor)


def array_reader(read: Reader) -> Reader:
    def read_array(cursor: Cursor) -> Value:
        values: list[Value] = []
        _blocks(cursor, lambda at: values.append(read(at)))
        return values

    return read_array


def map_reader(read: Reader) -> Reader:
    def read_map(cursor: Cursor) -> Value:
        values: dict[Value, Value] = {}

        def one(at: Cursor) -> None:
            key = _string(at)
            values[key] = read(at)

        _blocks(cursor, one)
        return values

    return read_map


def entries_reader(read: Reader) -> Reader:
    def read_entries(cursor: Cursor) -> Value:
        values: dict[Value, Value] = {}

        def one(at: Cursor) -> None:
            key, value = cast("Struct", read(at)).values
            if isinstance(key, list | dict):
                raise DataError("a key of a map cannot be an array or a map")
            values[key] = value

        _blocks(cursor, one)
        return values

    return read_entries
