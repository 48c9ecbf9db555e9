"""Functions that write Connect's values as Protobuf's messages: compiled once for each pair of schemas.

The message need not be the one that Connect's schema is mapped to: fields are found by name.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from ottla.client.values.protobuf.schema import EnumType, FieldType, MessageType
from ottla.connect.converters.protobuf_bytes import BYTES, GROUP, SCALARS, VARINT, write_varint
from ottla.connect.converters.protobuf_schemas import (
    ENUM,
    LOGICAL,
    WRAPPERS,
    ProtobufRules,
    is_union,
    scrubbed,
)
from ottla.connect.data.logical import (
    EPOCH,
    integer_to_bytes,
    scale_of_value,
    unscaled,
)
from ottla.connect.data.schema import Schema, Struct, Type, Value, class_of
from ottla.connect.errors import DataError

__all__ = ["protobuf_writer"]

_Writer = Callable[[Value, bytearray], None]
"""Writes a value without its key."""
_FieldWriter = Callable[[Value, bytearray], None]
"""Writes all of a field, and nothing where it has no value."""
_MILLISECOND: Final = dt.timedelta(milliseconds=1)


def protobuf_writer(schema: Schema, message: MessageType, rules: ProtobufRules) -> Callable[[Value], bytes]:
    """Raises DataError where the message has no place for what the schema has."""
    if schema.type is Type.STRUCT:
        write = _struct(schema, message, rules)
    elif message.name in WRAPPERS:
        write = _wrapper(schema, message)
    else:
        raise DataError(f"a value of the type {schema.type} is no {message.name}")

    def write_all(value: Value) -> bytes:
        out = bytearray()
        write(value, out)
        return bytes(out)

    return write_all


def _key(field: FieldType, wire: int) -> bytes:
    out = bytearray()
    write_varint(field.number << 3 | wire, out)
    return bytes(out)


def _struct(schema: Schema, message: MessageType, rules: ProtobufRules) -> _Writer:
    """The fields of a message, in the order of their numbers."""
    by_name = {field.name: field for field in message.fields}
    writers: list[tuple[int, int, int | None, str, Value, _FieldWriter]] = []
    for field in schema.fields:
        default = None if rules.ignore_default else field.schema.default
        if is_union(field.schema):
            for inner in field.schema.fields:
                number, write = _field(inner.name, inner.schema, by_name, rules)
                writers.append((number, field.index, inner.index, inner.name, None, write))
        else:
            number, write = _field(field.name, field.schema, by_name, rules)
            writers.append((number, field.index, None, field.name, default, write))
    writers.sort(key=lambda one: one[0])

    def write_struct(value: Value, out: bytearray) -> None:
        if not isinstance(value, Struct) or len(value.values) != len(schema.fields):
            raise DataError(f"{type(value).__name__} is no struct {schema.name}")
        for _, index, inner, name, default, write in writers:
            one = value.values[index]
            if inner is not None and isinstance(one, Struct):
                one = one.values[inner]
            if one is None:
                one = default
            if one is None:
                continue
            try:
                write(one, out)
            except DataError as error:
                error.add_note(f"in the field {name!r}")
                raise

    return write_struct


def _field(
    name: str, schema: Schema, by_name: dict[str, FieldType], rules: ProtobufRules
) -> tuple[int, _FieldWriter]:
    field = by_name.get(scrubbed(name, rules))
    if field is None:
        raise DataError(f"the Protobuf message has no field {name}")
    if field.is_repeated:
        return field.number, _repeated(schema, field, rules)
    write, wire = _value(schema, field, rules)
    key = _key(field, wire)
    end = _key(field, wire + 1) if wire == GROUP else b""
    zero = None if field.has_presence else _zero(field)

    def write_field(value: Value, out: bytearray) -> None:
        at = len(out)
        out.extend(key)
        write(value, out)
        if zero is not None and out[at + len(key) :] == zero:
            del out[at:]  # without presence zero is not written
        out.extend(end)

    return field.number, write_field


def _zero(field: FieldType) -> bytes | None:
    """How the value is written that an absent field has."""
    out = bytearray()
    if isinstance(field.type, str):
        scalar = SCALARS[field.type]
        scalar.write(scalar.zero, out)
        return bytes(out)
    return b"\0" if isinstance(field.type, EnumType) else None


def _repeated(schema: Schema, field: FieldType, rules: ProtobufRules) -> _FieldWriter:
    if schema.type is Type.MAP:
        return _map(schema, field, rules)
    element = schema.value_schema if schema.type is Type.ARRAY else None
    if element is None:
        raise DataError(f"the field {field.name} is repeated in Protobuf, but no array")
    write, wire = _value(element, field, rules)
    key, end = _key(field, wire), _key(field, wire + 1) if wire == GROUP else b""

    def elements(value: Value) -> list[Value]:
        if not isinstance(value, list):
            raise DataError(f"{type(value).__name__} is no array")
        if None in value:
            raise DataError("an array with a null in it, which Protobuf has not")
        return value

    def write_packed(value: Value, out: bytearray) -> None:
        packed = bytearray()
        for one in elements(value):
            write(one, packed)
        if packed:
            out.extend(_key(field, BYTES))
            write_varint(len(packed), out)
            out.extend(packed)

    def write_each(value: Value, out: bytearray) -> None:
        for one in elements(value):
            out.extend(key)
            write(one, out)
            out.extend(end)

    return write_packed if field.is_packed else write_each


def _map(schema: Schema, field: FieldType, rules: ProtobufRules) -> _FieldWriter:
    keys, values = schema.key_schema, schema.value_schema
    if field.key is not None:
        parts = [FieldType("key", 1, field.key), FieldType("value", 2, field.type)]
    elif isinstance(field.type, MessageType):
        parts = field.type.fields
    else:
        parts = []
    if keys is None or values is None or [part.name for part in parts] != ["key", "value"]:
        raise DataError(f"the field {field.name} is a map, but none in Protobuf")
    by_name = {part.name: part for part in parts}
    _, write_key = _field("key", keys, by_name, rules)
    _, write_value = _field("value", values, by_name, rules)
    start = _key(field, BYTES)

    def write_map(value: Value, out: bytearray) -> None:
        if not isinstance(value, dict):
            raise DataError(f"{type(value).__name__} is no map")
        for one, inner in value.items():
            entry = bytearray()
            if one is not None:
                write_key(one, entry)
            if inner is not None:
                write_value(inner, entry)
            out.extend(start)
            write_varint(len(entry), out)
            out.extend(entry)

    return write_map


def _value(schema: Schema, field: FieldType, rules: ProtobufRules) -> tuple[_Writer, int]:
    """What writes one value, and its wire type."""
    kind = field.type
    if isinstance(kind, str):
        return _scalar(schema, kind), SCALARS[kind].wire
    if isinstance(kind, EnumType):
        return _enum(schema, kind), VARINT
    if kind is None:
        raise DataError(f"the field {field.name} is of a message whose fields are not known")
    logical = LOGICAL.get(schema.name or "")
    if logical is not None and logical[0] == kind.name:
        inner = _LOGICAL_WRITERS[schema.name or ""]
    elif schema.type is Type.STRUCT:
        inner = _struct(schema, kind, rules)
    elif kind.name in WRAPPERS:
        inner = _wrapper(schema, kind)
    else:
        raise DataError(f"the field {field.name} is a {kind.name} in Protobuf, not a {schema}")
    return (inner, GROUP) if field.is_group else (_delimited(inner), BYTES)


def _delimited(write: _Writer) -> _Writer:
    def write_delimited(value: Value, out: bytearray) -> None:
        inner = bytearray()
        write(value, inner)
        write_varint(len(inner), out)
        out.extend(inner)

    return write_delimited


def _scalar(schema: Schema, kind: str) -> _Writer:
    scalar, expected = SCALARS[kind], class_of(schema)
    fits = isinstance(scalar.zero, expected) and (expected is bool) is (scalar.zero is False)
    if not fits:
        raise DataError(f"a {schema.type} cannot be written as {kind}")
    allowed, write = scalar.allowed, scalar.write

    def write_scalar(value: Value, out: bytearray) -> None:
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise DataError(f"Invalid type for {schema.type}: {type(value).__name__}")
        if allowed is not None and value not in allowed:
            raise DataError(f"{value} is out of range for Protobuf's {kind}")
        write(value, out)

    return write_scalar


def _enum(schema: Schema, kind: EnumType) -> _Writer:
    numbers = dict(kind.constants)
    said = {
        name.removeprefix(f"{ENUM}."): int(number)
        for name, number in (schema.parameters or {}).items()
        if name.startswith(f"{ENUM}.") and number.lstrip("-").isdecimal()
    }

    def write(value: Value, out: bytearray) -> None:
        number = numbers.get(value, said.get(value)) if isinstance(value, str) else value
        if not isinstance(number, int) or isinstance(number, bool) or not -(1 << 31) <= number < 1 << 31:
            raise DataError(f"the enum {kind.name} has no {value!r}; there are {', '.join(numbers)}")
        write_varint(number, out)

    return write


def _wrapper(schema: Schema, message: MessageType) -> _Writer:
    _, write = _field("value", schema, {"value": message.fields[0]}, ProtobufRules())
    return write


def _pairs(numbers: tuple[int, ...], out: bytearray) -> None:
    """The first fields of a message of small numbers."""
    for at, number in enumerate(numbers, 1):
        if number:
            out.append(at << 3 | VARINT)
            write_varint(number, out)


def _decimal(value: Value, out: bytearray) -> None:
    if not isinstance(value, Decimal):
        raise DataError(f"Invalid type for Decimal, expected Decimal but was {type(value).__name__}")
    digits = unscaled(value)
    data = integer_to_bytes(digits)
    out.append(1 << 3 | BYTES)
    write_varint(len(data), out)
    out.extend(data)
    _numbered(2, len(str(abs(digits))), out)
    _numbered(3, scale_of_value(value), out)


def _numbered(number: int, value: int, out: bytearray) -> None:
    if value:
        out.append(number << 3 | VARINT)
        write_varint(value, out)


def _date(value: Value, out: bytearray) -> None:
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise DataError(f"Invalid type for Date, expected date but was {type(value).__name__}")
    _pairs((value.year, value.month, value.day), out)


def _time(value: Value, out: bytearray) -> None:
    if not isinstance(value, dt.time):
        raise DataError(f"Invalid type for Time, expected time but was {type(value).__name__}")
    nanos = value.microsecond // 1000 * 1_000_000
    _pairs((value.hour, value.minute, value.second, nanos), out)


def _timestamp(value: Value, out: bytearray) -> None:
    if not isinstance(value, dt.datetime) or value.tzinfo is None:
        raise DataError(f"Invalid type for Timestamp, expected datetime but was {type(value).__name__}")
    seconds, millis = divmod((value - EPOCH) // _MILLISECOND, 1000)
    _pairs((seconds, millis * 1_000_000), out)


_LOGICAL_WRITERS: Final[dict[str, _Writer]] = {
    name: {
        "confluent.type.Decimal": _decimal,
        "google.type.Date": _date,
        "google.type.TimeOfDay": _time,
        "google.protobuf.Timestamp": _timestamp,
    }[message]
    for name, (message, _) in LOGICAL.items()
}
