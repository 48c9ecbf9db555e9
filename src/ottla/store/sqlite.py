"""The store of a single node: one SQLite file, durable at every transaction, nothing to install.

`entries` is the present. `history` holds each change with the value it set and the state it replaced: a past
revision is the present with later changes undone, and old history can be dropped by revision alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from typing import Any, TypeAlias, TypeVar

from ottla.metadata.transaction import (
    NO_LEASE,
    Delete,
    DeletePrefix,
    Event,
    KeyValue,
    MetadataFormatError,
    Put,
    Transaction,
    Write,
)
from ottla.store.interface import CompactedError, Outcome, Page, StoreError, page_of, prefix_end, prefixes_of
from ottla.store.local import LocalStore

FILE_NAME = "metadata.sqlite"
MIGRATED_FILE_NAME = f"{FILE_NAME}.migrated"
"""What it is called once a cluster has the metadata"""

_FORMAT = 2
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE entries (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, create_revision INTEGER NOT NULL,
    mod_revision INTEGER NOT NULL, lease_id INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE history (
    revision INTEGER NOT NULL, key TEXT NOT NULL, value BLOB,
    old_value BLOB, old_create_revision INTEGER, old_mod_revision INTEGER,
    old_lease_id INTEGER, PRIMARY KEY (revision, key)
) WITHOUT ROWID;
CREATE TABLE revisions (name TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO revisions VALUES ('present', 0), ('oldest', 0);
PRAGMA user_version = 2;
COMMIT;
"""
_FROM_FORMAT_1 = """
BEGIN IMMEDIATE;
ALTER TABLE entries DROP COLUMN version;
ALTER TABLE history DROP COLUMN old_version;
PRAGMA user_version = 2;
COMMIT;
"""
_PRESENT = "SELECT * FROM entries WHERE key >= ? AND key < ? AND key > ? ORDER BY key LIMIT ?"
_UNCHANGED_SINCE = "SELECT * FROM entries WHERE key >= ? AND key < ? AND key > ? AND mod_revision <= ?"
# MIN() makes SQLite take the other columns from the first change after the revision.
_UNDONE = """
SELECT key, old_value, old_create_revision, old_mod_revision, old_lease_id, MIN(revision)
FROM history WHERE key >= ? AND key < ? AND key > ? AND revision > ? GROUP BY key
"""
_EVENTS = """
SELECT revision, key, value FROM history WHERE revision >= ? AND key >= ? AND key < ? ORDER BY revision, key
"""

_T = TypeVar("_T")
_HistoryRow: TypeAlias = tuple[int, str, bytes | None, bytes | None, int | None, int | None, int | None]


class SqliteStore(LocalStore):
    """A store in a file, which no other process may use."""

    def __init__(
        self, path: str, executor: Executor, now_ms: Callable[[], int], history_revisions: int = 1000
    ) -> None:
        """All of SQLite's work is done by `executor`, which has one thread.

        `now_ms` is the leases' clock: a monotonic one. The last `history_revisions` revisions can be read,
        and up to twice that before older ones are dropped.
        """

        def run(work: Callable[[], _T], /) -> Awaitable[_T]:
            return asyncio.get_running_loop().run_in_executor(executor, work)

        super().__init__(lambda: SqliteEngine(path, history_revisions), run, now_ms)


