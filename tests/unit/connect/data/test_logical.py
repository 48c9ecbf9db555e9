"""Decimal, Date, Time and Timestamp as bytes and integers, and back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.connect.data import DATE, TIME, TIMESTAMP, Schema, Type, Value, decimal_schema
from ottla.connect.data.logical import (
    LOGICAL_TYPES,
    bytes_to_integer,
    date_from_days,
    decimal_from_bytes,
    decimal_to_bytes,
    integer_to_bytes,
    scale_of,
    time_from_millis,
    timestamp_from_millis,
)
from ottla.connect.data.schema import DECIMAL_NAME
from ottla.connect.errors import DataError


@given(st.integers())
def test_integers_are_as_few_bytes_as_it_takes(value: int) -> None:
    data = integer_to_bytes(value)
    assert bytes_to_integer(data) == value
    if len(data) > 1:
        assert int.from_bytes(data[1:], "big", signed=True) != value


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_decimals_come_back_digit_for_digit(value: Decimal) -> None:
    scale = -int(value.as_tuple().exponent)
    schema = decimal_schema(scale)
    back = decimal_from_bytes(schema, decimal_to_bytes(schema, value))
    assert back.as_tuple().exponent == value.as_tuple().exponent
    assert back == value


def test_a_long_decimal_is_exact() -> None:
    value = Decimal("-" + "123456789" * 600 + ".25")
    schema = decimal_schema(2)
    assert decimal_from_bytes(schema, decimal_to_bytes(schema, value)) == value


@given(st.dates(), st.times(), st.datetimes(timezones=st.just(dt.UTC)))
def test_times_come_back(date: dt.date, time: dt.time, timestamp: dt.datetime) -> None:
    for schema, value in ((DATE, date), (TIME, time), (TIMESTAMP, timestamp)):
        logical = LOGICAL_TYPES[schema.name or ""]
        back = logical.from_base(schema, logical.to_base(schema, value))
        if isinstance(value, dt.time | dt.datetime):
            value = value.replace(microsecond=value.microsecond // 1000 * 1000)
        assert back == value


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (decimal_schema(1), Decimal("1.00"), "Schema has scale 1, value has scale 2."),
        (Schema(Type.BYTES, name=DECIMAL_NAME), Decimal(1), "scale parameter not found"),
        (
            Schema(Type.BYTES, name=DECIMAL_NAME, parameters={"scale": "x"}),
            Decimal(1),
            "Invalid scale parameter",
        ),
        (decimal_schema(0), Decimal("NaN"), "no number"),
        (DATE, dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "no value of a Date"),
        (TIME, 1, "no value of a Time"),
        (TIMESTAMP, dt.datetime(2024, 1, 1), "no value of a Timestamp"),
    ],
)
def test_what_cannot_be_written_is_named(schema: Schema, value: Value, text: str) -> None:
    with pytest.raises(DataError, match=text):
        LOGICAL_TYPES[schema.name or ""].to_base(schema, value)


def test_what_cannot_be_read_is_named() -> None:
    with pytest.raises(DataError, match="Zero length BigInteger"):
        decimal_from_bytes(decimal_schema(0), b"")
    for millis in (-1, 86_400_000):
        with pytest.raises(DataError, match="less than 86400000"):
            time_from_millis(millis)
    for far in (-(2**31), 2**31 - 1, 10**30):
        with pytest.raises(DataError, match="no date"):
            date_from_days(far)
    for far in (-(2**63), 2**63 - 1):
        with pytest.raises(DataError, match="no time"):
            timestamp_from_millis(far)
    assert scale_of(decimal_schema(-3)) == -3
