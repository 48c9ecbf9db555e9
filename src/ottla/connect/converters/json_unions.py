"""JSON Schema's `oneOf`: structs with a field for each of several types, of which one has a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from ottla.connect.converters.json_schemas import Json
from ottla.connect.data.schema import Schema, Struct, Type, Value
from ottla.connect.errors import DataError

__all__ = ["union_reader", "union_writer"]


def _fits(schema: Schema, value: Json) -> int:
    """How well a value is one of a union's schema: 0 not at all; of an object how many fields it has."""
    if schema.type is Type.STRUCT:
        if not isinstance(value, dict):
            return 0
        return sum(
            1 + _fits(field.schema, value[field.name]) for field in schema.fields if field.name in value
        )
    number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    match schema.type:
        case Type.BOOLEAN:
            fits = isinstance(value, bool)
        case Type.STRING:
            fits = isinstance(value, str)
        case Type.BYTES:
            fits = isinstance(value, str) or number
        case Type.ARRAY:
            fits = isinstance(value, list)
        case Type.MAP:
            fits = isinstance(value, dict | list)
        case Type.FLOAT32 | Type.FLOAT64:
            fits = number
        case _:
            fits = number and isinstance(value, int)
    return int(fits)


def union_reader(schema: Schema, readers: Sequence[Callable[[Json], Value]]) -> Callable[[Json], Value]:
    """As Confluent has it: the first that is no object and fits, or the object with the most fields."""
    schemas = [field.schema for field in schema.fields]

    def read(value: Json) -> Struct:
        best = chosen = 0
        for index, inner in enumerate(schemas):
            fits = _fits(inner, value)
            if fits and inner.type is not Type.STRUCT:
                best, chosen = 1, index
                break
            if fits > best:
                best, chosen = fits, index
        if not best:
            raise DataError("Did not find matching oneof field for data")
        struct = Struct(schema)
        struct.values[chosen] = readers[chosen](value)
        return struct

    return read


def union_writer(schema: Schema, writers: Sequence[Callable[[Value], Json]]) -> Callable[[Value], Json]:
    """The value of the one field that has one."""

    def write(value: Value) -> Json:
        if not isinstance(value, Struct):
            raise DataError(f"Invalid type for {schema.type}: {type(value).__name__}")
        for one, write_one in zip(value.values, writers, strict=True):
            if one is not None:
                return write_one(one)
        if schema.optional:
            return None
        raise DataError("a union without any value")

    return write
