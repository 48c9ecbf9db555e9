"""Messages of the log into records: what is in which transaction, keys that change, deletes, and where each
record is. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ottla.cdc.envelope import Times
from ottla.cdc.postgres.messages import (
    Begin,
    Change,
    Commit,
    Logical,
    Message,
    Origin,
    Relation,
    Truncate,
)
from ottla.cdc.postgres.offsets import Position, Skipping
from ottla.cdc.postgres.records import Records
from ottla.cdc.tables import Shape
from ottla.connect.data import Struct
from ottla.connect.records import Header, SourceRecord

__all__ = ["Rules", "Streaming"]

_KINDS: Final = {"I": "INSERT", "U": "UPDATE", "D": "DELETE"}
_MESSAGES: Final = "message"
"""What transactions' metadata counts logical messages as"""


@dataclass(frozen=True, slots=True)
class Rules:
    """What becomes a record."""

    skipped: frozenset[str] = frozenset("t")
    """Operations that do not: c, u, d, t"""
    tombstones: bool = True
    transactions: bool = False
    """Whether topic and events tell of transactions"""
    wants_message: Callable[[str], bool] = lambda _prefix: True


class Streaming:
    """Feed it with messages in their order. `shape` tells what events of a relation are like, None for one
    that is not wanted.
    """

    def __init__(
        self,
        records: Records,
        rules: Rules,
        shape: Callable[[Relation], Shape | None],
        position: Position,
        flushed_lsn: int,
        now_ns: Times,
    ) -> None:
        self._records = records
        self._rules = rules
        self._shape = shape
        self._skipping = Skipping(position, flushed_lsn)
        self._now_ns = now_ns
        self._shapes: dict[int, Shape | None] = {}
        start = position.lsn if position.processed_lsn is None else position.processed_lsn
        self.position: Final = replace(
            position, processed_lsn=start, snapshot=None, xid=None, micros=None, counts=dict(position.counts)
        )
        self._total = sum(position.counts.values())
        self.in_transaction = False

    def on(self, message: Message, lsn: int) -> Sequence[SourceRecord]:
        """What a message at this place in the log becomes."""
        if isinstance(message, Change):
            return () if self._skipping.knows(lsn) else self._change(message, lsn)
        if isinstance(message, Begin):
            return self._begin(message, lsn)
        if isinstance(message, Commit):
            return self._commit(lsn)
        if isinstance(message, Relation):
            self._shapes[message.oid] = self._shape(message)
        elif isinstance(message, Truncate):
            return () if self._skipping.knows(lsn) else self._truncate(message, lsn)
        elif isinstance(message, Logical):
            return self._logical(message, lsn)
        else:
            assert isinstance(message, Origin)
        return ()

    # Transactions

    def _begin(self, begin: Begin, lsn: int) -> Sequence[SourceRecord]:
        self.in_transaction = True
        known = self._skipping.begins(begin.final_lsn, begin.xid)
        at = self.position
        at.xid, at.micros = begin.xid, begin.micros
        if known:
            return ()
        at.lsn, at.kind, at.events = lsn, "BEGIN", 0
        if not self._rules.transactions:
            return ()
        at.transaction, at.counts, self._total = str(begin.xid), {}, 0
        return [self._records.transaction("BEGIN", at, self._now_ns())]

    def _commit(self, lsn: int) -> Sequence[SourceRecord]:
        self.in_transaction = False
        if self._skipping.ends():
            return ()
        at = self.position
        at.lsn = at.processed_lsn = at.commit_lsn = lsn
        at.kind, at.events = "COMMIT", 0
        if not self._rules.transactions:
            return ()
        return [self._records.transaction("END", at, self._now_ns())]

    def _order(self, name: str) -> tuple[str, int, int] | None:
        """The transaction, and which event of it and of the table comes: with its metadata."""
        if not self._rules.transactions or not self.in_transaction:
            return None
        at = self.position
        at.counts = {**at.counts, name: at.counts.get(name, 0) + 1}
        self._total += 1
        return f"{at.xid}:{at.lsn}", self._total, at.counts[name]

    # Events

    def _at(self, lsn: int, kind: str) -> Position:
        at = self.position
        at.events = at.events + 1 if at.lsn == lsn and at.kind not in ("BEGIN", "COMMIT") else 1
        at.lsn, at.kind = lsn, kind
        return at

    def _change(self, change: Change, lsn: int) -> Sequence[SourceRecord]:
        at = self._at(lsn, _KINDS[change.kind])
        at.processed_lsn = lsn
        shape = self._shapes.get(change.relation)
        if shape is None:
            return ()
        if change.kind == "I":
            return self._insert(shape, change)
        if change.kind == "D":
            return self._delete(shape, change)
        return self._update(shape, change)

    def _insert(self, shape: Shape, change: Change) -> Sequence[SourceRecord]:
        if "c" in self._rules.skipped:
            return ()
        assert change.new is not None  # an insert has it
        values = shape.values(change.new)
        key, after = shape.key(values), shape.row(values)
        return [self._event(shape, "c", key, None, after)]

    def _delete(self, shape: Shape, change: Change) -> Sequence[SourceRecord]:
        if "d" in self._rules.skipped:
            return ()
        assert change.old is not None  # a delete has it
        values = shape.values(change.old)
        key = shape.key(values)
        found = [self._event(shape, "d", key, shape.row(values), None)]
        if self._rules.tombstones and key is not None:
            found.append(self._records.tombstone(shape, key, self.position))
        return found

    def _update(self, shape: Shape, change: Change) -> Sequence[SourceRecord]:
        if "u" in self._rules.skipped:
            return ()
        assert change.new is not None  # an update has it
        full_old = None if change.old_is_key else change.old
        values = shape.values(change.new, full_old)
        key, after = shape.key(values), shape.row(values)
        if change.old is None:
            return [self._event(shape, "u", key, None, after)]
        old_values = shape.values(change.old)
        old_key, before = shape.key(old_values), shape.row(old_values)
        if old_key is None or key is None or old_key.values == key.values:
            return [self._event(shape, "u", key, before, after)]
        to_new, to_old = _header("__debezium.newkey", key), _header("__debezium.oldkey", old_key)
        found = [self._event(shape, "d", old_key, before, None, (to_new,))]
        if self._rules.tombstones:
            found.append(self._records.tombstone(shape, old_key, self.position, (to_new,)))
        found.append(self._event(shape, "c", key, None, after, (to_old,)))
        return found

    def _event(
        self,
        shape: Shape,
        operation: str,
        key: Struct | None,
        before: Struct | None,
        after: Struct | None,
        headers: Sequence[Header] = (),
    ) -> SourceRecord:
        order = self._order(str(shape.table)) if self._rules.transactions else None
        return self._records.event(
            shape, operation, key, before, after, self.position, self._now_ns(), order, headers
        )

    def _truncate(self, truncate: Truncate, lsn: int) -> Sequence[SourceRecord]:
        at = self._at(lsn, "TRUNCATE")
        shapes = [shape for each in truncate.relations if (shape := self._shapes.get(each)) is not None]
        if "t" in self._rules.skipped:
            shapes = []
        found = []
        for number, shape in enumerate(shapes, 1):
            if number == len(shapes):
                at.processed_lsn = lsn
            found.append(self._event(shape, "t", None, None, None))
        return found

    def _logical(self, message: Logical, lsn: int) -> Sequence[SourceRecord]:
        if message.transactional:
            if self._skipping.knows(lsn):
                return ()
            at = self._at(lsn, "MESSAGE")
        else:
            if self._skipping.knows_alone(lsn):
                return ()
            at = self._at(lsn, "MESSAGE")
            at.processed_lsn = at.commit_lsn = lsn
            at.xid = at.transaction = None
            at.counts = {}
            at.micros = self._now_ns() // 1000
        if not self._rules.wants_message(message.prefix):
            return ()
        order = self._order(_MESSAGES) if message.transactional else None
        return [self._records.message(message.prefix, message.content, at, self._now_ns(), order)]


def _header(name: str, key: Struct) -> Header:
    return Header(name, key.schema, key)
