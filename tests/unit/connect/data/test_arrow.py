"""Connect's values as columns, and back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.connect.strategies import schemas_and_values

from ottla.connect.data import INT32, STRING, Schema, SchemaAndValue, Struct, Type, Value, array_of, struct_of
from ottla.connect.data.arrow import arrow_type, column, record_batch, schema_of_type, structs
from ottla.connect.data.logical import decimal_schema
from ottla.connect.errors import DataError
from ottla.connect.records import SinkRecord


def bare(schema: Schema) -> Schema:
    """Without what Arrow does not keep."""
    logical = schema.name is not None and schema.name.startswith("org.apache.kafka.connect.data.")
    of_map = schema.type is Type.MAP
    value = schema.value_schema if of_map or schema.type is Type.ARRAY else None
    key = schema.key_schema if of_map else None
    return Schema(
        schema.type,
        optional=schema.optional,
        name=schema.name if logical else None,
        version=schema.version if logical else None,
        parameters=schema.parameters if logical else None,
        fields=[(field.name, bare(field.schema)) for field in schema.struct_fields],
        key_schema=None if key is None else bare(key),
        value_schema=None if value is None else bare(value),
    )


def restructured(schema: Schema, value: Value) -> Value:
    """The value, with structs of the bare schema."""
    if isinstance(value, Struct):
        plain, fields = bare(schema), schema.fields
        return Struct(plain, {field.name: restructured(field.schema, value[field.name]) for field in fields})
    if isinstance(value, list) and schema.value_schema:
        return [restructured(schema.value_schema, one) for one in value]
    if isinstance(value, dict) and schema.value_schema:
        return {key: restructured(schema.value_schema, one) for key, one in value.items()}
    return value


def width(value: Value) -> int:
    """Of the widest decimal: its digits, with zeros behind the point or in front of it."""
    if isinstance(value, Decimal):
        _, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int)
        return len(digits) + exponent if exponent > 0 else max(len(digits), -exponent)
    if isinstance(value, Struct):
        return max(map(width, value.values), default=0)
    if isinstance(value, dict):
        return max(map(width, (*value, *value.values())), default=0)
    return max(map(width, value), default=0) if isinstance(value, list) else 0


@example([SchemaAndValue(decimal_schema(-3), Decimal("170141183460469231731687303715884106E+3"))])
@given(st.lists(schemas_and_values(), min_size=1, max_size=3))
def test_structs_become_columns_and_come_back(parts: list[SchemaAndValue]) -> None:
    fields = {f"f{number}": part.schema for number, part in enumerate(parts) if part.schema is not None}
    schema = struct_of(fields)
    value = Struct(schema, {f"f{number}": part.value for number, part in enumerate(parts)})
    try:
        batch = record_batch([SinkRecord("t", 0, 0, value_schema=schema, value=value)])
    except DataError:
        assert width(value) > 38  # more digits than Arrow has
        return
    (row,) = structs(batch)
    assert row == SchemaAndValue(bare(schema), restructured(schema, value))


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (pa.array([1, None], pa.uint8()), [1, None]),
        (pa.array([2**64 - 1], pa.uint64()), [Decimal(2**64 - 1)]),
        (pa.array(["a"]).dictionary_encode(), ["a"]),
        (pa.array([None], pa.null()), [None]),
        (pa.array([dt.datetime(2024, 1, 1)], pa.timestamp("us")), [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)]),
        (
            pa.array([dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], pa.timestamp("ms", "Asia/Tokyo")),
            [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
        ),
        (pa.array([b"ab"], pa.binary(2)), [b"ab"]),
        (pa.array([["a"]], pa.large_list(pa.large_string())), [["a"]]),
    ],
)
def test_other_types_of_arrow_are_taken(array: pa.Array, values: list[Value]) -> None:
    rows = structs(pa.RecordBatch.from_arrays([array], ["it"]), name="named")
    for row, value in zip(rows, values, strict=True):
        assert isinstance(row.value, Struct)
        assert row.schema is not None
        assert row.schema.name == "named"
        row.value.validate()
        assert row.value["it"] == value


def test_what_has_no_column_is_named() -> None:
    with pytest.raises(DataError, match="no schema for Arrow's duration"):
        schema_of_type(pa.duration("s"))
    with pytest.raises(DataError, match="says nothing of what is in it"):
        arrow_type(array_of(None))
    with pytest.raises(DataError, match="no column of Schema{INT32}"):
        column(INT32, ["a"])
    with pytest.raises(DataError, match="columns are made of structs"):
        record_batch([SinkRecord("t", 0, 0, value_schema=STRING, value="a")])
    with pytest.raises(DataError, match="columns are made of structs"):
        record_batch([])
    with pytest.raises(DataError, match="no struct of"):
        record_batch([SinkRecord("t", 0, 0, value_schema=struct_of({"a": STRING}), value=None)])
