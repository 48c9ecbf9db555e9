"""What expressions mean, one record at a time."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ottla.streams.expressions.errors import ExpressionError, ExpressionTypeError
from ottla.streams.expressions.functions import (
    call,
    coalesce,
    col,
    concat,
    header,
    key,
    lit,
    offset,
    partition,
    timestamp,
    topic,
    value,
    when,
    window_end,
    window_start,
)
from ottla.streams.expressions.inference import bind
from ottla.streams.expressions.nodes import Expression
from ottla.streams.expressions.row import compile_row
from ottla.streams.records import Record, RecordMetadata, Window, Windowed

NOON = datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)
ROW: dict[str, Any] = {
    "a": 7,
    "b": -2,
    "d": 0.5,
    "s": "Ottla",
    "none": None,
    "yes": True,
    "at": NOON,
    "m": Decimal("1.50"),
    "list": [1, 2, 3],
    "in": {"x": {"y": 9}, "with.dot": 1},
    "sum": "a field named as a method",
}


def _value(expression: Expression, row: Any = ROW) -> Any:
    return compile_row(bind(expression).expression)(Record("k", row, 0), None)


def test_an_hour_is_an_hour_where_clocks_are_put_forward() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    winter, summer = datetime(2024, 3, 31, 1, tzinfo=berlin), datetime(2024, 3, 31, 4, tzinfo=berlin)
    row = {"winter": winter, "summer": summer, "took": timedelta(hours=2)}

    assert _value(col("summer") - col("winter"), row) == timedelta(hours=2)
    assert _value(col("winter") + col("took"), row).astimezone(UTC) == summer.astimezone(UTC)
    assert _value(col("took") + col("winter"), row).astimezone(UTC) == summer.astimezone(UTC)
    assert _value(col("summer") - col("took"), row).astimezone(UTC) == winter.astimezone(UTC)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (col("a") + 1, 8),
        (1 - col("a"), -6),
        (col("a") // col("b"), -4),
        (col("a") % col("b"), -1),
        (col("a") / 2, 3.5),
        (col("a") / 0, math.inf),
        (-col("a") / 0, -math.inf),
        (col("a") + col("d"), 7.5),
        (col("m") * 2, Decimal("3.00")),
        (col("m") + col("d"), 2.0),
        (col("s") + "!", "Ottla!"),
        (col("at") - timedelta(hours=1), NOON - timedelta(hours=1)),
        (col("at") - lit(NOON), timedelta(0)),
        (col("d").round(), 0.0),
        (col("b").abs(), 2),
        (col("none") + 1, None),
        (col("missing") > 1, None),
        (col("in.x.y"), 9),
        (col("in.q.y"), None),
        (col(["in", "with.dot"]), 1),
        (col("sum"), "a field named as a method"),
        (value().is_null(), False),
        (col("yes") & col("none"), None),
        (~col("yes") & col("none"), False),
        (col("yes") | col("none"), True),
        (col("none") | col("none"), None),
        (~col("none"), None),
        (col("a").between(7, 9), True),
        (col("a").is_in([1, 7]), True),
        (col("a").is_in([1, None]), None),
        (col("a").is_in([]), False),
        (col("none").is_in([1]), None),
        (col("a").is_in([7.0]), True),
        (col("none").is_null(), True),
        (col("none").is_not_null(), False),
        (col("none").is_distinct_from(None), False),
        (col("none").is_distinct_from(1), True),
        (col("a").is_distinct_from(7), False),
        (coalesce(col("none"), col("a")), 7),
        (call("null_if", col("a"), 7), None),
        (when(col("none"), 1).when(col("yes"), 2).otherwise(3), 2),
        (when(col("none"), 1), None),
        (col("s").lower(), "ottla"),
        (col("s").length(), 5),
        (col("s").substring(2, 3), "ttl"),
        (col("s").substring(0, 2), "O"),
        (col("s").substring(4), "la"),
        (col("s").replace("t", "d"), "Oddla"),
        (concat("<", col("s"), ">"), "<Ottla>"),
        (concat("<", col("none")), None),
        (col("s").starts_with("Ot"), True),
        (col("s").contains("tl"), True),
        (col("s").like("O_t%"), True),
        (lit("50%").like("50\\%"), True),
        (lit("500").like("50\\%"), False),
        (lit("a\nb").like("a_b"), True),
        (col("s").matches("^o"), False),
        (col("s").extract("t(.)a", 1), "l"),
        (call("split_part", lit("a,b"), ",", 2), "b"),
        (call("split_part", lit("a,b"), ",", 3), None),
        (col("list").item(-1), 3),
        (col("list").item(3), None),
        (col("list").length(), 3),
        (col("at").hour(), 12),
        (col("at").hour("Asia/Tokyo"), 21),
        (col("at").weekday(), 4),
        (col("at").truncate("day"), datetime(2024, 2, 29, tzinfo=UTC)),
        (col("at").truncate("week"), datetime(2024, 2, 26, tzinfo=UTC)),
        (col("at").truncate("day", "Asia/Tokyo"), datetime(2024, 2, 28, 15, tzinfo=UTC)),
        (col("at").epoch_ms(), 1_709_209_815_250),
        (lit(1_709_209_815_250).cast("text"), "1709209815250"),
        (call("as_timestamp", 1_709_209_815_250), NOON),
        (lit(" 7").try_cast("integer"), None),
        (lit("+7").cast("integer"), 7),
        (lit("1_0").try_cast("integer"), None),
        (lit(-1.9).cast("integer"), -1),
        (lit(1.005).cast("decimal(5, 2)"), Decimal("1.00")),
        (lit("2024-02-29T13:30:15.25+01:00").cast("timestamp"), NOON),
        (lit("2024-02-29").cast("date"), date(2024, 2, 29)),
        (col("at").cast("text"), "2024-02-29T12:30:15.250000Z"),
        (lit({"n": col("a"), "in": {"s": col("s")}}), {"n": 7, "in": {"s": "Ottla"}}),
        (lit(math.nan) == lit(math.nan), False),
        (call("is_nan", lit(math.nan)), True),
        (lit(2**53 + 1) == lit(float(2**53)), True),
    ],
    ids=str,
)
def test_value(expression: Expression, expected: object) -> None:
    found = _value(expression)

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        (
            col("a") + (2**63 - 1),
            r"a \+ 9223372036854775807: 9223372036854775814 does not fit in 64 bits \(a = 7\)",
        ),
        (lit(-(2**63)) // col("a") * -7 * 9, "does not fit in 64 bits"),
        (-(lit(0) + -(2**63)), "does not fit in 64 bits"),
        (col("a") // 0, r"a // 0: division by zero \(a = 7\)"),
        (col("a") % 0, "division by zero"),
        (col("s").cast("integer"), r"CAST\(s AS integer\): 'Ottla' \(text\) is no integer"),
        (col("m") * Decimal("1" * 37), "does not fit in 38 digits"),
        (lit("2024-02-29").cast("timestamp"), "has no time zone"),
        (lit(math.nan).cast("integer"), "nan .double. is no integer"),
        (col("s").substring(1, -1), "a substring of length -1"),
        (call("as_timestamp", 10**18), "as_timestamp"),
    ],
    ids=str,
)
def test_no_value(expression: Expression, what: str) -> None:
    with pytest.raises(ExpressionError, match=what):
        _value(expression)


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        (col("s") > 1, "s > 1: text and integer have nothing in common .s = 'Ottla'."),
        (col("yes") + col("yes"), r"yes \+ yes: boolean and boolean cannot be added"),
        (col("yes") == 1, "boolean and integer have nothing in common"),
        (col("a") & col("yes"), "7 is integer, not a boolean"),
        (~col("a"), "NOT a: integer is no boolean"),
        (when(col("a"), 1), "not a boolean"),
        (col("s.x"), "s.x: text has no field 'x'"),
        (col("a").lower(), "integer is no text"),
        (col("s").hour(), "text has no hour"),
        (window_start(), "the key has no window"),
    ],
    ids=str,
)
def test_wrong_type(expression: Expression, what: str) -> None:
    with pytest.raises(ExpressionTypeError, match=what):
        _value(expression)


def test_false_and_true_decide_before_the_other_side_is_looked_at() -> None:
    fails = (col("a") // 0) > 1

    assert _value(~col("yes") & fails) is False
    assert _value(col("yes") | fails) is True


def test_what_a_record_has_beside_its_value() -> None:
    record = Record(
        Windowed({"id": 3}, Window(60_000, 120_000)), {}, 1_709_209_815_250, (("h", b"1"), ("h", b"2"))
    )
    where = RecordMetadata("orders", 4, 77)
    expression = lit(
        {
            "id": key("id"),
            "at": timestamp(),
            "from": window_start().epoch_ms(),
            "to": window_end().epoch_ms(),
            "p": partition(),
            "o": offset(),
            "t": topic(),
            "h": header("h"),
            "g": header("g"),
        }
    )

    assert compile_row(expression)(record, where) == {
        "id": 3,
        "at": NOON,
        "from": 60_000,
        "to": 120_000,
        "p": 4,
        "o": 77,
        "t": "orders",
        "h": b"2",
        "g": None,
    }
    assert compile_row(timestamp())(Record(None, None, -1), None) is None
    assert compile_row(offset())(Record(None, None, 0), None) is None


def test_a_tombstone_has_only_nulls() -> None:
    assert _value(col("a"), None) is None
    assert _value(value(), None) is None
