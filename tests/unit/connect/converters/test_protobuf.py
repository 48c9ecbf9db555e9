"""The Protobuf converter: Confluent's mapping, what comes back, Google's own messages, hostile bytes."""

from __future__ import annotations

import contextlib
import datetime as dt
from decimal import Decimal
from uuid import UUID

import pytest
from google.protobuf import struct_pb2, timestamp_pb2, wrappers_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.connect.converters.test_avro import URL, Remembering
from tests.unit.connect.strategies import schemas_and_values

from ottla.client.values.registry import Registry
from ottla.client.values.registry import Schema as RegisteredSchema
from ottla.connect.converters.interface import ConverterType
from ottla.connect.converters.protobuf import ProtobufConverter
from ottla.connect.converters.protobuf_schemas import ProtobufRules, proto_file
from ottla.connect.data import (
    DATE,
    FLOAT32,
    INT8,
    INT16,
    INT32,
    INT64,
    OPTIONAL_INT32,
    OPTIONAL_STRING,
    STRING,
    TIME,
    TIMESTAMP,
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
from ottla.connect.errors import DataError
from ottla.connect.records import ConnectHeaders

NOW = dt.datetime(2024, 2, 29, 12, 30, 0, 5000, tzinfo=dt.UTC)


def converter(registry: Registry | None = None, **settings: str) -> ProtobufConverter:
    given = {name.replace("_", "."): value for name, value in settings.items()}
    return ProtobufConverter({**URL, **given}, ConverterType.VALUE, registry or Remembering())


def read(text: str, payload: bytes, indexes: bytes = b"\0", **settings: str) -> SchemaAndValue:
    """A payload of the schema `text`."""
    registry = Remembering()
    found = registry.register("t-value", RegisteredSchema("PROTOBUF", text))
    return converter(registry, **settings).to_connect(
        "t", b"\0" + found.id.to_bytes(4, "big") + indexes + payload
    )


def plain(value: Value) -> Value:
    """Without schemas, where the one that comes back says more than the one that was given."""
    if isinstance(value, Struct):
        return {field.name: plain(value[field.name]) for field in value.schema.fields}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value


def zero_for_null(schema: Schema | None, value: Value) -> Value:
    """What Protobuf makes of nulls without `optional`: messages may be absent, numbers and texts cannot."""
    if value is None and schema is not None:
        if schema.type is Type.ARRAY:
            return []
        if schema.type is Type.MAP:
            return {}
        if schema.name in (DATE.name, TIME.name, TIMESTAMP.name, decimal_schema(0).name):
            return None
        zeros: dict[Type, Value] = {Type.BOOLEAN: False, Type.STRING: "", Type.BYTES: b"", Type.STRUCT: None}
        zeros |= {Type.FLOAT32: 0.0, Type.FLOAT64: 0.0}
        return zeros.get(schema.type, 0)
    if isinstance(value, Struct):
        return {field.name: zero_for_null(field.schema, value[field.name]) for field in value.schema.fields}
    if isinstance(value, dict) and schema is not None:
        return {key: zero_for_null(schema.value_schema, one) for key, one in value.items()}
    if isinstance(value, list) and schema is not None:
        return [zero_for_null(schema.value_schema, one) for one in value]
    return value


@settings(max_examples=60)
@given(schemas_and_values())
def test_what_is_written_comes_back(both: SchemaAndValue) -> None:
    one = converter()
    try:
        data = one.from_connect("t", *both)
    except DataError as error:
        expected = ("alone is no", "arrays of", "can be neither", "differ", "a null in it")
        assert any(text in str(error) for text in expected)  # noqa: PT017 - what Protobuf has not
        return
    if data is None:
        assert both.value is None
        return
    assert plain(one.to_connect("t", data).value) == zero_for_null(both.schema, both.value)


@pytest.mark.parametrize(
    "schema", [decimal_schema(2), DATE, TIME, TIMESTAMP, struct_of({"a": STRING}, name="S")]
)
def test_a_null_in_a_map_of_messages_is_one_again(schema: Schema) -> None:
    maps = struct_of({"m": map_of(STRING, schema.replace(optional=True))}, name="M")
    given = Struct(maps)
    given["m"] = {"k": None}
    one = converter()
    data = one.from_connect("t", maps, given)
    assert data is not None
    assert plain(one.to_connect("t", data).value) == {"m": {"k": None}}


TEXT = """\
syntax = "proto3";
package ns;

import "confluent/meta.proto";
import "confluent/type/decimal.proto";
import "google/protobuf/timestamp.proto";
import "google/type/date.proto";

message Row {
  int32 id = 1;
  int32 small = 2 [(confluent.field_meta) = {
    params: [
      {
        key: "connect.type",
        value: "int8"
      }
    ]
  }];
  string name = 3;
  confluent.type.Decimal price = 4 [(confluent.field_meta) = {
    params: [
      {
        key: "scale",
        value: "2"
      }
    ]
  }];
  google.type.Date day = 5;
  google.protobuf.Timestamp at = 6;
  repeated string tags = 7;
  repeated ConnectDefault1Entry counts = 8;
  innerMessage inner = 9;

  message ConnectDefault1Entry {
    string key = 1;
    int32 value = 2;
  }
  message innerMessage {
    int64 x = 1;
  }
}
"""
INNER = struct_of({"x": INT64}, name="ns.inner")
ROW = struct_of(
    {
        "id": INT32, "small": INT8, "name": OPTIONAL_STRING, "price": decimal_schema(2), "day": DATE,
        "at": TIMESTAMP, "tags": array_of(STRING), "counts": map_of(STRING, INT32), "inner": INNER,
    },
    name="ns.Row",
)  # fmt: skip
VALUES = {
    "id": 7, "small": -1, "name": None, "price": Decimal("-12.50"), "day": dt.date(2024, 2, 29), "at": NOW,
    "tags": ["a", ""], "counts": {"k": 1, "": 0}, "inner": Struct(INNER, {"x": -(2**63)}),
}  # fmt: skip


def test_a_schema_is_mapped_as_confluents_is() -> None:
    assert proto_file(ROW, ProtobufRules()) == TEXT


def test_a_row_comes_back_with_tags() -> None:
    one = converter()
    data = one.from_connect("t", ROW, Struct(ROW, VALUES))
    assert data is not None
    schema, value = one.to_connect("t", data)
    assert plain(value) == {**VALUES, "name": "", "inner": {"x": -(2**63)}}
    assert schema is not None
    assert schema.name == "Row"
    by_name = {field.name: field.schema for field in schema.fields}
    assert by_name["id"].optional
    assert by_name["id"].parameters == {"io.confluent.connect.protobuf.Tag": "1"}
    assert by_name["small"].type is Type.INT8
    assert (by_name["price"].parameters or {})["scale"] == "2"
    assert by_name["counts"].name == "connect_default1"
    enhanced = ProtobufConverter(
        {**URL, "enhanced.protobuf.schema.support": "true"}, ConverterType.VALUE, one._registry
    )
    again = enhanced.to_connect("t", data).schema
    assert again is not None
    assert again.name == "ns.Row"
    # What was read is written in the same schema's numbers, and reads the same.
    assert isinstance(value, Struct)
    assert plain(one.to_connect("t", one.from_connect("u", schema, value)).value) == plain(value)


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        (INT32, -5, wrappers_pb2.Int32Value(value=-5)),
        (INT16, 0, wrappers_pb2.Int32Value()),
        (INT64, 1 << 40, wrappers_pb2.Int64Value(value=1 << 40)),
        (FLOAT32, 0.5, wrappers_pb2.FloatValue(value=0.5)),
        (STRING, "ä", wrappers_pb2.StringValue(value="ä")),
    ],
)
def test_a_value_alone_is_googles_wrapper(
    schema: Schema, value: Value, message: wrappers_pb2.Int32Value
) -> None:
    one = converter()
    data = one.from_connect("t", schema, value)
    assert data is not None
    assert data.endswith(message.SerializeToString())
    assert one.to_connect("t", data).value == value


