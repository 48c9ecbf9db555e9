"""Defaults of fields, which schemas have as JSON, in Avro's binary encoding."""

from __future__ import annotations

import struct
from typing import Final

from ottla.client.values.avro.schema import (
    MISSING,
    ArrayType,
    AvroType,
    EnumType,
    FixedType,
    MapType,
    Primitive,
    RecordType,
    UnionType,
)
from ottla.client.values.interface import ValuesError
from ottla.records.varint import encode_varint

__all__ = ["encode_default"]

_MAX_NESTING: Final = 64


def encode_default(schema: AvroType, value: object) -> bytes:
    """`value` as `schema` encodes it; ValuesError where it is none of its values."""
    return _encode(schema, value, 0)


def _encode(schema: AvroType, value: object, depth: int) -> bytes:
    if depth > _MAX_NESTING:
        raise ValuesError("a default is nested too deep")
    match schema, value:
        case Primitive(), _:
            return _primitive(schema, value)
        case FixedType(), str() if len(value) == schema.size:
            return _bytes_of(value)
        case EnumType(), str() if value in schema.symbols:
            return encode_varint(schema.symbols.index(value))
        case ArrayType(), list():
            items = [_encode(schema.items, each, depth + 1) for each in value]
            return _block(items)
        case MapType(), dict():
            return _block(
                [_text(key) + _encode(schema.values, each, depth + 1) for key, each in value.items()]
            )
        case UnionType(), _:
            return _union(schema, value, depth)
        case RecordType(), dict():
            return _record(schema, value, depth)
    raise ValuesError(f"{value!r} is no default of its type")


def _union(schema: UnionType, value: object, depth: int) -> bytes:
    """Mostly of the first branch; since Avro 1.12 of any."""
    for index, branch in enumerate(schema.branches):
        try:
            return encode_varint(index) + _encode(branch, value, depth + 1)
        except ValuesError:
            continue
    raise ValuesError(f"{value!r} is no default of its union")


def _record(schema: RecordType, value: dict[str, object], depth: int) -> bytes:
    parts = []
    for each in schema.fields:
        given = value.get(each.name, each.default)
        if given is MISSING:
            raise ValuesError(f"a default of {schema.name} lacks {each.name}")
        parts.append(_encode(each.type, given, depth + 1))
    return b"".join(parts)


def _primitive(schema: Primitive, value: object) -> bytes:
    match schema.name, value:
        case "null", None:
            return b""
        case "boolean", bool():
            return b"\1" if value else b"\0"
        case "int", int() if not isinstance(value, bool) and -(1 << 31) <= value < 1 << 31:
            return encode_varint(value)
        case "long", int() if not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63:
            return encode_varint(value)
        case (("float" | "double"), (int() | float())) if not isinstance(value, bool):
            return _float(schema.name, value)
        case "string", str():
            return _text(value)
        case "bytes", str():
            raw = _bytes_of(value)
            return encode_varint(len(raw)) + raw
    raise ValuesError(f"{value!r} is no default of {schema.name}")


def _float(name: str, value: float) -> bytes:
    try:
        return struct.pack("<f" if name == "float" else "<d", value)
    except OverflowError:
        raise ValuesError(f"{value!r} is no default of {name}") from None


def _text(value: str) -> bytes:
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise ValuesError(f"{value!r} is no text") from None
    return encode_varint(len(raw)) + raw


def _bytes_of(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValuesError(f"{value!r} has characters that are no bytes") from None


def _block(items: list[bytes]) -> bytes:
    return encode_varint(len(items)) + b"".join(items) + b"\0" if items else b"\0"
