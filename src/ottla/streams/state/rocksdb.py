"""Bytes in RocksDB: for state beyond memory.

What is written between two commits waits in memory, and is one write batch with the changelog's offset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rocksdict import DbClosedError, Options, Rdict, WriteBatch

from ottla.streams.errors import StateStoreError
from ottla.streams.state.disk import full_disk
from ottla.streams.state.ordered_bytes import Pair, SortedKeys, overlaid

FORMAT: Final = 1
_FORMAT_KEY: Final = b"\x00format"
_OFFSET_KEY: Final = b"\x00offset"
_DATA: Final = b"\x01"
_AFTER_DATA: Final = b"\x02"
"""Data's keys lie behind these two: one column family, hence one batch for all."""


class RocksBytes:
    """One database in a folder of its own."""

    persistent = True

    def __init__(self, folder: Path) -> None:
        """Raises StateStoreError: it is locked by another process, of a newer version, or damaged."""
        self._folder = folder
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        with self._errors("opened"):
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._db = Rdict(str(folder), options)
        self._pending: dict[bytes, bytes | None] = {}
        self._keys = SortedKeys()
        self._floor = _DATA
        """Keys below are dropped."""
        self._check_format()

    def get(self, key: bytes) -> bytes | None:
        place = _DATA + key
        if place in self._pending:
            return self._pending[place]
        if place < self._floor:
            return None
        with self._errors("read"):
            value: bytes | None = self._db.get(place)
            return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return list(map(self.get, keys))

    def put(self, key: bytes, value: bytes | None) -> None:
        place = _DATA + key
        if place not in self._pending:
            self._keys.add(place)
        self._pending[place] = value

    def put_many(self, items: Iterable[tuple[bytes, bytes | None]]) -> None:
        for key, value in items:
            self.put(key, value)

    def scan(self, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[Pair]:
        low, high = _DATA + start, _AFTER_DATA if end is None else _DATA + end
        # What was written below the floor since it was raised is there.
        pending = [place[1:] for place in self._keys.between(low, high, reverse=reverse)]
        below = self._stored(max(low, self._floor), high, reverse)
        return overlaid(pending, self.get, below, reverse=reverse) if pending else below

    def drop_below(self, end: bytes) -> None:
        self._floor = max(self._floor, _DATA + end)
        for key in self._keys.take_below(_DATA + end):
            del self._pending[key]

    def approximate_count(self) -> int:
        with self._errors("read"):
            return int(self._db.property_int_value("rocksdb.estimate-num-keys") or 0) + len(self._pending)

    def commit(self, offset: int | None) -> None:
        batch = WriteBatch(raw_mode=True)
        if self._floor > _DATA:
            batch.delete_range(_DATA, self._floor)
        for key, value in self._pending.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        if offset is not None:
            batch.put(_OFFSET_KEY, offset.to_bytes(8))
        with self._errors("committed"):
            self._db.write(batch)
        self._pending = {}
        self._keys = SortedKeys()
        self._floor = _DATA

    def committed_offset(self) -> int | None:
        with self._errors("read"):
            data = self._db.get(_OFFSET_KEY)
        return None if data is None else int.from_bytes(data)

    def close(self) -> None:
        with self._errors("closed"):
            try:
                self._db.flush()
            finally:
                self._db.close()  # or it keeps the lock

    def _stored(self, low: bytes, high: bytes, reverse: bool) -> Iterator[Pair]:
        # The iterator is a snapshot; where it stands is where the database was when it began.
        if low >= high:
            return
        with self._errors("read"):
            cursor: Any = self._db.iter()
            if reverse:
                cursor.seek_for_prev(high)
                if cursor.valid() and cursor.key() >= high:
                    cursor.prev()
            else:
                cursor.seek(low)
            while cursor.valid():
                key = cursor.key()
                if key < low or key >= high:
                    return
                yield key[1:], cursor.value()
                if reverse:
                    cursor.prev()
                else:
                    cursor.next()

    def _check_format(self) -> None:
        data = self._db.get(_FORMAT_KEY)
        if data is None:
            self._db.put(_FORMAT_KEY, bytes([FORMAT]))
        elif data != bytes([FORMAT]):
            self._db.close()
            raise StateStoreError(
                f"the store {self._folder} is of format {data[0]}, this version of Ottla reads {FORMAT}: "
                "run the version that wrote it, or delete the folder to have it restored from its changelog"
            )

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (DbClosedError, OSError) as error:
            raise StateStoreError(f"the store {self._folder} cannot be {done}: {error}") from error
        except Exception as error:
            # rocksdict has no type of error of its own: its errors are plain Exceptions.
            if type(error) is not Exception:
                raise
            text = str(error)
            if "lock" in text.lower():
                text = f"another process has it open ({text})"
            elif (full := full_disk(self._folder)) is not None:
                text = f"{full} ({text})"
            elif "Corruption" in text:
                text = f"it is damaged ({text}); delete the folder to have it restored from its changelog"
            raise StateStoreError(f"the store {self._folder} cannot be {done}: {text}") from error
