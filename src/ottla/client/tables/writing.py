"""Tables as records: the inverse of `read`, and any other table with one of its columns as key. Needs the
extra `arrow`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import pyarrow as pa

from ottla.client.columns.arrow import is_binary, is_text
from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.columns.columns import Columns
from ottla.client.columns.from_arrow import columns_from_batch, read_arrow
from ottla.client.errors import ConfigurationError
from ottla.client.values.factories import json, text
from ottla.client.values.framed import FramedValues
from ottla.client.values.interface import Values
from ottla.client.values.registry import Part

__all__ = ["columns_for", "columns_to_write", "is_table"]


def columns_to_write(
    data: object, key: str | Values | None = None, value: Values | None = None, *, topic: str = ""
) -> Iterator[Columns]:
    """The rows of `data`, anything with Arrow's PyCapsule interface, a batch at a time.

    What `read` gives is taken as it is: columns key, value, timestamp and headers, with `key` and `value` the
    formats of what is neither bytes nor text. Of any other table, and where `key` names a column, that column
    is the key (null without one) and all others together are the value. What has no format is JSON.
    """
    for batch in read_arrow(data):
        yield (_of_rows if is_table(batch, key) else _of_records)(topic, batch, key, value)


async def columns_for(
    topic: str, data: object, key: str | Values | None, value: Values | None
) -> AsyncIterator[Columns]:
    """As `columns_to_write`; in a thread, where a registry may be waited for."""
    batches = columns_to_write(data, key, value, topic=topic)
    if not isinstance(key, FramedValues) and not isinstance(value, FramedValues):
        for columns in batches:
            yield columns
        return
    loop = asyncio.get_running_loop()
    while (held := await loop.run_in_executor(None, next, batches, None)) is not None:
        yield held


def is_table(batch: pa.RecordBatch, key: str | Values | None) -> bool:
    """Whether its rows are values, rather than records with columns of their own."""
    return isinstance(key, str) or not {"key", "value"} & set(batch.schema.names)


class _Encoded(NamedTuple):
    """The bytes of rows, and a header that goes with each."""

    rows: BinaryColumn
    header: tuple[bytes, bytes] | None = None


def _encoded(values: Values, topic: str, part: Part, rows: pa.Array) -> _Encoded:
    if not isinstance(values, FramedValues):
        return _Encoded(values.encode(rows))
    encoder = values.encoder(topic, part, rows.type)
    return _Encoded(encoder.encode(rows), encoder.header)


def _of_records(topic: str, batch: pa.RecordBatch, key: str | Values | None, value: Values | None) -> Columns:
    held: dict[str, _Encoded] = {}
    formats: dict[Part, Values | None] = {"key": None if isinstance(key, str) else key, "value": value}
    for name, values in formats.items():
        place = batch.schema.get_field_index(name)
        if place >= 0 and (values is not None or not _is_written_as_is(batch.column(place).type)):
            held[name] = _encoded(values or json(), topic, name, batch.column(place))
            batch = batch.remove_column(place)
    rows = columns_from_batch(batch)
    return _with(rows, held.get("key", _Encoded(rows.key)), held.get("value", _Encoded(rows.value)))


def _of_rows(topic: str, batch: pa.RecordBatch, key: str | Values | None, value: Values | None) -> Columns:
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
    return _with(bare, _Encoded(keys), _encoded(value or json(), topic, "value", row))


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


def _with(rows: Columns, key: _Encoded, value: _Encoded) -> Columns:
    headers = rows.headers
    added = [each.header for each in (key, value) if each.header is not None]
    if added:
        headers = HeadersColumn.of([(*row, *added) for row in headers])
    return Columns(
        rows.partition, rows.offset, rows.timestamp, rows.timestamp_type, key.rows, value.rows, headers
    )
