"""What is kept of a group, and how parts of it become one."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.streams.expressions.aggregates import Aggregates
from ottla.streams.expressions.arrow_types import from_arrow
from ottla.streams.expressions.errors import ExpressionError
from ottla.streams.expressions.functions import col, count, timestamp
from ottla.streams.expressions.inference import Schema
from ottla.streams.expressions.nodes import Aggregate
from ottla.streams.records import Record

ALL = {
    "n": count(),
    "known": col("x").count(),
    "sum": col("x").sum(),
    "min": col("x").min(),
    "max": col("x").max(),
    "mean": col("x").mean(),
    "first": col("x").first(),
    "last": col("x").last(),
    "list": col("x").collect_list(),
    "set": col("x").collect_set(),
}


def _added(aggregates: Aggregates, values: list[Any]) -> dict[str, Any]:
    state = aggregates.initial()
    for each in values:
        state = aggregates.add(Record("k", {"x": each}, 0), None, state)
    return state


def test_results() -> None:
    aggregates = Aggregates(ALL)

    assert aggregates.result(_added(aggregates, [3, None, 1, 3])) == {
        "n": 4,
        "known": 3,
        "sum": 7,
        "min": 1,
        "max": 3,
        "mean": 7 / 3,
        "first": 3,
        "last": 3,
        "list": [3, 1, 3],
        "set": [3, 1],
    }


def test_nothing_but_nulls() -> None:
    aggregates = Aggregates(ALL)

    assert aggregates.result(_added(aggregates, [None])) == {
        **dict.fromkeys(ALL),
        "n": 1,
        "known": 0,
        "list": [],
        "set": [],
    }


@given(st.lists(st.none() | st.integers(-5, 5)), st.lists(st.none() | st.integers(-5, 5)))
def test_parts_are_merged_to_the_whole(left: list[int | None], right: list[int | None]) -> None:
    aggregates = Aggregates(ALL)

    merged = aggregates.merge(_added(aggregates, left), _added(aggregates, right))

    assert merged == _added(aggregates, left + right)


@given(st.lists(st.none() | st.integers(-5, 5)), st.none() | st.integers(-5, 5))
def test_what_was_added_is_taken_back(values: list[int | None], more: int | None) -> None:
    aggregates = Aggregates(
        {"n": count(), "sum": col("x").sum(), "mean": col("x").mean(), "all": col("x").collect_list()}
    )
    before = _added(aggregates, values)
    record = Record("k", {"x": more}, 0)

    after = aggregates.subtract(record, None, aggregates.add(record, None, before))

    # A sum from which all was taken back is 0, since it does not know that nothing is left.
    assert {**after, "sum": after["sum"] or 0} == {**before, "sum": before["sum"] or 0}
    assert aggregates.irreversible == []
    assert Aggregates({"a": col("x").min(), "b": count()}).irreversible == ["min(x)"]


def test_states_are_not_changed_in_place() -> None:
    aggregates = Aggregates(ALL)
    first = _added(aggregates, [1])
    shown = repr(first)

    aggregates.add(Record("k", {"x": 2}, 0), None, first)

    assert repr(first) == shown


def test_nan_is_the_greatest() -> None:
    aggregates = Aggregates({"min": col("x").min(), "max": col("x").max()})

    assert _added(aggregates, [math.nan, 1.0])["min"] == 1.0
    assert math.isnan(_added(aggregates, [1.0, math.nan, 2.0])["max"])
    assert math.isnan(_added(aggregates, [math.nan])["min"])


def test_a_sum_is_exact_or_an_error() -> None:
    aggregates = Aggregates({"sum": col("x").sum()})

    assert _added(aggregates, [Decimal("0.10"), Decimal("0.2")]) == {"sum": Decimal("0.30")}
    assert _added(aggregates, [timedelta(1), timedelta(2)]) == {"sum": timedelta(3)}
    with pytest.raises(
        ExpressionError, match=r"sum\(x\): 9223372036854775808 does not fit in 64 bits \(x = 1\)"
    ):
        _added(aggregates, [2**63 - 1, 1])
    with pytest.raises(ExpressionError, match=r"sum\(x\): text has no sum"):
        _added(aggregates, ["a"])


def test_a_collection_has_a_limit() -> None:
    aggregates = Aggregates({"list": col("x").collect_list(2), "set": col("x").collect_set(2)})

    assert _added(aggregates, [1, 1, 2, 3]) == {"list": [1, 1], "set": [1, 2]}
    with pytest.raises(ExpressionError, match="at most 0"):
        Aggregates({"list": col("x").collect_list(0)})


def test_types_are_known_from_the_schema() -> None:
    schema = Schema(from_arrow(pa.schema({"x": pa.int32(), "m": pa.decimal128(9, 2), "s": pa.string()})))
    aggregates = Aggregates(
        {
            "n": count(),
            "s": col("x").sum(),
            "m": col("m").sum(),
            "a": col("x").mean(),
            "l": timestamp().last(),
        },
        schema,
    )

    assert str(aggregates.type) == "struct<n integer, s integer, m decimal(38, 2), a double, l timestamp>"
    assert not aggregates.is_plain
    with pytest.raises(ExpressionError, match="text has no sum"):
        Aggregates({"s": col("s").sum()}, schema)
    with pytest.raises(ExpressionError, match="no column 'y'"):
        Aggregates({"s": col("y").sum()}, schema)


def test_what_is_no_aggregate() -> None:
    with pytest.raises(ExpressionError, match="did you mean 'count'"):
        Aggregates({"n": Aggregate("cuont", col("x"))})
    with pytest.raises(ExpressionError, match="nothing to aggregate"):
        Aggregates({})
    with pytest.raises(ExpressionError, match="n is <x>, and no aggregate"):
        Aggregates({"n": col("x")})  # type: ignore[dict-item]
