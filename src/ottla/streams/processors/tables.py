"""Operators whose input is a table's: its topic, or the changes of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ottla.streams.errors import StreamsError
from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.processors.base import AnyRecord, Operator
from ottla.streams.processors.table_store import TableProcessor, TableStore, value_of
from ottla.streams.records import Change, Record, ValueAndTimestamp
from ottla.streams.task.chunks import Chunk

__all__ = [
    "TableAggregate",
    "TableFilter",
    "TableMapValues",
    "TablePassThrough",
    "TableReduce",
    "TableRegroup",
    "TableSource",
    "TableToStream",
]


class TableSource(TableProcessor):
    """Reads a topic as a table; with a store, if it is to know what was there before."""

    def __init__(self, store: str | None, *, send_old: bool = False) -> None:
        super().__init__(send_old=send_old)
        self._store_name = store
        self._store: TableStore | None = None

    def prepare(self) -> None:
        if self._store_name is not None:
            self._store = self.open(self._store_name)

    def process(self, record: AnyRecord) -> None:
        key, value, timestamp = record.key, record.value, record.timestamp
        if key is None:
            self.drop()
            return
        store = self._store
        if store is None:
            self.forward(Record(key, Change(value, None), timestamp, record.headers))
            return
        old = value_of(store.get(key))
        put = store.put(key, value, timestamp)
        self.update(key, value, old, timestamp, record.headers, put)


class _Derived(TableProcessor):
    """Computes a value from another table's, and keeps it if there is a store."""

    def __init__(self, store: str | None, *, send_old: bool) -> None:
        super().__init__(send_old=send_old)
        self._store_name = store
        self._store: TableStore | None = None

    def prepare(self) -> None:
        if self._store_name is not None:
            self._store = self.open(self._store_name)

    def compute(self, key: Any, value: Any) -> Any:
        raise NotImplementedError

    def is_needless(self, new: Any, old: Any) -> bool:  # noqa: ARG002
        return False

    def process(self, record: AnyRecord) -> None:
        key, change = record.key, record.value
        store = self._store
        new = self.compute(key, change.new)
        old = None
        if self.send_old:
            old = self.compute(key, change.old) if store is None else value_of(store.get(key))
        if self.is_needless(new, old):
            return
        if store is None:
            self.forward(Record(key, Change(new, old, change.is_latest), record.timestamp, record.headers))
        else:
            put = store.put(key, new, record.timestamp)
            self.update(key, new, old, record.timestamp, record.headers, put)

    def process_chunk(self, chunk: Chunk) -> None:
        if self._store is not None:
            raise NotColumnar("a table with a store")
        keys = chunk.pairs()[0]
        news, olds = chunk.changes()
        new: list[Any] = []
        old: list[Any] = []
        try:
            new.extend(map(self.compute, keys, news))
            if self.send_old:
                old.extend(map(self.compute, keys, [None] * len(keys) if olds is None else olds))
        except Exception as error:  # the function may raise anything: its record will say it
            raise NotColumnar(str(error)) from error
        made = chunk.with_changes(new, old if self.send_old else None)
        needed = [not self.is_needless(*each) for each in zip(new, old, strict=True)] if old else None
        self.step.forward_chunk(made if needed is None else made.keep(needed))


class TableFilter(_Derived):
    """What the predicate does not take is deleted from the table."""

    def __init__(
        self,
        predicate: Callable[[Any, Any], Any],
        store: str | None,
        *,
        negated: bool,
        send_old: bool,
        versioned: bool,
    ) -> None:
        super().__init__(store, send_old=send_old)
        self._predicate = predicate
        self._negated = negated
        self._versioned = versioned

    def compute(self, key: Any, value: Any) -> Any:
        if value is None or bool(self._predicate(key, value)) is self._negated:
            return None
        return value

    def is_needless(self, new: Any, old: Any) -> bool:
        """Nothing was there and nothing is: to forward that would be a tombstone for nothing."""
        return self.send_old and new is None and old is None and not self._versioned


class TableMapValues(_Derived):
    def __init__(self, mapper: Callable[[Any, Any], Any], store: str | None, *, send_old: bool) -> None:
        super().__init__(store, send_old=send_old)
        self._mapper = mapper

    def compute(self, key: Any, value: Any) -> Any:
        return None if value is None else self._mapper(key, value)


class TableToStream(Operator):
    """The new values of changes."""

    def process(self, record: AnyRecord) -> None:
        self.forward(Record(record.key, record.value.new, record.timestamp, record.headers))

    def process_chunk(self, chunk: Chunk) -> None:
        self.step.forward_chunk(chunk.with_new_values())


