"""What each function does with values that are not null, one record at a time: this is what it means.

Each raises TypeError for values it is not defined for, ValueError or ArithmeticError where it has no result;
`row.py` says at which expression. Integers are 64 bits and exact: what does not fit is an OverflowError.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import re2

from ottla.streams.expressions.types import MAX_DIGITS, MAX_INTEGER, MIN_INTEGER, type_name

__all__ = [
    "OPERATIONS",
    "compare_with",
    "fits",
    "like_pattern",
    "pattern_of",
    "without_sign_of_zero",
    "zone_of",
]

_EXACT: Final = decimal.Context(prec=MAX_DIGITS, traps=[decimal.InvalidOperation, decimal.Rounded])
_ROUNDING: Final = decimal.Context(prec=80)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# Values are of any type here: each function looks at what it was given.
_Value = Any


def fits(number: int) -> int:
    """`number`, where 64 bits hold it."""
    if MIN_INTEGER <= number <= MAX_INTEGER:
        return number
    raise OverflowError(f"{number} does not fit in 64 bits")


def _same(left: _Value, right: _Value) -> tuple[_Value, _Value]:
    """Both as one type where numbers of two meet: a double wins over a decimal, that over an integer."""
    kinds = {type(left), type(right)}
    if kinds == {int, float} or kinds == {float, Decimal}:
        return float(left), float(right)
    if kinds == {int, Decimal}:
        return Decimal(left), Decimal(right)
    if len(kinds) == 1:
        return left, right
    if isinstance(left, datetime) and isinstance(right, datetime):
        return left, right
    raise TypeError(f"{type_name(left)} and {type_name(right)} have nothing in common")


def compare_with(compare: Callable[[_Value, _Value], bool]) -> Callable[[_Value, _Value], bool]:
    """`compare` on values of one type, or numbers."""

    def compared(left: _Value, right: _Value) -> bool:
        if type(left) is not type(right):
            left, right = _same(left, right)
        return compare(left, right)

    return compared


def _arithmetic(
    name: str,
    integers: Callable[[int, int], int],
    doubles: Callable[[float, float], float] | None,
    decimals: Callable[[Decimal, Decimal], Decimal] | None,
    others: Callable[[_Value, _Value], _Value] | None = None,
) -> Callable[[_Value, _Value], _Value]:
    """What is done with two numbers of each type, and with `others`."""

    def applied(left: _Value, right: _Value) -> _Value:
        kind = type(left)
        if kind is not type(right):
            if others is not None and kind not in _NUMBERS:
                return others(left, right)
            left, right = _same(left, right)
            kind = type(left)
        if kind is int:
            number = integers(left, right)
            if MIN_INTEGER <= number <= MAX_INTEGER:
                return number
            raise OverflowError(f"{number} does not fit in 64 bits")
        if kind is float and doubles is not None:
            return doubles(left, right)
        if kind is Decimal and decimals is not None:
            return _exactly(decimals, left, right)
        if others is not None:
            return others(left, right)
        raise TypeError(f"{name} is not defined for {type_name(left)} and {type_name(right)}")

    return applied


_NUMBERS: Final = (int, float, Decimal)


def without_sign_of_zero(value: Decimal) -> Decimal:
    """SQL's decimals, and Arrow's, have one zero; Python's have two."""
    return value or value.copy_abs()


def _exactly(operation: Callable[..., Decimal], *operands: Decimal) -> Decimal:
    try:
        return without_sign_of_zero(operation(*operands))
    except decimal.Rounded:
        raise OverflowError(f"the decimal does not fit in {MAX_DIGITS} digits") from None


def _on_one_clock(time: datetime) -> datetime:
    """Python reckons with what clocks show within a zone, and forgets that they are put forward and back."""
    return time if time.tzinfo is None else time.astimezone(UTC)


def _moved(time: datetime, by: timedelta) -> datetime:
    moved = _on_one_clock(time) + by
    return moved if time.tzinfo is None else moved.astimezone(time.tzinfo)


def _add_others(left: _Value, right: _Value) -> _Value:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, datetime) and isinstance(right, timedelta):
        return _moved(left, right)
    if isinstance(left, timedelta) and isinstance(right, datetime):
        return _moved(right, left)
    if isinstance(left, timedelta) and isinstance(right, timedelta):
        return left + right
    raise TypeError(f"{type_name(left)} and {type_name(right)} cannot be added")


def _subtract_others(left: _Value, right: _Value) -> _Value:
    if isinstance(left, datetime) and isinstance(right, timedelta):
        return _moved(left, -right)
    if isinstance(left, datetime) and isinstance(right, datetime):
        return _on_one_clock(left) - _on_one_clock(right)
    if isinstance(left, timedelta) and isinstance(right, timedelta):
        return left - right
    raise TypeError(f"{type_name(right)} cannot be subtracted from {type_name(left)}")


