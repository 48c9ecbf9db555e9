"""The kernels that say exactly what `operations.py` says, by function; NotImplemented where there is none.

Operands are columns and scalars of the types of `arrow_types.py`, none of type null.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from ottla.streams.expressions.operations import like_pattern, zone_of
from ottla.streams.expressions.types import Type

__all__ = ["KERNELS", "Value", "cast_kernel", "equal", "is_scalar", "kleene_or"]

Value = Any
"""A pyarrow Array or Scalar; or NotImplemented, which stands for none."""


def is_scalar(value: Value) -> bool:
    return isinstance(value, pa.Scalar)


def kleene_or(left: Value, right: Value) -> Value:
    return pc.or_kleene(left, right)


def _is_integer(*values: Value) -> bool:
    return all(pa.types.is_int64(value.type) for value in values)


def _numbers(left: Value, right: Value) -> tuple[Value, Value] | None:
    """Both as doubles where one of them is; None for decimals with doubles, which Arrow rounds otherwise."""
    kinds = left.type, right.type
    if not any(map(pa.types.is_floating, kinds)):
        return left, right
    if any(map(pa.types.is_decimal, kinds)):
        return None
    return _double(left), _double(right)


def _double(value: Value) -> Value:
    if pa.types.is_int64(value.type):
        return pc.cast(value, pa.float64(), safe=False)
    return value


def _compare(function: str) -> Callable[[Value, Value], Value]:
    kernel = getattr(pc, function)

    def compare(left: Value, right: Value) -> Value:
        pair = _numbers(left, right)
        if pair is None or pa.types.is_boolean(left.type) != pa.types.is_boolean(right.type):
            return NotImplemented
        if pa.types.is_nested(left.type) or _family(left) != _family(right):
            return NotImplemented
        return kernel(*pair)

    return compare


def _family(value: Value) -> str:
    kind = value.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return str(kind)


equal = _compare("equal")


def _arithmetic(function: str) -> Callable[[Value, Value], Value]:
    """Integers, decimals and times are checked for overflow; doubles become infinite."""
    checked, unchecked = getattr(pc, f"{function}_checked"), getattr(pc, function)

    def compute(left: Value, right: Value) -> Value:
        if _family(left) == _family(right) == "number":
            pair = _numbers(left, right)
            if pair is None:
                return NotImplemented
            return (unchecked if pa.types.is_floating(pair[0].type) else checked)(*pair)
        kinds = left.type, right.type
        if function == "add" and all(map(pa.types.is_string, kinds)):
            return _concat(left, right)
        if function != "multiply" and all(pa.types.is_timestamp(k) or pa.types.is_duration(k) for k in kinds):
            return checked(left, right)
        return NotImplemented

    return compute


def _divide(left: Value, right: Value) -> Value:
    if any(pa.types.is_decimal(value.type) for value in (left, right)):
        return NotImplemented
    return pc.divide(_double(left), _double(right))


def _floor_divide(left: Value, right: Value) -> Value:
    if not _is_integer(left, right):
        return NotImplemented
    quotient = pc.divide_checked(left, right)
    rest = pc.subtract(left, pc.multiply(quotient, right))
    is_below = pc.and_(pc.not_equal(rest, 0), pc.less(pc.bit_wise_xor(rest, right), 0))
    return pc.subtract_checked(quotient, pc.cast(is_below, pa.int64()))


def _modulo(left: Value, right: Value) -> Value:
    if not _is_integer(left, right):
        return NotImplemented
    return pc.subtract(left, pc.multiply(_floor_divide(left, right), right))


def _negate(value: Value) -> Value:
    if pa.types.is_floating(value.type):
        return pc.negate(value)
    return pc.negate_checked(value) if _is_integer(value) else NotImplemented


def _abs(value: Value) -> Value:
    if pa.types.is_floating(value.type):
        return pc.abs(value)
    return pc.abs_checked(value) if _is_integer(value) else NotImplemented


def _rounded(function: str) -> Callable[[Value], Value]:
    kernel = getattr(pc, function)

    def compute(value: Value) -> Value:
        if pa.types.is_floating(value.type):
            return kernel(value)
        return value if _is_integer(value) else NotImplemented

    return compute


def _sqrt(value: Value) -> Value:
    return NotImplemented if pa.types.is_decimal(value.type) else pc.sqrt(_double(value))


def _is_nan(value: Value) -> Value:
    return NotImplemented if pa.types.is_decimal(value.type) else pc.is_nan(_double(value))


def _not(value: Value) -> Value:
    return pc.invert(value)


def _cased(function: str) -> Callable[[Value], Value]:
    """Beyond ASCII Python knows letters whose other case is two."""
    kernel = getattr(pc, f"ascii_{function}")

    def compute(value: Value) -> Value:
        if not pa.types.is_string(value.type):
            return NotImplemented
        is_ascii = pc.string_is_ascii(value)
        if is_scalar(value) or not pc.all(is_ascii, min_count=0).as_py():
            return NotImplemented
        return kernel(value)

    return compute


def _length(value: Value) -> Value:
    kind = value.type
    if pa.types.is_string(kind):
        return pc.utf8_length(value).cast(pa.int64())
    if pa.types.is_binary(kind):
        return pc.binary_length(value).cast(pa.int64())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pc.list_value_length(value).cast(pa.int64())
    return NotImplemented


def _constant_texts(value: Value, *constants: Value) -> list[str] | None:
    """The constants that a column of text meets; None where it is no such column, or they are columns."""
    if is_scalar(value) or not pa.types.is_string(value.type):
        return None
    if not all(is_scalar(each) and pa.types.is_string(each.type) and each.is_valid for each in constants):
        return None
    return [each.as_py() for each in constants]


def _trimmed(function: str) -> Callable[[Value, Value], Value]:
    kernel = getattr(pc, function)

    def compute(value: Value, characters: Value) -> Value:
        constants = _constant_texts(value, characters)
        return kernel(value, characters=constants[0]) if constants and constants[0] else NotImplemented

    return compute


def _substring(value: Value, start: Value, length: Value = None) -> Value:
    places = [each for each in (start, length) if each is not None]
    if _constant_texts(value) is None or not all(is_scalar(each) and each.is_valid for each in places):
        return NotImplemented
    begin = start.as_py() - 1
    if length is None:
        return pc.utf8_slice_codeunits(value, max(begin, 0))
    if length.as_py() < 0:
        return NotImplemented
    return pc.utf8_slice_codeunits(value, max(begin, 0), max(begin + length.as_py(), 0))


def _replace(value: Value, what: Value, by: Value) -> Value:
    constants = _constant_texts(value, what, by)
    if not constants or not constants[0]:
        return NotImplemented
    return pc.replace_substring(value, constants[0], constants[1])


def _concat(*values: Value) -> Value:
    if not all(pa.types.is_string(value.type) for value in values):
        return NotImplemented
    return pc.binary_join_element_wise(*values, "", null_handling="emit_null")


def _searched(function: str) -> Callable[[Value, Value], Value]:
    kernel = getattr(pc, function)

    def compute(value: Value, pattern: Value) -> Value:
        constants = _constant_texts(value, pattern)
        return NotImplemented if constants is None else kernel(value, constants[0])

    return compute


def _like(value: Value, pattern: Value, escape: Value) -> Value:
    constants = _constant_texts(value, pattern, escape)
    if constants is None:
        return NotImplemented
    return pc.match_substring_regex(value, like_pattern(*constants))


def _in_utc(value: Value, zone: Value) -> bool:
    return is_scalar(zone) and zone.is_valid and (not _has_zone(value) or zone_of(zone.as_py()).key == "UTC")


def _has_zone(value: Value) -> bool:
    return pa.types.is_timestamp(value.type) and value.type.tz is not None


def _part_of_time(function: str) -> Callable[[Value, Value], Value]:
    kernel = getattr(pc, function)
    types = pa.types

    def compute(value: Value, zone: Value) -> Value:
        of_day = function in ("hour", "minute", "second")
        serves = types.is_timestamp(value.type) or (types.is_time if of_day else types.is_date)(value.type)
        return kernel(value).cast(pa.int64()) if serves and _in_utc(value, zone) else NotImplemented

    return compute


def _weekday(value: Value, zone: Value) -> Value:
    serves = pa.types.is_timestamp(value.type) or pa.types.is_date(value.type)
    if not serves or not _in_utc(value, zone):
        return NotImplemented
    return pc.day_of_week(value, count_from_zero=False, week_start=1).cast(pa.int64())


def _truncate(value: Value, unit: Value, zone: Value) -> Value:
    if not pa.types.is_timestamp(value.type) or not _in_utc(value, zone) or not is_scalar(unit):
        return NotImplemented
    if unit.as_py() not in ("second", "minute", "hour", "day", "week", "month", "year"):
        return NotImplemented
    return pc.floor_temporal(value, unit=unit.as_py())


def _epoch_ms(value: Value) -> Value:
    if not _has_zone(value):
        return NotImplemented
    return _floor_divide(value.cast(pa.int64()), pa.scalar(1000, pa.int64()))


def _as_timestamp(value: Value) -> Value:
    if not _is_integer(value):
        return NotImplemented
    return value.cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("us", "UTC"))


KERNELS: Final[dict[str, Callable[..., Value]]] = {
    "equal": equal,
    "not_equal": _compare("not_equal"),
    "less": _compare("less"),
    "less_equal": _compare("less_equal"),
    "greater": _compare("greater"),
    "greater_equal": _compare("greater_equal"),
    "not": _not,
    "add": _arithmetic("add"),
    "subtract": _arithmetic("subtract"),
    "multiply": _arithmetic("multiply"),
    "divide": _divide,
    "floor_divide": _floor_divide,
    "modulo": _modulo,
    "negate": _negate,
    "abs": _abs,
    "floor": _rounded("floor"),
    "ceil": _rounded("ceil"),
    "sqrt": _sqrt,
    "is_nan": _is_nan,
    "lower": _cased("lower"),
    "upper": _cased("upper"),
    "length": _length,
    "trim": _trimmed("utf8_trim"),
    "trim_start": _trimmed("utf8_ltrim"),
    "trim_end": _trimmed("utf8_rtrim"),
    "substring": _substring,
    "replace": _replace,
    "concat": _concat,
    "starts_with": _searched("starts_with"),
    "ends_with": _searched("ends_with"),
    "contains": _searched("match_substring"),
    "matches": _searched("match_substring_regex"),
    "like": _like,
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
}


def cast_kernel(kind: Type, value: Value) -> Value:
    """`value` as `kind`, which it is not; NotImplemented where Python has to do it."""
    source, types = value.type, pa.types
    if kind.name == "double" and _is_integer(value):
        return _double(value)
    if kind.name == "text" and (_is_integer(value) or types.is_boolean(source) or types.is_binary(source)):
        return value.cast(pa.string())
    if kind.name == "bytes" and types.is_string(source):
        return value.cast(pa.binary())
    if kind.name == "boolean" and _is_integer(value):
        return pc.not_equal(value, 0)
    if kind.name == "integer" and types.is_boolean(source):
        return value.cast(pa.int64())
    if kind.name == "integer" and types.is_floating(source):
        return pc.trunc(value).cast(pa.int64())
    if kind.name == "integer" and types.is_string(source) and not is_scalar(value):
        is_plain = pc.match_substring_regex(value, "^-?[0-9]{1,18}$")
        if pc.all(is_plain, min_count=0).as_py():
            return value.cast(pa.int64())
    return NotImplemented
