"""Operators by expressions: a record at a time, or whole chunks by Arrow's kernels, with the same outcome.

pyarrow is imported with the first chunk: an application that takes records one at a time never needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ottla.streams.errors import StreamsError
from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.expressions.inference import Bound
from ottla.streams.expressions.nodes import Metadata
from ottla.streams.expressions.row import compile_row
from ottla.streams.processors.base import AnyRecord, Operator
from ottla.streams.records import Record, RecordMetadata

if TYPE_CHECKING:
    import pyarrow as pa

    from ottla.streams.columnar.chunk import Chunk

__all__ = [
    "FilterByExpression",
    "MapBatches",
    "MapValuesByExpression",
    "SelectKeyByExpression",
    "TableFunction",
]


TableFunction = Callable[["pa.Table"], "pa.Table"]
"""Of a `pyarrow.Table` of columns key, value and timestamp (int64, in milliseconds); it gives the same
columns and as many rows."""


class _ByExpression(Operator):
    def __init__(self, bound: Bound) -> None:
        self.bound = bound
        self.evaluate = compile_row(bound.expression)
        self._needs_where = any(
            isinstance(node, Metadata) and node.name in ("topic", "partition", "offset")
            for node in bound.expression.walk()
        )

    def where(self) -> RecordMetadata | None:
        """Where the record comes from, if the expression asks."""
        return self.step.record_metadata if self._needs_where else None


class FilterByExpression(_ByExpression):
    """Lets through the records of which the expression is true: neither false nor null."""

    def process(self, record: AnyRecord) -> None:
        if self.evaluate(record, self.where()) is True:
            self.forward(record)

    def process_chunk(self, chunk: Chunk) -> None:
        from ottla.streams.expressions.arrow import evaluate_filter

        self.step.forward_chunk(chunk.where(evaluate_filter(self.bound, chunk)))


class MapValuesByExpression(_ByExpression):
    def process(self, record: AnyRecord) -> None:
        value = self.evaluate(record, self.where())
        self.forward(Record(record.key, value, record.timestamp, record.headers))

    def process_chunk(self, chunk: Chunk) -> None:
        from ottla.streams.columnar.column import Column
        from ottla.streams.expressions.arrow import evaluate

        self.step.forward_chunk(chunk.with_values(Column.of_array(evaluate(self.bound, chunk))))


class SelectKeyByExpression(_ByExpression):
    def process(self, record: AnyRecord) -> None:
        key = self.evaluate(record, self.where())
        self.forward(Record(key, record.value, record.timestamp, record.headers))

    def process_chunk(self, chunk: Chunk) -> None:
        from ottla.streams.columnar.column import Column
        from ottla.streams.expressions.arrow import evaluate

        self.step.forward_chunk(chunk.with_keys(Column.of_array(evaluate(self.bound, chunk))))


class MapBatches(Operator):
    """A function of tables: key, value, timestamp in, the same columns and as many rows out.

    A record that comes by itself is a table of one row.
    """

    def __init__(self, function: TableFunction) -> None:
        self._function = function

    def process(self, record: AnyRecord) -> None:
        from ottla.streams.columnar.objects import array_of

        timestamps = array_of([record.timestamp])
        made = self._call(array_of([record.key]), array_of([record.value]), timestamps)
        key, value, timestamp = (column[0].as_py() for column in made.columns)
        self.forward(Record(key, value, timestamp, record.headers))

    def process_chunk(self, chunk: Chunk) -> None:
        from ottla.streams.columnar.column import Column

        tables = chunk.keys.array(), chunk.values.array(), chunk.timestamps
        try:
            made = self._call(*tables)
        except Exception as error:  # by itself each record is told apart
            raise NotColumnar(str(error)) from error
        keys, values, timestamps = (column.combine_chunks() for column in made.columns)
        changed = chunk.with_keys(Column.of_array(keys)).with_values(Column.of_array(values))
        self.step.forward_chunk(changed.with_timestamps(timestamps))

    def _call(self, keys: Any, values: Any, timestamps: Any) -> pa.Table:
        import pyarrow as pa

        table = pa.table({"key": keys, "value": values, "timestamp": timestamps})
        made = self._function(table)
        if not isinstance(made, pa.Table) or made.num_rows != table.num_rows:
            raise StreamsError(f"{self.step.name}: a function of batches gives a table of as many rows")
        missing = [name for name in table.column_names if made.column_names.count(name) != 1]
        if missing:
            raise StreamsError(f"{self.step.name}: a function of batches gives one column {missing[0]}")
        made = made.select(table.column_names)
        return made.set_column(2, "timestamp", made.column(2).cast(pa.int64()))
