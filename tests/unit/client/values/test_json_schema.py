"""JSON values with their JSON Schemas in a registry: written, read, compared."""

from __future__ import annotations

import json
import sys
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from tests.unit.client.values.registry_stand_in import Shelf

from ottla import client
from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.errors import MissingExtraError
from ottla.client.values import framed_json
from ottla.client.values.framed_json.shapes import shape_of
from ottla.client.values.interface import ValuesError
from ottla.client.values.registry import Reference, Schema, frame, header_of

V1 = {"title": "Order", "type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
V2 = {**V1, "properties": {**V1["properties"], "note": {"type": "string"}}}  # type: ignore[dict-item]


def shelf(*schemas: Any) -> Shelf:
    made = Shelf()
    for schema in schemas:
        made.register("t-value", Schema("JSON", json.dumps(schema)))
    return made


def value(schema_id: int, row: Any) -> bytes:
    return frame(schema_id) + json.dumps(row).encode()


def test_a_stream_keeps_the_columns_of_the_newest_schema_in_its_first_batch() -> None:
    decoder = client.json_schema(shelf(V1, V2)).decoder()
    assert decoder.type is None
    nothing = decoder.decode(BinaryColumn.of([None, b"x"]))
    assert (nothing.array.type, list(nothing.broken)) == (pa.null(), [1])
    rows = [value(1, {"id": 1, "more": True}), value(2, {"id": 2, "note": "x"}), None, value(9, {})]
    first = decoder.decode(BinaryColumn.of(rows))
    assert first.array.to_pylist() == [{"id": 1, "note": None}, {"id": 2, "note": "x"}, None, None]
    assert first.broken == {3: "the registry has no schema 9"}
    again = decoder.decode(BinaryColumn.of([value(1, {"id": "x"}), frame(1) + b"{", value(1, {"id": 3})]))
    assert again.array.to_pylist() == [None, None, {"id": 3, "note": None}]
    assert "Expected `int" in again.broken[0]
    assert (decoder.counts.records, decoder.counts.nulls, decoder.counts.broken) == (9, 1, 4)


def test_values_are_compared_with_their_own_schema_where_that_is_asked() -> None:
    strict = {**V2, "additionalProperties": False}
    rows = BinaryColumn.of(
        [value(1, {"more": 1}), value(2, {"id": 2, "more": 1}), value(1, {"id": 1, "more": 1})]
    )
    lenient = client.json_schema(shelf(V1, strict)).decoder().decode(rows)
    assert lenient.broken == {}
    decoder = client.json_schema(shelf(V1, strict), validate=True).decoder()
    decoded = decoder.decode(rows)
    assert decoded.array.to_pylist() == [None, None, {"id": 1, "note": None}]
    assert decoded.broken == {
        0: "'id' is a required property",
        1: "Additional properties are not allowed ('more' was unexpected)",
    }
    assert decoder.counts.broken == 2
    headers = HeadersColumn.of([[(b"__value_schema_id", header_of(UUID(int=2)))]])
    decoded = decoder.decode(BinaryColumn.of([b'{"id": "x"}']), headers)
    assert decoded.broken == {0: "$.id: 'x' is not of type 'integer'"}


def test_schemas_refer_to_others_by_name() -> None:
    registry = shelf(
        {"$id": "http://x/money.json", "type": "object", "properties": {"cents": {"type": "integer"}}}
    )
    text = {"type": "object", "properties": {"price": {"$ref": "money.json"}}}
    money = registry.schemas[1].text
    reference = Reference("money.json", "money", 1)
    registry.put(2, Schema("JSON", json.dumps(text), [reference], {"money.json": money}))
    decoder = client.json_schema(registry, validate=True).decoder()
    decoded = decoder.decode(
        BinaryColumn.of([value(2, {"price": {"cents": 5}}), value(2, {"price": {"cents": ""}})])
    )
    assert decoded.array.to_pylist() == [{"price": {"cents": 5}}, None]
    assert decoded.broken == {1: "$.price.cents: '' is not of type 'integer'"}


def test_a_reference_that_leads_elsewhere_is_not_followed() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/elsewhere.json"}}}
    decoder = client.json_schema(shelf(schema)).decoder()
    decoded = decoder.decode(BinaryColumn.of([value(1, {"a": 1})]))
    assert "leads to no schema of that name" in decoded.broken[0]
    declared = client.json_schema(shelf(schema), json.dumps({"type": "object"}), validate=True).decoder()
    decoded = declared.decode(BinaryColumn.of([value(1, {"a": 1})]))
    assert "cannot be compared" in decoded.broken[0]


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "integer"}, pa.int64()),
        ({"type": ["null", "string"]}, pa.string()),
        ({"oneOf": [{"type": "null"}, {"type": "boolean"}]}, pa.bool_()),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, pa.float64()),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, pa.json_()),
        ({"enum": ["a", "b"]}, pa.string()),
        ({"enum": ["a", 1]}, pa.json_()),
        ({"type": "string", "enum": ["a", None]}, pa.string()),
        ({"const": 5}, pa.int64()),
        ({"type": "array", "items": {"type": "number"}}, pa.list_(pa.float64())),
        ({"type": "array"}, pa.list_(pa.json_())),
        ({"type": "array", "items": [{"type": "number"}]}, pa.list_(pa.json_())),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, pa.map_(pa.string(), pa.int64())),
        ({"type": "object"}, pa.json_()),
        ({}, pa.json_()),
        (True, pa.json_()),
        ({"$ref": "#/definitions/A", "definitions": {"A": {"type": "string"}}}, pa.string()),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "integer"}}},
                    {"properties": {"b": {"type": "string"}}},
                ]
            },
            pa.struct([("a", pa.int64()), ("b", pa.string())]),
        ),
        (
            {"type": "object", "properties": {"next": {"$ref": "#"}, "a": {"type": "null"}}},
            pa.struct([("next", pa.json_()), ("a", pa.null())]),
        ),
    ],
)
def test_types_of_schemas(schema: Any, kind: pa.DataType) -> None:
    assert shape_of(json.dumps(schema)).arrow == kind


