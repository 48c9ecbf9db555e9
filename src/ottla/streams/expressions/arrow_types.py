"""What the types of expressions are in Arrow, and columns of other types made one of these."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from ottla.streams.expressions.errors import ExpressionTypeError
from ottla.streams.expressions.types import (
    ANY,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    DURATION,
    INTEGER,
    LOCAL_TIMESTAMP,
    NULL,
    TEXT,
    TIME,
    TIMESTAMP,
    Type,
    list_of,
    struct_of,
)

__all__ = ["from_arrow", "in_range", "normalized", "to_arrow"]

_ARROW: Final[dict[Type, pa.DataType]] = {
    NULL: pa.null(),
    BOOLEAN: pa.bool_(),
    INTEGER: pa.int64(),
    DOUBLE: pa.float64(),
    TEXT: pa.string(),
    BYTES: pa.binary(),
    TIMESTAMP: pa.timestamp("us", "UTC"),
    LOCAL_TIMESTAMP: pa.timestamp("us"),
    DATE: pa.date32(),
    TIME: pa.time64("us"),
    DURATION: pa.duration("us"),
}


def to_arrow(kind: Type) -> pa.DataType:
    """The type of a column of `kind`. ExpressionTypeError for what is not known before there are values."""
    found = _ARROW.get(kind)
    if found is not None:
        return found
    if kind.name == "decimal":
        return pa.decimal128(kind.precision, kind.scale)
    if kind.item is not None:
        return pa.list_(to_arrow(kind.item))
    if kind.name == "struct":
        return pa.struct([(name, to_arrow(each)) for name, each in kind.fields])
    raise ExpressionTypeError(f"a column has one type, not {kind}")


def from_arrow(kind: pa.DataType | pa.Schema) -> Type:
    """The type of values of an Arrow type: ANY for those that expressions only hand on."""
    if isinstance(kind, pa.Schema):
        return struct_of(*((each.name, from_arrow(each.type)) for each in kind))
    types = pa.types
    if types.is_struct(kind):
        return struct_of(*((each.name, from_arrow(each.type)) for each in kind.fields))
    if types.is_dictionary(kind):
        return from_arrow(kind.value_type)
    if types.is_decimal(kind):
        return Type("decimal", kind.precision, kind.scale)
    if types.is_timestamp(kind):
        return LOCAL_TIMESTAMP if kind.tz is None else TIMESTAMP
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return list_of(from_arrow(kind.value_type))
    for holds, found in (
        (types.is_integer, INTEGER),
        (types.is_floating, DOUBLE),
        (types.is_boolean, BOOLEAN),
        (_is_text, TEXT),
        (_is_bytes, BYTES),
        (types.is_date, DATE),
        (types.is_time, TIME),
        (types.is_duration, DURATION),
        (types.is_null, NULL),
    ):
        if holds(kind):
            return found
    return ANY


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def normalized(array: pa.Array) -> pa.Array:
    """`array` as the type that expressions know its values by. Raises pa.ArrowInvalid for numbers of 64 bits
    without a sign that do not fit, ExpressionTypeError for nanoseconds and for times outside years 1 to
    9999, which Python's have not."""
    kind = array.type
    if pa.types.is_nested(kind):
        return array
    wanted = _ARROW.get(from_arrow(kind), kind)
    if pa.types.is_decimal(kind):
        wanted = pa.decimal128(kind.precision, kind.scale)
    if (pa.types.is_timestamp(kind) or pa.types.is_time64(kind) or pa.types.is_duration(kind)) and (
        kind.unit == "ns"
    ):
        raise ExpressionTypeError(f"{kind} is finer than Python's times")
    return in_range(array if kind == wanted else array.cast(wanted))


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LAST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def in_range(value: pa.Array | pa.Scalar) -> pa.Array | pa.Scalar:
    """`value`, in which no timestamp is one that a datetime cannot be."""
    if not pa.types.is_timestamp(value.type):
        return value
    numbers = value.cast(pa.int64())
    ends = [numbers.as_py()] * 2 if isinstance(value, pa.Scalar) else pc.min_max(numbers).as_py().values()
    if any(end is not None and not _FIRST <= end <= _LAST for end in ends):
        raise ExpressionTypeError("a timestamp is outside years 1 to 9999")
    return value