class TablePassThrough(Operator):
    """Brings together several operators that keep one table."""

    def process(self, record: AnyRecord) -> None:
        self.forward(record)

    def process_chunk(self, chunk: Chunk) -> None:
        self.step.forward_chunk(chunk)


class TableRegroup(Operator):
    """Gives a table's changes other keys: what was leaves its group, what is enters its own."""

    def __init__(self, mapper: Callable[[Any, Any], tuple[Any, Any]], *, versioned: bool) -> None:
        self._mapper = mapper
        self._versioned = versioned

    def process(self, record: AnyRecord) -> None:
        change = record.value
        if self._versioned and not change.is_latest:
            return
        new_key, new = self._regrouped(record.key, change.new)
        old_key, old = self._regrouped(record.key, change.old)
        if old is not None and new is not None and old_key == new_key:
            self._forward(record, new_key, Change(new, old, change.is_latest))
            return
        if old is not None:
            self._forward(record, old_key, Change(None, old, change.is_latest))
        if new is not None:
            self._forward(record, new_key, Change(new, None, change.is_latest))

    def _regrouped(self, key: Any, value: Any) -> tuple[Any, Any]:
        """Nothing unless there is both a key and a value."""
        if value is None:
            return None, None
        new_key, new_value = self._mapper(key, value)
        return (None, None) if new_key is None else (new_key, new_value)

    def _forward(self, record: AnyRecord, key: Any, change: Change[Any]) -> None:
        self.forward(Record(key, change, record.timestamp, record.headers))


class _Regrouped(TableProcessor):
    """An aggregate over a table: a value that is replaced is taken back first."""

    def __init__(self, store: str, *, send_old: bool) -> None:
        super().__init__(send_old=send_old)
        self._name = store

    def prepare(self) -> None:
        self._store = self.open(self._name)

    def process(self, record: AnyRecord) -> None:
        key, change = record.key, record.value
        if key is None:
            raise StreamsError(f"A table that is aggregated in {self._name} has no null keys")
        found = self._store.get(key)
        aggregate, timestamp = self.aggregated(key, change, found, record.timestamp)
        put = self._store.put(key, aggregate, timestamp)
        self.update(key, aggregate, value_of(found), timestamp, record.headers, put)

    def aggregated(
        self, key: Any, change: Change[Any], found: ValueAndTimestamp[Any] | None, timestamp: int
    ) -> tuple[Any, int]:
        """The new aggregate and its time."""
        raise NotImplementedError


class TableAggregate(_Regrouped):
    def __init__(
        self,
        initializer: Callable[[], Any],
        adder: Callable[[Any, Any, Any], Any],
        subtractor: Callable[[Any, Any, Any], Any],
        store: str,
        *,
        send_old: bool,
    ) -> None:
        super().__init__(store, send_old=send_old)
        self._initializer = initializer
        self._adder = adder
        self._subtractor = subtractor

    def aggregated(
        self, key: Any, change: Change[Any], found: ValueAndTimestamp[Any] | None, timestamp: int
    ) -> tuple[Any, int]:
        aggregate = None
        if found is not None:
            aggregate = found.value
            if change.old is not None or change.new is not None:
                timestamp = max(timestamp, found.timestamp)
            if change.old is not None:
                aggregate = self._subtractor(key, change.old, aggregate)
        if change.new is not None:
            aggregate = self._adder(key, change.new, self._initializer() if aggregate is None else aggregate)
        return aggregate, timestamp


class TableReduce(_Regrouped):
    def __init__(
        self,
        adder: Callable[[Any, Any], Any],
        subtractor: Callable[[Any, Any], Any],
        store: str,
        *,
        send_old: bool,
    ) -> None:
        super().__init__(store, send_old=send_old)
        self._adder = adder
        self._subtractor = subtractor

    def aggregated(
        self,
        key: Any,  # noqa: ARG002
        change: Change[Any],
        found: ValueAndTimestamp[Any] | None,
        timestamp: int,
    ) -> tuple[Any, int]:
        aggregate = None
        newest = timestamp if found is None else max(timestamp, found.timestamp)
        if found is not None:
            aggregate = found.value
            if change.old is not None:
                aggregate = self._subtractor(aggregate, change.old)
                timestamp = newest
        if change.new is not None:
            if aggregate is None:
                aggregate = change.new
            else:
                aggregate = self._adder(aggregate, change.new)
                timestamp = newest
        return aggregate, timestamp
