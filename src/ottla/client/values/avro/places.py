"""Which columns values of an Avro schema become. Needs the extra `arrow`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from ottla.client.values.avro.schema import (
    ArrayType,
    AvroType,
    EnumType,
    FixedType,
    Logical,
    MapType,
    Primitive,
    RecordType,
    UnionType,
    branch_name,
    members_of,
)
from ottla.client.values.interface import ValuesError
from ottla.client.values.programs.layout import Column, Layout
from ottla.client.values.programs.ops import ColumnKind

__all__ = ["Place", "member_names", "place_of"]


@dataclass(slots=True)
class Place:
    """Where values of `schema` go. `within` has the places of a record's fields, of items, of a map's values,
    of a union's branches that are not null.

    `is_raw`: the record is one within itself, which no column can be: its encoding is kept. `is_choice`: a
    union of several types is a struct in which the member that is there is not null.
    """

    schema: AvroType
    column: Column
    within: list[Place] = field(default_factory=list)
    is_raw: bool = False
    is_choice: bool = False


def place_of(schema: AvroType, layout: Layout) -> Place:
    """The place of `schema`, with its columns added to `layout`."""
    return _place(schema, layout, [])


def _place(schema: AvroType, layout: Layout, around: list[RecordType]) -> Place:
    match schema:
        case Primitive():
            return Place(schema, _primitive(schema, layout))
        case FixedType():
            return Place(schema, _fixed(schema, layout))
        case EnumType():
            return Place(schema, layout.leaf(ColumnKind.BINARY, pa.string()))
        case ArrayType():
            column = layout.begin(ColumnKind.LIST)
            item = _place(schema.items, layout, around)
            return Place(schema, layout.end(column, pa.list_(item.column.type)), [item])
        case MapType():
            return _map(schema, layout, around)
        case UnionType():
            return _union(schema, layout, around)
    if schema in around:
        return Place(schema, layout.leaf(ColumnKind.BINARY, pa.binary()), is_raw=True)
    column = layout.begin(ColumnKind.STRUCT)
    within = [_place(each.type, layout, [*around, schema]) for each in schema.fields]
    names = [each.name for each in schema.fields]
    return Place(schema, layout.end(column, _struct(names, within)), within)


def _struct(names: list[str], places: list[Place]) -> pa.DataType:
    types = [place.column.type for place in places]
    return pa.struct([pa.field(name, kind) for name, kind in zip(names, types, strict=True)])


def _map(schema: MapType, layout: Layout, around: list[RecordType]) -> Place:
    column = layout.begin(ColumnKind.LIST)
    entry = layout.begin(ColumnKind.STRUCT)
    layout.leaf(ColumnKind.BINARY, pa.string())
    value = _place(schema.values, layout, around)
    kind = pa.map_(pa.string(), value.column.type)
    layout.end(entry, pa.struct([kind.key_field, kind.item_field]))
    return Place(schema, layout.end(column, kind), [value])


def _union(schema: UnionType, layout: Layout, around: list[RecordType]) -> Place:
    members = members_of(schema)
    if not members:
        return Place(schema, layout.leaf(ColumnKind.NULL, pa.null()))
    if len(members) == 1:
        only = _place(members[0], layout, around)
        return Place(schema, only.column, [only])
    column = layout.begin(ColumnKind.STRUCT)
    within = [_place(each, layout, around) for each in members]
    return Place(schema, layout.end(column, _struct(member_names(members), within)), within, is_choice=True)


def member_names(members: list[AvroType]) -> list[str]:
    """Types by their names, without a namespace where that tells them apart."""
    full = [branch_name(each) for each in members]
    short = [each.rpartition(".")[2] for each in full]
    return short if len(set(short)) == len(short) else full


_PRIMITIVES: Final = {
    "int": (pa.int32(), 4),
    "long": (pa.int64(), 8),
    "float": (pa.float32(), 4),
    "double": (pa.float64(), 8),
}
_TIMES: Final = {
    "date": pa.date32(),
    "time-millis": pa.time32("ms"),
    "time-micros": pa.time64("us"),
    **{
        f"{local}timestamp-{name}": pa.timestamp(unit, None if local else "UTC")
        for local in ("", "local-")
        for name, unit in (("millis", "ms"), ("micros", "us"), ("nanos", "ns"))
    },
}


def _primitive(schema: Primitive, layout: Layout) -> Column:
    match schema.name:
        case "null":
            return layout.leaf(ColumnKind.NULL, pa.null())
        case "boolean":
            return layout.leaf(ColumnKind.BOOL, pa.bool_())
        case "string":
            return layout.leaf(ColumnKind.BINARY, pa.string())
        case "bytes" if schema.logical is not None:
            return _decimal(schema.logical, layout)
        case "bytes":
            return layout.leaf(ColumnKind.BINARY, pa.binary())
    kind, width = _PRIMITIVES[schema.name]
    return layout.fixed(kind if schema.logical is None else _TIMES[schema.logical.name], width)


def _fixed(schema: FixedType, layout: Layout) -> Column:
    logical = schema.logical
    match None if logical is None else logical.name:
        case "uuid":
            return layout.leaf(ColumnKind.BINARY, pa.string())
        case "duration":
            column = layout.begin(ColumnKind.STRUCT)
            names = ("months", "days", "milliseconds")
            for _ in names:
                layout.fixed(pa.uint32(), 4)
            return layout.end(column, pa.struct([(name, pa.uint32()) for name in names]))
        case "decimal" if logical is not None:
            return _decimal(logical, layout)
    return layout.fixed(pa.binary(schema.size), schema.size)


def _decimal(logical: Logical, layout: Layout) -> Column:
    if logical.precision <= 38:
        return layout.fixed(pa.decimal128(logical.precision, logical.scale), 16)
    if logical.precision > 76:
        raise ValuesError(f"decimals of {logical.precision} digits cannot be held")
    return layout.fixed(pa.decimal256(logical.precision, logical.scale), 32)
