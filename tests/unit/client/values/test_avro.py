"""Avro values through a registry: written, read, evolved."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import UUID

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.client.values.programs.avro_schemas import Case, cases
from tests.unit.client.values.programs.avro_world import written
from tests.unit.client.values.registry_stand_in import Shelf

from ottla import client
from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.values.avro.encoding import encode_rows
from ottla.client.values.avro.schema import parse
from ottla.client.values.interface import ValuesError
from ottla.client.values.registry import RegistryError, Schema, frame, header_of

V1 = {"type": "record", "name": "O", "fields": [{"name": "a", "type": "int"}]}
V2 = {
    "type": "record",
    "name": "O",
    "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "string", "default": "-"}],
}


def shelf(*schemas: Any) -> Shelf:
    made = Shelf()
    for schema in schemas:
        made.register("t-value", Schema("AVRO", json.dumps(schema)))
    return made


def value(schema: Any, schema_id: int, row: Any) -> bytes:
    return frame(schema_id) + written(schema, row)


def test_a_stream_keeps_the_columns_of_the_newest_schema_in_its_first_batch() -> None:
    decoder = client.avro(shelf(V1, V2)).decoder()
    assert decoder.type is None
    nothing = decoder.decode(BinaryColumn.of([None, b"x"]))
    assert (nothing.array.type, list(nothing.broken)) == (pa.null(), [1])
    first = decoder.decode(BinaryColumn.of([value(V1, 1, {"a": 1}), value(V2, 2, {"a": 2, "b": "x"}), None]))
    assert first.array.to_pylist() == [{"a": 1, "b": "-"}, {"a": 2, "b": "x"}, None]
    again = decoder.decode(BinaryColumn.of([value(V1, 1, {"a": 3})]))
    assert again.array.type == first.array.type == decoder.type
    assert (decoder.counts.records, decoder.counts.nulls, decoder.counts.broken) == (6, 1, 1)


def test_a_declared_schema_is_the_readers() -> None:
    decoder = client.avro(shelf(V1, V2), json.dumps(V1)).decoder()
    decoded = decoder.decode(BinaryColumn.of([value(V1, 1, {"a": 1}), value(V2, 2, {"a": 2, "b": "x"})]))
    assert decoded.array.to_pylist() == [{"a": 1}, None]
    assert decoded.broken == {1: "the value is of type long where of type int is read"}


def test_ids_that_the_registry_lacks_break_their_values_alone() -> None:
    registry = shelf(V1)
    registry.put(7, Schema("JSON", "{}"))
    decoder = client.avro(registry).decoder()
    rows = BinaryColumn.of([value(V1, 1, {"a": 1}), value(V1, 9, {"a": 1}), value(V1, 7, {"a": 1})])
    assert decoder.lacks(rows, None, "value") == [1, 9, 7]
    decoder.prepare(rows, None, "value")
    decoded = decoder.decode(rows)
    assert decoded.array.to_pylist() == [{"a": 1}, None, None]
    assert decoded.broken == {
        1: "the registry has no schema 9",
        2: "the value's schema is of type JSON, not AVRO",
    }


def test_a_registry_that_cannot_be_asked_is_no_fault_of_values() -> None:
    registry = shelf(V1)
    registry.fails = RegistryError("no registry answers: http://x: refused")
    with pytest.raises(RegistryError, match="refused"):
        client.avro(registry).decoder().decode(BinaryColumn.of([value(V1, 1, {"a": 1})]))


def test_many_ids_that_are_not_there_do_not_become_as_many_questions() -> None:
    registry = shelf(V1)
    decoder = client.avro(registry).decoder()
    decoded = decoder.decode(BinaryColumn.of([frame(100 + each) for each in range(1000)]))
    assert len(decoded.broken) == 1000
    assert registry.asked <= 20


def test_a_header_names_the_schema_by_its_guid() -> None:
    registry = shelf(V1, V2)
    guid = registry.guid_of(2)
    rows = [written(V2, {"a": 5, "b": "h"}), value(V1, 1, {"a": 6}), written(V1, {"a": 7})]
    headers = HeadersColumn.of(
        [
            [(b"other", b"x"), (b"__value_schema_id", header_of(guid))],
            [(b"__key_schema_id", header_of(guid))],
            [(b"__value_schema_id", header_of(UUID(int=99)))],
        ]
    )
    decoded = client.avro(registry).decoder().decode(BinaryColumn.of(rows), headers)
    assert decoded.array.to_pylist() == [{"a": 5, "b": "h"}, {"a": 6, "b": "-"}, None]
    assert decoded.broken == {2: f"the registry has no schema {UUID(int=99)}"}


def test_many_guids_that_are_not_there_do_not_become_as_many_questions() -> None:
    registry = shelf(V1)
    guids = [UUID(int=each) for each in (*range(100, 110), *range(100, 200), 1)]
    headers = HeadersColumn.of([[(b"__value_schema_id", header_of(each))] for each in guids])
    rows = BinaryColumn.of([b"\2"] * len(guids))
    decoded = client.avro(registry).decoder().decode(rows, headers)
    assert registry.asked == 20
    assert len(decoded.broken) == len(guids)
    assert decoded.broken[10] == f"the registry has no schema {UUID(int=100)}"
    assert decoded.broken[109] == "the registry lacks too many schemas of this batch"


# -- Writing


TABLE = pa.table(
    {
        "name": ["x", None, "é"],
        "n": pa.array([1, -2, 3], pa.int16()),
        "at": pa.array([1, 2, None], pa.timestamp("us", "UTC")),
        "tags": [["a", "b"], [], None],
        "in": pa.array([{"x": 0.5}, None, {"x": None}]),
        "m": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        "big": pa.array([1, 2**64 - 1, None], pa.uint64()),
        "kind": pa.array(["u", "v", "u"]).dictionary_encode(),
    }
)


def rows_of(table: pa.Table) -> pa.Array:
    return table.combine_chunks().to_batches()[0].to_struct_array()


def test_columns_have_a_schema_that_reads_them_again() -> None:
    registry = Shelf()
    values = client.avro(registry)
    rows = rows_of(TABLE)
    encoder = values.encoder("my-topic", "value", rows.type)
    assert encoder.header is None
    column = encoder.encode(pa.concat_arrays([rows, pa.nulls(1, rows.type)]))
    assert column[3] is None
    assert registry.subjects == ["my-topic-value"]
    decoded = values.decoder().decode(column)
    assert decoded.array.to_pylist() == [*rows.to_pylist(), None]
    text = registry.schema(1).text
    assert json.loads(text)["name"] == "my_topic_value"
    row = fastavro.schemaless_reader(
        io.BytesIO((column[0] or b"")[5:]), fastavro.parse_schema(json.loads(text)), None
    )
    assert isinstance(row, dict)
    assert row["name"] == "x"


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_what_fastavro_writes_is_written_again_byte_for_byte(data: st.DataObject) -> None:
    case: Case = data.draw(cases())
    registry = shelf(case.schema)
    values = data.draw(st.lists(case.values, max_size=5))
    expected = [written(case.schema, each) for each in values]
    decoded = client.avro(registry).decoder().decode(BinaryColumn.of([frame(1) + each for each in expected]))
    if values and not pa.types.is_null(decoded.array.type):
        again = encode_rows(parse(json.dumps(case.schema)), decoded.array)
        if None in again:  # a union's null is a row of its own in Avro, and a tombstone in Kafka
            again = [raw if each is None else each for each, raw in zip(again, expected, strict=True)]
        if '"bytes", "logicalType": "decimal"' in json.dumps(case.schema):
            return  # fastavro pads some numbers with a byte more
        assert again == expected


@pytest.mark.parametrize(
    ("names", "topic", "expected"),
    [
        ("topic", "t", "t-value"),
        ("record", "t", "t_value"),
        ("topic-record", "t", "t-t_value"),
    ],
)
def test_subjects_have_names_by_strategy(names: Any, topic: str, expected: str) -> None:
    registry = Shelf()
    client.avro(registry, subjects=names).encoder(topic, "value", rows_of(TABLE).type)
    assert registry.subjects == [expected]


def test_a_schema_is_registered_looked_up_or_the_latest_is_taken() -> None:
    kind = pa.struct([pa.field("a", pa.int32(), nullable=False)])
    registry = shelf(V1, V2)
    rows = pa.array([{"a": 1}], kind)
    with pytest.raises(RegistryError, match="no such schema"):
        client.avro(registry, register=False).encoder("t", "value", kind)
    declared = client.avro(registry, json.dumps(V1), register=False).encoder("t", "value", kind)
    assert declared.encode(rows)[0] == value(V1, 1, {"a": 1})
    latest = client.avro(registry, use_latest=True).encoder("t", "value", kind)
    assert latest.encode(rows)[0] == value(V2, 2, {"a": 1, "b": "-"})
    header = client.avro(registry, json.dumps(V2), ids="header").encoder("t", "key", kind)
    assert header.header == (b"__key_schema_id", header_of(registry.guid_of(2)))
    assert header.encode(rows)[0] == written(V2, {"a": 1, "b": "-"})


@pytest.mark.parametrize(
    ("schema", "array", "reason"),
    [
        (V1, pa.array([{"a": 1, "z": 2}]), "the Avro schema has no z in O"),
        (
            V1,
            pa.array([{"a": None}], pa.struct([("a", pa.int32())])),
            "a: a null where the Avro schema takes none",
        ),
        (V1, pa.array([{"a": 1 << 40}]), "a: "),
        (V1, pa.array([{}], pa.struct([])), "there is no a, for which the Avro schema has no default"),
        ("string", pa.array([1]), "int64 where the Avro schema has strings"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, pa.array(["B"]), "'B' is no symbol of E"),
        ({"type": "fixed", "name": "F", "size": 2}, pa.array([b"abc"]), "has not the 2 bytes"),
        (["int", "string"], pa.array([{"int": 1, "string": "x"}]), "two members of a union"),
    ],
)
def test_what_a_schema_cannot_hold_is_told(schema: Any, array: pa.Array, reason: str) -> None:
    with pytest.raises(ValuesError, match=reason):
        encode_rows(parse(json.dumps(schema)), array)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[[]]",
        '"Missing"',
        '{"type": "record", "name": "R"}',
        '{"type": "record", "name": "R", "fields": [{"name": "a"}]}',
        '{"type": "fixed", "name": "F", "size": -1}',
        '["int", "int"]',
        '{"type": "array"}',
        "[" * 100_000,
        '{"type":' * 80 + '"int"' + "}" * 80,
    ],
)
@pytest.mark.usefixtures("no_collection")
def test_what_is_no_schema_is_told(text: str) -> None:
    with pytest.raises(ValuesError):
        parse(text)


def test_references_are_by_name() -> None:
    registry = Shelf()
    text = json.dumps({"type": "record", "name": "a.B", "fields": [{"name": "c", "type": "a.C"}]})
    inner = json.dumps(
        {"type": "record", "name": "C", "namespace": "a", "fields": [{"name": "x", "type": "int"}]}
    )
    registry.put(3, Schema("AVRO", text, resolved={"a.C": inner}))
    decoded = client.avro(registry).decoder().decode(BinaryColumn.of([frame(3) + b"\x0e"]))
    assert decoded.array.to_pylist() == [{"c": {"x": 7}}]
