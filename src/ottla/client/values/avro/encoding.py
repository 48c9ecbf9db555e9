"""Arrow arrays in Avro's binary encoding: column by column, then put together row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Context, Decimal
from itertools import pairwise, repeat
from typing import Final
from uuid import UUID

import pyarrow as pa

from ottla.client.columns.arrow import is_binary, is_list, is_text
from ottla.client.values.avro.defaults import encode_default
from ottla.client.values.avro.places import member_names
from ottla.client.values.avro.schema import (
    MISSING,
    ArrayType,
    AvroType,
    EnumType,
    Field,
    FixedType,
    Logical,
    MapType,
    Primitive,
    RecordType,
    UnionType,
    is_null,
    members_of,
)
from ottla.client.values.cells import Rows, binaries, fixed_width, scattered, storage_of, with_nulls
from ottla.client.values.interface import ValuesError
from ottla.records.varint import encode_varint

__all__ = ["encode_rows"]

_EXACT: Final = Context(prec=100)


def encode_rows(schema: AvroType, array: pa.Array) -> list[bytes | None]:
    """Each row's encoding; None for a null. ValuesError for what `schema` cannot hold."""
    try:
        return with_nulls(lambda present: _encode(schema, present), array)
    except (pa.ArrowException, OverflowError) as error:
        raise ValuesError(f"{array.type} cannot be written as this Avro schema: {error}") from None


def _encode(schema: AvroType, array: pa.Array) -> Rows:
    array = storage_of(array)
    if isinstance(schema, UnionType):
        return _union(schema, array)
    if is_null(schema):
        if array.null_count != len(array):
            raise ValuesError(f"{array.type} where the Avro schema has null only")
        return [b""] * len(array)
    if array.null_count:
        raise ValuesError("a null where the Avro schema takes none")
    match schema:
        case Primitive():
            return _primitive(schema, array)
        case FixedType():
            return _fixed(schema, array)
        case EnumType():
            return _enum(schema, array)
        case ArrayType():
            return _array(schema, array)
        case MapType():
            return _map(schema, array)
    return _record(schema, array)


def _union(schema: UnionType, array: pa.Array) -> Rows:
    members = members_of(schema)
    null = next((encode_varint(at) for at, each in enumerate(schema.branches) if is_null(each)), None)
    if array.null_count and null is None:
        raise ValuesError("a null where the Avro schema takes none")
    present = array.drop_null() if array.null_count else array
    if not members or not len(present):
        rows: Rows = []
        if len(present):
            raise ValuesError(f"{array.type} where the Avro schema has null only")
    elif len(members) == 1:
        prefix = encode_varint(schema.branches.index(members[0]))
        rows = [prefix + each for each in _encode(members[0], present)]
    else:
        rows = _choice(schema, members, present)
    if null is None or not array.null_count:
        return rows
    return scattered(rows, array, null)


def _choice(schema: UnionType, members: list[AvroType], array: pa.Array) -> Rows:
    """Structs of which one member is there."""
    names = member_names(members)
    if not pa.types.is_struct(array.type):
        raise ValuesError(f"{array.type} where the Avro schema has a union: a struct of {', '.join(names)}")
    rows: list[bytes | None] = [None] * len(array)
    for index, field in enumerate(array.type):
        if field.name not in names:
            raise ValuesError(f"the Avro schema's union has no {field.name}: {', '.join(names)}")
        member = members[names.index(field.name)]
        prefix = encode_varint(schema.branches.index(member))
        part = array.flatten()[index]
        places = [at for at, each in enumerate(part.is_valid().to_pylist()) if each]
        for at, each in zip(places, _encode(member, part.drop_null()), strict=True):
            if rows[at] is not None:
                raise ValuesError(f"two members of a union are there: {field.name}, and another")
            rows[at] = prefix + each
    if None in rows:
        raise ValuesError("no member of a union is there")
    return [each for each in rows if each is not None]


def _record(schema: RecordType, array: pa.Array) -> Rows:
    if not pa.types.is_struct(array.type):
        raise ValuesError(f"{array.type} where the Avro schema has the record {schema.name}")
    given = {field.name: part for field, part in zip(array.type, array.flatten(), strict=True)}
    unknown = [name for name in given if name not in {each.name for each in schema.fields}]
    if unknown:
        raise ValuesError(f"the Avro schema has no {', '.join(unknown)} in {schema.name}")
    columns: list[Iterable[bytes]] = []
    for field in schema.fields:
        part = given.get(field.name)
        if part is None and field.default is MISSING:
            raise ValuesError(f"there is no {field.name}, for which the Avro schema has no default")
        try:
            columns.append(
                repeat(encode_default(field.type, field.default), len(array))
                if part is None
                else _or_default(field, part)
            )
        except ValuesError as error:
            raise ValuesError(f"{field.name}: {error}") from None
    return list(map(b"".join, zip(*columns, strict=True))) if columns else [b""] * len(array)


def _or_default(field: Field, part: pa.Array) -> Rows:
    """A null is the field's default where its type has none."""
    if not part.null_count or field.default is MISSING or is_null(field.type) or _takes_null(field.type):
        return _encode(field.type, part)
    return scattered(_encode(field.type, part.drop_null()), part, encode_default(field.type, field.default))


def _takes_null(schema: AvroType) -> bool:
    return isinstance(schema, UnionType) and any(is_null(each) for each in schema.branches)


def _array(schema: ArrayType, array: pa.Array) -> Rows:
    if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
        array = array.cast(pa.list_(array.type.value_field)) if is_list(array.type) else array
    if not is_list(array.type):
        raise ValuesError(f"{array.type} where the Avro schema has an array")
    ends = array.offsets.to_pylist()
    items = _encode(schema.items, array.values[ends[0] : ends[-1]])
    return _blocks(ends, items)


