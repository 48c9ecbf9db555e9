"""Where a connector is in the log, as Debezium's PostgreSQL connector keeps it, so that either goes on from
the other's. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ottla.connect.data import Value
from ottla.connect.errors import ConnectError

__all__ = ["Position", "Skipping", "position_from"]

_COUNT: Final = "transaction_data_collection_order_"


@dataclass(slots=True)
class Position:
    """`lsn` is the last event's; `commit_lsn` the end of the last transaction that is complete;
    `processed_lsn` the last place whose events are all there. `micros` is the time of the event's commit.
    """

    lsn: int | None = None
    processed_lsn: int | None = None
    commit_lsn: int | None = None
    xid: int | None = None
    micros: int | None = None
    kind: str | None = None
    """BEGIN, COMMIT, INSERT, UPDATE, DELETE, TRUNCATE, MESSAGE"""
    events: int = 0
    """How many of the place `lsn` there were"""
    snapshot: str | None = None
    """INITIAL while one is taken, and on its last record"""
    is_last: bool = False
    transaction: str | None = None
    """With the transactions' metadata: which one is open, or was the last"""
    counts: dict[str, int] = field(default_factory=dict)
    """Its events by table"""

    def offset(self) -> dict[str, Value]:
        found: dict[str, Value] = {}
        if self.processed_lsn is not None:
            found["lsn_proc"] = self.processed_lsn
        if self.kind is not None:
            found["messageType"] = self.kind
        if self.commit_lsn is not None:
            found["lsn_commit"] = self.commit_lsn
        if self.lsn is not None:
            found["lsn"] = self.lsn
        if self.xid is not None:
            found["txId"] = self.xid
        if self.micros is not None:
            found["ts_usec"] = self.micros
        if self.events > 1:
            found["lsn_events_processed"] = self.events
        if self.snapshot is not None:
            found["snapshot"] = self.snapshot
            found["snapshot_completed"] = self.is_last
            found["last_snapshot_record"] = self.is_last
        if self.transaction is not None:
            found["transaction_id"] = self.transaction
            for name, count in self.counts.items():
                found[_COUNT + name] = count
        return found

    @property
    def is_snapshot_incomplete(self) -> bool:
        return self.snapshot is not None and not self.is_last


def _number(offset: Mapping[str, Value], name: str) -> int | None:
    value = offset.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ConnectError(f"the offset's {name} is no number: {value!r}")


def position_from(offset: Mapping[str, Value]) -> Position:
    """Raises ConnectError for what is no offset of this kind."""
    kind, snapshot = offset.get("messageType"), offset.get("snapshot")
    transaction = offset.get("transaction_id")
    lsn = _number(offset, "lsn")
    if lsn is None:
        raise ConnectError(f"the offset has no lsn: {dict(offset)!r}")
    return Position(
        lsn,
        _number(offset, "lsn_proc"),
        _number(offset, "lsn_commit"),
        _number(offset, "txId"),
        _number(offset, "ts_usec"),
        None if kind is None else str(kind),
        _number(offset, "lsn_events_processed") or (0 if kind in (None, "BEGIN", "COMMIT") else 1),
        None if snapshot is None else "INITIAL",
        offset.get("snapshot_completed") is True or offset.get("last_snapshot_record") is True,
        None if transaction is None else str(transaction),
        {
            name.removeprefix(_COUNT): value
            for name, value in offset.items()
            if name.startswith(_COUNT) and isinstance(value, int)
        },
    )


class Skipping:
    """What of the log is known already, where it is read again from a place before.

    Transactions come in the order of their commits, and what one changed in the order of the log. All that
    was committed before `commit_lsn` is known (or before the snapshot, which saw it); of the first one after
    it, what its events up to the position are.
    """

    def __init__(self, position: Position, flushed_lsn: int = 0) -> None:
        """`flushed_lsn` is from where on the server sends transactions that end there."""
        in_snapshot = position.snapshot is not None or position.kind is None
        known_until = position.lsn if in_snapshot else position.commit_lsn
        self._known_until = 0 if known_until is None else known_until
        self._partly = None if in_snapshot or position.kind in ("COMMIT", None) else position.xid
        # The server was told more than the position: that transaction need not come again. It may, where it
        # was told while nothing came but the transaction was open already.
        self._awaits_partly = self._partly is not None and flushed_lsn <= max(
            self._known_until, position.lsn or 0
        )
        self._position = position
        self._at_lsn = 0
        self._skips_all = False
        self._skips_some = False

    def begins(self, final_lsn: int, xid: int) -> bool:
        """Whether its beginning is known."""
        self._skips_all = final_lsn < self._known_until
        self._skips_some = not self._skips_all and self._partly is not None and xid == self._partly
        self._at_lsn = 0
        if not self._skips_all:
            self._partly, self._awaits_partly = None, False  # no later one is
        return self._skips_all or self._skips_some

    def ends(self) -> bool:
        skipped, self._skips_all, self._skips_some = self._skips_all, False, False
        return skipped

    def knows(self, lsn: int) -> bool:
        """Of a change in the transaction."""
        if self._skips_all:
            return True
        if not self._skips_some:
            return False
        position = self._position
        if position.kind == "BEGIN" or position.lsn is None or lsn > position.lsn:
            self._skips_some = False
            return False
        if lsn < position.lsn:
            return True
        if position.kind == "TRUNCATE" and position.processed_lsn != lsn:
            return False  # not of all its tables
        self._at_lsn += 1
        return self._at_lsn <= max(position.events, 1)

    def knows_alone(self, lsn: int) -> bool:
        """Of a message outside of transactions, which overtakes those that are open."""
        if self._awaits_partly:
            return True
        if self._position.kind == "MESSAGE" and lsn == self._position.lsn == self._position.commit_lsn:
            return True
        return lsn < self._known_until
