"""The JSON converter: what comes back, what it says of what it cannot read, and what it remembers."""

from __future__ import annotations

import contextlib
import enum
import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from tests.unit.connect.strategies import schemas_and_values

from ottla.connect.converters.interface import ConverterType
from ottla.connect.converters.json import JsonConverter
from ottla.connect.data import (
    FLOAT32,
    FLOAT64,
    INT8,
    INT32,
    OPTIONAL_STRING,
    STRING,
    Schema,
    SchemaAndValue,
    Struct,
    Type,
    Value,
    array_of,
    decimal_schema,
    map_of,
    struct_of,
)
from ottla.connect.errors import ConfigError, DataError


def converter(**settings: str) -> JsonConverter:
    return JsonConverter(
        {name.replace("_", "."): value for name, value in settings.items()}, ConverterType.VALUE
    )


@given(schemas_and_values())
def test_what_is_written_comes_back(both: SchemaAndValue) -> None:
    for one in (converter(), converter(decimal_format="numeric")):
        assert one.to_connect("t", one.from_connect("t", *both)) == both


@given(schemas_and_values())
def test_a_schema_of_the_configuration_reads_bare_values(both: SchemaAndValue) -> None:
    data = converter().from_connect("t", *both)
    assert data is not None
    envelope = json.loads(data)
    one = converter(schema_content=json.dumps(envelope["schema"]))
    assert one.to_connect("t", json.dumps(envelope["payload"]).encode()) == both


def test_values_without_a_schema() -> None:
    one = converter(schemas_enable="false")
    value: Value = {"a": [1, 2.5, None, True, "x"], "b": {"c": 2**70}}
    assert one.to_connect("t", one.from_connect("t", None, value)) == SchemaAndValue(None, value)
    assert one.from_connect("t", None, {1: b"a"}) == b'[[1,"YQ=="]]'
    assert one.to_connect("t", b"") == SchemaAndValue(None, None)
    assert one.to_connect("t", None) == SchemaAndValue(None, None)
    assert one.from_connect("t", None, None) is None
    assert converter().from_connect("t", None, 1) == b'{"schema":null,"payload":1}'
    assert converter().to_connect("t", b'{"schema":null,"payload":1}') == SchemaAndValue(None, 1)


def test_what_is_no_number_to_json_comes_back() -> None:
    for value in (math.inf, -math.inf):
        for schema in (FLOAT32, FLOAT64):
            assert converter().to_connect("t", converter().from_connect("t", schema, value)) == (
                schema,
                value,
            )
    back = converter().to_connect("t", converter().from_connect("t", FLOAT64, math.nan))
    assert isinstance(back.value, float)
    assert math.isnan(back.value)


