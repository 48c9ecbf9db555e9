"""Schemas of any shape with a value of each, for properties that hold to all of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from hypothesis import strategies as st

from ottla.connect.data import (
    DATE,
    TIME,
    TIMESTAMP,
    Schema,
    SchemaAndValue,
    Struct,
    Type,
    Value,
    decimal_schema,
)
from ottla.connect.data.schema import RANGES

_PRIMITIVES: dict[Type, st.SearchStrategy[Value]] = {
    **{kind: st.integers(allowed[0], allowed[-1]) for kind, allowed in RANGES.items()},
    Type.FLOAT32: st.floats(width=32, allow_nan=False),
    Type.FLOAT64: st.floats(allow_nan=False),
    Type.BOOLEAN: st.booleans(),
    Type.STRING: st.text(st.characters(exclude_categories=["Cs"])),
    Type.BYTES: st.binary(),
}


def _in_milliseconds(value: dt.datetime) -> dt.datetime:
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


_LOGICAL: list[tuple[Schema, st.SearchStrategy[Value]]] = [
    (DATE, st.dates()),
    (TIME, st.times().map(lambda value: value.replace(microsecond=value.microsecond // 1000 * 1000))),
    (TIMESTAMP, st.datetimes(timezones=st.just(dt.UTC)).map(_in_milliseconds)),
]


@st.composite
def schemas_and_values(draw: st.DrawFn, depth: int = 2) -> SchemaAndValue:
    """A schema with a value of it, which may be null where the schema is optional."""
    schema, value = draw(_required(depth))
    if draw(st.booleans()):
        schema = schema.replace(optional=True, doc=draw(st.sampled_from([None, "why"])))
        if isinstance(value, Struct):
            value = Struct(schema, {field.name: value.without_default(field.name) for field in schema.fields})
        if draw(st.integers(0, 3)) == 0:
            value = None
    return SchemaAndValue(schema, value)


@st.composite
def _required(draw: st.DrawFn, depth: int) -> tuple[Schema, Value]:
    kinds = ["primitive", "logical", "decimal", *(["array", "map", "struct"] if depth else [])]
    kind = draw(st.sampled_from(kinds))
    if kind == "primitive":
        of = draw(st.sampled_from(sorted(_PRIMITIVES, key=str)))
        return Schema(of, name=draw(st.sampled_from([None, "named"]))), draw(_PRIMITIVES[of])
    if kind == "logical":
        schema, values = draw(st.sampled_from(_LOGICAL))
        return schema, draw(values)
    if kind == "decimal":
        scale, unscaled = draw(st.integers(-3, 30)), draw(st.integers(-(10**40), 10**40))
        digits = tuple(map(int, str(abs(unscaled))))
        return decimal_schema(scale), Decimal((int(unscaled < 0), digits, -scale))
    inner, value = draw(schemas_and_values(depth=depth - 1))
    assert inner is not None
    if kind == "array":
        return Schema(Type.ARRAY, value_schema=inner), [value] * draw(st.integers(0, 2))
    if kind == "map":
        of = draw(st.sampled_from([Type.STRING, Type.INT32, Type.BOOLEAN]))
        keys = draw(st.lists(_PRIMITIVES[of], unique=True, max_size=2))
        return Schema(Type.MAP, key_schema=Schema(of), value_schema=inner), dict.fromkeys(keys, value)
    other, other_value = draw(schemas_and_values(depth=depth - 1))
    assert other is not None
    struct = Schema(Type.STRUCT, name="a.b", version=3, fields=[("one", inner), ("other", other)])
    return struct, Struct(struct, {"one": value, "other": other_value})
