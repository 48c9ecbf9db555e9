"""Arrow arrays in Protobuf's encoding: column by column, then put together row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise
from typing import Final

import pyarrow as pa

from ottla.client.columns.arrow import is_binary, is_list, is_text
from ottla.client.values.cells import Rows, binaries, fixed_width, scattered, storage_of, with_nulls
from ottla.client.values.interface import ValuesError
from ottla.client.values.protobuf.places import INSTANTS, wrapped_by
from ottla.client.values.protobuf.schema import EnumType, FieldType, MessageType
from ottla.protocol.varint import encode_uvarint
from ottla.records.varint import encode_varint

__all__ = ["encode_rows"]

_VARINT: Final = 0
_EIGHT: Final = 1
_DELIMITED: Final = 2
_GROUP: Final = 3
_END_GROUP: Final = 4
_FOUR: Final = 5

_NUMBERS: Final = {
    "double": pa.float64(),
    "float": pa.float32(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "sint32": pa.int32(),
    "sint64": pa.int64(),
    "fixed32": pa.uint32(),
    "fixed64": pa.uint64(),
    "sfixed32": pa.int32(),
    "sfixed64": pa.int64(),
}
_FIXED: Final = ("double", "float", "fixed32", "fixed64", "sfixed32", "sfixed64")
_MASK: Final = (1 << 64) - 1
_NANOS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}

_Type = str | EnumType | MessageType | None


def encode_rows(message: MessageType, array: pa.Array) -> list[bytes | None]:
    """Each row's encoding; None for a null. ValuesError for what `message` cannot hold."""
    try:
        return with_nulls(lambda present: _bare(message, present), array)
    except (pa.ArrowException, OverflowError) as error:
        raise ValuesError(f"{array.type} cannot be written as {message.name}: {error}") from None


# -- Varints, which all but texts and fixed numbers are


_SMALL: Final = {number: encode_uvarint(number) for number in range(1 << 12)}
"""A look-up costs less than a call, for each of many values."""


def _varint(number: int) -> bytes:
    return _SMALL.get(number) or encode_uvarint(number)


def _varints(numbers: Iterable[int]) -> Rows:
    small = _SMALL.get
    return [small(number) or encode_uvarint(number & _MASK) for number in numbers]


def _delimited(rows: Rows) -> Rows:
    small = _SMALL.get
    return [(small(len(each)) or encode_uvarint(len(each))) + each for each in rows]


@cache
def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


# -- Messages


def _bare(kind: _Type, array: pa.Array) -> Rows:
    """Messages without their lengths; there are no nulls."""
    array = storage_of(array)
    if kind is None or (isinstance(kind, MessageType) and is_binary(array.type) and not is_text(array.type)):
        if not is_binary(array.type) or is_text(array.type):
            raise ValuesError(f"{array.type} where the encoding of a message is needed: cast the column")
        return binaries(array)
    assert isinstance(kind, MessageType)
    if kind.name in INSTANTS and not pa.types.is_struct(array.type):
        return _instants(kind, array)
    wrapped = wrapped_by(kind)
    if wrapped is not None and not pa.types.is_struct(array.type):
        return _field(FieldType("value", 1, wrapped), array)
    if not pa.types.is_struct(array.type):
        raise ValuesError(f"{array.type} where the Protobuf schema has the message {kind.name}")
    return _message(kind, array)


def _message(message: MessageType, array: pa.Array) -> Rows:
    given = {field.name: part for field, part in zip(array.type, array.flatten(), strict=True)}
    if len(given) < array.type.num_fields:
        raise ValuesError(f"two columns of {message.name} have one name")
    unknown = given.keys() - {each.name for each in message.fields}
    if unknown:
        raise ValuesError(f"the Protobuf schema has no {', '.join(sorted(unknown))} in {message.name}")
    _check_one_ofs(message, given)
    columns: list[Rows] = []
    for field in message.fields:
        if field.name in given:
            try:
                columns.append(_field(field, storage_of(given[field.name])))
            except ValuesError as error:
                raise ValuesError(f"{field.name}: {error}") from None
    return list(map(b"".join, zip(*columns, strict=True))) if columns else [b""] * len(array)


def _check_one_ofs(message: MessageType, given: dict[str, pa.Array]) -> None:
    """At most one member is there."""
    members: dict[str, list[str]] = {}
    for field in message.fields:
        if field.one_of is not None and field.name in given:
            members.setdefault(field.one_of, []).append(field.name)
    for one_of, names in members.items():
        rows = zip(*(given[name].is_valid().to_pylist() for name in names), strict=True)
        if len(names) > 1 and any(sum(row) > 1 for row in rows):
            raise ValuesError(f"two members of the oneof {one_of} are there: {', '.join(names)}")


def _field(field: FieldType, array: pa.Array) -> Rows:
    """With their tags; nothing for what is absent, or a zero that cannot be told from it."""
    if array.null_count:
        return scattered(_field(field, array.drop_null()), array, b"")
    if field.key is not None:
        return _map(field, field.key, array)
    if field.is_repeated:
        return _repeated(field, array)
    wire, rows = _values(field, array)
    tag, zero = _tag(field.number, wire), None if field.has_presence else _ZEROS.get(wire)
    return [b"" if each == zero else tag + each for each in rows]


