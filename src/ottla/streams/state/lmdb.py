"""Bytes in an lmdb database: the default, for state that fits into memory more or less.

All that is written between two commits is one transaction of lmdb, and the changelog's offset is part of it:
after a crash of the process the state is that of the last commit. lmdb is not asked to sync at each commit;
where the machine itself went down while a store was open, it is torn, and is restored from its changelog.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import lmdb

from ottla.streams.errors import StateStoreError
from ottla.streams.state.disk import full_disk
from ottla.streams.state.ordered_bytes import ChunkedScan, Pair

FORMAT: Final = 1
"""Of the database's own layout. What is newer is not opened."""
MAP_BYTES: Final = 1 << 36
"""How large a store may grow: addresses that are reserved, not memory."""

_FORMAT_KEY: Final = b"format"
_OFFSET_KEY: Final = b"offset"
_OPEN_MARK: Final = "open"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class LmdbBytes(ChunkedScan):
    """One database in a folder of its own. Its thread is the one that opened it."""

    persistent = True

    def __init__(self, folder: Path, map_bytes: int = MAP_BYTES, boot_id: str | None = None) -> None:
        """Raises StateStoreError: it is of a newer version, damaged, or cannot be read or written."""
        self._folder = folder
        self._boot_id = _boot_id() if boot_id is None else boot_id
        self._map_bytes = map_bytes
        if self._was_torn():
            for file in ("data.mdb", "lock.mdb"):
                (folder / file).unlink(missing_ok=True)
        with self._errors("opened"):
            folder.mkdir(parents=True, exist_ok=True)
            # Where a crash of the machine cannot be told from one of the process, each commit is synced.
            self._env = lmdb.open(
                str(folder), map_size=map_bytes, max_dbs=2, sync=not self._boot_id, metasync=not self._boot_id
            )
            self._data = self._env.open_db(b"data")
            self._about = self._env.open_db(b"about")
            (folder / _OPEN_MARK).write_text(self._boot_id)
        self._transaction: lmdb.Transaction | None = None
        self._check_format()

    def get(self, key: bytes) -> bytes | None:
        try:
            return (self._transaction or self._begun()).get(key)  # type: ignore[return-value] # no buffers
        except lmdb.Error as error:
            raise self._said(error, "read") from error

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        with self._errors("read"):
            get: Any = self._begun().get
            return list(map(get, keys))

    def put(self, key: bytes, value: bytes | None) -> None:
        try:
            transaction = self._transaction or self._begun()
            if value is None:
                transaction.delete(key)
            else:
                transaction.put(key, value)
        except lmdb.Error as error:
            raise self._said(error, "written") from error

    def put_many(self, items: Iterable[tuple[bytes, bytes | None]]) -> None:
        entries = dict(items)
        with self._errors("written"):
            transaction = self._begun()
            # In order, since neighbours lie on one page.
            with transaction.cursor() as cursor:
                cursor.putmulti(sorted((key, value) for key, value in entries.items() if value is not None))
            for key, value in entries.items():
                if value is None:
                    transaction.delete(key)

    def read(self, start: bytes, end: bytes | None, limit: int, *, reverse: bool) -> list[Pair]:
        pairs: list[Pair] = []
        with self._errors("read"), self._begun().cursor() as cursor:
            if reverse:
                here = _before(cursor, end)
                move = cursor.prev
            else:
                here = cursor.set_range(start)
                move = cursor.next
            while here and len(pairs) < limit:
                key = bytes(cursor.key())
                if key < start or (end is not None and key >= end):
                    break
                pairs.append((key, bytes(cursor.value())))
                here = move()
        return pairs

    def drop_below(self, end: bytes) -> None:
        with self._errors("written"), self._begun().cursor() as cursor:
            here = cursor.first()
            while here and bytes(cursor.key()) < end:
                here = cursor.delete()

    def approximate_count(self) -> int:
        count: int = self._begun().stat(self._data)["entries"]
        return count

    def commit(self, offset: int | None) -> None:
        with self._errors("committed"):
            transaction = self._begun()
            if offset is not None:
                transaction.put(_OFFSET_KEY, offset.to_bytes(8), db=self._about)
            self._transaction = None
            transaction.commit()

    def committed_offset(self) -> int | None:
        with self._errors("read"), self._env.begin(self._about) as transaction:
            data = transaction.get(_OFFSET_KEY)
        return None if data is None else int.from_bytes(data)

    def close(self) -> None:
        if self._transaction is not None:
            self._transaction.abort()
            self._transaction = None
        try:
            with self._errors("closed"):
                self._env.sync(True)
        finally:
            self._env.close()
        (self._folder / _OPEN_MARK).unlink(missing_ok=True)

    def _begun(self) -> lmdb.Transaction:
        if self._transaction is None:
            self._transaction = self._env.begin(self._data, write=True)
        return self._transaction

    def _was_torn(self) -> bool:
        """Whether the machine went down while the store was open: lmdb cannot tell then what it lost."""
        mark = self._folder / _OPEN_MARK
        return mark.exists() and mark.read_text() != self._boot_id

    def _check_format(self) -> None:
        with self._env.begin(self._about, write=True) as transaction:
            data = transaction.get(_FORMAT_KEY)
            if data is None:
                transaction.put(_FORMAT_KEY, bytes([FORMAT]))
        if data is not None and data != bytes([FORMAT]):
            self._env.close()
            raise StateStoreError(
                f"the store {self._folder} is of format {data[0]}, this version of Ottla reads {FORMAT}: "
                "run the version that wrote it, or delete the folder to have it restored from its changelog"
            )

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (lmdb.Error, OSError) as error:
            raise self._said(error, done) from error

    def _said(self, error: Exception, done: str) -> StateStoreError:
        if isinstance(error, lmdb.BadValsizeError):
            text = f"takes keys of 1 to {self._env.max_key_size()} bytes; kind='rocksdb' takes longer ones"
        elif isinstance(error, lmdb.MapFullError):
            text = f"is full: it may have {self._map_bytes} bytes (ottla.streams.lmdb.map.bytes)"
        elif isinstance(error, lmdb.CorruptedError | lmdb.InvalidError | lmdb.VersionMismatchError):
            text = f"is damaged ({error}): delete the folder to have it restored from its changelog"
        elif (full := full_disk(self._folder)) is not None:  # lmdb says of it that input or output failed
            text = f"cannot be {done}: {full} ({error})"
        else:
            text = f"cannot be {done}: {error}"
        return StateStoreError(f"the store {self._folder} {text}")


def _before(cursor: lmdb.Cursor, end: bytes | None) -> bool:
    """Move to the last key before `end`; whether there is one."""
    if end is None or not cursor.set_range(end):
        return bool(cursor.last())
    return bool(cursor.prev())


def _boot_id() -> str:
    """What differs after each start of the machine; empty where there is nothing of the kind."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