def _divide(left: _Value, right: _Value) -> float:
    """Of doubles, by IEEE 754: what is divided by zero is infinite or no number."""
    dividend, divisor = _number(left), _number(right)
    if divisor:
        return dividend / divisor
    if not dividend or math.isnan(dividend) or math.isnan(divisor):
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)


def _number(value: _Value) -> float:
    if type(value) not in _NUMBERS:
        raise TypeError(f"{type_name(value)} is no number")
    return float(value)


def _quotient(left: int, right: int) -> int:
    if not right:
        raise ZeroDivisionError("division by zero")
    return left // right


def _modulo(left: int, right: int) -> int:
    if not right:
        raise ZeroDivisionError("division by zero")
    return left % right


def _modulo_doubles(left: float, right: float) -> float:
    return left % right if right and not math.isinf(left) else math.nan


def _negate(value: _Value) -> _Value:
    if type(value) is int:
        return fits(-value)
    if type(value) in (float, Decimal, timedelta):
        return _exactly(_EXACT.minus, value) if type(value) is Decimal else -value
    raise TypeError(f"{type_name(value)} cannot be negated")


def _abs(value: _Value) -> _Value:
    if type(value) is int:
        return fits(abs(value))
    if type(value) in (float, Decimal, timedelta):
        return _exactly(_EXACT.abs, value) if type(value) is Decimal else abs(value)
    raise TypeError(f"{type_name(value)} has no absolute value")


def _rounded(towards: Callable[[float], int], mode: str) -> Callable[[_Value], _Value]:
    def applied(value: _Value) -> _Value:
        if type(value) is float:
            return math.copysign(towards(value), value) if math.isfinite(value) else value
        if type(value) is Decimal:
            return without_sign_of_zero(value.to_integral_value(mode, _ROUNDING))
        if type(value) is int:
            return value
        raise TypeError(f"{type_name(value)} cannot be rounded")

    return applied


def _round_decimal(value: Decimal, digits: int) -> Decimal:
    if digits >= -int(value.as_tuple().exponent):
        return value
    rounded = value.quantize(Decimal(1).scaleb(-digits), decimal.ROUND_HALF_EVEN, _ROUNDING)
    return without_sign_of_zero(rounded) if digits >= 0 else Decimal(int(rounded))


def _round(value: _Value, digits: int) -> _Value:
    if type(value) is float:
        return round(value, digits) if math.isfinite(value) else value
    if type(value) is int:
        return fits(round(value, digits))
    if type(value) is Decimal:
        return _round_decimal(value, digits)
    raise TypeError(f"{type_name(value)} cannot be rounded")


def _sqrt(value: _Value) -> float:
    number = _number(value)
    return math.sqrt(number) if number >= 0 else math.nan


def _is_nan(value: _Value) -> bool:
    return math.isnan(_number(value))


def text(value: _Value) -> str:
    if type(value) is str:
        return value
    raise TypeError(f"{type_name(value)} is no text")


def _length(value: _Value) -> int:
    if isinstance(value, (str, bytes, list, tuple)):
        return len(value)
    raise TypeError(f"{type_name(value)} has no length")


def _substring(value: _Value, start: int, length: int | None = None) -> str:
    """As SQL's: places before the first count for the length."""
    begin = start - 1
    if length is None:
        return text(value)[max(begin, 0) :]
    if length < 0:
        raise ValueError(f"a substring of length {length}")
    return text(value)[max(begin, 0) : max(begin + length, 0)]


def _concat(*values: _Value) -> str:
    return "".join(map(text, values))


def _split_part(value: _Value, separator: str, part: int) -> str | None:
    if not text(separator):
        raise ValueError("a separator is not empty")
    parts = text(value).split(separator)
    return parts[part - 1] if 1 <= part <= len(parts) else None


