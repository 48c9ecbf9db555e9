"""Joins of a stream with a table: a record is joined with what the table has at that moment, or had at its
time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ottla.streams.errors import StreamsError
from ottla.streams.expressions.inference import Bound
from ottla.streams.expressions.nodes import Header, Metadata
from ottla.streams.expressions.row import compile_row
from ottla.streams.processors.base import AnyRecord, Operator
from ottla.streams.processors.join_buffer import JoinBuffer
from ottla.streams.processors.table_store import value_of
from ottla.streams.processors.views import ValueGetter
from ottla.streams.records import Record, RecordMetadata

__all__ = ["ExpressionJoiner", "StreamTableJoin"]


class ExpressionJoiner:
    """A joiner by an expression of a value with two fields: `left` and `right`, what the two sides have."""

    def __init__(self, bound: Bound) -> None:
        self.bound = bound
        self._evaluate = compile_row(bound.expression)

    @property
    def asks_for_the_record(self) -> bool:
        """Whether it needs more than key and values: a time, a place, a header."""
        return any(isinstance(node, Metadata | Header) for node in self.bound.expression.walk())

    def __call__(self, key: Any, left: Any, right: Any) -> Any:
        return self._evaluate(Record(key, {"left": left, "right": right}, -1), None)

    def joined(self, record: AnyRecord, where: RecordMetadata | None, right: Any) -> Any:
        """What comes of a record of the stream, and where it is from."""
        sides = {"left": record.value, "right": right}
        return self._evaluate(Record(record.key, sides, record.timestamp, record.headers), where)


class StreamTableJoin(Operator):
    """With a buffer, records wait for the table's own to come (KIP-923)."""

    def __init__(
        self,
        table: ValueGetter,
        key_mapper: Callable[[Any, Any], Any] | None,
        joiner: Callable[[Any, Any, Any], Any],
        buffer: str | None,
        *,
        is_left: bool,
    ) -> None:
        """`key_mapper(key, value)` gives the key in the table (None: the stream's own); `joiner` takes the
        stream's key, its value and the table's."""
        self._table = table
        self._key_mapper = key_mapper
        self._joiner = joiner
        self._buffer_name = buffer
        self._is_left = is_left

    def prepare(self) -> None:
        self._table.prepare(self.step)
        self._buffer: JoinBuffer | None = None
        if self._buffer_name is not None:
            if not self._table.is_versioned:
                raise StreamsError(f"{self.step.name}: only a versioned table can be joined with a grace")
            self._buffer = self.store(self._buffer_name)

    def process(self, record: AnyRecord) -> None:
        table_key = self._table_key(record)
        if record.value is None or (table_key is None and not self._is_left):
            self.drop()
            return
        buffer = self._buffer
        if buffer is None or record.key is None or not buffer.put(record):
            self._join(record, table_key)
            return
        for context, waited in buffer.take_due():
            outer, self.step.task.flushing = self.step.task.flushing, context
            try:
                self._join(waited, self._table_key(waited))
            finally:
                self.step.task.flushing = outer

    def _table_key(self, record: AnyRecord) -> Any:
        mapper = self._key_mapper
        return record.key if mapper is None else mapper(record.key, record.value)

    def _join(self, record: AnyRecord, table_key: Any) -> None:
        table = self._table
        if table_key is None:
            found = None
        elif table.is_versioned:
            found = table.get_as_of(table_key, record.timestamp)
        else:
            found = table.get(table_key)
        other = value_of(found)
        if other is not None or self._is_left:
            joiner = self._joiner
            if isinstance(joiner, ExpressionJoiner):
                joined = joiner.joined(record, self.step.record_metadata, other)
            else:
                joined = joiner(record.key, record.value, other)
            self.forward(Record(record.key, joined, record.timestamp, record.headers))
