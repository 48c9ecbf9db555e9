"""Expressions as trees: how they are built, walked, printed, and bound to a schema."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from ottla.streams.expressions.arrow_types import from_arrow, to_arrow
from ottla.streams.expressions.errors import ExpressionError, ExpressionTypeError, UnknownColumnError
from ottla.streams.expressions.functions import call, col, key, lit, timestamp, when
from ottla.streams.expressions.inference import Schema, bind, infer
from ottla.streams.expressions.nodes import Call, Cast, Column, Expression, Literal
from ottla.streams.expressions.types import TEXT, parse_type

SCHEMA = Schema(
    value=from_arrow(
        pa.schema(
            {
                "amount": pa.int32(),
                "price": pa.float64(),
                "cost": pa.decimal128(10, 2),
                "user": pa.struct({"name": pa.string(), "tags": pa.list_(pa.string())}),
                "at": pa.timestamp("ms", "Europe/Berlin"),
                "extra": pa.map_(pa.string(), pa.int64()),
            }
        )
    ),
    key=TEXT,
)


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        (col("amount") + 1, "integer"),
        (col("amount") / 2, "double"),
        (col("amount") * col("price"), "double"),
        (col("cost") + col("cost"), "decimal(11, 2)"),
        (col("cost") * col("amount"), "decimal(30, 2)"),
        (col("user.name").lower(), "text"),
        (col("user.tags").item(0), "text"),
        (col("at") - timestamp(), "duration"),
        (col("amount") > Decimal("1.5"), "boolean"),
        (when(col("amount") > 1, col("amount")).otherwise(col("price")), "double"),
        (when(col("amount") > 1, "a"), "text"),
        (key(), "text"),
        (lit({"a": col("amount"), "b": None}), "struct<a integer, b null>"),
        (col("extra"), "any"),
        (col("user"), "struct<name text, tags list<text>>"),
        (col("user.name").cast("decimal(5,1)"), "decimal(5, 1)"),
    ],
    ids=str,
)
def test_type(expression: Expression, kind: str) -> None:
    assert str(infer(expression, SCHEMA)) == kind


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        (col("amuont") > 1, "there is no column 'amuont' in the value: did you mean 'amount'?"),
        (col("user.nmae"), "there is no column 'nmae' in user: did you mean 'name'?"),
        (col("zzz"), "there is no column 'zzz' in the value: there is amount, price, cost, user, at, extra"),
    ],
    ids=str,
)
def test_a_column_that_is_not_there(expression: Expression, what: str) -> None:
    with pytest.raises(UnknownColumnError) as raised:
        bind(expression, SCHEMA)
    assert str(raised.value) == what


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        (col("user.name") > 1, "user.name > 1: text and integer cannot be compared"),
        (col("amount") + col("user.name"), r"amount \+ user.name: not defined for integer and text"),
        (col("amount") & (col("price") > 1), "integer in place of boolean"),
        (
            col("amount.x"),
            "amount is integer and has no fields",
        ),
        (col("price") // 2, "not defined for double and integer"),
        (col("amount").lower(), r"lower\(amount\): integer in place of text"),
        (col("at").cast("integer"), "timestamp cannot be cast to integer"),
        (when(col("amount") > 1, 1).otherwise("a"), "integer and text have nothing in common"),
        (call("lowre", col("amount")), "there is no function 'lowre': did you mean 'lower'?"),
        (call("lower"), "takes 1 arguments, not 0"),
        (col("user.name").matches("("), "is no regular expression"),
        (col("user.name").like("a\\"), "ends with its escape"),
        (col("at").hour("Mars/Olympus"), "there is no time zone 'Mars/Olympus'"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_before_there_is_a_record(expression: Expression, what: str) -> None:
    with pytest.raises(ExpressionError, match=what):
        bind(expression, SCHEMA)


def test_numbers_that_meet_are_cast() -> None:
    bound = bind(col("amount").coalesce(col("price")), SCHEMA)

    assert str(bound.expression) == "coalesce(CAST(amount AS double), price)"
    assert str(bind(col("amount").coalesce(col("price"))).expression) == "coalesce(amount, price)"


def test_the_tree_is_walked() -> None:
    expression = when(col("a") > 1, col("b.c").cast("text")).otherwise(None)

    names = [node.path for node in expression.walk() if isinstance(node, Column)]
    assert names == [("a",), ("b", "c")]


def test_how_it_is_shown() -> None:
    expression = ~((col("a") + 1) * 2 >= 3) | col("s").is_in(["it's", None]) & col("b").is_null()

    assert str(expression) == "(NOT (((a + 1) * 2) >= 3)) OR ((s IN ('it''s', NULL)) AND (b IS NULL))"
    assert isinstance(expression, Call)
    assert isinstance(col("a").try_cast("int"), Cast)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: bool(col("a") > 1),
        lambda: 1 < col("a") < 3,
        lambda: col(""),
        lambda: col("a..b"),
        lambda: col("a").cast("integr"),
        lambda: col("a").cast("decimal(39, 2)"),
        lambda: col("a").like("x", ""),
        lambda: Literal(object()),
    ],
)
def test_what_is_no_expression(wrong: object) -> None:
    with pytest.raises(ExpressionError):
        wrong()  # type: ignore[operator]


def test_types_are_named_and_have_arrow_twins() -> None:
    for name in (
        "boolean",
        "integer",
        "double",
        "decimal(10, 2)",
        "text",
        "bytes",
        "timestamp",
        "date",
        "time",
    ):
        kind = parse_type(name)
        assert str(kind) == name
        assert from_arrow(to_arrow(kind)) == kind
    with pytest.raises(ExpressionTypeError):
        to_arrow(infer(col("a")))
