"""Avro values to columns: fastavro writes them, and says what a schema's values are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.client.values.programs.avro_schemas import Case, cases
from tests.unit.client.values.programs.avro_world import decoded, framed, written

from ottla.client.values.interface import ValuesError
from ottla.client.values.programs.implementation import Implementation
from ottla.client.values.registry import frame

ONCE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=120)


def record(*fields: Any, name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


@st.composite
def cases_with_values(draw: st.DrawFn) -> tuple[Case, list[Any]]:
    case = draw(cases())
    return case, draw(st.lists(case.values, max_size=6))


@ONCE
@given(cases_with_values())
def test_any_value_of_any_schema_is_read(
    implementation: Implementation, given: tuple[Case, list[Any]]
) -> None:
    case, values = given
    array, broken = decoded(implementation, case.schema, {1: case.schema}, framed(case.schema, values))
    assert broken == {}
    assert array.to_pylist() == [case.shown(value) for value in values]


def test_nulls_are_rows_and_broken_values_are_null_with_their_reason(implementation: Implementation) -> None:
    schema = record(
        field("a", "long"), field("b", {"type": "array", "items": "string"}), field("c", "double")
    )
    good = frame(1) + written(schema, {"a": 7, "b": ["x", "y"], "c": 0.5})
    rows = [
        good,
        None,
        good[:-1],  # too short, when all but one byte was taken
        good + b"\0",
        b"\0\0",
        b"{" + good,
        frame(9) + good[5:],
        frame(1) + b"\x0e\x02\x04\xff\xff\0",  # no text
        frame(1) + b"\xff" * 10,
        good,
    ]
    array, broken = decoded(implementation, schema, {1: schema}, rows)
    value = {"a": 7, "b": ["x", "y"], "c": 0.5}
    assert array.to_pylist() == [value, *[None] * 8, value]
    assert broken == {
        2: "the value ends too early, at byte 7",
        3: "1 bytes are left over: the value has another schema",
        4: "2 bytes are too few for a schema's id",
        5: "the value begins with byte 123 instead of 0: no schema's id is in front of it",
        6: "the registry has no schema 9",
        7: "the text at byte 3 is not UTF-8",
        8: "byte 0 begins no number of its type",
    }


def test_a_reader_has_its_fields_by_name_alias_and_default(implementation: Implementation) -> None:
    old = record(field("a", "int"), field("gone", {"type": "map", "values": "string"}), field("b", "string"))
    new = record(
        field("c", ["null", "string"], default=None),
        field("renamed", "string", aliases=["b"]),
        field("a", "double"),
        field("d", {"type": "array", "items": "int"}, default=[1, 2]),
        field(
            "e", record(field("x", "long", default=5), field("y", "string"), name="In"), default={"y": "é"}
        ),
    )
    rows = framed(old, [{"a": -3, "gone": {"k": "v"}, "b": "text"}], 1) + framed(
        new,
        [{"c": "now", "renamed": "r", "a": 0.25, "d": [], "e": {"x": 1, "y": "z"}}],
        2,
    )
    array, broken = decoded(implementation, new, {1: old, 2: new}, rows)
    assert broken == {}
    assert array.to_pylist() == [
        {"c": None, "renamed": "text", "a": -3.0, "d": [1, 2], "e": {"x": 5, "y": "é"}},
        {"c": "now", "renamed": "r", "a": 0.25, "d": [], "e": {"x": 1, "y": "z"}},
    ]


@pytest.mark.parametrize(
    ("writer", "reader", "value", "expected"),
    [
        ("int", "long", -5, -5),
        ("int", "float", 16777217, 16777216.0),
        ("int", "double", 7, 7.0),
        ("long", "float", 1 << 40, float(1 << 40)),
        ("long", "double", -1, -1.0),
        ("float", "double", 0.5, 0.5),
        ("string", "bytes", "é", "é".encode()),
        ("bytes", "string", b"ab", "ab"),
        ("int", ["null", "double"], 3, 3.0),
        (["null", "int"], "long", 3, 3),
        (["int", "string"], ["string", "long", "null"], 3, {"string": None, "long": 3}),
        (["int", "string"], ["string", "long", "null"], "x", {"string": "x", "long": None}),
    ],
)
def test_types_are_promoted(
    implementation: Implementation, writer: Any, reader: Any, value: Any, expected: Any
) -> None:
    array, broken = decoded(implementation, reader, {1: writer}, framed(writer, [value]))
    assert (array.to_pylist(), broken) == ([expected], {})


def test_what_cannot_be_resolved_breaks_the_values_that_have_it(implementation: Implementation) -> None:
    writer, reader = record(field("a", ["int", "string"])), record(field("a", "int"))
    array, broken = decoded(
        implementation, reader, {1: writer}, framed(writer, [{"a": 1}, {"a": "x"}, {"a": 2}])
    )
    assert array.to_pylist() == [{"a": 1}, None, {"a": 2}]
    assert broken == {1: "the value is of type string where of type int is read"}
    _, broken = decoded(implementation, record(field("z", "int")), {1: reader}, framed(reader, [{"a": 1}]))
    assert broken == {0: "the value lacks z, which has no default in the schema that is read"}


def test_enums_have_a_default_for_symbols_of_later_writers(implementation: Implementation) -> None:
    writer = {"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}
    reader = {"type": "enum", "name": "E", "symbols": ["C", "A"]}
    rows = framed(writer, ["A", "B", "C"])
    array, broken = decoded(implementation, reader, {1: writer}, rows)
    assert array.to_pylist() == ["A", None, "C"]
    assert broken == {1: "byte 0 begins no symbol of its enum"}
    array, broken = decoded(implementation, {**reader, "default": "C"}, {1: writer}, rows)
    assert (array.to_pylist(), broken) == (["A", "C", "C"], {})


def test_records_within_themselves_keep_their_encoding(implementation: Implementation) -> None:
    schema = record(field("v", "int"), field("next", ["null", "R"]))
    value = {"v": 1, "next": {"v": 2, "next": {"v": 3, "next": None}}}
    rows = framed(schema, [value, {"v": 4, "next": None}])
    array, broken = decoded(implementation, schema, {1: schema}, rows)
    assert broken == {}
    assert array.to_pylist() == [{"v": 1, "next": written(schema, value["next"])}, {"v": 4, "next": None}]
    without = record(field("v", "int"))
    array, broken = decoded(implementation, without, {1: schema}, rows)
    assert (array.to_pylist(), broken) == ([{"v": 1}, {"v": 4}], {})


def test_other_logical_types(implementation: Implementation) -> None:
    duration = {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}
    raw = (7).to_bytes(4, "little") + (8).to_bytes(4, "little") + b"\xff" * 4
    array, _ = decoded(implementation, duration, {1: duration}, [frame(1) + raw])
    assert array.to_pylist() == [{"months": 7, "days": 8, "milliseconds": (1 << 32) - 1}]
    uuid = {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}
    array, _ = decoded(implementation, uuid, {1: uuid}, [frame(1) + bytes(range(16))])
    assert array.to_pylist() == ["00010203-0405-0607-0809-0a0b0c0d0e0f"]
    nanos = {"type": "long", "logicalType": "timestamp-nanos"}
    array, _ = decoded(implementation, nanos, {1: nanos}, framed("long", [1_700_000_000_000_000_001]))
    assert array.cast("int64").to_pylist() == [1_700_000_000_000_000_001]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "int", "logicalType": "time-millis"}, 86_400_000),
        ({"type": "long", "logicalType": "time-micros"}, -1),
    ],
)
def test_times_are_within_a_day(implementation: Implementation, schema: Any, value: int) -> None:
    rows = framed(schema["type"], [value])
    assert decoded(implementation, schema, {1: schema}, rows)[1] == {
        0: "the number at byte 0 is out of the range of its type"
    }


def test_decimals_have_no_more_digits_than_they_say(implementation: Implementation) -> None:
    schema = {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 1}
    rows: list[bytes | None] = [
        frame(1) + raw
        for raw in (
            b"\0",
            b"\x02\x63",
            b"\x02\x64",
            b"\x02\x9d",
            b"\x02\x9c",
            b"\x06\0\0\x63",
            b"\x28" + b"\xff" * 19 + b"\x9d",
            b"\x28\x01" + b"\0" * 19,
        )
    ]
    array, broken = decoded(implementation, schema, {1: schema}, rows)
    assert [None if each is None else str(each) for each in array.to_pylist()] == [
        "0.0",
        "9.9",
        None,
        "-9.9",
        None,
        "9.9",
        "-9.9",
        None,
    ]
    assert list(broken) == [2, 4, 7]


def test_blocks_may_tell_their_size(implementation: Implementation) -> None:
    schema = record(field("a", {"type": "array", "items": "int"}), field("b", "int"))
    rows: list[bytes | None] = [frame(1) + b"\x03\x04\x02\x04\x01\x02\x06\0\x08"]
    assert decoded(implementation, schema, {1: schema}, rows)[0].to_pylist() == [{"a": [1, 2, 3], "b": 4}]
    only_b = record(field("b", "int"))
    assert decoded(implementation, only_b, {1: schema}, rows)[0].to_pylist() == [{"b": 4}]


@pytest.mark.parametrize("count", [b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\xfe\xff\xff\xff\x0f"])
@pytest.mark.parametrize("items", ["null", record(name="Empty")])
def test_items_without_bytes_are_bounded(implementation: Implementation, items: Any, count: bytes) -> None:
    schema = {"type": "array", "items": items}
    for reader in (schema, record()):
        writer = schema if reader is schema else record(field("a", schema))
        _, broken = decoded(implementation, reader, {1: writer}, [frame(1) + count + b"\0"])
        assert broken == {0: "the value asks for far more than its bytes can hold"}


def test_schemas_that_double_with_each_name_end_soon(implementation: Implementation) -> None:
    """Records without a byte, each with two of the one before: 2^60 of them."""
    before: Any = record(name="R0")
    for index in range(1, 60):
        before = record(field("a", before), field("b", f"R{index - 1}"), name=f"R{index}")
    writer = record(field("x", before), field("y", "int"), name="W")
    _, broken = decoded(implementation, record(field("y", "int"), name="W"), {1: writer}, [frame(1) + b"\2"])
    assert broken == {0: "the value asks for far more than its bytes can hold"}
    with pytest.raises(ValuesError, match="more than 10000 columns"):
        decoded(implementation, writer, {}, [])


def test_columns_take_no_more_memory_than_they_may(implementation: Implementation) -> None:
    writer = record(field("a", "null"))
    reader = record(field("a", "null"), field("big", "string", default="x" * 100_000))
    rows = framed(writer, [{"a": None}] * 100)
    array, _ = decoded(implementation, reader, {1: writer}, rows, 20_000_000)
    assert array[99].as_py() == {"a": None, "big": "x" * 100_000}
    with pytest.raises(OverflowError, match="too large"):
        decoded(implementation, reader, {1: writer}, rows, 5_000_000)