def test_a_schema_that_says_nothing_leaves_it_to_the_values() -> None:
    decoded = client.json_schema(shelf({})).decoder().decode(BinaryColumn.of([value(1, {"a": 1})]))
    assert decoded.array.to_pylist() == [{"a": 1}]


def test_columns_without_a_schema_get_one_and_are_read_again() -> None:
    registry = Shelf()
    kind = pa.struct(
        [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("tags", pa.list_(pa.string())),
            pa.field("counts", pa.map_(pa.string(), pa.float64())),
            pa.field("where", pa.struct([("x", pa.float64())])),
            pa.field("at", pa.timestamp("us", "UTC")),
        ]
    )
    rows = pa.array([{"id": 1, "tags": ["a", None], "counts": [("k", 0.5)], "at": 0}, {"id": 2}, None], kind)
    values = client.json_schema(registry, validate=True)
    column = values.encoder("orders", "value", kind).encode(rows)
    schema = json.loads(registry.latest("orders-value").schema.text)
    assert schema["required"] == ["id"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["at"] == {"type": ["null", "string"], "format": "date-time"}
    decoded = values.decoder().decode(column)
    assert decoded.broken == {}
    first, second, third = decoded.array.to_pylist()
    assert (first["id"], first["tags"], first["counts"]) == (1, ["a", None], [("k", 0.5)])
    assert first["at"] == "1970-01-01T00:00:00.000000Z"
    assert (second["id"], second["where"], third) == (2, None, None)


def test_a_null_that_the_schema_has_not_is_left_out() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "string"}}}
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"type": ["null", "string"]},
            "c": inner,
            "d": {"type": "array", "items": inner},
            "e": {"type": "object", "additionalProperties": inner},
        },
    }
    part = pa.struct([("x", pa.string())])
    more = [("d", pa.list_(part)), ("e", pa.map_(pa.string(), part)), ("f", pa.int8())]
    kind = pa.struct([("a", pa.string()), ("b", pa.string()), ("c", part), *more])
    rows = pa.array([{"c": {}, "d": [{}, {"x": "y"}], "e": [("k", {})]}, {}], kind)
    encoder = client.json_schema(Shelf(), json.dumps(schema), validate=True).encoder("t", "value", kind)
    assert [json.loads((each or b"")[5:]) for each in encoder.encode(rows)] == [
        {"b": None, "c": {}, "d": [{}, {"x": "y"}], "e": {"k": {}}, "f": None},
        {"b": None, "f": None},
    ]


def test_what_the_schema_does_not_allow_is_not_written_where_that_is_asked() -> None:
    kind = pa.struct([("id", pa.string())])
    rows = pa.array([{"id": "x"}], kind)
    lenient = client.json_schema(Shelf(), json.dumps(V1)).encoder("t", "value", kind)
    assert list(lenient.encode(rows)) == [frame(1) + b'{"id":"x"}']
    strict = client.json_schema(Shelf(), json.dumps(V1), validate=True).encoder("t", "value", kind)
    with pytest.raises(ValuesError, match=r"\$.id: 'x' is not of type 'integer'"):
        strict.encode(rows)
    with pytest.raises(ValuesError, match="int64 where the JSON Schema has an object"):
        client.json_schema(Shelf(), json.dumps(V1)).encoder("t", "value", pa.int64())


def test_subjects_and_the_latest_schema() -> None:
    kind = pa.struct([("id", pa.int64())])
    registry = shelf(V1, V2)
    assert (
        client.json_schema(registry, json.dumps(V1), use_latest=True)
        .encoder("t", "value", kind)
        .registered.id
        == 2
    )
    client.json_schema(registry, json.dumps(V1), subjects="record").encoder("t", "value", kind)
    assert registry.subjects == ["t-value", "Order"]


@pytest.mark.parametrize("text", ["", "[]", '{"$ref": "#/nowhere"}', "[" * 100_000])
@pytest.mark.usefixtures("no_collection")
def test_what_is_no_schema_is_refused_at_once(text: str) -> None:
    with pytest.raises(ValuesError, match="the JSON Schema is none"):
        client.json_schema(Shelf(), text)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ottla.client.values.framed_json.validation", raising=False)
    monkeypatch.delattr(framed_json, "validation", raising=False)
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    decoder = client.json_schema(shelf(V1), validate=True).decoder()
    with pytest.raises(MissingExtraError, match=r"pip install 'ottla\[json-schema\]'"):
        decoder.decode(BinaryColumn.of([value(1, {"id": 1})]))
