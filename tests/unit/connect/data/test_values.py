"""Headers' texts: what they are taken for, and what values are printed as."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.connect.converters.interface import ConverterType
from ottla.connect.converters.simple_header import SimpleHeaderConverter
from ottla.connect.data import (
    BOOLEAN,
    BYTES,
    DATE,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    OPTIONAL_INT8,
    STRING,
    TIME,
    TIMESTAMP,
    Schema,
    SchemaAndValue,
    Struct,
    Value,
    array_of,
    decimal_schema,
    map_of,
    struct_of,
)
from ottla.connect.data.texts import value_text
from ottla.connect.data.values import convert, infer_schema, parse_text
from ottla.connect.errors import DataError

MOMENT = dt.datetime(2024, 2, 29, 12, 30, 0, 5000, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("", STRING, ""),
        ("  ", STRING, "  "),
        ("null", None, None),
        ("127", INT8, 127),
        ("-129", INT16, -129),
        ("32768", INT32, 32768),
        ("2147483648", INT64, 2**31),
        ("9223372036854775808", decimal_schema(0), Decimal(2**63)),
        ("1.0", INT8, 1),
        ("1.5", FLOAT32, 1.5),
        ("1e300", FLOAT64, 1e300),
        ("true", BOOLEAN, True),
        ("True", STRING, "True"),
        ("true}", STRING, "true}"),
        ("2024-02-29", DATE, dt.date(2024, 2, 29)),
        ("2023-02-29", STRING, "2023-02-29"),
        ("12:30:00.005Z", TIME, dt.time(12, 30, 0, 5000)),
        ("2024-02-29T12:30:00.005Z", TIMESTAMP, MOMENT),
        ("2024-02-29T12\\:30\\:00.005Z", TIMESTAMP, MOMENT),
        ("[]", array_of(None), []),
        ("{}", map_of(None, None), {}),
        ('["a", "b"]', array_of(STRING), ["a", "b"]),
        ("[1, 1000]", array_of(INT16), [1, 1000]),
        ('[1, "a"]', array_of(None), [1, "a"]),
        ("[null]", array_of(None), [None]),
        ('{"a": 1, "b": 1000}', map_of(STRING, INT16), {"a": 1, "b": 1000}),
        ('{"a": null}', map_of(STRING, None), {"a": None}),
        ("[1, null]", STRING, "[1, null]"),
        ("[1,,2]", STRING, "[1,,2]"),
        ("[1", STRING, "[1"),
        ("[one]", STRING, "[one]"),
        ("a,b", STRING, "a,b"),
    ],
)
def test_texts_are_taken_for_what_they_look_like(text: str, schema: Schema | None, value: Value) -> None:
    assert parse_text(text) == SchemaAndValue(schema, value)


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (FLOAT32, 0.10000000149011612, "0.1"),
        (FLOAT64, 1e10, "1.0E10"),
        (BYTES, b"ab", "YWI="),
        (None, 'plain "text"', 'plain "text"'),
        (None, ['a"b\\', None, 1], '["a\\"b\\\\",null,1]'),
        (None, {"a": b"x"}, '{"a":"eA=="}'),
        (TIMESTAMP, MOMENT, "2024-02-29T12:30:00.005Z"),
        (DATE, dt.date(1960, 1, 1), "1960-01-01"),
        (DATE, dt.date(1970, 1, 1), "00:00:00.000Z"),
        (decimal_schema(2), Decimal("1.50"), "1.50"),
    ],
)
def test_values_are_printed(schema: Schema | None, value: Value, text: str) -> None:
    assert value_text(schema, value) == text


def test_a_structs_fields_are_printed_with_their_schemas() -> None:
    schema = struct_of({"f": FLOAT32, "n": OPTIONAL_INT8, "t": TIME})
    struct = Struct(schema, {"f": 0.10000000149011612, "t": dt.time(1)})
    assert value_text(schema, struct) == '{"f":0.1,"n":null,"t":01:00:00.000Z}'
    with pytest.raises(DataError, match="unexpected value type object"):
        value_text(None, object())


@given(st.text())
def test_any_text_is_taken_for_something(text: str) -> None:
    parse_text(text)


@given(
    st.recursive(st.integers(-(2**63), 2**63 - 1) | st.booleans(), lambda inner: st.lists(inner, max_size=3))
)
def test_what_is_printed_is_read_again(value: Value) -> None:
    text = value_text(None, value)
    assert text is not None
    assert parse_text(text).value == value


@pytest.mark.usefixtures("no_collection")
def test_arrays_without_end_are_bytes() -> None:
    converter = SimpleHeaderConverter({}, ConverterType.HEADER)
    for data in (b"[" * 100_000, b'{"a":' * 100_000):
        schema, value = converter.to_connect_header("t", "h", data)
        assert value in (data, data.decode())
        assert schema in (BYTES, STRING)
    assert converter.to_connect_header("t", "h", None) == SchemaAndValue(None, None)
    assert converter.from_connect_header("t", "h", None, [1]) == b"[1]"
    assert converter.from_connect_header("t", "h", None, None) is None


@pytest.mark.parametrize(
    ("to", "source", "value", "converted"),
    [
        (INT8, None, 300, 44),
        (INT8, None, "12.7", 12),
        (INT64, TIMESTAMP, MOMENT, 1709209800005),
        (FLOAT64, None, "1.5", 1.5),
        (BOOLEAN, None, "true", True),
        (BOOLEAN, None, 0, False),
        (STRING, None, 5, "5"),
        (DATE, TIMESTAMP, MOMENT, dt.date(2024, 2, 29)),
        (TIME, TIMESTAMP, MOMENT, dt.time(12, 30, 0, 5000)),
        (TIMESTAMP, DATE, dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, tzinfo=dt.UTC)),
        (TIMESTAMP, None, "2024-02-29", dt.datetime(2024, 2, 29, tzinfo=dt.UTC)),
        (DATE, None, 1, dt.date(1970, 1, 2)),
        (decimal_schema(2), None, 1.5, Decimal("1.5")),
        (decimal_schema(1), None, b"\x0f", Decimal("1.5")),
        (array_of(INT8), None, "[1]", [1]),
        (OPTIONAL_INT8, None, None, None),
    ],
)
def test_values_become_those_of_another_type(
    to: Schema, source: Schema | None, value: Value, converted: Value
) -> None:
    assert convert(to, source, value) == converted


@pytest.mark.parametrize(
    ("to", "value", "text"),
    [
        (INT8, None, "Unable to convert a null value to a schema that requires a value"),
        (INT8, "one", r"Unable to convert one \(str\) to a number"),
        (BYTES, 1, r"Unable to convert 1 \(int\) to Schema{BYTES}"),
        (array_of(INT8), "1", r"Unable to convert 1 \(int\) to Schema{ARRAY}"),
    ],
)
def test_what_cannot_become_another_is_named(to: Schema, value: Value, text: str) -> None:
    with pytest.raises(DataError, match=text):
        convert(to, None, value)


def test_schemas_are_inferred() -> None:
    assert infer_schema([1, None]) == array_of(INT64.replace(optional=True))
    assert infer_schema([1, "a"]) is None
    assert infer_schema([]) is None
    assert infer_schema({"a": b""}) == map_of(STRING, BYTES)
    assert infer_schema(object()) is None
