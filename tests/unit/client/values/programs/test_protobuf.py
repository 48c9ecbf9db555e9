"""Protobuf to columns and back: Google's library writes them, and says what is in them."""

from __future__ import annotations

import importlib
import random

import pyarrow as pa
import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.client.values.programs.protobuf_world import (
    World,
    compiled,
    random_message,
    random_schema,
    rows_of,
    shown,
)

from ottla.client.values.interface import ValuesError
from ottla.client.values.programs import plain
from ottla.client.values.programs.implementation import Implementation
from ottla.client.values.protobuf.encoding import encode_rows
from ottla.client.values.protobuf.known import KNOWN_TEXTS
from ottla.client.values.protobuf.schema import Messages, messages_of
from ottla.client.values.registry import frame

ONCE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
FRAME = frame(1) + b"\0"


@ONCE
@given(st.integers(0, 1 << 32))
def test_any_message_of_any_schema_is_read_and_written(implementation: Implementation, seed: int) -> None:
    chance = random.Random(seed)
    world = World(random_schema(chance))
    messages = [random_message(chance, world.message()) for _ in range(4)]
    array, broken = world.decoded(implementation, [*map(world.written, messages), None])
    assert broken == {}
    assert rows_of(array) == [*map(shown, messages), None]
    encoded = encode_rows(world.ours, array)
    assert encoded.pop() is None
    assert [world.message.FromString(each) for each in encoded] == messages


def scalar(kind: str, label: str = "") -> World:
    return World(f'syntax = "proto3"; message R {{ {label} {kind} a = 1; }}')


def test_the_last_of_a_field_counts_and_messages_are_merged(implementation: Implementation) -> None:
    text = """syntax = "proto3";
        message R { int32 a = 1; I i = 2; oneof o { I x = 3; int32 y = 4; } repeated I r = 5; }
        message I { int32 b = 1; int32 c = 2; repeated int32 l = 3; I i = 4; }"""
    world = World(text)
    one, two = world.message(), world.message()
    one.a, one.i.b, one.x.b = 1, 5, 1
    one.i.l.extend([1, 2])
    one.r.add().b = 1
    two.a, two.i.c, two.x.c = 2, 6, 2
    two.i.l.append(3)
    two.r.add()
    switched = world.message(y=5).SerializeToString()
    for parts in ((one, two), (two, one, one), (one, switched, two), (one, two, switched)):
        data = b"".join(each if isinstance(each, bytes) else each.SerializeToString() for each in parts)
        array, broken = world.decoded(implementation, [FRAME + data])
        assert broken == {}
        expected = shown(world.message.FromString(data))
        for within in (expected["i"], expected["x"], *expected["r"]):
            if within is not None:
                within["i"] = None  # a message within itself is kept as it is
        assert rows_of(array) == [expected]


def test_what_nobody_knows_is_passed_over(implementation: Implementation) -> None:
    world = scalar("int32")
    unknown = b"\x10\x05" + b"\x1a\x03abc" + b"\x25abcd" + b"\x29abcdefgh" + b"\x33\x3b\x08\x01\x3c\x34"
    array, broken = world.decoded(implementation, [FRAME + unknown + b"\x08\x07" + unknown])
    assert (array.to_pylist(), broken) == ([{"a": 7}], {})
    wrong_type = b"\x0a\x01x" + b"\x0d\1\2\3\4"  # of a number that is known: as if it were not
    array, broken = world.decoded(implementation, [FRAME + wrong_type])
    assert (array.to_pylist(), broken) == ([{"a": 0}], {})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x08", "the value ends too early, at byte 2"),
        (b"\x08\xff", "the value ends too early, at byte 2"),
        (b"\x08" + b"\xff" * 10, "byte 2 begins no number of its type"),
        (b"\x00\x01", "byte 1 begins no field"),
        (b"\x0e", "byte 1 begins no field"),
        (b"\x0c", "byte 1 begins no field"),
        (b"\x0b\x14", "byte 2 begins no field"),
        (b"\x0b", "the value ends too early, at byte 2"),
        (b"\x12\x7fabc", "the value ends too early, at byte 3"),
        (b"\x12" + b"\xff" * 9 + b"\x01", "the value ends too early, at byte 12"),
        (b"\x1a\x01\xff", "the text at byte 3 is not UTF-8"),
        (b"\xf8\xff\xff\xff\x7f\x01", "byte 1 begins no field"),
        (b"\x0b" * 200 + b"\x0c" * 200, "the value is nested deeper than 128"),
    ],
)
def test_what_is_no_message_is_broken(implementation: Implementation, data: bytes, reason: str) -> None:
    world = World('syntax = "proto3"; message R { int32 a = 1; bytes b = 2; string s = 3; }')
    array, broken = world.decoded(implementation, [FRAME + b"", FRAME + data])
    assert broken == {1: reason}
    assert array.to_pylist() == [{"a": 0, "b": b"", "s": ""}, None]


