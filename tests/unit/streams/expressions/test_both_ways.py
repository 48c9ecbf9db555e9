"""What Arrow's kernels say is what is said of each record: over all types, nulls and missing fields."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from tests.unit.streams.expressions.arrow_rows import ROWS, SCHEMA, STRUCT, ArrowRows, expressions

from ottla.streams.expressions.arrow import evaluate, evaluate_filter
from ottla.streams.expressions.errors import ExpressionError, NotColumnar
from ottla.streams.expressions.functions import call, col, lit, when
from ottla.streams.expressions.inference import bind
from ottla.streams.expressions.nodes import Expression
from ottla.streams.expressions.row import compile_row


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        return left == right and left.as_tuple().exponent == right.as_tuple().exponent
    return type(left) is type(right) and bool(left == right)


def test_columns_say_what_records_say(request: pytest.FixtureRequest) -> None:
    @settings(
        max_examples=1000 if request.config.getoption("--full") else 300,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(expressions(), ROWS)
    def check(expression: Expression, rows: ArrowRows) -> None:
        try:
            bound = bind(expression, SCHEMA)
        except ExpressionError:
            assume(False)
        try:
            column = evaluate(bound, rows).to_pylist()
        except NotColumnar:
            return
        evaluator = compile_row(bound.expression)
        for record, found in zip(rows.records(), column, strict=True):
            expected = evaluator(record, None)
            assert _same(found, expected), f"{expression}: {found!r} in columns, {expected!r} for {record}"

    check()


_ROWS = ArrowRows(
    pa.array(
        [
            {"i": 7, "d": 0.5, "s": "Ab1", "t": "x", "p": True, "m": Decimal("1.25"), "in": {"x": 1}},
            {"i": -7, "d": math.nan, "s": "", "t": "%", "p": None, "m": None, "in": None},
            None,
            {"i": None, "d": -math.inf, "s": None, "p": False, "m": Decimal("-3.00"), "in": {"y": "z"}},
        ],
        STRUCT,
    ),
    [0, 1_700_000_000_123, -1, 5],
)


@pytest.mark.parametrize(
    "expression",
    [
        (col("i") > 5) & (col("d") <= 1) | col("p"),
        col("i") + col("j").coalesce(1) * 3 - (-col("i")),
        col("i") // 2,
        col("i") % -4,
        col("i") / 0,
        col("i") + col("d"),
        col("m") + col("m") * 2,
        col("m") > 1,
        call("concat", col("s").lower(), "!", col("t")),
        col("s").substring(2, 1),
        col("s").like("A_%"),
        col("s").matches("[0-9]"),
        col("s").is_in(["Ab1", None]),
        col("i").is_in([7, 8]),
        col("d").is_in([0.5, math.nan]),
        when(col("i") > 0, "up").when(col("i") < 0, "down").otherwise(col("s")),
        when(col("p"), col("i")).otherwise(col("d")),
        col("in.x").coalesce(col("i")),
        col("in").is_null(),
        col("i").cast("double"),
        col("i").cast("text"),
        lit(-0.0).cast("decimal(12, 3)").cast("double") * 0,
        (-col("m") * 0).cast("double"),
        (-(col("m") - col("m"))).cast("double"),
        call("round", lit(-0.4).cast("decimal(3, 1)"), 0).cast("double"),
        call("ceil", lit(-0.4).cast("decimal(3, 1)")).cast("double"),
        col("at").truncate("hour").coalesce(col("then")),
        lit({"a": col("i"), "b": {"c": col("s")}}),
        call("is_distinct", col("i"), None),
        lit(None) > 1,
        lit(3) > 1,
    ],
    ids=str,
)
def test_what_is_common_needs_no_row(expression: Expression) -> None:
    bound = bind(expression, SCHEMA)
    evaluator = compile_row(bound.expression)

    column = evaluate(bound, _ROWS).to_pylist()

    expected = [evaluator(record, None) for record in _ROWS.records()]
    assert all(map(_same, column, expected)), (column, expected)


@pytest.mark.parametrize(
    "expression",
    [
        col("i") * (1 << 62),
        col("i") // 0,
        col("s").cast("integer"),
        call("as_timestamp", col("i") * 10**17),
    ],
    ids=str,
)
def test_what_fails_is_left_to_the_rows(expression: Expression) -> None:
    bound = bind(expression, SCHEMA)

    with pytest.raises(NotColumnar):
        evaluate(bound, _ROWS)
    evaluator = compile_row(bound.expression)
    with pytest.raises(ExpressionError, match="i = 7|s = ''|s = 'Ab1'|i . 1000"):
        [evaluator(record, None) for record in _ROWS.records()]


def test_a_filter_is_true_or_not() -> None:
    assert evaluate_filter(bind(col("i") > 0, SCHEMA), _ROWS).to_pylist() == [True, False, False, False]
    assert evaluate_filter(bind(lit(None), SCHEMA), _ROWS).to_pylist() == [False] * 4
    with pytest.raises(NotColumnar, match="not a boolean"):
        evaluate_filter(bind(col("i"), SCHEMA), _ROWS)