def test_nullables_are_optional_or_wrapped() -> None:
    schema = struct_of({"a": OPTIONAL_INT32, "b": OPTIONAL_STRING}, name="R")
    for how in ({"optional_for_nullables": "true"}, {"wrapper_for_nullables": "true"}):
        one = converter(**how)
        for values in ({"a": 0, "b": None}, {"a": None, "b": ""}):
            data = one.from_connect("t", schema, Struct(schema, values))
            assert plain(one.to_connect("t", data).value) == values
    wrapped = proto_file(schema, ProtobufRules(wrapper_for_nullables=True))
    assert "google.protobuf.Int32Value a = 1;" in wrapped
    assert "optional int32 a = 1;" in proto_file(schema, ProtobufRules(optional_for_nullables=True))


PROTO2 = """
syntax = "proto2";
package p;
message Other { optional int32 only = 1; }
message M {
  required int32 id = 1;
  optional string name = 2 [default = "none"];
  enum Kind { TWO = 2; ONE = 1; }
  optional Kind kind = 3;
  repeated sint64 numbers = 4 [packed = true];
  oneof either { string text = 5; Other other = 6; }
  map<int32, Other> others = 7;
  repeated group Pair = 8 { optional int32 x = 1; }
  optional uint64 big = 9;
}
"""


