"""JSON Schema as taps write it, and values that go with it."""

from __future__ import annotations

import datetime as dt

import pytest

from ottla.connect.connectors.others.json_schemas import JSON, StreamSchema, typed
from ottla.connect.connectors.others.json_values import merged, plain, seen
from ottla.connect.data.logical import DATE, TIMESTAMP
from ottla.connect.data.schema import Schema, Type
from ottla.connect.data.schemas import (
    OPTIONAL_BOOLEAN,
    OPTIONAL_BYTES,
    OPTIONAL_FLOAT64,
    OPTIONAL_INT64,
    OPTIONAL_STRING,
)
from ottla.connect.errors import DataError

TIME = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("described", "schema", "value", "expected"),
    [
        ({"type": ["null", "integer"]}, OPTIONAL_INT64, 7.0, 7),
        ({"type": "number"}, OPTIONAL_FLOAT64, 7, 7.0),
        ({"type": ["integer", "number", "null"]}, OPTIONAL_FLOAT64, 7, 7.0),
        ({"type": "boolean"}, OPTIONAL_BOOLEAN, False, False),
        ({"type": ["null", "string"]}, OPTIONAL_STRING, "a", "a"),
        ({"type": ["null", "string"], "maxLength": 3}, OPTIONAL_STRING, "abcd", "abcd"),
        ({"type": "string", "format": "date-time"}, TIMESTAMP, "2026-01-02T04:04:05+01:00", TIME),
        ({"type": "string", "format": "date-time"}, TIMESTAMP, "2026-01-02 03:04:05", TIME),
        ({"type": "string", "format": "date"}, DATE, "2026-01-02T00:00:00Z", TIME.date()),
        ({"type": "string", "format": "singer.decimal"}, OPTIONAL_STRING, "1.10", "1.10"),
        ({"type": "string", "contentEncoding": "base64"}, OPTIONAL_BYTES, "/w==", b"\xff"),
        ({"type": "object"}, JSON, {"a": [1]}, '{"a":[1]}'),
        ({"type": "object", "additionalProperties": True, "properties": {}}, JSON, {}, "{}"),
        ({"type": "array"}, JSON, [1, "a"], '[1,"a"]'),
        ({}, JSON, "a", '"a"'),
        (True, JSON, 1, "1"),
        ({"$ref": "#/definitions/x"}, JSON, 1, "1"),
        ({"type": ["null", "string", "integer"]}, OPTIONAL_STRING, "a", "a"),
        ({"type": ["null", "string", "integer"]}, OPTIONAL_STRING, 12, "12"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, OPTIONAL_INT64, 3, 3),
        (
            {"anyOf": [{"type": "string", "format": "date-time"}, {"type": ["null", "string"]}]},
            OPTIONAL_STRING,
            "soon",
            "soon",
        ),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, OPTIONAL_FLOAT64, 1, 1.0),
        ({"oneOf": [{"type": "integer"}, {"type": "object"}]}, JSON, {"a": 1}, '{"a":1}'),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, OPTIONAL_STRING, 5, "5"),
        (
            {"type": "array", "items": {"type": "integer"}},
            Schema(Type.ARRAY, value_schema=OPTIONAL_INT64),
            [1, None],
            [1, None],
        ),
    ],
)
def test_types_and_values(described: object, schema: Schema, value: object, expected: object) -> None:
    found = typed(described, "s", with_times=True)
    assert found.schema == schema.replace(optional=True)
    assert found.convert(value) == expected


@pytest.mark.parametrize(
    ("described", "value", "error"),
    [
        ({"type": "integer"}, True, "no integer"),
        ({"type": "integer"}, 1.5, "no integer"),
        ({"type": "integer"}, 2**63, "more than 64 bits"),
        ({"type": "number"}, "1", "no number"),
        ({"type": "number"}, 10**400, "beyond"),
        ({"type": "boolean"}, 1, "no boolean"),
        ({"type": "string"}, 1, "no text"),
        ({"type": "string", "format": "date-time"}, "soon", "no time in ISO 8601"),
        ({"type": "string", "format": "date"}, "soon", "no date in ISO 8601"),
        ({"type": "string", "contentEncoding": "base64"}, "%", "no base64"),
        ({"type": "array", "items": {"type": "integer"}}, 1, "no array"),
        ({"properties": {"a": {"type": "integer"}}}, 1, "no object"),
    ],
)
def test_what_is_no_value(described: object, value: object, error: str) -> None:
    with pytest.raises(DataError, match=error):
        typed(described, "s", with_times=True).convert(value)


def test_times_as_texts() -> None:
    found = typed({"type": "string", "format": "date-time"}, "s", with_times=False)
    assert (found.schema, found.convert("soon")) == (OPTIONAL_STRING, "soon")


def test_a_stream() -> None:
    inner = {"type": ["null", "object"], "properties": {"n": {"type": "integer"}}}
    described = {"properties": {"id": {"type": ["null", "integer"]}, "inner": inner}}
    stream = StreamSchema("public-people", described, ["id"], with_times=True)
    value = stream.value({"id": 1, "inner": {"n": 2}, "more": 3})
    assert str(value) == "Struct{id=1,inner=Struct{n=2}}"
    value.validate()
    assert value.schema.name == "public_people"
    assert value.schema.by_name["inner"].schema.name == "public_people.inner"
    key = stream.key(value)
    assert key is not None
    assert (str(key), key.schema.name) == ("Struct{id=1}", "public_people.Key")
    assert not key.schema.fields[0].schema.optional
    assert stream.unknown({"id": 1, "more": 3}) == ["more"]
    assert stream.unknown({"id": 1, "more": 3}) == []
    with pytest.raises(
        DataError, match="a record of public-people is not what its schema says: inner: n: 'x'"
    ):
        stream.value({"id": 1, "inner": {"n": "x"}})
    with pytest.raises(DataError, match="a record of public-people has no key"):
        stream.key(stream.value({"inner": None}))
    with pytest.raises(DataError, match="lacks its key: name"):
        StreamSchema("s", described, ["name"], with_times=True)
    with pytest.raises(DataError, match="the schema of s has no properties"):
        StreamSchema("s", {"type": "object"}, [], with_times=True)


def test_a_schema_nested_without_end_is_json_from_some_depth_on() -> None:
    described: dict[str, object] = {"type": "integer"}
    for _ in range(200):
        described = {"properties": {"a": described}}
    depth, schema = 0, typed(described, "s", with_times=True).schema
    while schema.type is Type.STRUCT:
        depth, schema = depth + 1, schema.fields[0].schema
    assert (schema, depth) == (JSON, 33)


def test_schemas_of_what_was_seen() -> None:
    first = seen({"a": 1, "b": None, "c": {"d": [1, "x"]}, "t": TIME})
    more = merged(first, seen({"a": 1.5, "b": "text", "c": {"e": b"x"}, "t": "soon", "f": [{}]}))
    properties = more["properties"]
    assert isinstance(properties, dict)
    assert properties["a"] == {"type": ["null", "number"]}
    assert properties["b"] == {"type": ["null", "string"]}
    assert properties["t"] == {"type": ["null", "string"]}
    assert properties["c"]["properties"] == {
        "d": {"type": ["null", "array"], "items": {"type": ["null", "integer", "string"]}},
        "e": {"type": ["null", "string"], "contentEncoding": "base64"},
    }
    assert merged(more, first) is more


def test_values_that_no_target_can_be_given() -> None:
    value: object = 1
    for _ in range(100):
        value = [value]
    with pytest.raises(DataError, match="nested more than 64 deep"):
        plain(value)
    with pytest.raises(DataError, match="set is no type"):
        plain({1})
