"""Hostile values and programs: both implementations say the same, and C stays in its memory.

`./dev sanitize` runs this against a library that notices the latter. With `--full` it takes minutes.
"""

from __future__ import annotations

import json
import os
import random
from array import array
from typing import Any

import pytest
from tests.unit.client.values.programs.avro_world import decoded, written
from tests.unit.client.values.programs.protobuf_world import World, random_message

from ottla.client.columns.binary import BinaryColumn
from ottla.client.values.avro.places import place_of
from ottla.client.values.avro.resolution import compile_reading
from ottla.client.values.avro.schema import parse
from ottla.client.values.programs import plain
from ottla.client.values.programs.builder import ProgramBuilder
from ottla.client.values.programs.implementation import Implementation
from ottla.client.values.programs.layout import Layout
from ottla.client.values.programs.ops import ColumnKind, Op
from ottla.client.values.registry import frame

LENGTHS = (b"\xff" * 9 + b"\1", b"\x80" * 11, b"\xfe\xff\xff\xff\x0f", b"\0")

pytestmark = pytest.mark.slow

ROUNDS = 400
FULL_ROUNDS = 50_000

MAP: Any = {"type": "map", "values": ["string", "int", "null"]}
SCHEMA: Any = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "i", "type": "int"},
        {"name": "l", "type": ["null", "long"]},
        {"name": "s", "type": "string"},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}},
        {
            "name": "a",
            "type": {"type": "array", "items": {"type": "map", "values": ["string", "int", "null"]}},
        },
        {"name": "f", "type": {"type": "fixed", "name": "F", "size": 3}},
        {"name": "t", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "b", "type": "boolean"},
        {"name": "r", "type": ["null", "R"]},
        {"name": "x", "type": "double"},
    ],
}
PLAIN: Any = {
    **SCHEMA,
    "fields": [{**each, "type": "bytes"} if each["name"] == "d" else each for each in SCHEMA["fields"]],
}
READER: Any = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "l", "type": "double"},
        {"name": "a", "type": {"type": "array", "items": {"type": "map", "values": ["null", "string"]}}},
        {"name": "new", "type": {"type": "array", "items": "string"}, "default": ["x", "y"]},
        {"name": "i", "type": ["null", "long", "string"]},
    ],
}


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    return FULL_ROUNDS if request.config.getoption("--full") else ROUNDS


@pytest.fixture
def chance() -> random.Random:
    return random.Random(int(os.environ.get("OTTLA_FUZZ_SEED", "1")))


def _row(chance: random.Random, depth: int = 2) -> dict[str, Any]:
    return {
        "i": chance.choice((0, -1, 1 << 30)),
        "l": chance.choice((None, 5, -(1 << 62))),
        "s": chance.choice(("", "text", "é" * 9)),
        "e": chance.choice("AB"),
        "d": b"\x01",
        "a": [{"k": chance.choice(("v", 3, None))} for _ in range(chance.randrange(3))],
        "f": b"abc",
        "t": 5,
        "b": True,
        "r": _row(chance, depth - 1) if depth and chance.random() < 0.5 else None,
        "x": 1.5,
    }


def _spoilt(chance: random.Random, data: bytes) -> bytes:
    raw = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        if not raw:
            break
        at = chance.randrange(len(raw))
        match chance.randrange(4):
            case 0:
                raw[at] = chance.randrange(256)
            case 1:
                del raw[at : at + chance.randrange(1, 9)]
            case 2:
                raw[at:at] = chance.choice(
                    (b"\xff" * 9 + b"\1", b"\x80" * 11, b"\xfe\xff\xff\xff\x0f", b"\0")
                )
            case _:
                raw[at] ^= 1 << chance.randrange(8)
    return bytes(raw)


def test_spoilt_avro_is_the_same_to_both(
    compiled: Implementation, chance: random.Random, rounds: int
) -> None:
    for _ in range(rounds):
        rows: list[bytes | None] = [
            None if chance.random() < 0.1 else frame(1) + _spoilt(chance, written(PLAIN, _row(chance)))
            for _ in range(8)
        ]
        for reader in (SCHEMA, READER):
            ours, broken = decoded(compiled, reader, {1: SCHEMA}, rows)
            theirs, expected = decoded(plain, reader, {1: SCHEMA}, rows)
            assert str(ours.to_pylist()) == str(theirs.to_pylist())  # where NaN is the same as NaN
            assert broken == expected


PROTOBUF = """
    syntax = "proto3";
    import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto";
    import "google/protobuf/wrappers.proto";
    message R {
      int32 a = 1; sint64 b = 2; repeated fixed32 c = 3; string d = 4; E e = 5; repeated E f = 6;
      map<string, I> h = 8; I i = 9; oneof o { I j = 10; bytes k = 11; bool l = 12; }
      google.protobuf.Timestamp m = 13; google.protobuf.Duration n = 14; google.protobuf.StringValue p = 15;
      repeated I q = 16; optional double r = 17; map<int64, E> s = 100;
      message I { int32 a = 1; repeated string c = 3; google.protobuf.BoolValue d = 4; }
    }
    enum E { A = 0; B = 1; }
"""


