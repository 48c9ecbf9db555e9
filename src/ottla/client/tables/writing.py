"""Tables as records: the inverse of `read`, and any other table with one of its columns as key. Needs the
extra `arrow`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from ottla.client.columns.arrow import is_binary, is_text
from ottla.client.columns.binary import BinaryColumn
from ottla.client.columns.columns import Columns
from ottla.client.columns.from_arrow import columns_from_batch, read_arrow
from ottla.client.errors import ConfigurationError
from ottla.client.values.factories import json, text
from ottla.client.values.interface import Values

__all__ = ["columns_to_write"]


def columns_to_write(
    data: object, key: str | Values | None = None, value: Values | None = None
) -> Iterator[Columns]:
    """The rows of `data`, anything with Arrow's PyCapsule interface, a batch at a time.

    What `read` gives is taken as it is: columns key, value, timestamp and headers, with `key` and `value` the
    formats of what is neither bytes nor text. Of any other table, and where `key` names a column, that column
    is the key (null without one) and all others together are the value. What has no format is JSON.
    """
    for batch in read_arrow(data):
        yield _of_rows(batch, key, value) if _is_table(batch, key) else _of_records(batch, key, value)


def _is_table(batch: pa.RecordBatch, key: str | Values | None) -> bool:
    return isinstance(key, str) or not {"key", "value"} & set(batch.schema.names)


def _of_records(batch: pa.RecordBatch, key: object, value: Values | None) -> Columns:
    held: dict[str, BinaryColumn] = {}
    formats: dict[str, Values | None] = {"key": key, "value": value}  # type: ignore[dict-item]
    for name, values in formats.items():
        place = batch.schema.get_field_index(name)
        if place >= 0 and (values is not None or not _is_written_as_is(batch.column(place).type)):
            held[name] = (values or json()).encode(batch.column(place))
            batch = batch.remove_column(place)
    rows = columns_from_batch(batch)
    return _with(rows, held.get("key", rows.key), held.get("value", rows.value))


def _of_rows(batch: pa.RecordBatch, key: object, value: Values | None) -> Columns:
    rest = batch
    keys = BinaryColumn.of([None] * batch.num_rows)
    if isinstance(key, str):
        place = batch.schema.get_field_index(key)
        if place < 0:
            raise ConfigurationError(f"there is no column {key!r}: {', '.join(batch.schema.names)}")
        keys = _encoded_key(batch.column(place))
        rest = batch.remove_column(place)
    # Arrow counts the rows of a struct by its fields.
    is_empty = not rest.schema.names
    row = pa.array([{}] * batch.num_rows, pa.struct([])) if is_empty else rest.to_struct_array()
    bare = columns_from_batch(pa.record_batch({"value": pa.nulls(batch.num_rows)}))
    return _with(bare, keys, (value or json()).encode(row))


def _encoded_key(column: pa.Array) -> BinaryColumn:
    if _is_written_as_is(column.type):
        return columns_from_batch(pa.record_batch({"key": column})).key
    if pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
        return text().encode(column.cast(pa.string()))
    return json().encode(column)


def _is_written_as_is(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return is_binary(kind) or is_text(kind) or pa.types.is_null(kind)


def _with(rows: Columns, key: BinaryColumn, value: BinaryColumn) -> Columns:
    return Columns(rows.partition, rows.offset, rows.timestamp, rows.timestamp_type, key, value, rows.headers)
