"""Sources and sinks of Arrow's batches; needs pyarrow.

    class Rows(BatchSourceTask):
        def start(self, config):
            found = self.context.offset({"file": config["file"]}) or {"row": 0}
            self.file, self.row = pq.ParquetFile(config["file"]), int(found["row"])
        def read(self):
            table = self.file.read().slice(self.row, 10_000)
            start, self.row = self.row, self.row + table.num_rows
            return SourceBatch("rows", table, {"file": ...}, lambda row: {"row": start + row + 1}, key="id")

    class Write(BatchSinkTask):
        def write(self, topic, batch):
            pq.write_to_dataset(pa.table(batch), ...)

Rows are structs to transforms and converters, as those of any other source or sink; columns become fields.
"""

from __future__ import annotations

import datetime as dt
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from ottla.connect.data.arrow import record_batch, structs
from ottla.connect.data.logical import millis_of_timestamp
from ottla.connect.data.schema import Struct, Value
from ottla.connect.errors import DataError
from ottla.connect.records import SinkRecord, SourceRecord
from ottla.connect.sdk import Offset, SinkTask, SourceTask

__all__ = ["BatchSinkTask", "BatchSourceTask", "SourceBatch"]


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Rows of one partition of a source, in its order. `offset` gives where to go on behind a row of the
    batch (0 is the first). `key` and `timestamp` name columns (of timestamps, or of milliseconds since 1970),
    `name` is that of the rows' schema.
    """

    topic: str
    rows: pa.RecordBatch | pa.Table
    source_partition: Offset
    offset: Callable[[int], Offset]
    key: str | None = None
    timestamp: str | None = None
    name: str | None = None

    def records(self) -> list[SourceRecord]:
        """Raises DataError for a column that Connect has no schema for, or that is not there."""
        for column in (self.key, self.timestamp):
            if column is not None and column not in self.rows.schema.names:
                raise DataError(f"there is no column {column}; there are {', '.join(self.rows.schema.names)}")
        rows = structs(self.rows, name=self.name)
        return [self._record(number, row.value) for number, row in enumerate(rows)]

    def _record(self, number: int, row: Value) -> SourceRecord:
        assert isinstance(row, Struct)
        key = self.key
        return SourceRecord(
            self.source_partition,
            self.offset(number),
            self.topic,
            key_schema=None if key is None else row.schema.by_name[key].schema,
            key=None if key is None else row[key],
            value_schema=row.schema,
            value=row,
            timestamp=None if self.timestamp is None else _millis(row[self.timestamp]),
        )


def _millis(value: Value) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, dt.datetime):
        return millis_of_timestamp(value)
    raise DataError(f"a {type(value).__name__} is no time of a record")


class BatchSourceTask(SourceTask):
    """Reads batches."""

    @abstractmethod
    def read(self) -> SourceBatch | None:
        """What there is now; wait a little where there is nothing (None). RetriableError: it is called
        again.
        """

    def poll(self) -> Sequence[SourceRecord] | None:
        batch = self.read()
        return None if batch is None else batch.records()


class BatchSinkTask(SinkTask):
    """Writes batches: rows that follow one another and have one topic and one schema."""

    @abstractmethod
    def write(self, topic: str, batch: pa.RecordBatch) -> None:
        """All of it is in the target when this returns, or when `flush` does. RetriableError: all that was
        put with it comes again, so that a target that has got a part has to take it twice.
        """

    def put(self, records: Sequence[SinkRecord]) -> None:
        for topic, alike in _runs(records):
            for batch in self._batches(alike):
                self.write(topic, batch)

    def _batches(self, records: Sequence[SinkRecord]) -> Iterator[pa.RecordBatch]:
        try:
            yield record_batch(records)
        except DataError:
            # Which of them it is shows when each is by itself.
            good = []
            for record in records:
                try:
                    good.append(record_batch([record]))
                except DataError as error:
                    self.reject(record, error)
            if good:
                yield pa.Table.from_batches(good).combine_chunks().to_batches()[0]


def _runs(records: Iterable[SinkRecord]) -> Iterator[tuple[str, list[SinkRecord]]]:
    """Records without a value, or without a schema, are by themselves: they are no rows."""
    for (topic, _), alike in groupby(
        records, lambda one: (one.topic, one.value is not None and one.value_schema)
    ):
        yield topic, list(alike)