@pytest.mark.parametrize(
    ("schema", "payload", "text"),
    [
        ('{"type":"int8"}', "300", "Invalid value for INT8: 300"),
        ('{"type":"int8"}', "1.5", "Invalid value for INT8: 1.5"),
        ('{"type":"int32"}', '"1"', "Invalid type for INT32: found STRING"),
        ('{"type":"int32"}', "true", "Invalid type for INT32: found BOOLEAN"),
        ('{"type":"double"}', "[]", "Invalid type for FLOAT64: found ARRAY"),
        ('{"type":"boolean"}', "1", "Invalid type for BOOLEAN: found NUMBER"),
        ('{"type":"string"}', "{}", "Invalid type for STRING: found OBJECT"),
        ('{"type":"string"}', "null", "Invalid null value for required STRING field"),
        ('{"type":"bytes"}', '"?"', "Invalid bytes field"),
        ('{"type":"array","items":{"type":"int8"}}', "{}", "Invalid type for ARRAY: found OBJECT"),
        ('{"type":"array"}', "[]", "Array schema did not specify the element type"),
        ('{"type":"map","keys":{"type":"string"}}', "{}", "Map schema did not specify the value type"),
        ('{"type":"struct"}', "{}", 'Struct schema\'s "fields" argument is not an array.'),
        ('{"type":"struct","fields":[{}]}', "{}", "Struct schema's field name not specified properly"),
        ('{"type":"struct","fields":[]}', "[]", "Structs should be encoded as JSON objects, but found ARRAY"),
        ('{"type":"int9"}', "1", "Unknown schema type: int9"),
        ('{"kind":"int8"}', "1", "Schema must contain 'type' field"),
        ('{"type":"int8","parameters":{"a":1}}', "1", "Schema parameters must have string values."),
        ('{"type":"int8","default":"x"}', "1", "Invalid type for INT8: found STRING"),
    ],
)
def test_what_cannot_be_read_is_named(schema: str, payload: str, text: str) -> None:
    with pytest.raises(DataError) as caught:
        converter().to_connect("t", f'{{"schema":{schema},"payload":{payload}}}'.encode())
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "data", [b"{", b'{"a":1}', b"[1]", b"\xff", b"[" * 100_000, b'{"schema":null}', b"9" * 9999]
)
@pytest.mark.usefixtures("no_collection")
def test_hostile_bytes_are_refused_in_words(data: bytes) -> None:
    for one in (converter(), converter(schema_content='{"type":"int8"}'), converter(schemas_enable="false")):
        with contextlib.suppress(DataError):
            one.to_connect("t", data)
    with pytest.raises(DataError):
        converter().to_connect("t", data)
    nested = b'{"type":"array","items":' * 900 + b'{"type":"int8"}' + b"}" * 900
    with contextlib.suppress(DataError):
        converter().to_connect("t", b'{"schema":' + nested + b',"payload":[]}')


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (INT8, "a", "Invalid type for INT8: str"),
        (INT8, True, "Invalid type for INT8: bool"),
        (FLOAT64, 1, "Invalid type for FLOAT64: int"),
        (STRING, None, "Conversion error: null value for field that is required and has no default value"),
        (decimal_schema(1), 1, "Invalid type for Decimal, expected Decimal but was int"),
        (decimal_schema(1), Decimal("1.55"), "Schema has scale 1, value has scale 2."),
        (array_of(INT8), [1, "b"], "Invalid type for INT8: str"),
        (map_of(STRING, INT8), [], "Invalid type for MAP: list"),
        (struct_of({}), Struct(struct_of({}, name="other")), "Mismatching schema."),
        (None, object(), "Python class object does not have corresponding schema type."),
        (None, Struct(struct_of({})), "Mismatching schema."),
    ],
)
def test_what_cannot_be_written_is_named(schema: Schema | None, value: Value, text: str) -> None:
    with pytest.raises(DataError, match=text):
        converter().from_connect("t", schema, value)


def test_the_field_that_is_wrong_is_noted() -> None:
    schema = struct_of({"outer": struct_of({"inner": INT32})})
    data = converter().from_connect(
        "t", schema, Struct(schema, {"outer": Struct(schema.fields[0].schema, {"inner": 1})})
    )
    assert data is not None
    with pytest.raises(DataError) as caught:
        converter().to_connect("t", data.replace(b'"inner":1', b'"inner":"x"'))
    assert caught.value.__notes__ == ["in the field 'inner'", "in the field 'outer'"]


def test_nulls_become_defaults_unless_told_otherwise() -> None:
    schema = struct_of({"n": Schema(Type.INT32, default=7, optional=True), "s": OPTIONAL_STRING})
    replaced, kept = converter(), JsonConverter({"replace.null.with.default": "false"}, ConverterType.VALUE)
    data, bare = (
        replaced.from_connect("t", schema, Struct(schema)),
        kept.from_connect("t", schema, Struct(schema)),
    )
    assert data is not None
    assert bare is not None
    assert b'"payload":{"n":7,"s":null}' in data
    assert b'"payload":{"n":null,"s":null}' in bare
    assert replaced.to_connect("t", bare).value == Struct(schema, {"n": 7})
    assert kept.to_connect("t", bare).value == Struct(schema)


class Text(str):
    __slots__ = ()


def test_values_of_subclasses_are_written_as_what_they_are() -> None:
    assert converter(schemas_enable="false").from_connect("t", STRING, Text("a")) == b'"a"'
    assert converter(schemas_enable="false").from_connect("t", INT32, enum.IntEnum("Few", "ONE").ONE) == b"1"  # type: ignore[attr-defined]


def test_schemas_are_remembered_up_to_a_number() -> None:
    one = JsonConverter({"schemas.cache.size": "2"}, ConverterType.VALUE)
    for number in range(5):
        schema = Schema(Type.INT32, name=f"n{number}")
        data = one.from_connect("t", schema, number)
        assert one.to_connect("t", data) == (schema, number)
        again = one.to_connect("t", data).schema
        assert again is one.to_connect("t", data).schema
    assert len(one._known) == len(one._written) == 2


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="case insensitive"):
        converter(decimal_format="text")
    with pytest.raises(DataError, match="Unknown schema type"):
        converter(schema_content='{"type":"x"}')
