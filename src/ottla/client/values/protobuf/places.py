"""Which columns messages become, and the programs that read them. Needs the extra `arrow`.

A field is a column, which is null where it is absent and that can be told. A oneof's members are columns of
which at most one is not null. Enums are names. Google's Timestamp and Duration have microseconds, its
wrappers are what they wrap. A message within itself, which no column can be, is kept as its encoding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from ottla.client.values.programs.builder import ProgramBuilder
from ottla.client.values.programs.layout import Column, Layout
from ottla.client.values.programs.ops import (
    ABSENT_IS_EMPTY,
    ABSENT_IS_NULL,
    ABSENT_IS_ZERO,
    ColumnKind,
    Op,
)
from ottla.client.values.protobuf.schema import EnumType, FieldType, MessageType

__all__ = ["INSTANTS", "Compiler", "Place", "place_of", "wrapped_by"]

INSTANTS: Final = {
    "google.protobuf.Timestamp": pa.timestamp("us", "UTC"),
    "google.protobuf.Duration": pa.duration("us"),
}
_WRAPPERS: Final = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
_MICROS: Final = 1_000_000

_SCALARS: Final = {
    "double": (pa.float64(), Op.FIXED64),
    "float": (pa.float32(), Op.FIXED32),
    "int32": (pa.int32(), Op.VARINT32),
    "int64": (pa.int64(), Op.VARINT64),
    "uint32": (pa.uint32(), Op.VARINT32),
    "uint64": (pa.uint64(), Op.VARINT64),
    "sint32": (pa.int32(), Op.ZIGZAG32),
    "sint64": (pa.int64(), Op.ZIGZAG64),
    "fixed32": (pa.uint32(), Op.FIXED32),
    "fixed64": (pa.uint64(), Op.FIXED64),
    "sfixed32": (pa.int32(), Op.FIXED32),
    "sfixed64": (pa.int64(), Op.FIXED64),
    "bool": (pa.bool_(), Op.VARINT_BOOL),
    "string": (pa.string(), Op.TEXT),
    "bytes": (pa.binary(), Op.BLOB),
}

_Type = str | EnumType | MessageType | None


@dataclass(slots=True)
class Place:
    """Where values of `type` go; None keeps encodings. `fields` are those of a message's columns."""

    type: _Type
    column: Column
    fields: list[FieldPlace] = field(default_factory=list)


@dataclass(slots=True)
class FieldPlace:
    """Where a field goes: `column` is that of `value` or, of what is repeated, a list of these. `key` is
    there for a map, whose entries are `entry`."""

    field: FieldType
    column: Column
    value: Place
    key: Place | None = None
    entry: Column | None = None


def wrapped_by(message: MessageType) -> str | None:
    """The scalar that `message` wraps, if it is one of Google's wrappers."""
    if message.name not in _WRAPPERS or len(message.fields) != 1:
        return None
    only = message.fields[0]
    return only.type if isinstance(only.type, str) and only.number == 1 and not only.is_repeated else None


def place_of(message: MessageType, layout: Layout) -> Place:
    """The place of `message`, with its columns added to `layout`."""
    return _place(message, layout, ())


def _place(kind: _Type, layout: Layout, around: tuple[MessageType, ...]) -> Place:
    if isinstance(kind, str):
        return Place(kind, _scalar(kind, layout))
    if isinstance(kind, EnumType):
        return Place(kind, layout.leaf(ColumnKind.BINARY, pa.string()))
    if kind is None or kind in around:
        return Place(None, layout.leaf(ColumnKind.BINARY, pa.binary()))
    if kind.name in INSTANTS:
        return Place(kind, layout.fixed(INSTANTS[kind.name], 8))
    wrapped = wrapped_by(kind)
    if wrapped is not None:
        return Place(kind, _scalar(wrapped, layout))
    column = layout.begin(ColumnKind.STRUCT)
    fields = [_field(each, layout, (*around, kind)) for each in kind.fields]
    names = pa.struct([pa.field(each.field.name, each.column.type) for each in fields])
    return Place(kind, layout.end(column, names), fields)


def _field(field: FieldType, layout: Layout, around: tuple[MessageType, ...]) -> FieldPlace:
    if field.key is not None:
        return _map(field, field.key, layout, around)
    if not field.is_repeated:
        value = _place(field.type, layout, around)
        return FieldPlace(field, value.column, value)
    column = layout.begin(ColumnKind.LIST)
    value = _place(field.type, layout, around)
    return FieldPlace(field, layout.end(column, pa.list_(value.column.type)), value)