@lru_cache(maxsize=256)
def pattern_of(pattern: str) -> Any:
    """A regular expression of RE2, which takes linear time. ValueError for one that is none."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None


@lru_cache(maxsize=256)
def like_pattern(pattern: str, escape: str) -> str:
    """The regular expression of a LIKE."""
    made, characters = [], iter(pattern)
    for each in characters:
        if each == escape:
            literal = next(characters, None)
            if literal is None:
                raise ValueError(f"LIKE {pattern!r} ends with its escape")
            made.append(re2.escape(literal))
        else:
            made.append({"%": ".*", "_": "."}.get(each) or re2.escape(each))
    return f"(?s)^{''.join(made)}$"


def _matches(value: _Value, pattern: str) -> bool:
    return pattern_of(pattern).search(text(value)) is not None


def _like(value: _Value, pattern: str, escape: str) -> bool:
    return _matches(value, like_pattern(pattern, escape))


def _extract(value: _Value, pattern: str, group: int) -> str | None:
    compiled = pattern_of(pattern)
    if not 0 <= group <= compiled.groups:
        raise ValueError(f"{pattern!r} has {compiled.groups} groups, no group {group}")
    found = compiled.search(text(value))
    return None if found is None else found.group(group)


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}") from None


def _local(value: _Value, zone: str) -> _Value:
    """A timestamp as clocks show it in `zone`; what has no zone is as it is."""
    if isinstance(value, datetime):
        return value if value.tzinfo is None else value.astimezone(zone_of(zone))
    return value


def _part_of_time(name: str) -> Callable[[_Value, str], int]:
    def applied(value: _Value, zone: str) -> int:
        part: object = getattr(_local(value, zone), name, None)
        if type(part) is not int:
            raise TypeError(f"{type_name(value)} has no {name}")
        return part

    return applied


def _weekday(value: _Value, zone: str) -> int:
    if not isinstance(value, date):
        raise TypeError(f"{type_name(value)} has no weekday")
    day: date = _local(value, zone)
    return day.isoweekday()


_UNITS: Final = ("second", "minute", "hour", "day", "week", "month", "year")


def _truncate(value: _Value, unit: str, zone: str) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"{type_name(value)} cannot be truncated to a {unit}")
    if unit not in _UNITS:
        raise ValueError(f"a timestamp is truncated to a {', '.join(_UNITS)}, not to a {unit}")
    local: datetime = _local(value, zone)
    at = _UNITS.index(unit)
    begin = local.replace(microsecond=0)
    if at >= 1:
        begin = begin.replace(second=0)
    if at >= 2:
        begin = begin.replace(minute=0)
    if at >= 3:
        begin = begin.replace(hour=0, fold=0)
    if unit == "week":
        begin -= timedelta(days=begin.weekday())
    if at >= 5:
        begin = begin.replace(day=1)
    if unit == "year":
        begin = begin.replace(month=1)
    return begin if value.tzinfo is None else begin.astimezone(UTC)


def _epoch_ms(value: _Value) -> int:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TypeError(f"{type_name(value)} is no timestamp")
    return (value - _EPOCH) // _MILLISECOND


def _as_timestamp(value: _Value) -> datetime:
    if type(value) is not int:
        raise TypeError(f"{type_name(value)} is no integer")
    return _EPOCH + timedelta(milliseconds=value)


def _item(value: _Value, index: int) -> _Value:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise TypeError(f"{type_name(value)} has no items")
    return value[index] if -len(value) <= index < len(value) else None


def _negation(value: _Value) -> bool:
    if type(value) is bool:
        return not value
    raise TypeError(f"{type_name(value)} is no boolean")


OPERATIONS: Final[dict[str, Callable[..., _Value]]] = {
    "equal": compare_with(lambda a, b: a == b),
    "not_equal": compare_with(lambda a, b: a != b),
    "less": compare_with(lambda a, b: a < b),
    "less_equal": compare_with(lambda a, b: a <= b),
    "greater": compare_with(lambda a, b: a > b),
    "greater_equal": compare_with(lambda a, b: a >= b),
    "not": _negation,
    "add": _arithmetic("+", lambda a, b: a + b, lambda a, b: a + b, _EXACT.add, _add_others),
    "subtract": _arithmetic("-", lambda a, b: a - b, lambda a, b: a - b, _EXACT.subtract, _subtract_others),
    "multiply": _arithmetic("*", lambda a, b: a * b, lambda a, b: a * b, _EXACT.multiply),
    "divide": _divide,
    "floor_divide": _arithmetic("//", _quotient, None, None),
    "modulo": _arithmetic("%", _modulo, _modulo_doubles, None),
    "negate": _negate,
    "abs": _abs,
    "floor": _rounded(math.floor, decimal.ROUND_FLOOR),
    "ceil": _rounded(math.ceil, decimal.ROUND_CEILING),
    "round": _round,
    "sqrt": _sqrt,
    "is_nan": _is_nan,
    "lower": lambda value: text(value).lower(),
    "upper": lambda value: text(value).upper(),
    "length": _length,
    "trim": lambda value, characters: text(value).strip(characters),
    "trim_start": lambda value, characters: text(value).lstrip(characters),
    "trim_end": lambda value, characters: text(value).rstrip(characters),
    "substring": _substring,
    "replace": lambda value, what, by: text(value).replace(text(what), text(by)),
    "concat": _concat,
    "starts_with": lambda value, prefix: text(value).startswith(text(prefix)),
    "ends_with": lambda value, suffix: text(value).endswith(text(suffix)),
    "contains": lambda value, part: text(part) in text(value),
    "like": _like,
    "matches": _matches,
    "extract": _extract,
    "split_part": _split_part,
    "year": _part_of_time("year"),
    "month": _part_of_time("month"),
    "day": _part_of_time("day"),
    "hour": _part_of_time("hour"),
    "minute": _part_of_time("minute"),
    "second": _part_of_time("second"),
    "weekday": _weekday,
    "truncate": _truncate,
    "epoch_ms": _epoch_ms,
    "as_timestamp": _as_timestamp,
    "item": _item,
}
"""The functions that are null where one of their arguments is; `row.py` has the others."""
