"""Numbers as Java has them: of a fixed width, and printed as Connect prints them."""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from typing import Final

from ottla.connect.data.schema import RANGES, Type

__all__ = ["double_text", "float_text", "to_float32", "to_integer", "wrap"]

_FLOAT: Final = struct.Struct("<f")


def wrap(value: int, kind: Type) -> int:
    """The low bits of `value` as an integer of this type, as Java's casts give it."""
    size = RANGES[kind].stop * 2
    return (value + size // 2) % size - size // 2


def to_integer(value: float | Decimal, kind: Type) -> int:
    """Without its fraction: of a decimal the low bits; a float is held to the range, and NaN is 0."""
    if isinstance(value, Decimal):
        return wrap(int(value), kind)
    if math.isnan(value):
        return 0
    held_to = RANGES[Type.INT64 if kind is Type.INT64 else Type.INT32]
    if math.isinf(value):
        whole = held_to[-1] if value > 0 else held_to[0]
    else:
        whole = min(max(int(value), held_to[0]), held_to[-1])
    return wrap(whole, kind)


def to_float32(value: float | Decimal) -> float:
    """The nearest number that four bytes can hold; infinite beyond them."""
    try:
        number = float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    try:
        return float(_FLOAT.unpack(_FLOAT.pack(number))[0])
    except OverflowError:
        return math.copysign(math.inf, number)


def double_text(value: float) -> str:
    """As Java prints a double: `1.0`, `1.0E10`, `NaN`, `-Infinity`."""
    return _text(value, repr(value))


def float_text(value: float) -> str:
    """As Java prints a float: the fewest digits that tell it from its neighbours."""
    if not math.isfinite(value):
        return _text(value, "")
    single = to_float32(value)
    shortest = next(
        text for precision in range(9) if to_float32(float(text := f"{single:.{precision}e}")) == single
    )
    return _text(single, shortest)


def _text(value: float, shortest: str) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0.0" if math.copysign(1, value) < 0 else "0.0"
    sign, digits, exponent = Decimal(shortest).normalize().as_tuple()
    assert isinstance(exponent, int)  # it is finite
    text = "".join(map(str, digits))
    point = len(text) + exponent
    if -3 < point <= 7:
        whole = text[:point].ljust(point, "0") if point > 0 else "0"
        fraction = text[point:] if point > 0 else "0" * -point + text
        body = f"{whole}.{fraction or '0'}"
    else:
        body = f"{text[0]}.{text[1:] or '0'}E{point - 1}"
    return ("-" if sign else "") + body
