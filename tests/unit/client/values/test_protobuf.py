"""Protobuf values through a registry: written, read, evolved."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from tests.unit.client.values.programs.protobuf_world import World, compiled
from tests.unit.client.values.registry_stand_in import Shelf

from ottla import client
from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.values.interface import ValuesError
from ottla.client.values.registry import Reference, RegistryError, Schema, frame, header_of

V1 = 'syntax = "proto3"; package shop; message Order { int32 id = 1; }'
V2 = 'syntax = "proto3"; package shop; message Order { int32 id = 1; string note = 2; } message Other {}'
IMPORTING = 'syntax = "proto3"; import "shop/item.proto"; message Cart { repeated shop.Item items = 1; }'
ITEM = 'syntax = "proto3"; package shop; import "shop/money.proto"; message Item { Money price = 1; }'
MONEY = 'syntax = "proto3"; package shop; message Money { int64 cents = 1; }'
FILES = {"shop/item.proto": ITEM, "shop/money.proto": MONEY}


def shelf(*texts: str) -> Shelf:
    made = Shelf()
    for text in texts:
        made.register("t-value", Schema("PROTOBUF", text))
    return made


def order(schema_id: int, text: str = V1, indexes: bytes = b"\0", **fields: Any) -> bytes:
    return frame(schema_id) + indexes + World(text, "shop.Order").message(**fields).SerializeToString()


def test_a_stream_keeps_the_columns_of_the_newest_schema_in_its_first_batch() -> None:
    decoder = client.protobuf(shelf(V1, V2)).decoder()
    first = decoder.decode(BinaryColumn.of([order(1, id=1), order(2, V2, id=2, note="x"), None]))
    assert first.array.to_pylist() == [{"id": 1, "note": ""}, {"id": 2, "note": "x"}, None]
    again = decoder.decode(BinaryColumn.of([order(1, id=3)]))
    assert again.array.type == first.array.type == decoder.type
    assert (decoder.counts.records, decoder.counts.nulls, decoder.counts.broken) == (4, 1, 0)


def test_the_message_of_the_first_value_is_read_and_others_are_broken() -> None:
    decoder = client.protobuf(shelf(V2)).decoder()
    decoded = decoder.decode(BinaryColumn.of([frame(1) + b"\2\2", order(1, V2, id=2)]))
    assert decoded.array.type == pa.struct([])
    assert decoded.broken == {1: "the value is another message of its schema"}
    declared = client.protobuf(shelf(V2), message="shop.Order").decoder()
    decoded = declared.decode(BinaryColumn.of([frame(1) + b"\2\2", order(1, V2, b"\2\0", id=2)]))
    assert decoded.array.to_pylist() == [None, {"id": 2, "note": ""}]


def test_a_value_that_lies_about_its_message_is_broken_and_the_next_is_read() -> None:
    renamed = V1.replace("Order", "Bill")
    registry = shelf(V1, renamed, "nonsense")
    decoder = client.protobuf(registry, message="shop.Order").decoder()
    rows = BinaryColumn.of([frame(3) + b"\0", frame(2) + b"\0", order(1, id=1)])
    assert decoder.decode(rows[:2]).broken[1] == "the Protobuf schema has no message shop.Order"
    decoded = decoder.decode(rows)
    assert decoded.array.to_pylist() == [None, None, {"id": 1}]
    assert decoded.broken[1] == "the value is no shop.Order, which is read"
    lying = [frame(1) + each for each in (b"", b"\2\x7e", b"\xff" * 11, b"\7\7")]
    decoder = client.protobuf(registry).decoder()
    assert decoder.decode(BinaryColumn.of([*lying])).broken.keys() == {0, 1, 2, 3}
    decoded = decoder.decode(BinaryColumn.of([*lying, order(1, id=1)]))
    assert decoded.array.to_pylist() == [*[None] * 4, {"id": 1}]


def test_a_schema_in_a_descriptor_is_read_and_entries_of_maps_count_in_it() -> None:
    text = """syntax = "proto3"; message A { map<string, int32> first = 1; message B { int32 b = 1; }
        map<string, B> second = 2; message C { int32 c = 1; } C it = 3; }"""
    kind: Any = compiled(text).FindMessageTypeByName("A.C")
    file = FileDescriptorProto()
    kind.file.CopyToProto(file)
    registered = base64.b64encode(file.SerializeToString()).decode()
    at = [each.name for each in kind.containing_type.nested_types].index("C")
    value = frame(1) + bytes([4, 0, 2 * at]) + b"\x08\x07"
    decoder = client.protobuf(shelf(registered)).decoder()
    decoded = decoder.decode(BinaryColumn.of([value]))
    assert (decoded.array.to_pylist(), decoded.broken) == ([{"c": 7}], {})
    # In a text the entries of maps are no messages: C is the second.
    decoded = client.protobuf(shelf(text)).decoder().decode(BinaryColumn.of([frame(1) + b"\4\0\2\x08\x07"]))
    assert decoded.array.to_pylist() == [{"c": 7}]
    whole = client.protobuf(shelf(registered), message="A").decoder()
    row = World(text, "A").message(first={"k": 1}, it={"c": 2})
    decoded = whole.decode(BinaryColumn.of([frame(1) + b"\0" + row.SerializeToString()]))
    assert decoded.array.to_pylist() == [{"first": [("k", 1)], "second": [], "it": {"c": 2}}]


def test_imported_files_are_registered_under_their_paths_and_referred_to() -> None:
    registry = Shelf()
    values = client.protobuf(registry, IMPORTING, files=FILES)
    rows = pa.array([{"items": [{"price": {"cents": 5}}]}, None])
    column = values.encoder("carts", "value", rows.type).encode(rows)
    assert registry.subjects == ["shop/money.proto", "shop/item.proto", "carts-value"]
    registered = registry.latest("carts-value").schema
    assert registered.references == (Reference("shop/item.proto", "shop/item.proto", 1),)
    assert list(column) == [frame(3) + b"\0" + b"\x0a\x04\x0a\x02\x08\x05", None]
    decoded = client.protobuf(registry).decoder().decode(column)
    assert decoded.array.to_pylist() == rows.to_pylist()
    with pytest.raises(ValuesError, match="imports shop/item.proto: its text is not in `files`"):
        client.protobuf(registry, 'syntax = "proto3"; import "shop/item.proto"; message A {}').encoder(
            "t", "value", pa.struct([])
        )


def test_columns_without_a_schema_get_one() -> None:
    registry = Shelf()
    kind = pa.struct(
        [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("note", pa.string()),
            pa.field("tags", pa.list_(pa.string())),
            pa.field("at", pa.timestamp("us", "UTC")),
            pa.field("counts", pa.map_(pa.string(), pa.int32())),
            pa.field("where", pa.struct([("x", pa.float64()), ("y", pa.float32())])),
            pa.field("raw", pa.binary()),
            pa.field("small", pa.uint8()),
            pa.field("good", pa.bool_()),
        ]
    )
    rows = pa.array(
        [
            {
                "id": 1,
                "note": None,
                "tags": ["a"],
                "at": 5,
                "counts": [("k", 1)],
                "where": {"x": 0.5, "y": 2.0},
            },
            {
                "id": 0,
                "note": "",
                "tags": [],
                "at": None,
                "counts": [],
                "raw": b"\xff",
                "small": 7,
                "good": False,
            },
        ],
        kind,
    )
    values = client.protobuf(registry)
    column = values.encoder("my-orders", "value", kind).encode(rows)
    text = registry.latest("my-orders-value").schema.text
    assert "message MyOrdersValue {" in text
    assert 'import "google/protobuf/timestamp.proto";' in text
    assert compiled(text).FindMessageTypeByName("MyOrdersValue") is not None
    decoded = values.decoder().decode(column)
    assert decoded.array.to_pylist() == rows.to_pylist()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (pa.int32(), "Protobuf values are messages"),
        (pa.struct([("a-b", pa.int32())]), "Protobuf takes no field 'a-b'"),
        (pa.struct([("a", pa.list_(pa.list_(pa.int32())))]), "no type for list"),
        (pa.struct([("a", pa.decimal128(5, 2))]), "no type for decimal128"),
        (pa.struct([("a", pa.map_(pa.float32(), pa.int32()))]), "no map with keys of float"),
    ],
)
def test_columns_that_protobuf_has_not_are_refused(kind: pa.DataType, reason: str) -> None:
    with pytest.raises(ValuesError, match=reason):
        client.protobuf(Shelf()).encoder("t", "value", kind)


def test_ids_may_stand_in_headers_with_the_indexes() -> None:
    registry = Shelf()
    values = client.protobuf(registry, V2, "shop.Other", ids="header")
    encoder = values.encoder("t", "value", pa.struct([]))
    assert list(encoder.encode(pa.array([{}], pa.struct([])))) == [b""]
    assert encoder.header == (b"__value_schema_id", header_of(UUID(int=1), b"\2\2"))
    payload = World(V2, "shop.Order").message(id=5).SerializeToString()
    names = [encoder.header, (b"__value_schema_id", header_of(UUID(int=1), b"\0"))]
    headers = HeadersColumn.of([[each] for each in names])
    rows = BinaryColumn.of([b"", payload])
    decoded = client.protobuf(registry, message="shop.Order").decoder().decode(rows, headers)
    assert decoded.array.to_pylist() == [None, {"id": 5, "note": ""}]
    assert decoded.broken == {0: "the value is no shop.Order, which is read"}
    first = client.protobuf(registry).decoder().decode(rows[1:], HeadersColumn.of([[names[1]]]))
    assert first.array.to_pylist() == [{"id": 5, "note": ""}]


@pytest.mark.parametrize(
    ("subjects", "expected"), [("topic", "t-key"), ("record", "shop.Order"), ("topic-record", "t-shop.Order")]
)
def test_subjects_are_named_as_was_asked(subjects: Any, expected: str) -> None:
    registry = Shelf()
    client.protobuf(registry, V1, subjects=subjects).encoder("t", "key", pa.struct([("id", pa.int32())]))
    assert registry.subjects == [expected]


def test_what_is_not_registered_is_not_written_where_that_was_said() -> None:
    kind = pa.struct([("id", pa.int32())])
    with pytest.raises(RegistryError):
        client.protobuf(Shelf(), V1, register=False).encoder("t", "value", kind)
    latest = client.protobuf(shelf(V1, V2), V1, use_latest=True).encoder("t", "value", kind)
    assert latest.registered.id == 2
    assert list(latest.encode(pa.array([{"id": 1}], kind))) == [frame(2) + b"\0\x08\1"]
    renamed = V1.replace("Order", "Bill")
    with pytest.raises(ValuesError, match="the latest schema of t-value has no message shop.Bill"):
        client.protobuf(shelf(V1), renamed, use_latest=True).encoder("t", "value", kind)


def test_what_is_no_schema_or_message_is_refused_at_once() -> None:
    with pytest.raises(ValuesError, match="the Protobuf schema is none"):
        client.protobuf(Shelf(), "nonsense")
    with pytest.raises(ValuesError, match="no message shop.Bill"):
        client.protobuf(Shelf(), V1, "shop.Bill")
    with pytest.raises(ValuesError, match="written for a topic"):
        client.protobuf(Shelf()).encode(pa.array([{}]))
    decoded = client.protobuf(shelf("nonsense")).decoder().decode(BinaryColumn.of([frame(1) + b"\0"]))
    assert decoded.broken[0].startswith("the Protobuf schema is none")
