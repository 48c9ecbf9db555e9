"""Aggregates of streams by key, without windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ottla.streams.expressions.aggregates import Aggregates
from ottla.streams.processors.base import AnyRecord, adding
from ottla.streams.processors.table_store import TableProcessor

__all__ = ["StreamAggregate", "StreamReduce"]


class _ByKey(TableProcessor):
    def __init__(self, store: str, *, send_old: bool) -> None:
        super().__init__(send_old=send_old)
        self._name = store

    def prepare(self) -> None:
        self._store = self.open(self._name)


class StreamAggregate(_ByKey):
    def __init__(
        self,
        initializer: Callable[[], Any],
        aggregator: Callable[[Any, Any, Any], Any] | Aggregates,
        store: str,
        *,
        send_old: bool,
    ) -> None:
        super().__init__(store, send_old=send_old)
        self.initializer = initializer
        self.aggregator = aggregator

    def prepare(self) -> None:
        super().prepare()
        self._add = adding(self.aggregator, self.step)

    def process(self, record: AnyRecord) -> None:
        key, value = record.key, record.value
        if key is None or value is None:
            self.drop()
            return
        timestamp = record.timestamp
        found = self._store.get(key)
        if found is None:
            old = self.initializer()
        else:
            old = found.value
            timestamp = max(timestamp, found.timestamp)
        new = self._add(record, old)
        put = self._store.put(key, new, timestamp)
        self.update(key, new, old, timestamp, record.headers, put)


class StreamReduce(_ByKey):
    def __init__(self, reducer: Callable[[Any, Any], Any], store: str, *, send_old: bool) -> None:
        super().__init__(store, send_old=send_old)
        self.reducer = reducer

    def process(self, record: AnyRecord) -> None:
        key, value = record.key, record.value
        if key is None or value is None:
            self.drop()
            return
        timestamp = record.timestamp
        found = self._store.get(key)
        old = None
        new = value
        if found is not None:
            old = found.value
            new = self.reducer(old, value)
            timestamp = max(timestamp, found.timestamp)
        put = self._store.put(key, new, timestamp)
        self.update(key, new, old, timestamp, record.headers, put)