_ZEROS: Final = {_VARINT: b"\0", _DELIMITED: b"\0", _FOUR: bytes(4), _EIGHT: bytes(8)}


def _repeated(field: FieldType, array: pa.Array) -> Rows:
    if not is_list(array.type):
        raise ValuesError(f"{array.type} where the Protobuf schema has a repeated field")
    if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
        array = array.cast(pa.list_(array.type.value_field))
    ends = array.offsets.to_pylist()
    items = storage_of(array.values[ends[0] : ends[-1]])
    if items.null_count:
        raise ValuesError("a null in a repeated field")
    wire, rows = _values(field, items)
    if not field.is_packed:
        tag = _tag(field.number, wire)
        return _joined(ends, [tag + each for each in rows])
    tag = _tag(field.number, _DELIMITED)
    return [tag + _varint(len(each)) + each if each else b"" for each in _joined(ends, rows)]


def _map(field: FieldType, key: str, array: pa.Array) -> Rows:
    if not pa.types.is_map(array.type):
        raise ValuesError(f"{array.type} where the Protobuf schema has a map")
    ends = array.offsets.to_pylist()
    items = storage_of(array.items[ends[0] : ends[-1]])
    if items.null_count:
        raise ValuesError("a null in a map")
    keys = _field(FieldType("key", 1, key, has_presence=True), storage_of(array.keys[ends[0] : ends[-1]]))
    values = _field(FieldType("value", 2, field.type, has_presence=True), items)
    entries = _delimited([key + value for key, value in zip(keys, values, strict=True)])
    tag = _tag(field.number, _DELIMITED)
    return _joined(ends, [tag + each for each in entries])


def _joined(ends: list[int], rows: Rows) -> Rows:
    """Of items, those of each list."""
    return [b"".join(rows[start - ends[0] : end - ends[0]]) for start, end in pairwise(ends)]


# -- Values, without tags


def _values(field: FieldType, array: pa.Array) -> tuple[int, Rows]:
    """The wire type, and each value."""
    kind = field.type
    if field.is_group:
        end = _tag(field.number, _END_GROUP)
        return _GROUP, [each + end for each in _bare(kind, array)]
    if isinstance(kind, EnumType):
        return _VARINT, _enum(kind, array)
    if not isinstance(kind, str):
        return _DELIMITED, _delimited(_bare(kind, array))
    if kind == "bool":
        return _VARINT, [b"\1" if each else b"\0" for each in array.cast(pa.bool_()).to_pylist()]
    if kind in ("string", "bytes"):
        if not (is_text if kind == "string" else is_binary)(array.type):
            raise ValuesError(f"{array.type} where the Protobuf schema has {kind}: cast the column")
        return _DELIMITED, _delimited(binaries(array))
    return _number(kind, array)


def _number(kind: str, array: pa.Array) -> tuple[int, Rows]:
    if pa.types.is_boolean(array.type) or is_binary(array.type):
        raise ValuesError(f"{array.type} where the Protobuf schema has {kind}: cast the column")
    exact = _NUMBERS[kind]
    if kind in _FIXED:
        return (_FOUR if exact.bit_width == 32 else _EIGHT), fixed_width(array, exact)
    numbers = (array if array.type == exact else array.cast(exact)).to_pylist()
    return _VARINT, [encode_varint(each) for each in numbers] if kind[0] == "s" else _varints(numbers)


def _enum(kind: EnumType, array: pa.Array) -> Rows:
    """From names, or the numbers of those that have none."""
    if pa.types.is_integer(array.type):
        return _number("int32", array)[1]
    if not is_text(array.type):
        raise ValuesError(f"{array.type} where the Protobuf schema has the names of {kind.name}")
    encoded = {name.encode(): _varints([number])[0] for name, number in kind.constants}
    return [encoded.get(each) or _unnamed(kind, each) for each in binaries(array)]


def _unnamed(kind: EnumType, text: bytes) -> bytes:
    if not kind.is_closed and text.removeprefix(b"-").isdigit() and len(text) <= 11:
        number = int(text)
        if -(1 << 31) <= number < 1 << 31:
            return _varints([number])[0]
    raise ValuesError(f"{text.decode(errors='replace')!r} is no name of {kind.name}")


def _instants(kind: MessageType, array: pa.Array) -> Rows:
    """Of a negative duration both parts are; of a timestamp the nanoseconds never are."""
    is_duration = pa.types.is_duration(INSTANTS[kind.name])
    fits: Callable[[pa.DataType], bool] = pa.types.is_duration if is_duration else pa.types.is_timestamp
    if not fits(array.type):
        raise ValuesError(f"{array.type} where the Protobuf schema has {kind.name}")
    size = _NANOS[array.type.unit]
    rows: Rows = []
    for number in array.cast(pa.int64()).to_pylist():
        negative = is_duration and number < 0
        seconds, nanos = divmod(abs(number) * size if is_duration else number * size, 1_000_000_000)
        if negative:
            seconds, nanos = -seconds, -nanos
        row = b"" if not seconds else b"\x08" + _varints([seconds])[0]
        rows.append(row + b"\x10" + _varints([nanos])[0] if nanos else row)
    return rows