def test_what_others_have_in_messages() -> None:
    payload = bytes.fromhex(
        "0807 1801 2203010402 3202 0801 3a06 0803 1202 0809 43 0801 44 48ffffffffffffffffff01"
    )
    schema, value = read(PROTO2, payload, b"\x02\x02")
    assert plain(value) == {
        "either_0": {"text": None, "other": {"only": 1}}, "id": 7, "name": None, "kind": "ONE",
        "numbers": [-1, 2, 1], "others": {3: {"only": 9}}, "pair": [{"x": 1}], "big": -1,
    }  # fmt: skip
    assert schema is not None
    kind = schema.by_name["kind"].schema
    assert kind.parameters == {
        "io.confluent.connect.protobuf.Enum": "Kind",
        "io.confluent.connect.protobuf.Enum.TWO": "2",
        "io.confluent.connect.protobuf.Enum.ONE": "1",
        "io.confluent.connect.protobuf.Tag": "3",
    }
    assert schema.by_name["either_0"].schema.name == "io.confluent.connect.protobuf.Union.either"
    flat = read(PROTO2, payload, b"\x02\x02", flatten_unions="true", generate_index_for_unions="false").value
    assert isinstance(flat, Struct)
    assert (flat["text"], plain(flat["other"])) == (None, {"only": 1})
    lenient = read(PROTO2, b"", b"\x02\x02", optional_for_proto2="false", int_for_enums="true").value
    assert isinstance(lenient, Struct)
    assert (lenient["name"], lenient["kind"], lenient["id"]) == ("none", 2, 0)


@pytest.mark.parametrize(
    ("payload", "text", "other"),
    [
        ("2a0161 32020801", None, {"only": 1}),
        ("32020801 2a0161", "a", None),
        ("32020801 2a0161 3200", None, {"only": None}),
        ("2a0161 32020801 3200", None, {"only": 1}),
        ("32020801 2801", None, {"only": 1}),  # a number: no text, and so a field that is not known
        ("2801", None, None),
    ],
)
def test_the_last_member_of_a_oneof_counts(payload: str, text: str | None, other: Value) -> None:
    data = bytes.fromhex(f"0807 {payload}")
    value = read(PROTO2, data, b"\x02\x02").value
    assert isinstance(value, Struct)
    either = plain(value["either_0"])
    assert either == (None if text is None and other is None else {"text": text, "other": other})
    flat = read(PROTO2, data, b"\x02\x02", flatten_unions="true").value
    assert isinstance(flat, Struct)
    assert (flat["text"], plain(flat["other"])) == (text, other)


