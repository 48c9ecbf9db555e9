"""Joins of tables by key: a change of either side is joined with what the other has now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from ottla.streams.processors.base import AnyRecord, Operator
from ottla.streams.processors.table_store import TableProcessor, TableStore, value_of
from ottla.streams.processors.views import Found, ValueGetter
from ottla.streams.records import Change, Record, ValueAndTimestamp
from ottla.streams.task.steps import ProcessorStep

__all__ = ["JoinKind", "JoinedTables", "TableJoinMerge", "TableJoinSide", "joins"]

JoinKind = Literal["inner", "left", "outer"]
Joiner = Callable[[Any, Any], Any]


def joins(kind: JoinKind, left: Any, right: Any) -> bool:
    """Whether there is a result."""
    if kind == "inner":
        return left is not None and right is not None
    if kind == "left":
        return left is not None
    return left is not None or right is not None


class TableJoinSide(Operator):
    """Changes of one table, joined with the other."""

    def __init__(
        self,
        other: ValueGetter,
        joiner: Joiner,
        kind: JoinKind,
        *,
        is_left: bool,
        send_old: bool,
        versioned: bool,
    ) -> None:
        """`joiner(left, right)`, whichever side this is."""
        self._other = other
        self._joiner = joiner
        self._kind = kind
        self._is_left = is_left
        self._send_old = send_old
        self._versioned = versioned

    def prepare(self) -> None:
        self._other.prepare(self.step)

    def process(self, record: AnyRecord) -> None:
        key, change = record.key, record.value
        if key is None or (self._versioned and not change.is_latest):
            self.drop()
            return
        found = self._other.get(key)
        other = value_of(found)
        if other is None:
            needs_other = self._kind == "inner" or (self._kind == "left" and not self._is_left)
            if needs_other or (change.new is None and change.old is None):
                return
        timestamp = record.timestamp
        if found is not None and other is not None:
            timestamp = max(timestamp, found.timestamp)
        new = self._joined(change.new, other)
        old = self._joined(change.old, other) if self._send_old else None
        self.forward(Record(key, Change(new, old, change.is_latest), timestamp, record.headers))

    def _joined(self, mine: Any, other: Any) -> Any:
        left, right = (mine, other) if self._is_left else (other, mine)
        return self._joiner(left, right) if joins(self._kind, left, right) else None


class TableJoinMerge(TableProcessor):
    """Brings both sides together, and keeps the result if there is a store."""

    def __init__(self, store: str | None, *, send_old: bool) -> None:
        super().__init__(send_old=send_old)
        self._name = store
        self._store: TableStore | None = None

    def prepare(self) -> None:
        if self._name is not None:
            self._store = self.open(self._name)

    def process(self, record: AnyRecord) -> None:
        key, change = record.key, record.value
        store = self._store
        if store is None:
            old = change.old if self.send_old else None
            self.forward(
                Record(key, Change(change.new, old, change.is_latest), record.timestamp, record.headers)
            )
            return
        old = value_of(store.get(key)) if self.send_old else None
        put = store.put(key, change.new, record.timestamp)
        self.update(key, change.new, old, record.timestamp, record.headers, put)


class JoinedTables:
    """A join as others read it, where it has no store: computed from both tables."""

    is_versioned = False

    def __init__(self, left: ValueGetter, right: ValueGetter, joiner: Joiner, kind: JoinKind) -> None:
        self._left = left
        self._right = right
        self._joiner = joiner
        self._kind = kind

    def prepare(self, step: ProcessorStep) -> None:
        self._left.prepare(step)
        self._right.prepare(step)

    def get(self, key: Any) -> Found:
        left, right = self._left.get(key), self._right.get(key)
        if not joins(self._kind, value_of(left), value_of(right)):
            return None
        value = self._joiner(value_of(left), value_of(right))
        if value is None:
            return None
        return ValueAndTimestamp(value, max(found.timestamp for found in (left, right) if found is not None))

    def get_as_of(self, key: Any, timestamp: int) -> Found:  # noqa: ARG002
        return self.get(key)