def _map(schema: MapType, array: pa.Array) -> Rows:
    if not pa.types.is_map(array.type):
        raise ValuesError(f"{array.type} where the Avro schema has a map")
    ends = array.offsets.to_pylist()
    keys = _strings(array.keys[ends[0] : ends[-1]])
    values = _encode(schema.values, array.items[ends[0] : ends[-1]])
    return _blocks(ends, [key + value for key, value in zip(keys, values, strict=True)])


def _blocks(ends: list[int], items: Rows) -> Rows:
    rows = []
    for start, end in pairwise(ends):
        start, end = start - ends[0], end - ends[0]
        rows.append(encode_varint(end - start) + b"".join(items[start:end]) + b"\0" if end > start else b"\0")
    return rows


# -- Scalars

_SMALL: Final = {number: encode_varint(number) for number in range(-1024, 4096)}
"""A look-up costs less than a call, for each of many values."""


def _varints(numbers: Iterable[int]) -> Rows:
    small = _SMALL.get
    return [small(number) or encode_varint(number) for number in numbers]


def _numbers(array: pa.Array, kind: pa.DataType) -> Rows:
    if pa.types.is_boolean(array.type):
        raise ValuesError(f"{array.type} where the Avro schema has numbers")
    whole = array if array.type == kind else array.cast(kind)
    return _varints(whole.cast(pa.int64()).to_pylist())


def _strings(array: pa.Array) -> Rows:
    small = _SMALL.get
    return [(small(len(each)) or encode_varint(len(each))) + each for each in binaries(array)]


_MOMENTS: Final[dict[str, Callable[[pa.Array], pa.Array]]] = {
    "date": lambda array: array.cast(pa.date32()).cast(pa.int32()),
    "time-millis": lambda array: array.cast(pa.time32("ms")).cast(pa.int32()),
    "time-micros": lambda array: array.cast(pa.time64("us")).cast(pa.int64()),
}


def _primitive(schema: Primitive, array: pa.Array) -> Rows:
    match schema.name:
        case "boolean":
            return [b"\1" if each else b"\0" for each in array.cast(pa.bool_()).to_pylist()]
        case "float" | "double":
            return fixed_width(array, pa.float32() if schema.name == "float" else pa.float64())
        case "string":
            if not is_text(array.type):
                raise ValuesError(f"{array.type} where the Avro schema has strings: cast the column")
            return _strings(array)
        case "bytes" if schema.logical is not None:
            numbers = _unscaled(schema.logical, array)
            encoded = [each.to_bytes((each.bit_length() + 8) // 8, "big", signed=True) for each in numbers]
            return [encode_varint(len(each)) + each for each in encoded]
        case "bytes":
            if not is_binary(array.type):
                raise ValuesError(f"{array.type} where the Avro schema has bytes: cast the column")
            return _strings(array)
    kind = pa.int32() if schema.name == "int" else pa.int64()
    return _numbers(array if schema.logical is None else _moments(schema.logical.name, array), kind)


def _moments(name: str, array: pa.Array) -> pa.Array:
    """Counts of the logical type's unit. Numbers are taken as such."""
    if pa.types.is_integer(array.type):
        return array
    if name in _MOMENTS:
        return _MOMENTS[name](array)
    if not pa.types.is_timestamp(array.type):
        raise ValuesError(f"{array.type} where the Avro schema has {name}")
    unit = {"millis": "ms", "micros": "us", "nanos": "ns"}[name.rpartition("-")[2]]
    return array.cast(pa.timestamp(unit, array.type.tz)).cast(pa.int64())


def _unscaled(logical: Logical, array: pa.Array) -> list[int]:
    kind = pa.decimal256(logical.precision, logical.scale)
    values: list[Decimal] = array.cast(kind).to_pylist()
    return [int(each.scaleb(logical.scale, _EXACT)) for each in values]


def _fixed(schema: FixedType, array: pa.Array) -> Rows:
    match None if schema.logical is None else schema.logical.name:
        case "uuid" if is_text(array.type):
            return _uuids(array)
        case "duration" if pa.types.is_struct(array.type):
            parts = [part.cast(pa.uint32()).to_pylist() for part in array.flatten()]
            if len(parts) != 3 or array.null_count:
                raise ValuesError("durations in Avro are months, days and milliseconds")
            return [b"".join(each.to_bytes(4, "little") for each in row) for row in zip(*parts, strict=True)]
        case "decimal" if schema.logical is not None:
            numbers = _unscaled(schema.logical, array)
            return [each.to_bytes(schema.size, "big", signed=True) for each in numbers]
    if not is_binary(array.type):
        raise ValuesError(f"{array.type} where the Avro schema has {schema.size} bytes")
    rows = binaries(array)
    if any(len(each) != schema.size for each in rows):
        raise ValuesError(f"a value has not the {schema.size} bytes of {schema.name}")
    return rows


def _uuids(array: pa.Array) -> Rows:
    try:
        return [UUID(each).bytes for each in array.to_pylist()]
    except ValueError as error:
        raise ValuesError(f"this is no UUID: {error}") from None


def _enum(schema: EnumType, array: pa.Array) -> Rows:
    if not is_text(array.type):
        raise ValuesError(f"{array.type} where the Avro schema has symbols of {schema.name}")
    encoded = {symbol.encode(): encode_varint(index) for index, symbol in enumerate(schema.symbols)}
    try:
        return [encoded[each] for each in binaries(array)]
    except KeyError as error:
        symbol = error.args[0].decode(errors="replace")
        raise ValuesError(f"{symbol!r} is no symbol of {schema.name}") from None