@pytest.fixture(scope="module")
def world() -> World:
    return World(PROTOBUF)


def test_spoilt_protobuf_is_the_same_to_both(
    compiled: Implementation, chance: random.Random, rounds: int, world: World
) -> None:
    for _ in range(rounds):
        rows: list[bytes | None] = []
        for _ in range(8):
            parts = [random_message(chance, world.message()).SerializeToString() for _ in range(2)]
            payload = b"".join(parts[: chance.randrange(1, 3)])
            rows.append(None if chance.random() < 0.1 else frame(1) + _spoilt(chance, b"\0" + payload))
        ours, broken = world.decoded(compiled, rows)
        theirs, expected = world.decoded(plain, rows)
        assert str(ours.to_pylist()) == str(theirs.to_pylist())  # where NaN is the same as NaN
        assert broken == expected


@pytest.mark.parametrize("is_protobuf", [False, True])
def test_no_program_leaves_its_memory(
    compiled: Implementation, chance: random.Random, rounds: int, world: World, is_protobuf: bool
) -> None:
    """Words at random, and sound programs in which some are changed: refused, or run to some end."""
    if is_protobuf:
        rows = [world.written(random_message(chance, world.message())) for _ in range(5)]
        _, layout, program = world.program(plain)
        sound, entry, constants, slots = program.words, program.entry, program.constants, program.slots
    else:
        rows = [frame(1) + written(PLAIN, _row(chance)) for _ in range(5)]
        layout, sound, entry, constants = _sound_program()
        slots = 3
    values = BinaryColumn.of([*rows, *(frame(1) + chance.randbytes(each) for each in (0, 1, 7, 300)), None])
    accepted = 0
    for index in range(rounds * 10):
        if index % 2:
            words, start = array("i", sound), entry
            for _ in range(chance.choice((1, 1, 2, 3))):
                words[chance.randrange(len(words))] = chance.choice((-1, 0, 1, 2, chance.randrange(300)))
        else:
            words, start = _words(chance), 0
        chosen = layout if index % 2 else _layout(chance)
        indexes = chance.choice((None, None, array("i", [0]).tobytes()))
        try:
            program = compiled.Program(words.tobytes(), start, constants, chosen, slots, indexes)
        except ValueError:
            continue
        accepted += 1
        try:
            compiled.decode(chosen, {1: program}, values.raw, None, 1 << 20)
        except (ValueError, OverflowError):
            continue
    assert accepted > rounds / 2


def _sound_program() -> tuple[bytes, Any, int, list[bytes]]:
    layout = Layout()
    place = place_of(parse(json.dumps(READER)), layout)
    builder = ProgramBuilder()
    entry = compile_reading(parse(json.dumps(SCHEMA)), place, builder)
    made = builder.program(entry, layout.words(), implementation=plain)
    return layout.words(), made.words, entry, made.constants


def _words(chance: random.Random) -> Any:
    words, starts = array("i"), [0]
    for _ in range(chance.randrange(1, 12)):
        starts.append(len(words))
        words.append(chance.choice(tuple(Op)))
        for _ in range(chance.randrange(5)):
            words.append(chance.choice((-1, 0, 1, 2, *starts)))
    return words


def _layout(chance: random.Random) -> bytes:
    words = array("i")

    def add(depth: int) -> None:
        at = len(words)
        kind = chance.choice(tuple(ColumnKind) if depth else (ColumnKind.BINARY, ColumnKind.FIXED))
        words.extend((kind, chance.choice((4, 8, 16)), 0))
        if kind == ColumnKind.LIST:
            add(depth - 1)
        elif kind == ColumnKind.STRUCT:
            for _ in range(chance.randrange(4)):
                add(depth - 1)
        words[at + 2] = len(words) // 3

    add(3)
    return words.tobytes()


@pytest.mark.parametrize(
    "words",
    [[], [1], [2], [5, 0, 9], [4, 0, 2, 1, 0, 1], [4, 0, 1], [0, 0, 1, 0, 0, 1], [2, 0, 1]],
)
def test_no_layout_that_is_none_is_taken(compiled: Implementation, words: list[int]) -> None:
    with pytest.raises(ValueError, match="layout"):
        compiled.decode(array("i", words).tobytes(), {}, BinaryColumn.of([None]).raw, None, 1000)


def test_columns_that_lie_are_refused(compiled: Implementation) -> None:
    layout = array("i", (ColumnKind.NULL, 0, 1)).tobytes()
    offsets = memoryview(array("i", [0, 5]))
    for column in ((offsets, b"abc", None, 0, 1), (offsets, b"abcde", None, 0, 2), (offsets, b"", b"", 0, 1)):
        with pytest.raises(ValueError, match="column"):
            compiled.decode(layout, {}, column, None, 1000)
    with pytest.raises(ValueError, match="column"):
        compiled.decode(layout, {}, (offsets, b"abcde", None, 0, 1), memoryview(b"abc"), 1000)
