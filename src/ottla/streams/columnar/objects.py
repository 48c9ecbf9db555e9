"""Python's values of Arrow columns and back. Values keep their types: what has no one type is no column."""

from __future__ import annotations

import sys
from array import array as numbers_of
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from ottla.client.columns.arrow import as_column
from ottla.client.columns.binary import BinaryColumn
from ottla.client.columns.implementation import IMPLEMENTATION
from ottla.streams.expressions.arrow_types import to_arrow
from ottla.streams.expressions.errors import ExpressionTypeError, NotColumnar
from ottla.streams.expressions.types import type_of

__all__ = ["array_of", "int64s", "longs_of", "objects_of"]

_SIMPLE: Final[dict[type, pa.DataType]] = {
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bool: pa.bool_(),
    bytes: pa.binary(),
}


def array_of(values: Sequence[Any]) -> pa.Array:
    """The column of `values`, which are of one type, or None. Raises NotColumnar where they are not, or are
    integers of more than 64 bits, lists or objects."""
    kinds = dict.fromkeys(map(type, values))
    kinds.pop(type(None), None)
    if not kinds:
        return pa.nulls(len(values))
    kind = next(iter(kinds))
    try:
        if len(kinds) > 1 or kind in (dict, list, tuple):
            raise NotColumnar("values of several types, lists or objects")
        wanted = _SIMPLE.get(kind)
        return pa.array(values, _type_of(values) if wanted is None else wanted)
    except (pa.ArrowException, ValueError, OverflowError, ExpressionTypeError) as error:
        raise NotColumnar(str(error)) from error


def _type_of(values: Sequence[Any]) -> pa.DataType:
    """The type of dates, times, decimals: those that each value has itself."""
    types = list(dict.fromkeys(type_of(value) for value in values if value is not None))
    if all(isinstance(value, Decimal | None) for value in values):
        if len({each.scale for each in types}) == 1:
            return to_arrow(max(types, key=lambda each: each.precision))
    elif len(types) == 1:
        return to_arrow(types[0])
    raise NotColumnar("values of several types")


def objects_of(array: pa.Array) -> list[Any]:
    """The values of `array`: as `to_pylist`, which makes a scalar of each first."""
    kind = array.type
    types = pa.types
    if types.is_int64(kind):
        return _numbers(array, "q")
    if types.is_float64(kind):
        return _numbers(array, "d")
    if types.is_string(kind):
        return [None if each is None else each.decode() for each in _strings(array)]
    if types.is_binary(kind):
        return _strings(array)
    if types.is_struct(kind) and not array.null_count and kind.num_fields:
        names = [field.name for field in kind.fields]
        columns = [objects_of(array.field(index)) for index in range(kind.num_fields)]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return array.to_pylist()  # type: ignore[no-any-return]


def int64s(array: pa.Array) -> memoryview:
    """The numbers of an int64 array without nulls."""
    return _eights(array).cast("q")


def longs_of(array: pa.Array) -> BinaryColumn:
    """The numbers of an int64 array without nulls as Java writes them: 8 bytes each, the highest first."""
    swapped = numbers_of("q")
    swapped.frombytes(_eights(array))
    if sys.byteorder == "little":
        swapped.byteswap()
    ends = numbers_of("i", range(0, 8 * len(array) + 1, 8))
    return BinaryColumn(memoryview(ends), swapped.tobytes())


def _eights(array: pa.Array) -> memoryview:
    held = memoryview(array.buffers()[1] or b"").cast("B")
    start = array.offset * 8
    return held[start : start + len(array) * 8]


def _numbers(array: pa.Array, code: str) -> list[Any]:
    view = _eights(array)
    values: list[Any] = (view.cast("q") if code == "q" else view.cast("d")).tolist()
    if array.null_count:
        for index in pc.indices_nonzero(pc.is_null(array)).to_pylist():
            values[index] = None
    return values


def _strings(array: pa.Array) -> list[bytes | None]:
    return list(IMPLEMENTATION.strings(as_column(array).raw))