def _map(field: FieldType, key: str, layout: Layout, around: tuple[MessageType, ...]) -> FieldPlace:
    column = layout.begin(ColumnKind.LIST)
    entry = layout.begin(ColumnKind.STRUCT)
    keys = Place(key, _scalar(key, layout))
    value = _place(field.type, layout, around)
    kind = pa.map_(keys.column.type, value.column.type)
    layout.end(entry, pa.struct([kind.key_field, kind.item_field]))
    return FieldPlace(field, layout.end(column, kind), value, keys, entry)


def _scalar(name: str, layout: Layout) -> Column:
    kind, _ = _SCALARS[name]
    if name == "bool":
        return layout.leaf(ColumnKind.BOOL, kind)
    if name in ("string", "bytes"):
        return layout.leaf(ColumnKind.BINARY, kind)
    return layout.fixed(kind, kind.bit_width // 8)


class Compiler:
    """Makes the program of a place. `slots` is how many it needs."""

    def __init__(self, builder: ProgramBuilder) -> None:
        self._builder = builder
        self.slots = 1

    def compile(self, place: Place, slot: int = 0) -> int:
        """Where it begins. The fields of messages that are open at a time have slots of their own, from
        `slot` on."""
        kind, at = place.type, place.column.at
        match kind:
            case None:
                return self._builder.add(Op.BLOB, at)
            case str():
                return self._builder.add(_SCALARS[kind][1], at)
            case EnumType():
                return self._enum(kind, at)
        if kind.name in INSTANTS:
            is_duration = pa.types.is_duration(INSTANTS[kind.name])
            return self._builder.add(Op.INSTANT, at, _MICROS, int(is_duration))
        wrapped = wrapped_by(kind)
        if wrapped is not None:
            inner = self.compile(Place(wrapped, place.column), slot)
            return self._builder.add(Op.WRAPPER, at, inner)
        return self._message(place, slot)

    def _enum(self, kind: EnumType, at: int) -> int:
        names: dict[int, str] = {}
        for name, number in kind.constants:
            names.setdefault(number, name)
        pairs = [
            word
            for number in sorted(names)
            for word in (number, self._builder.constant(names[number].encode()))
        ]
        return self._builder.add(Op.NUMBERED, at, int(kind.is_closed), len(names), *pairs)

    def _message(self, place: Place, slot: int) -> int:
        places: dict[str | int, int] = {}  # slots by oneof, or number of the field
        for each in place.fields:
            if not each.field.is_repeated:
                places.setdefault(each.field.one_of or each.field.number, len(places))
        inner = slot + max(1, len(places))
        self.slots = max(self.slots, inner)
        words: list[int] = []
        for each in place.fields:
            op = self._entry(each, inner) if each.entry is not None else self.compile(each.value, inner)
            taken = 0 if each.field.is_repeated else places[each.field.one_of or each.field.number]
            repeated = int(each.field.is_repeated)
            words += (each.field.number, repeated, each.column.at, op, taken, self._absence(each))
        return self._builder.add(Op.MESSAGE, place.column.at, slot, len(place.fields), *words)

    def _entry(self, place: FieldPlace, slot: int) -> int:
        """Of a map: both of its fields are there, also where the encoding lacks them."""
        assert place.key is not None
        assert place.entry is not None
        key, value = self.compile(place.key, slot + 2), self.compile(place.value, slot + 2)
        self.slots = max(self.slots, slot + 2)
        absence = self._zero(place.value.type)
        words = [1, 0, place.key.column.at, key, 0, ABSENT_IS_ZERO]
        words += (2, 0, place.value.column.at, value, 1, absence)
        return self._builder.add(Op.MESSAGE, place.entry.at, slot, 2, *words)

    def _absence(self, place: FieldPlace) -> int:
        if place.field.has_presence or place.field.is_repeated:
            return ABSENT_IS_NULL
        return self._zero(place.value.type)

    def _zero(self, kind: _Type) -> int:
        if isinstance(kind, EnumType):
            named = [name for name, number in kind.constants if not number or kind.is_closed]
            return self._builder.constant((named[0] if named else "0").encode())
        return ABSENT_IS_EMPTY if isinstance(kind, MessageType) else ABSENT_IS_ZERO
