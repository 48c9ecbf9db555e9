"""Converters of single values."""

from __future__ import annotations

import datetime as dt

import pytest

from ottla.connect.converters import primitive
from ottla.connect.converters.interface import ConverterType, ValueConverter
from ottla.connect.data import BYTES, INT8, INT32, STRING, TIMESTAMP, Struct, Value, struct_of
from ottla.connect.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("kind", "value", "data"),
    [
        (primitive.ByteArrayConverter, b"\0\xff", b"\0\xff"),
        (primitive.StringConverter, "é", b"\xc3\xa9"),
        (primitive.DoubleConverter, 1.5, b"\x3f\xf8\0\0\0\0\0\0"),
        (primitive.FloatConverter, 1.5, b"\x3f\xc0\0\0"),
        (primitive.IntegerConverter, -2, b"\xff\xff\xff\xfe"),
        (primitive.LongConverter, 2**40, b"\0\0\1\0\0\0\0\0"),
        (primitive.ShortConverter, 258, b"\1\2"),
        (primitive.BooleanConverter, True, b"\1"),
        (primitive.BooleanConverter, False, b"\0"),
    ],
)
def test_values_to_bytes_and_back(kind: type[ValueConverter], value: Value, data: bytes) -> None:
    converter = kind({}, ConverterType.KEY)
    assert converter.from_connect("t", None, value) == data
    schema, back = converter.to_connect("t", data)
    assert back == value
    assert schema is not None
    assert schema.optional
    assert converter.from_connect("t", None, None) is None
    assert converter.to_connect("t", None) == (schema, None)
    assert converter.from_connect_header("t", "h", None, value) == data
    assert converter.to_connect_header("t", "h", data) == (schema, value)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (primitive.ByteArrayConverter, "a", "ByteArrayConverter is not compatible with objects of type str"),
        (primitive.DoubleConverter, 1, "Failed to serialize to double"),
        (primitive.IntegerConverter, 2**31, "Failed to serialize to integer"),
        (primitive.IntegerConverter, True, "Failed to serialize to integer"),
        (primitive.FloatConverter, 1e300, "Failed to serialize to float"),
        (primitive.BooleanConverter, 1, "BooleanConverter is not compatible with objects of type int"),
    ],
)
def test_what_cannot_be_written_is_named(kind: type[ValueConverter], value: Value, text: str) -> None:
    with pytest.raises(DataError, match=text):
        kind({}, ConverterType.VALUE).from_connect("t", None, value)


def test_what_cannot_be_read_is_named() -> None:
    with pytest.raises(DataError, match="Failed to deserialize integer"):
        primitive.IntegerConverter({}, ConverterType.VALUE).to_connect("t", b"abc")
    with pytest.raises(DataError, match="Failed to deserialize boolean"):
        primitive.BooleanConverter({}, ConverterType.VALUE).to_connect("t", b"\2")
    with pytest.raises(DataError, match="Invalid schema type for ByteArrayConverter: STRING"):
        primitive.ByteArrayConverter({}, ConverterType.VALUE).from_connect("t", STRING, b"")
    with pytest.raises(DataError, match="Invalid schema type for BooleanConverter: BYTES"):
        primitive.BooleanConverter({}, ConverterType.VALUE).from_connect("t", BYTES, b"")


def test_a_text_has_an_encoding_and_everything_is_printed() -> None:
    latin = primitive.StringConverter({"converter.encoding": "ISO-8859-1"}, ConverterType.VALUE)
    assert latin.from_connect("t", None, "é") == b"\xe9"
    assert latin.to_connect("t", b"\xe9").value == "é"
    with pytest.raises(ConfigError, match="no character set 'x'"):
        primitive.StringConverter({"converter.encoding": "x"}, ConverterType.VALUE)
    text = primitive.StringConverter({}, ConverterType.VALUE)
    schema = struct_of({"a": INT32})
    assert text.from_connect("t", schema, Struct(schema, {"a": 1})) == b"Struct{a=1}"
    assert text.from_connect("t", INT8, 5) == b"5"
    assert text.from_connect("t", None, {"a": [1, True, None]}) == b"{a=[1, true, null]}"
    assert text.from_connect("t", None, 1e10) == b"1.0E10"
    assert (
        text.from_connect("t", TIMESTAMP, dt.datetime(2024, 1, 1, 5, tzinfo=dt.UTC))
        == b"2024-01-01T05:00:00.000Z"
    )
    assert text.to_connect("t", b"\xff").value == "�"