class SqliteEngine:
    """The keys in a file. Leased ones are deleted when it is opened, since nobody can hold a lease then."""

    def __init__(self, path: str, history_revisions: int = 1000) -> None:
        self._history_revisions = history_revisions
        with _store_errors(path):
            # The executor's one thread may be another after the last one has ended.
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with _store_errors(path):
                self._open(path)
        except BaseException:
            self._database.close()
            raise

    def _open(self, path: str) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        (found,) = self._database.execute("PRAGMA user_version").fetchone()
        if found == 0:
            self._database.executescript(_SCHEMA)
        elif found == 1:
            self._database.executescript(_FROM_FORMAT_1)
        elif found != _FORMAT:
            raise MetadataFormatError(f"{path} has format {found}; this version reads format {_FORMAT}")
        revisions = dict(self._database.execute("SELECT name, revision FROM revisions"))
        self._revision: int = revisions["present"]
        self._oldest_revision: int = revisions["oldest"]
        self._delete_found("SELECT key FROM entries WHERE lease_id != ?", NO_LEASE)

    @property
    def revision(self) -> int:
        return self._revision

    def range(
        self, prefix: str, revision: int | None = None, limit: int | None = None, after: str = ""
    ) -> Page:
        bounds = (*_bounds(prefix), after)
        if revision is None or revision == self._revision:
            rows = self._query(_PRESENT, (*bounds, -1 if limit is None else limit + 1))
            return page_of(self._revision, [KeyValue(*row) for row in rows], limit)
        self._check_history(revision)
        if revision > self._revision:
            raise ValueError(f"revision {revision} is yet to come; the store is at {self._revision}")
        entries = [KeyValue(*row) for row in self._query(_UNCHANGED_SINCE, (*bounds, revision))]
        for *old, _changed_at in self._query(_UNDONE, (*bounds, revision)):
            if old[1] is not None:
                entries.append(KeyValue(*old))
        return page_of(revision, sorted(entries), limit)

    def transaction(self, transaction: Transaction) -> Outcome:
        compared = self._read(compare.key for compare in transaction.compares)
        for key, mod_revision in transaction.compares:
            if (compared[key].mod_revision if key in compared else 0) != mod_revision:
                return Outcome(False, self._revision)
        self._write(transaction.writes)
        return Outcome(True, self._revision)

    def events(self, prefix: str, from_revision: int) -> tuple[int, list[Event]]:
        self._check_history(from_revision)
        rows = self._query(_EVENTS, (from_revision, *_bounds(prefix)))
        return self._revision, [Event(*row) for row in rows]

    def delete_leased(self, lease_id: int) -> None:
        self._delete_found("SELECT key FROM entries WHERE lease_id = ?", lease_id)

    def compact(self, revision: int) -> None:
        if self._oldest_revision < revision <= self._revision:
            with self._atomically():
                self._drop_history(revision)
            self._oldest_revision = revision

    def close(self) -> None:
        self._database.close()

    def _write(self, writes: tuple[Write, ...]) -> None:
        changes: list[Put | Delete] = [
            Delete(key)
            for prefix in prefixes_of(writes)
            for (key,) in self._query("SELECT key FROM entries WHERE key >= ? AND key < ?", _bounds(prefix))
        ]
        changes.extend(write for write in writes if not isinstance(write, DeletePrefix))
        old = self._read(write.key for write in changes)
        changes = [write for write in changes if isinstance(write, Put) or write.key in old]
        if not changes:
            return
        revision = self._revision + 1
        oldest = self._oldest_revision
        if revision - oldest > 2 * self._history_revisions:
            oldest = revision - self._history_revisions
        with self._atomically() as database:
            database.executemany(
                "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?)",
                [_history_row(revision, write, old.get(write.key)) for write in changes],
            )
            database.executemany(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)",
                [_entry(revision, put, old.get(put.key)) for put in changes if isinstance(put, Put)],
            )
            database.executemany(
                "DELETE FROM entries WHERE key = ?",
                [(write.key,) for write in changes if isinstance(write, Delete)],
            )
            database.execute("UPDATE revisions SET revision = ? WHERE name = 'present'", (revision,))
            if oldest != self._oldest_revision:
                self._drop_history(oldest)
        self._revision, self._oldest_revision = revision, oldest

    def _drop_history(self, oldest: int) -> None:
        self._database.execute("DELETE FROM history WHERE revision < ?", (oldest,))
        self._database.execute("UPDATE revisions SET revision = ? WHERE name = 'oldest'", (oldest,))

    def _delete_found(self, select: str, lease_id: int) -> None:
        self._write(tuple(Delete(key) for (key,) in self._query(select, (lease_id,))))

    def _read(self, keys: Iterable[str]) -> dict[str, KeyValue]:
        found: dict[str, KeyValue] = {}
        for key in keys:
            for row in self._query("SELECT * FROM entries WHERE key = ?", (key,)):
                found[key] = KeyValue(*row)
        return found

    def _query(self, statement: str, parameters: tuple[object, ...]) -> list[Any]:
        with _store_errors():
            return self._database.execute(statement, parameters).fetchall()

    @contextlib.contextmanager
    def _atomically(self) -> Iterator[sqlite3.Connection]:
        with _store_errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _check_history(self, revision: int) -> None:
        if revision < self._oldest_revision:
            raise CompactedError(f"history begins at revision {self._oldest_revision}")


@contextlib.contextmanager
def _store_errors(name: str = "metadata store") -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{name}: {error}") from error


def _bounds(prefix: str) -> tuple[str, str | bytes]:
    # To SQLite every blob is greater than any text.
    return prefix, prefix_end(prefix) or b""


def _entry(revision: int, put: Put, old: KeyValue | None) -> KeyValue:
    if old is None:
        return KeyValue(put.key, put.value, revision, revision, put.lease_id)
    return KeyValue(put.key, put.value, old.create_revision, revision, put.lease_id)


def _history_row(revision: int, write: Put | Delete, old: KeyValue | None) -> _HistoryRow:
    value = write.value if isinstance(write, Put) else None
    if old is None:
        return (revision, write.key, value, None, None, None, None)
    return (revision, write.key, value, *old[1:])