def test_what_was_read_is_written_again() -> None:
    payload = bytes.fromhex(
        "0807 1801 2203010402 3202 0801 3a06 0803 1202 0809 43 0801 44 48ffffffffffffffffff01"
    )
    schema, value = read(PROTO2, payload, b"\x02\x02")
    one = converter()
    data = one.from_connect("t", schema, value)
    assert data is not None
    again, back = one.to_connect("t", data)
    assert plain(back) == {**plain(value), "name": ""}  # type: ignore[dict-item]
    assert again is not None
    assert again.by_name["either_0"].schema.name == "io.confluent.connect.protobuf.Union.either"


def test_messages_that_everybody_has() -> None:
    text = 'syntax = "proto3"; import "google/protobuf/%s.proto"; message M { google.protobuf.%s t = 1; }'
    stamp = timestamp_pb2.Timestamp(seconds=-1, nanos=999_000_000)
    payload = b"\x0a" + bytes([stamp.ByteSize()]) + stamp.SerializeToString()
    value = read(text % ("timestamp", "Timestamp"), payload).value
    assert plain(value) == {"t": dt.datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=dt.UTC)}
    with pytest.raises(DataError, match=r"google\.protobuf\..* is within itself"):
        read(text % ("struct", "Struct"), struct_pb2.Struct().SerializeToString())


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        (array_of(INT32), [1], "a value of the type ARRAY alone"),
        (struct_of({"a": array_of(array_of(INT32))}), {"a": []}, "no arrays of ARRAYs"),
        (struct_of({"a-b": INT32}), {"a-b": 1}, "scrub.invalid.names=true"),
        (struct_of({"a": array_of(OPTIONAL_INT32)}), {"a": [None]}, "a null in it"),
    ],
)
def test_what_protobuf_cannot_say_is_refused(schema: Schema, value: Value, said: str) -> None:
    given = Struct(schema, value) if isinstance(value, dict) else value
    with pytest.raises(DataError, match=said):
        converter().from_connect("t", schema, given)


def test_names_are_scrubbed_if_that_is_asked_for() -> None:
    schema = struct_of({"a-b": INT32, "_c": INT32}, name="n s.1x")
    text = proto_file(schema, ProtobufRules(scrub=True))
    assert "package n_s;" in text
    assert "message x1x {" in text
    assert "int32 a_b = 1;" in text
    assert "int32 x_c = 2;" in text


def test_the_guid_stands_in_a_header_with_the_indexes() -> None:
    one = converter(value_schema_id_serializer="x.HeaderSchemaIdSerializer")
    headers = ConnectHeaders()
    data = one.from_connect("t", ROW, Struct(ROW, VALUES), headers)
    header = headers.last_with_name("__value_schema_id")
    assert header is not None
    assert header.value == b"\1" + UUID(int=1).bytes + b"\0"
    assert one.to_connect("t", data, headers).schema is not None


@given(st.binary(max_size=60))
def test_hostile_bytes_are_refused_in_words(payload: bytes) -> None:
    with contextlib.suppress(DataError):
        read(PROTO2, payload, b"\x02\x02")
    with contextlib.suppress(DataError):
        read(TEXT, payload)


@pytest.mark.parametrize(
    "payload", ["08", "0a05", "0a0161ff", "0e", "43", "4308014c", "08ffffffffffffffffffff01"]
)
def test_messages_that_end_early_are_refused(payload: str) -> None:
    with pytest.raises(DataError):
        read(PROTO2, bytes.fromhex(payload), b"\x02\x02")
