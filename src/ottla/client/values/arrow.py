"""Columns of byte strings as Arrow arrays and back, without a copy."""

from __future__ import annotations

import pyarrow as pa

from ottla.client.columns.binary import BinaryColumn

__all__ = ["as_column", "as_strings", "is_binary", "is_text", "null_rows"]


def as_strings(column: BinaryColumn, *, text: bool = False) -> pa.Array:
    """`column` as binary or as string (nobody has checked its bytes), large where its offsets are int64."""
    if column.offsets.format == "i":
        kind = pa.string() if text else pa.binary()
    else:
        kind = pa.large_string() if text else pa.large_binary()
    validity = None if column.validity is None else pa.py_buffer(column.validity)
    buffers = [validity, pa.py_buffer(column.offsets), pa.py_buffer(column.data)]
    return pa.Array.from_buffers(kind, column.length, buffers, offset=column.start)


def is_binary(kind: pa.DataType) -> bool:
    """Whether arrays of this type are byte strings or text, of whatever layout."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
        or is_text(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether arrays of this type are text, of whatever layout."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def as_column(array: pa.Array) -> BinaryColumn:
    """The byte strings or texts of `array`; without a copy where they lie as in a column."""
    large = pa.types.is_large_binary(array.type) or pa.types.is_large_string(array.type)
    if not (large or pa.types.is_binary(array.type) or pa.types.is_string(array.type)):
        array = array.cast(pa.string() if is_text(array.type) else pa.binary())
    validity, offsets, data = array.buffers()
    if not len(array) or offsets is None:
        return BinaryColumn.of([None] * len(array))
    return BinaryColumn(
        memoryview(offsets)
        .cast("B")[: (array.offset + len(array) + 1) * (8 if large else 4)]
        .cast("q" if large else "i"),
        b"" if data is None else memoryview(data),
        None if validity is None or not array.null_count else memoryview(validity),
        array.offset,
        len(array),
    )


def null_rows(column: BinaryColumn) -> list[bool] | None:
    """Which rows are null; None where none is."""
    if column.validity is None:
        return None
    array = as_strings(column)
    return array.is_null().to_pylist() if array.null_count else None