def test_only_the_message_that_is_read_is_taken(implementation: Implementation) -> None:
    nested = "message A { message R { int32 a = 1; } map<string, string> m = 1; } message B {}"
    world = World(f'syntax = "proto3"; {nested}', "A.R")
    assert world.indexes == (0, 0)
    good = frame(1) + b"\x04\x00\x00" + b"\x08\x05"
    others = [b"\0", b"\x02\x00", b"\x02\x02", b"\x04\x00\x02", b"\x06\0\0\0", b"\x04\x00", b"", b"\xff" * 11]
    array, broken = world.decoded(implementation, [good, *(frame(1) + each for each in others)])
    assert array.to_pylist() == [{"a": 5}, *[None] * len(others)]
    other = "the value is another message of its schema"
    assert [broken[at] for at in range(1, 6)] == [other] * 5
    assert sorted(broken) == list(range(1, 9))


def test_a_message_within_itself_is_kept_as_its_encoding(implementation: Implementation) -> None:
    world = World('syntax = "proto3"; message R { int32 a = 1; repeated R r = 2; map<string, R> m = 3; }')
    message = world.message(a=1)
    message.r.add().a = 2
    message.m["k"].a = 3
    array, broken = world.decoded(implementation, [world.written(message)])
    assert broken == {}
    assert rows_of(array) == [{"a": 1, "r": [b"\x08\x02"], "m": {"k": b"\x08\x03"}}]
    assert world.message.FromString(encode_rows(world.ours, array)[0]) == message


def test_timestamps_are_microseconds_of_all_years(implementation: Implementation) -> None:
    text = """syntax = "proto3";
        import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto";
        message R { google.protobuf.Timestamp t = 1; google.protobuf.Duration d = 2; }"""
    world = World(text)
    rows = [((-62135596800, 0), (-5, -5000)), ((253402300799, 999_999_999), (0, -1)), ((-1, 1000), (5, 9000))]
    messages = []
    for (seconds, nanos), (span, parts) in rows:
        message = world.message()
        message.t.seconds, message.t.nanos, message.d.seconds, message.d.nanos = seconds, nanos, span, parts
        messages.append(message)
    array, broken = world.decoded(implementation, map(world.written, messages))
    assert broken == {}
    moments = array.field("t").cast(pa.int64()).to_pylist()
    assert moments == [-62_135_596_800 * 10**6, 253_402_300_800 * 10**6 - 1, -999_999]
    assert array.field("d").cast(pa.int64()).to_pylist() == [-5_000_005, 0, 5_000_009]
    again = [world.message.FromString(each) for each in encode_rows(world.ours, array) if each is not None]
    assert again[0] == messages[0]
    assert again[2] == messages[2]
    # Nanoseconds below zero, a moment beyond 64 bits, a span whose parts have two signs.
    minus = b"\xff" * 9 + b"\1"
    bad = [b"\x0a\x0b\x10" + minus, b"\x0a\x0a\x08" + b"\xff" * 8 + b"\x7f", b"\x12\x0d\x08\1\x10" + minus]
    _, broken = world.decoded(implementation, [FRAME + each for each in bad])
    assert [broken[at].partition(" at ")[0] for at in range(3)] == ["the number"] * 3


def test_enums_are_names_and_numbers_without_one_are_digits(implementation: Implementation) -> None:
    body = "enum E { A = 0; B = 5; C = 5; }".replace("{", "{ option allow_alias = true;", 1)
    opened = World(f'syntax = "proto3"; message R {{ E e = 1; repeated E r = 2; }} {body}')
    data = b"\x08\x07" + b"\x12\x02\x05\x07"
    array, _ = opened.decoded(implementation, [FRAME + data])
    assert array.to_pylist() == [{"e": "7", "r": ["B", "7"]}]
    assert encode_rows(opened.ours, array) == [data]
    closed = World(f'syntax = "proto2"; message R {{ optional E e = 1; repeated E r = 2; }} {body}')
    array, _ = closed.decoded(implementation, [FRAME + data])
    assert array.to_pylist() == [{"e": None, "r": ["B"]}]


def test_more_than_may_be_held_is_refused(implementation: Implementation) -> None:
    world = scalar("string")
    rows = [FRAME + b"\x0a\x64" + b"x" * 100] * 100
    with pytest.raises(OverflowError, match="too large"):
        world.decoded(implementation, rows, 1000)


def test_a_map_with_entries_that_lack_something(implementation: Implementation) -> None:
    text = """syntax = "proto3"; message R { map<string, I> m = 1; map<int32, E> e = 2; }
        message I { int32 a = 1; } enum E { A = 0; }"""
    array, broken = World(text).decoded(implementation, [FRAME + b"\x0a\0" + b"\x12\0" + b"\x12\x02\x08\x09"])
    assert broken == {}
    assert array.to_pylist() == [{"m": [("", {"a": 0})], "e": [(0, "A"), (9, "A")]}]


