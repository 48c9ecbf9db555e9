"""The store in memory: for tests and simulation, and the model that the durable one is held against."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from typing import TypeVar

from ottla.metadata.transaction import Delete, Event, KeyValue, Put, Transaction, Write
from ottla.store.interface import CompactedError, Outcome, Page, page_of, prefixes_of
from ottla.store.local import LocalStore

_T = TypeVar("_T")


class MemoryStore(LocalStore):
    """As durable as the object, and the same calls in the same order give the same."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """`now_ms` is the leases' clock: a monotonic one."""
        super().__init__(MemoryEngine, _in_turn, now_ms)


async def _in_turn(work: Callable[[], _T], /) -> _T:
    await asyncio.sleep(0)  # others may come first, as with any other store
    return work()


class MemoryEngine:
    """Keeps all history until it is told to compact."""

    def __init__(self) -> None:
        self._revision = 0
        self._oldest_revision = 0
        self._entries: dict[str, KeyValue] = {}
        # Per key every state it had, oldest first; a deleted state has the value None.
        self._history: dict[str, list[tuple[int, KeyValue | None]]] = {}
        self._events: list[Event] = []

    @property
    def revision(self) -> int:
        return self._revision

    def range(
        self, prefix: str, revision: int | None = None, limit: int | None = None, after: str = ""
    ) -> Page:
        if revision is None:
            revision = self._revision
        self._check_history(revision)
        if revision > self._revision:
            raise ValueError(f"revision {revision} is yet to come; the store is at {self._revision}")
        entries = [
            entry
            for key, states in self._history.items()
            if key.startswith(prefix) and key > after and (entry := _state_at(states, revision)) is not None
        ]
        return page_of(revision, sorted(entries), limit)

    def transaction(self, transaction: Transaction) -> Outcome:
        for key, mod_revision in transaction.compares:
            if (self._entries[key].mod_revision if key in self._entries else 0) != mod_revision:
                return Outcome(False, self._revision)
        self._write(transaction.writes)
        return Outcome(True, self._revision)

    def events(self, prefix: str, from_revision: int) -> tuple[int, list[Event]]:
        self._check_history(from_revision)
        start = bisect_left(self._events, from_revision, key=lambda event: event.revision)
        return self._revision, [event for event in self._events[start:] if event.key.startswith(prefix)]

    def delete_leased(self, lease_id: int) -> None:
        held = [key for key, entry in self._entries.items() if entry.lease_id == lease_id]
        self._write(tuple(Delete(key) for key in held))

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

    def close(self) -> None: ...

    def _write(self, writes: tuple[Write, ...]) -> None:
        deleted = prefixes_of(writes)
        changes: list[Put | Delete] = [Delete(key) for key in self._entries if key.startswith(deleted)]
        changes.extend(
            write
            for write in writes
            if isinstance(write, Put) or (isinstance(write, Delete) and write.key in self._entries)
        )
        if not changes:
            return
        self._revision += 1
        for write in sorted(changes, key=lambda change: change.key):
            state: KeyValue | None = None
            if isinstance(write, Put):
                old = self._entries.get(write.key)
                created = self._revision if old is None else old.create_revision
                state = KeyValue(write.key, write.value, created, self._revision, write.lease_id)
                self._entries[write.key] = state
            else:
                del self._entries[write.key]
            self._history.setdefault(write.key, []).append((self._revision, state))
            self._events.append(Event(self._revision, write.key, None if state is None else state.value))

    def _check_history(self, revision: int) -> None:
        if revision < self._oldest_revision:
            raise CompactedError(f"history begins at revision {self._oldest_revision}")


def _state_at(states: list[tuple[int, KeyValue | None]], revision: int) -> KeyValue | None:
    position = bisect_left(states, revision + 1, key=lambda state: state[0]) - 1
    return states[position][1] if position >= 0 else None
