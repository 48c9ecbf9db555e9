"""The store in memory: for tests and simulation, and the model that the durable one is held against."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from ottla.metadata.store import (
    Committed,
    CompactedError,
    Delete,
    Event,
    KeyValue,
    Leases,
    Put,
    Snapshot,
    Transaction,
    Watch,
    Write,
    field_of,
)


class MemoryStore:
    """Keeps all history until it is told to compact."""

    def __init__(self) -> None:
        self._revision = 0
        self._oldest_revision = 0
        self._entries: dict[str, KeyValue] = {}
        # Per key every state it had, oldest first; a deleted state has the value None.
        self._history: dict[str, list[tuple[int, KeyValue | None]]] = {}
        self._events: list[Event] = []
        self._leases = Leases()
        self._watches: list[Watch] = []

    @property
    def revision(self) -> int:
        return self._revision

    def get_prefix(self, prefix: str, revision: int | None = None) -> Snapshot:
        if revision is None or revision == self._revision:
            entries = [entry for key, entry in self._entries.items() if key.startswith(prefix)]
            return Snapshot(self._revision, sorted(entries))
        self._check_history(revision)
        if revision > self._revision:
            raise ValueError(f"revision {revision} is yet to come; the store is at {self._revision}")
        past = [
            entry
            for key, states in self._history.items()
            if key.startswith(prefix) and (entry := _state_at(states, revision)) is not None
        ]
        return Snapshot(revision, sorted(past))

    def transaction(self, transaction: Transaction) -> Committed:
        self._leases.check_writes(transaction.writes)
        for compare in transaction.compares:
            if field_of(self._entries.get(compare.key), compare.field) != compare.expected:
                return Committed(False, self._revision)
        self._write(transaction.writes)
        return Committed(True, self._revision)

    def events(self, prefix: str, from_revision: int) -> list[Event]:
        self._check_history(from_revision)
        start = bisect_left(self._events, from_revision, key=lambda event: event.revision)
        return [event for event in self._events[start:] if event.key.startswith(prefix)]

    def watch(self, prefix: str, from_revision: int, wake: Callable[[], None] | None = None) -> Watch:
        watch = Watch(self, prefix, from_revision, self._watches.remove, wake)
        self._watches.append(watch)
        return watch

    def lease_grant(self, ttl_ms: int, now_ms: int) -> int:
        return self._leases.grant(ttl_ms, now_ms)

    def lease_keepalive(self, lease_id: int, now_ms: int) -> None:
        self._leases.keepalive(lease_id, now_ms)

    def lease_revoke(self, lease_id: int) -> None:
        self._leases.end(lease_id)
        held = [key for key, entry in self._entries.items() if entry.lease_id == lease_id]
        self._write(tuple(Delete(key) for key in held))

    def expire_leases(self, now_ms: int) -> list[int]:
        ended = self._leases.ended_by(now_ms)
        for lease_id in ended:
            self.lease_revoke(lease_id)
        return ended

    def compact(self, revision: int) -> None:
        if not self._oldest_revision < revision <= self._revision:
            return
        self._oldest_revision = revision
        start = bisect_left(self._events, revision, key=lambda event: event.revision)
        del self._events[:start]
        for key, states in list(self._history.items()):
            # The state at the oldest revision that can still be read stays.
            keep = max(bisect_left(states, revision + 1, key=lambda state: state[0]) - 1, 0)
            del states[:keep]
            if states == [(states[0][0], None)] and states[0][0] <= revision:
                del self._history[key]

    def close(self) -> None:
        self._watches.clear()

    def _write(self, writes: tuple[Write, ...]) -> None:
        changes = [write for write in writes if isinstance(write, Put) or write.key in self._entries]
        if not changes:
            return
        self._revision += 1
        for write in sorted(changes, key=lambda change: change.key):
            state: KeyValue | None = None
            if isinstance(write, Put):
                old = self._entries.get(write.key)
                created = self._revision if old is None else old.create_revision
                version = 1 if old is None else old.version + 1
                state = KeyValue(write.key, write.value, created, self._revision, version, write.lease_id)
                self._entries[write.key] = state
            else:
                del self._entries[write.key]
            self._history.setdefault(write.key, []).append((self._revision, state))
            self._events.append(Event(self._revision, write.key, None if state is None else state.value))
        for watch in tuple(self._watches):
            watch.notify()

    def _check_history(self, revision: int) -> None:
        if revision < self._oldest_revision:
            raise CompactedError(f"history begins at revision {self._oldest_revision}")


def _state_at(states: list[tuple[int, KeyValue | None]], revision: int) -> KeyValue | None:
    position = bisect_left(states, revision + 1, key=lambda state: state[0]) - 1
    return states[position][1] if position >= 0 else None