@pytest.mark.parametrize("name", KNOWN_TEXTS)
def test_known_files_are_as_everybody_has_them(name: str) -> None:
    module = name.removesuffix(".proto").replace("/", ".") + "_pb2"
    where = "confluent_kafka.schema_registry." if name.startswith("confluent") else ""
    theirs = FileDescriptorProto.FromString(importlib.import_module(where + module).DESCRIPTOR.serialized_pb)
    ours = compiled(KNOWN_TEXTS[name], {})
    for kind in theirs.message_type:
        made = DescriptorProto()
        ours.FindMessageTypeByName(f"{theirs.package}.{kind.name}").CopyToProto(made)
        assert fields_of(made) == fields_of(kind)
    for enum in theirs.enum_type:
        values = ours.FindEnumTypeByName(f"{theirs.package}.{enum.name}").values
        assert [(each.name, each.number) for each in values] == [(v.name, v.number) for v in enum.value]


def fields_of(kind: DescriptorProto) -> object:
    fields = [(each.name, each.number, each.type, each.type_name, each.label) for each in kind.field]
    return sorted(fields, key=lambda each: each[1]), [fields_of(each) for each in kind.nested_type]


# -- What cannot be written


@pytest.mark.parametrize(
    ("fields", "rows", "reason"),
    [
        ("int32 a = 1;", [{"b": 1}], "the Protobuf schema has no b in R"),
        ("int32 a = 1;", [{"a": "x"}], "a: string where the Protobuf schema has int32: cast the column"),
        ("int32 a = 1;", [{"a": 1 << 31}], "R: Integer value 2147483648 not in range"),
        ("uint32 a = 1;", [{"a": -1}], "R: Integer value -1 not in range"),
        ("string a = 1;", [{"a": 1}], "a: int64 where the Protobuf schema has string: cast the column"),
        ("repeated int32 a = 1;", [{"a": 1}], "a: int64 where the Protobuf schema has a repeated field"),
        ("repeated int32 a = 1;", [{"a": [1, None]}], "a: a null in a repeated field"),
        ("map<string, int32> a = 1;", [{"a": [1]}], "where the Protobuf schema has a map"),
        ("oneof o { int32 a = 1; int32 b = 2; }", [{"a": 1, "b": 2}], "two members of the oneof o are there"),
        ("R a = 1;", [{"a": 5}], "a: int64 where the Protobuf schema has the message R"),
        ("enum E { Z = 0; } E a = 1;", [{"a": "Y"}], "'Y' is no name of R.E"),
        ("enum E { Z = 0; } E a = 1;", [{"a": 1.5}], "where the Protobuf schema has the names of R.E"),
        ("bool a = 1;", [{"a": "maybe"}], "cannot be written as R"),
    ],
)
def test_what_a_message_cannot_hold_is_said(fields: str, rows: list[object], reason: str) -> None:
    message = Messages(f'syntax = "proto3"; message R {{ {fields} }}').at((0,))
    with pytest.raises(ValuesError, match=reason):
        encode_rows(message, pa.array(rows))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the schema has no message at"),
        ("message", "the Protobuf schema is none"),
        ("message R { X x = 1; }", "the type X of R is not defined"),
        ("message R { int32 a = 1; int32 b = 1; }", "a number or a name twice"),
        ("message R { int32 a = 0; }", "a number that no field can have"),
        ("message R { int32 a = 536870912; }", "a number that no field can have"),
    ],
)
def test_what_is_no_schema_is_refused(text: str, reason: str) -> None:
    for _ in range(2):  # schemas are kept
        with pytest.raises(ValuesError, match=reason):
            messages_of(f'syntax = "proto3"; {text}', {}).at((0,))


def test_a_schema_with_too_many_columns_is_refused() -> None:
    names = [f"M{at}" for at in range(12)]
    text = ['syntax = "proto3";', "message M12 { int32 a = 1; }"]
    for at, name in enumerate(names):
        text.append(f"message {name} {{ M{at + 1} a = 1; M{at + 1} b = 2; M{at + 1} c = 3; }}")
    with pytest.raises(ValuesError, match="more than 10000 columns"):
        World("\n".join(text), "M0").program(plain)


def test_messages_in_one_another_deeper_than_python_goes_are_refused() -> None:
    text = ['syntax = "proto3";', *(f"message M{at} {{ M{at + 1} a = 1; }}" for at in range(3000))]
    with pytest.raises(ValuesError, match="too deep"):
        Messages("\n".join([*text, "message M3000 {}"])).at((0,))
