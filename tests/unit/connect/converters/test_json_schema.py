"""The JSON Schema converter: Confluent's mapping, what comes back, others' schemas, and hostile bytes."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.connect.converters.test_avro import URL, Remembering
from tests.unit.connect.strategies import schemas_and_values

from ottla.client.values.registry import Registry
from ottla.client.values.registry import Schema as RegisteredSchema
from ottla.connect.converters.interface import ConverterType
from ottla.connect.converters.json_schema import JsonSchemaConverter
from ottla.connect.data import (
    DATE,
    FLOAT64,
    INT8,
    INT32,
    INT64,
    OPTIONAL_INT32,
    OPTIONAL_STRING,
    STRING,
    Schema,
    SchemaAndValue,
    Struct,
    Type,
    array_of,
    decimal_schema,
    map_of,
    struct_of,
)
from ottla.connect.errors import DataError

NULL = {"type": "null"}


def converter(registry: Registry | None = None, **settings: str) -> JsonSchemaConverter:
    given = {name.replace("_", "."): value for name, value in settings.items()}
    return JsonSchemaConverter({**URL, **given}, ConverterType.VALUE, registry or Remembering())


def text_of(one: JsonSchemaConverter) -> object:
    registry = one._registry
    assert isinstance(registry, Remembering)
    return json.loads(registry.latest("t-value").schema.text)


def read(text: object, value: object, **settings: str) -> SchemaAndValue:
    registry = Remembering()
    found = registry.register("t-value", RegisteredSchema("JSON", json.dumps(text)))
    payload = value if isinstance(value, bytes) else json.dumps(value).encode()
    return converter(registry, **settings).to_connect("t", b"\0" + found.id.to_bytes(4, "big") + payload)


@pytest.mark.parametrize("decimals", ["BASE64", "NUMERIC"])
@settings(max_examples=40)
@given(both=schemas_and_values())
def test_what_is_written_comes_back_and_is_what_its_schema_says(both: SchemaAndValue, decimals: str) -> None:
    one = converter(decimal_format=decimals)
    data = one.from_connect("t", *both)
    assert data is not None
    back = one.to_connect("t", data)
    if decimals == "BASE64":
        assert back == both
        if "NaN" not in str(data) and "Infinity" not in str(data):
            jsonschema.validate(json.loads(data[5:]), text_of(one))  # type: ignore[arg-type]
    else:
        assert str(back.schema) == str(both.schema)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (INT8, {"type": "integer", "connect.type": "int8"}),
        (FLOAT64, {"type": "number", "connect.type": "float64"}),
        (STRING, {"type": "string"}),
        (OPTIONAL_INT32, {"oneOf": [NULL, {"type": "integer", "connect.type": "int32"}]}),
        (
            decimal_schema(2),
            {
                "type": "string", "connect.type": "bytes", "title": "org.apache.kafka.connect.data.Decimal",
                "connect.version": 1, "connect.parameters": {"scale": "2"},
            },
        ),
        (
            DATE,
            {
                "type": "integer", "connect.type": "int32", "title": "org.apache.kafka.connect.data.Date",
                "connect.version": 1,
            },
        ),
        (array_of(STRING), {"type": "array", "items": {"type": "string"}}),
        (
            map_of(STRING, INT32),
            {
                "type": "object", "connect.type": "map",
                "additionalProperties": {"type": "integer", "connect.type": "int32"},
            },
        ),
        (
            map_of(INT32, STRING),
            {
                "type": "array", "connect.type": "map",
                "items": {
                    "type": "object",
                    "properties": {
                        "key": {"type": "integer", "connect.type": "int32", "connect.index": 0},
                        "value": {"type": "string", "connect.index": 1},
                    },
                },
            },
        ),
        (
            struct_of({"a": STRING, "b": OPTIONAL_STRING}, name="ns.Row", version=2),
            {
                "type": "object", "title": "ns.Row", "connect.version": 2,
                "properties": {
                    "a": {"type": "string", "connect.index": 0},
                    "b": {"oneOf": [NULL, {"type": "string"}], "connect.index": 1},
                },
            },
        ),
    ],
)  # fmt: skip
def test_a_schema_is_mapped_as_confluents_is(schema: Schema, expected: object) -> None:
    one = converter()
    value: object = {Type.STRUCT: None, Type.MAP: {}, Type.ARRAY: []}.get(schema.type)
    with contextlib.suppress(DataError):  # the schema is registered before the value is looked at
        one.from_connect("t", schema, value)
    assert text_of(one) == expected
    assert read(expected, b"null" if schema.optional else json.dumps(_some(schema)).encode()).schema == schema


def _some(schema: Schema) -> object:
    some: dict[Type, object] = {
        Type.STRUCT: {"a": "", "b": None},
        Type.ARRAY: [],
        Type.STRING: "",
        Type.BYTES: "AA==",
    }
    if schema.type is Type.MAP:
        return {} if schema.key_schema == STRING else []
    return some.get(schema.type, 1)


def test_objects_may_be_closed() -> None:
    one = converter(object_additional_properties="false")
    schema = struct_of({"a": STRING}, name="R")
    one.from_connect("t", schema, Struct(schema, {"a": "x"}))
    assert text_of(one) == {
        "type": "object", "title": "R", "additionalProperties": False,
        "properties": {"a": {"type": "string", "connect.index": 0}},
    }  # fmt: skip


THEIRS = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Order",
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "integer"},
        "kind": {"enum": ["a", "b", None]},
        "either": {"oneOf": [{"type": "integer"}, {"type": "string"}, {"$ref": "#/definitions/item"}]},
        "all": {"allOf": [{"$ref": "#/definitions/item"}, {"properties": {"more": {"type": "boolean"}}}]},
        "price": {"type": "number", "default": 1.5},
        "list": {"type": "array", "items": {"$ref": "#/definitions/item"}},
    },
    "definitions": {
        "item": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "string"}}}
    },
}
FIELD = "io.confluent.connect.json.OneOf.field"


def test_others_schemas_are_read() -> None:
    given = {"id": 3, "kind": "a", "either": {"x": 1}, "all": {"x": 2, "more": True}, "list": [{"y": "z"}]}
    schema, value = read(THEIRS, given)
    assert schema is not None
    assert isinstance(value, Struct)
    assert (value["id"], value["kind"], value["price"]) == (3, "a", 1.5)
    either = value["either"]
    assert isinstance(either, Struct)
    assert [either[f"{FIELD}.{index}"] is None for index in range(3)] == [True, True, False]
    every = value["all"]
    assert isinstance(every, Struct)
    assert (every["x"], every["y"], every["more"]) == (2, None, True)
    assert schema.by_name["kind"].schema.parameters == {
        "io.confluent.connect.json.Enum": "",
        "io.confluent.connect.json.Enum.a": "a",
        "io.confluent.connect.json.Enum.b": "b",
        "io.confluent.connect.json.Enum.<NULL>": "<NULL>",
    }
    for chosen, index in ((5, 0), ("five", 1)):
        row = read(THEIRS, {"id": 1, "either": chosen}).value
        assert isinstance(row, Struct)
        union = row["either"]
        assert isinstance(union, Struct)
        assert union[f"{FIELD}.{index}"] == chosen


def test_a_property_that_need_not_be_there_is_optional_if_that_is_asked_for() -> None:
    schema, _ = read(THEIRS, {"id": 1}, use_optional_for_nonrequired="true")
    assert schema is not None
    assert [field.name for field in schema.fields if not field.schema.optional] == ["id"]
    schema, value = read(THEIRS, {"id": 1})
    assert schema is not None
    assert not schema.by_name["list"].schema.optional
    assert isinstance(value, Struct)
    assert value["list"] is None


def test_what_was_read_is_written_again() -> None:
    schema, value = read(THEIRS, {"id": 3, "kind": "b", "either": "t", "all": {"x": 2, "y": "", "more": True},
                                  "list": [], "price": 2})  # fmt: skip
    one = converter()
    data = one.from_connect("t", schema, value)
    assert data is not None
    assert json.loads(data[5:]) == {
        "id": 3, "kind": "b", "either": "t", "all": {"x": 2, "y": "", "more": True}, "price": 2.0, "list": [],
    }  # fmt: skip
    assert one.to_connect("t", data) == (schema, value)


def test_a_null_with_a_schema_is_no_tombstone() -> None:
    one = converter()
    assert one.from_connect("t", None, None) is None
    assert one.from_connect("t", OPTIONAL_STRING, None) == b"\0\0\0\0\1null"
    assert one.to_connect("t", None) == (None, None)


def test_decimals_are_read_digit_for_digit() -> None:
    one = converter(decimal_format="numeric")
    schema = decimal_schema(20)
    value = Decimal("0.12345678901234567890")
    data = one.from_connect("t", schema, value)
    assert data == b"\0\0\0\0\1" + b"0.12345678901234567890"
    assert one.to_connect("t", data) == (schema, value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, "within itself"),
        ({}, "Connect has no schema for what is any"),
        ({"type": "array"}, "Array schema did not specify the items type"),
        ({"$ref": "#/definitions/none"}, "leads to no schema"),
    ],
)
def test_schemas_that_connect_has_not_are_refused(text: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(text, {})


@given(st.binary(max_size=40) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_hostile_values_are_refused_in_words(value: bytes | str) -> None:
    with contextlib.suppress(DataError):
        read(THEIRS, value if isinstance(value, bytes) else value.encode())


def test_int64_and_structs_are_told_from_what_they_are_not() -> None:
    with pytest.raises(DataError):
        read({"type": "integer"}, 2**63)
    assert read({"type": "integer"}, 2**63 - 1) == (INT64, 2**63 - 1)
