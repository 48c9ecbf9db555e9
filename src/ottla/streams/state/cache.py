"""The write-back cache of a store, and the changelog below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from ottla.streams.state.ordered_bytes import OrderedBytes, Pair, SortedKeys, overlaid
from ottla.streams.state.stores import RecordContext, StoreContext

BytesListener = Callable[[bytes, bytes | None, bytes | None, RecordContext | None], None]
"""(key, new, old, context of the record that wrote it)"""
ManyListener = Callable[
    [Sequence[bytes], Sequence[bytes], Sequence[bytes | None] | None, Sequence[RecordContext | None]],
    Callable[[], None] | None,
]
"""The same of many; gives what writes them below and tells of them, or None: that is done one by one."""

_ENTRY_OVERHEAD: Final = 200
"""Bytes of objects and tables around an entry's own bytes."""
_MANY: Final = 32
"""Entries that are worth telling of together."""


class CacheBudget:
    """How many bytes the caches of a thread's tasks may hold together (statestore.cache.max.bytes)."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used = 0


class LoggedBytes:
    """Sends what is written to the changelog, after it was written."""

    def __init__(self, inner: OrderedBytes, log: Callable[[bytes, bytes | None], None]) -> None:
        self._inner = inner
        self._log = log
        self.persistent = inner.persistent
        self.get = inner.get
        self.get_many = inner.get_many
        self.scan = inner.scan
        # What retention drops, the changelog's own retention drops too.
        self.drop_below = inner.drop_below
        self.approximate_count = inner.approximate_count
        self.commit = inner.commit
        self.committed_offset = inner.committed_offset
        self.close = inner.close

    def put(self, key: bytes, value: bytes | None) -> None:
        self._inner.put(key, value)
        self._log(key, value)

    def put_many(self, items: Iterable[tuple[bytes, bytes | None]]) -> None:
        entries = list(items)
        self._inner.put_many(entries)
        for key, value in entries:
            self._log(key, value)


class _Entry:
    __slots__ = ("context", "dirty", "value")

    def __init__(self, value: bytes | None, context: RecordContext | None, dirty: bool) -> None:
        self.value = value
        self.context = context
        self.dirty = dirty


class CachedBytes:
    """Keeps writes back until a flush, or until the budget is used up; only the last of each key goes on.

    Least recently used entries go first. Where one must go that was not written through, all such entries are
    written, in the order of their last writes (as in Java).
    """

    def __init__(self, inner: OrderedBytes, budget: CacheBudget, context: StoreContext) -> None:
        self._inner = inner
        self._budget = budget
        self._context = context
        self._entries: dict[bytes, _Entry] = {}
        self._dirty: dict[bytes, None] = {}
        self._dirty_keys = SortedKeys()
        self._listener: BytesListener | None = None
        self._listener_of_many: ManyListener | None = None
        self._send_old = False
        self._is_peeked = False
        self.persistent = inner.persistent
        self.commit = inner.commit
        self.committed_offset = inner.committed_offset

    def set_listener(self, listener: BytesListener, send_old: bool) -> None:
        self._listener = listener
        self._send_old = send_old

    def set_listener_of_many(self, listener: ManyListener) -> None:
        """It hears of entries that all have values, in place of the other listener."""
        self._listener_of_many = listener

    @contextmanager
    def peeked(self) -> Iterator[None]:
        """While somebody from outside reads: the cache takes in nothing for that, and lets nothing go."""
        self._is_peeked = True
        try:
            yield
        finally:
            self._is_peeked = False

    def get(self, key: bytes) -> bytes | None:
        if self._is_peeked:
            return self._peek(key)
        entry = self._entries.pop(key, None)
        if entry is None:
            value = self._inner.get(key)
            if value is not None:
                self._insert(key, _Entry(value, None, dirty=False))
                self._shrink()
            return value
        self._entries[key] = entry
        return entry.value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        entries = self._entries
        missing = [key for key in keys if key not in entries]
        below = dict(zip(missing, self._inner.get_many(missing), strict=True)) if missing else {}
        return [below[key] if key in below else entries[key].value for key in keys]

    def put(self, key: bytes, value: bytes | None) -> None:
        self._put(key, value, self._context.record_context)

    def put_in_contexts(self, items: Iterable[tuple[bytes, bytes | None, RecordContext | None]]) -> None:
        """Put each as if its record were being processed."""
        for key, value, context in items:
            self._put(key, value, context)

    def _put(self, key: bytes, value: bytes | None, context: RecordContext | None) -> None:
        old = self._entries.pop(key, None)
        if old is not None:
            self._budget.used -= _size(key, old.value)
        if old is not None and old.dirty:
            self._dirty.pop(key)
        else:
            self._dirty_keys.add(key)
        self._dirty[key] = None
        self._insert(key, _Entry(value, context, dirty=True))
        self._shrink()

    def put_many(self, items: Iterable[tuple[bytes, bytes | None]]) -> None:
        for key, value in items:
            self.put(key, value)

    def scan(self, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[Pair]:
        dirty = self._dirty_keys.between(start, end, reverse=reverse)
        below = self._inner.scan(start, end, reverse=reverse)
        return overlaid(dirty, self._peek, below, reverse=reverse) if dirty else below

    def drop_below(self, end: bytes) -> None:
        """What was not told yet is told first."""
        if self._dirty_keys.between(b"", end, 1):
            self.flush()
        for key in [key for key in self._entries if key < end]:
            self._budget.used -= _size(key, self._entries.pop(key).value)
        self._inner.drop_below(end)

    def approximate_count(self) -> int:
        return self._inner.approximate_count()

    def flush(self) -> None:
        """Write through what was written. The listener hears of each entry after it is below."""
        while self._dirty:
            dirty, self._dirty, self._dirty_keys = self._dirty, {}, SortedKeys()
            entries = [(key, self._entries[key]) for key in dirty]
            for _, entry in entries:
                entry.dirty = False
            if not self._write_together(entries):
                self._write(entries)

    def drop_clean(self) -> None:
        """Forget what was only read: it changes below."""
        for key in [key for key, entry in self._entries.items() if not entry.dirty]:
            self._budget.used -= _size(key, self._entries.pop(key).value)

    def close(self) -> None:
        for key, entry in self._entries.items():
            self._budget.used -= _size(key, entry.value)
        self._entries = {}
        self._dirty = {}
        self._dirty_keys = SortedKeys()
        self._inner.close()

    def _peek(self, key: bytes) -> bytes | None:
        """As `get`, without a trace in the cache."""
        entry = self._entries.get(key)
        return self._inner.get(key) if entry is None else entry.value

    def _write_together(self, entries: list[tuple[bytes, _Entry]]) -> bool:
        """Whether all could be told of at once."""
        values = [entry.value for _, entry in entries]
        if self._listener_of_many is None or len(entries) < _MANY or None in values:
            return False
        keys = [key for key, _ in entries]
        old = self._inner.get_many(keys) if self._send_old else None
        contexts = [entry.context for _, entry in entries]
        write_and_tell = self._listener_of_many(keys, values, old, contexts)  # type: ignore[arg-type] # no None
        if write_and_tell is None:
            return False
        context = self._context
        outer, context.flushing = context.flushing, None
        try:
            write_and_tell()
        finally:
            context.flushing = outer
        return True

    def _write(self, entries: list[tuple[bytes, _Entry]]) -> None:
        context = self._context
        outer = context.flushing
        try:
            for key, entry in entries:
                context.flushing = entry.context
                if self._listener is None:
                    self._inner.put(key, entry.value)
                    continue
                old = self._inner.get(key) if self._send_old or entry.value is None else None
                if entry.value is None and old is None:
                    continue  # came and went in the cache: nobody below or behind knows of it
                self._inner.put(key, entry.value)
                self._listener(key, entry.value, old if self._send_old else None, entry.context)
        finally:
            context.flushing = outer

    def _insert(self, key: bytes, entry: _Entry) -> None:
        self._entries[key] = entry
        self._budget.used += _size(key, entry.value)

    def _shrink(self) -> None:
        budget, entries = self._budget, self._entries
        while budget.used > budget.max_bytes and entries:
            key = next(iter(entries))
            if entries[key].dirty:
                self.flush()
            entry = entries.pop(key, None)
            if entry is None:
                continue
            if entry.dirty:  # written again while it was told of
                entries[key] = entry
                return
            budget.used -= _size(key, entry.value)


def _size(key: bytes, value: bytes | None) -> int:
    return len(key) + (0 if value is None else len(value)) + _ENTRY_OVERHEAD
