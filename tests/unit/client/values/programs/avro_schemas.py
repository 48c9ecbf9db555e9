"""Any Avro schema, and values of it as fastavro takes them and as Arrow gives them."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from hypothesis import strategies as st

INT = st.integers(-(1 << 31), (1 << 31) - 1)
LONG = st.integers(-(1 << 63), (1 << 63) - 1)
WIDE = decimal.Context(prec=100)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


class Case(NamedTuple):
    """A schema; values as fastavro writes them; and what a column of Arrow shows for such a value."""

    schema: Any
    values: st.SearchStrategy[Any]
    shown: Callable[[Any], Any]


def same(value: Any) -> Any:
    return value


def scalars(name: Callable[[str], str]) -> st.SearchStrategy[Case]:
    moments = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1))
    utc = moments.map(lambda each: each.replace(tzinfo=dt.UTC))

    def millis(each: Any) -> Any:
        return each.replace(microsecond=each.microsecond // 1000 * 1000)

    return st.sampled_from(
        [
            Case("null", st.none(), same),
            Case("boolean", st.booleans(), same),
            Case("int", INT, same),
            Case("long", LONG, same),
            Case("float", st.floats(width=32, allow_nan=False), same),
            Case("double", st.floats(allow_nan=False), same),
            Case("bytes", st.binary(max_size=12), same),
            Case("string", TEXT, same),
            Case({"type": "fixed", "name": name("F"), "size": 5}, st.binary(min_size=5, max_size=5), same),
            Case(
                {"type": "enum", "name": name("E"), "symbols": ["A", "B", "C"]}, st.sampled_from("ABC"), same
            ),
            Case({"type": "int", "logicalType": "date"}, st.dates(), same),
            Case(
                {"type": "int", "logicalType": "time-millis"},
                st.times().map(millis),
                same,
            ),
            Case({"type": "long", "logicalType": "time-micros"}, st.times(), same),
            Case({"type": "long", "logicalType": "timestamp-millis"}, utc.map(millis), same),
            Case({"type": "long", "logicalType": "timestamp-micros"}, utc, same),
            Case({"type": "long", "logicalType": "local-timestamp-millis"}, moments.map(millis), same),
            Case({"type": "long", "logicalType": "local-timestamp-micros"}, moments, same),
            Case({"type": "string", "logicalType": "uuid"}, st.uuids(), str),
            Case(
                {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3},
                st.decimals(-999999, 999999, places=3),
                same,
            ),
            Case(
                {"type": "bytes", "logicalType": "decimal", "precision": 50, "scale": 10},
                st.integers(-(10**50) + 1, 10**50 - 1).map(lambda each: Decimal(each).scaleb(-10, WIDE)),
                same,
            ),
            Case(
                {
                    "type": "fixed",
                    "name": name("D"),
                    "size": 7,
                    "logicalType": "decimal",
                    "precision": 12,
                    "scale": 2,
                },
                st.decimals(-(10**9), 10**9, places=2),
                same,
            ),
        ]
    )


def cases() -> st.SearchStrategy[Case]:
    """Nested up to three deep; names are given in the order in which they come."""

    @st.composite
    def build(draw: st.DrawFn) -> Case:
        count = [0]

        def name(stem: str) -> str:
            count[0] += 1
            return f"{stem}{count[0]}"

        return _any(draw, name, 3)

    return build()


def _any(draw: st.DrawFn, name: Callable[[str], str], depth: int) -> Case:
    kind = draw(st.integers(0, 5)) if depth else 0
    match kind:
        case 1:
            return _array(_any(draw, name, depth - 1))
        case 2:
            return _map(_any(draw, name, depth - 1))
        case 3:
            return _record(name("R"), [_any(draw, name, depth - 1) for _ in range(draw(st.integers(0, 4)))])
        case 4:
            return _optional(draw(scalars(name)), draw(st.booleans()))
        case 5:
            return _choice(draw(st.booleans()))
    return draw(scalars(name))


def _array(item: Case) -> Case:
    return Case(
        {"type": "array", "items": item.schema},
        st.lists(item.values, max_size=4),
        lambda value: [item.shown(each) for each in value],
    )


def _map(item: Case) -> Case:
    return Case(
        {"type": "map", "values": item.schema},
        st.dictionaries(TEXT, item.values, max_size=4),
        lambda value: [(key, item.shown(each)) for key, each in value.items()],
    )


def _record(name: str, fields: list[Case]) -> Case:
    names = [f"f{index}" for index in range(len(fields))]
    return Case(
        {
            "type": "record",
            "name": name,
            "fields": [
                {"name": each, "type": field.schema} for each, field in zip(names, fields, strict=True)
            ],
        },
        st.fixed_dictionaries({each: field.values for each, field in zip(names, fields, strict=True)}),
        lambda value: {each: field.shown(value[each]) for each, field in zip(names, fields, strict=True)},
    )


def _optional(case: Case, is_first: bool) -> Case:
    if case.schema == "null":
        return case
    return Case(
        ["null", case.schema] if is_first else [case.schema, "null"],
        st.none() | case.values,
        lambda value: None if value is None else case.shown(value),
    )


def _choice(has_null: bool) -> Case:
    def shown(value: Any) -> Any:
        if value is None:
            return None
        return {
            "long": value if type(value) is int else None,
            "string": value if type(value) is str else None,
            "boolean": value if type(value) is bool else None,
        }

    values = LONG | TEXT | st.booleans()
    branches = ["long", "string", "boolean"]
    return Case(
        ["null", *branches] if has_null else branches, st.none() | values if has_null else values, shown
    )
