"""Columns as Arrow arrays and back, without a copy. It needs the extra `arrow`."""

from __future__ import annotations

import pyarrow as pa

from ottla.client.columns.binary import BinaryColumn, HeadersColumn, RawColumns

__all__ = [
    "as_column",
    "as_headers",
    "as_record_batch",
    "as_strings",
    "is_binary",
    "is_list",
    "is_text",
]


def as_record_batch(columns: RawColumns, timestamp_validity: bytes | None) -> pa.RecordBatch:
    """The columns under their names: partition int32, offset int64, timestamp in milliseconds UTC (null where
    `timestamp_validity` has no bit), timestamp_type int8, key and value binary, headers
    list<struct<name: binary, value: binary>>."""
    partition, offset, timestamp, timestamp_type, key, value, headers = columns
    arrays = {
        "partition": _numbers(pa.int32(), partition),
        "offset": _numbers(pa.int64(), offset),
        "timestamp": _numbers(pa.timestamp("ms", "UTC"), timestamp, timestamp_validity),
        "timestamp_type": _numbers(pa.int8(), timestamp_type),
        "key": as_strings(BinaryColumn(*key)),
        "value": as_strings(BinaryColumn(*value)),
        "headers": as_headers(HeadersColumn.from_raw(headers)),
    }
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def _numbers(kind: pa.DataType, numbers: memoryview, validity: bytes | None = None) -> pa.Array:
    bits = None if validity is None else pa.py_buffer(validity)
    return pa.Array.from_buffers(kind, len(numbers), [bits, pa.py_buffer(numbers)])


def as_headers(column: HeadersColumn) -> pa.Array:
    """`column` as list<struct<name, value>>, a large list where its offsets are int64."""
    pairs = [as_strings(column.names), as_strings(column.values)]
    struct = pa.struct([("name", pairs[0].type), ("value", pairs[1].type)])
    entries = pa.Array.from_buffers(struct, len(pairs[0]), [None], children=pairs)
    kind = pa.list_(struct) if column.offsets.format == "i" else pa.large_list(struct)
    buffers = [None, pa.py_buffer(column.offsets)]
    return pa.Array.from_buffers(kind, column.length, buffers, offset=column.start, children=[entries])


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


def is_list(kind: pa.DataType) -> bool:
    """Whether arrays of this type are lists, of whatever layout; views of lists are not."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


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
