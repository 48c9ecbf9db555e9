"""Columns of whatever speaks Arrow: tables of pyarrow, Polars, pandas, DuckDB. It needs the extra `arrow`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import pyarrow as pa

from ottla.client.columns.arrow import as_column, is_binary, is_text
from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.columns.columns import Columns

__all__ = ["columns_from_arrow", "columns_from_batch", "read_arrow"]

_NO_TIMESTAMP: Final = -1


def read_arrow(data: object) -> pa.RecordBatchReader:
    """The batches of `data`: anything with the Arrow PyCapsule interface, or an iterable of such batches.

    Raises TypeError for anything else.
    """
    if hasattr(data, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(data)
    if hasattr(data, "__arrow_c_array__"):
        batch = pa.record_batch(data)
        return pa.RecordBatchReader.from_batches(batch.schema, [batch])
    raise TypeError(
        f"{type(data).__name__} is no table: Arrow, Polars, pandas (2.2 and newer) and DuckDB's relations are"
    )


def columns_from_arrow(data: object) -> Iterator[Columns]:
    """The rows of `data` (see `read_arrow`) as `columns_from_batch` takes them, a batch at a time."""
    return map(columns_from_batch, read_arrow(data))


def columns_from_batch(batch: pa.RecordBatch) -> Columns:
    """The columns of `batch` under the names that `Columns.to_arrow` gives; others are not looked at.

    Any that is missing is taken for null, -1 (timestamp), 0, and no headers. Byte strings lie where they were
    if Arrow's type is a `binary` or a `string`. Raises TypeError for a type that does not serve, ValueError
    for a null where none may be.
    """
    rows = batch.num_rows
    names = batch.schema.names
    taken = {name: batch.column(name) for name in _FIELDS if names.count(name) == 1}
    repeated = [name for name in _FIELDS if names.count(name) > 1]
    if repeated:
        raise ValueError(f"there is more than one column {repeated[0]}")
    return Columns(
        _integers(taken.get("partition"), "partition", pa.int32(), 0, rows),
        _integers(taken.get("offset"), "offset", pa.int64(), 0, rows),
        _timestamps(taken.get("timestamp"), rows),
        _integers(taken.get("timestamp_type"), "timestamp_type", pa.int8(), 0, rows),
        _strings(taken.get("key"), "key", rows),
        _strings(taken.get("value"), "value", rows),
        _headers(taken.get("headers"), rows),
    )


_FIELDS: Final = ("partition", "offset", "timestamp", "timestamp_type", "key", "value", "headers")
_FORMATS: Final[dict[int, Literal["b", "i", "q"]]] = {1: "b", 4: "i", 8: "q"}


def _integers(array: pa.Array | None, name: str, kind: pa.DataType, missing: int, rows: int) -> memoryview:
    """The numbers of `array`, with `missing` in place of null."""
    size = kind.bit_width // 8
    if array is None:
        return memoryview(missing.to_bytes(size, "little", signed=True) * rows).cast(_FORMATS[size])
    if not pa.types.is_integer(array.type) and not pa.types.is_null(array.type):
        raise TypeError(f"the column {name} is of {array.type}, and should be of {kind}")
    if array.type != kind:
        array = array.cast(kind)
    if array.null_count:
        array = array.fill_null(missing)
    return _view(array, size)


def _view(array: pa.Array, size: int) -> memoryview:
    """The numbers of `array`, each of `size` bytes, none of which is null."""
    held = memoryview(array.buffers()[1] or b"").cast("B")
    return held[array.offset * size : (array.offset + len(array)) * size].cast(_FORMATS[size])


def _timestamps(array: pa.Array | None, rows: int) -> memoryview:
    """Milliseconds since the epoch, which integers are taken for as they are."""
    if array is not None and pa.types.is_timestamp(array.type):
        if array.type.unit != "ms":
            array = array.cast(pa.timestamp("ms", array.type.tz), safe=False)  # records have no finer ones
        array = array.view(pa.int64())
    return _integers(array, "timestamp", pa.int64(), _NO_TIMESTAMP, rows)


def _strings(array: pa.Array | None, name: str, rows: int) -> BinaryColumn:
    if array is None:
        return BinaryColumn.of([None] * rows)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not (is_binary(array.type) or is_text(array.type) or pa.types.is_null(array.type)):
        raise TypeError(f"the column {name} is of {array.type}: only bytes and text are written as they are")
    return as_column(array)


def _headers(array: pa.Array | None, rows: int) -> HeadersColumn:
    if array is None or pa.types.is_null(array.type):
        return HeadersColumn.none(rows)
    if pa.types.is_map(array.type):
        kinds = [("name", array.type.key_type), ("value", array.type.item_type)]
        array = array.cast(pa.list_(pa.struct(kinds)))
    if pa.types.is_list_view(array.type) or pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    is_large = pa.types.is_large_list(array.type)
    if not (is_large or pa.types.is_list(array.type)) or not pa.types.is_struct(array.type.value_type):
        raise TypeError(f"the column headers is of {array.type}, and should be list<struct<name, value>>")
    if array.null_count:
        # A null may stand for entries all the same, which nobody may see.
        array = array.fill_null(pa.scalar([], array.type))
    struct = array.type.value_type
    if struct.num_fields != 2:
        raise TypeError(f"headers are of {struct}, and should be struct<name, value>")
    entries = array.values
    if entries.null_count:
        raise ValueError("a header is null")
    names = _strings(entries.field(0), "headers", len(entries))
    if names.validity is not None:
        raise ValueError("a header has no name")
    offsets = _view(array.offsets, 8 if is_large else 4)
    return HeadersColumn(offsets, names, _strings(entries.field(1), "headers", len(entries)), 0, rows)
