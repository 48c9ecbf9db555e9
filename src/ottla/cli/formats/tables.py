"""Parquet and Arrow, with the extra `ottla[arrow]`: the columns that `ottla.client` reads, and a topic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from ottla.cli.formats.interface import (
    ANYWHERE,
    HOW_TO_SEND_MORE,
    Defaults,
    Encoder,
    InputError,
    Places,
    Rows,
    columns_of,
    repeated,
)
from ottla.client.columns.columns import Columns
from ottla.client.errors import ClientError
from ottla.client.tables.rows import ArrowRows, as_table
from ottla.client.tables.writing import columns_to_write, is_table
from ottla.client.values.interface import ValuesError

if TYPE_CHECKING:
    from ottla.cli.values.writing import PartWriter

_GROUP_ROWS: Final = 1 << 17
_GROUP_BYTES: Final = 1 << 25
_READ_ROWS: Final = 1 << 14
_FILE_MAGIC: Final = b"ARROW1"


class _Writer(Protocol):
    def write_batch(self, batch: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...


class _Sink:
    """Holds what was written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class TableEncoder(Encoder):
    """`parquet`, `arrow` (its file format) or `arrow-stream`.

    `decoded` gives the columns of keys and values that are decoded: their types are known with the first.
    """

    def __init__(self, kind: str, decoded: ArrowRows | None = None) -> None:
        self._kind = kind
        self.is_whole = kind != "arrow-stream"
        self.waits = decoded is not None
        self._decoded = decoded
        self._sink = _Sink()
        self._schema = with_topic("", Columns.of(()).to_arrow()).schema
        self._held: list[pa.RecordBatch] = []
        self._writer: _Writer | None = None

    def begin(self) -> bytes:
        return b"" if self._decoded is not None else self._begun()

    def _begun(self) -> bytes:
        out = pa.PythonFile(self._sink, mode="w")
        if self._kind == "parquet":
            self._writer = pq.ParquetWriter(out, self._schema, compression="zstd")
        elif self._kind == "arrow":
            self._writer = pa.ipc.new_file(out, self._schema)
        else:
            self._writer = pa.ipc.new_stream(out, self._schema)
        return self._sink.take()

    def rows(self, topic: str, rows: Columns) -> bytes:
        if self._decoded is None:
            self._held.append(with_topic(topic, rows.to_arrow()).cast(self._schema))
        else:
            self._held.append(with_topic(topic, self._decoded(topic, rows)))
        if (self.is_whole and not self._is_enough()) or not self._is_known():
            return b""
        return self._written()

    def _is_known(self) -> bool:
        """Whether the types of columns are: nulls, which come before any value, have none."""
        return self._writer is not None or not any(map(pa.types.is_null, self._held[-1].schema.types))

    def end(self) -> bytes:
        done = self._written()
        assert self._writer is not None
        self._writer.close()
        return done + self._sink.take()

    def _is_enough(self) -> bool:
        """For a group of rows, which are read and compressed together."""
        rows = sum(batch.num_rows for batch in self._held)
        return bool(rows >= _GROUP_ROWS or sum(batch.nbytes for batch in self._held) >= _GROUP_BYTES)

    def _written(self) -> bytes:
        begun = b""
        if self._held:
            table = as_table(self._held).combine_chunks()
            self._held.clear()
            if self._writer is None:
                self._schema = table.schema
                begun = self._begun()
            assert self._writer is not None
            for batch in _cast(table, self._schema).to_batches():
                self._writer.write_batch(batch)
        elif self._writer is None:
            begun = self._begun()
        return begun + self._sink.take()


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    try:
        return table.cast(schema)
    except (pa.ArrowException, ValueError):
        raise ValuesError("a table has columns of one type: read topics of different values apart") from None


def with_topic(topic: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    names = pa.repeat(pa.scalar(topic, pa.string()), batch.num_rows)
    return pa.RecordBatch.from_arrays([names, *batch.columns], names=["topic", *batch.schema.names])


class TableDecoder:
    """What `ottla.client` writes of a table: key, value, headers, timestamp and partition as they are; of
    another table `key_column` as the key, and all others as JSON, or in the format `value`.
    """

    def __init__(
        self,
        kind: str,
        defaults: Defaults,
        *,
        key_column: str | None = None,
        writers: Sequence[PartWriter] = (),
    ) -> None:
        self._writers = {each.part: each for each in writers}
        self.needs_seeking = kind != "arrow-stream"
        self._kind = kind
        self._defaults = defaults
        self._key_column = key_column

    def read(self, file: IO[bytes]) -> Iterator[Rows]:
        count = 0
        for batch in self._batches(file):
            has_partitions = "partition" in batch.schema.names and not is_table(batch, self._key_column)
            try:
                batch = _with_partitions(batch) if has_partitions else batch
                columns = self._columns(batch)
            except (TypeError, ValueError, pa.ArrowException, ClientError) as error:
                raise InputError(f"after row {count:,}: {error}") from error
            yield self._rows(columns, has_partitions, count + 1)
            count += len(columns)

    def _columns(self, batch: pa.RecordBatch) -> Columns:
        key, value = self._writers.get("key"), self._writers.get("value")
        topic = "" if value is None else value.topic
        named = None if key is None else key.values()
        (columns,) = columns_to_write(
            batch, self._key_column or named, None if value is None else value.values(), topic=topic
        )
        return columns

    def _batches(self, file: IO[bytes]) -> Iterable[pa.RecordBatch]:
        try:
            if self._kind == "parquet":
                yield from pq.ParquetFile(file).iter_batches(_READ_ROWS)
                return
            if self._kind == "arrow":
                is_file = file.read(len(_FILE_MAGIC)) == _FILE_MAGIC
                file.seek(0)
                if is_file:
                    opened = pa.ipc.open_file(file)
                    yield from map(opened.get_batch, range(opened.num_record_batches))
                    return
            yield from pa.ipc.open_stream(file)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"no {self._kind}: {error}") from error

    def _rows(self, columns: Columns, has_partitions: bool, first: int) -> Rows:
        places = Places("row", range(first, first + len(columns)))
        headers = None if columns.headers.count else repeated(self._defaults.headers, len(columns))
        if headers is not None:
            columns = columns_of(columns.key, columns.value, headers, columns.timestamp, columns.partition)
        limit = self._defaults.record_max_bytes
        if columns.nbytes > limit:
            sizes = [
                len(key or b"") + len(value or b"")
                for key, value in zip(columns.key, columns.value, strict=True)
            ]
            if max(sizes) > limit:
                where = places.of(sizes.index(max(sizes)))
                raise InputError(
                    f"{where}: a record of {max(sizes):,} bytes is too large ({HOW_TO_SEND_MORE})"
                )
        return Rows(columns, columns.partition if has_partitions else None, places)


def _with_partitions(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`ANYWHERE` in place of a null."""
    place = batch.schema.get_field_index("partition")
    column = batch.column(place) if place >= 0 else None  # there may be two, which are refused
    if column is None or not column.null_count:
        return batch
    if not pa.types.is_integer(column.type) and not pa.types.is_null(column.type):
        return batch
    return batch.set_column(place, "partition", column.cast(pa.int32()).fill_null(ANYWHERE))
