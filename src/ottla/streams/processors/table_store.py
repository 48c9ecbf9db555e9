"""The store of a table, whether it keeps the latest value of a key or all of them, and who is told of its
changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from ottla.streams.processors.base import Operator
from ottla.streams.records import Change, Headers, Record, ValueAndTimestamp
from ottla.streams.state.stores import NOT_PUT, VALID_TO_UNDEFINED, CachedStore
from ottla.streams.state.versioned import VersionedValues

__all__ = ["Put", "TableProcessor", "TableStore", "table_store", "value_of"]

Put = Literal["latest", "earlier", "refused"]
"""What became of a write: it is the key's latest value, or an earlier one, or is older than what is kept."""


class TableStore(Protocol):
    """What a table needs of a store, in which ValueAndTimestamp None is no value."""

    @property
    def is_versioned(self) -> bool: ...
    def get(self, key: Any) -> ValueAndTimestamp[Any] | None: ...
    def get_as_of(self, key: Any, timestamp: int) -> ValueAndTimestamp[Any] | None: ...
    def put(self, key: Any, value: Any, timestamp: int) -> Put: ...
    def tell(self, listener: Callable[[Any, Any, Any, int], None], send_old: bool) -> bool:
        """Have a cache tell what it writes through; whether there is one."""


class _Latest:
    is_versioned = False

    def __init__(self, store: Any) -> None:
        self._store = store
        self.get = store.get

    def get_as_of(self, key: Any, timestamp: int) -> ValueAndTimestamp[Any] | None:  # noqa: ARG002
        found: ValueAndTimestamp[Any] | None = self._store.get(key)
        return found

    def put(self, key: Any, value: Any, timestamp: int) -> Put:
        self._store.put(key, None if value is None else ValueAndTimestamp(value, timestamp))
        return "latest"

    def tell(self, listener: Callable[[Any, Any, Any, int], None], send_old: bool) -> bool:
        store: CachedStore[Any, Any] = self._store
        return store.set_flush_listener(listener, send_old)


class _Versioned:
    is_versioned = True

    def __init__(self, store: VersionedValues[Any, Any]) -> None:
        self._store = store

    def get(self, key: Any) -> ValueAndTimestamp[Any] | None:
        found = self._store.get(key)
        return None if found is None else ValueAndTimestamp(found.value, found.timestamp)

    def get_as_of(self, key: Any, timestamp: int) -> ValueAndTimestamp[Any] | None:
        found = self._store.get_as_of(key, timestamp)
        return None if found is None else ValueAndTimestamp(found.value, found.timestamp)

    def put(self, key: Any, value: Any, timestamp: int) -> Put:
        valid_to = self._store.put(key, value, timestamp)
        if valid_to == NOT_PUT:
            return "refused"
        return "latest" if valid_to == VALID_TO_UNDEFINED else "earlier"

    def tell(self, listener: Callable[[Any, Any, Any, int], None], send_old: bool) -> bool:  # noqa: ARG002
        return False


def table_store(store: Any) -> TableStore:
    """A store of a task as a table's."""
    return _Versioned(store) if isinstance(store, VersionedValues) else _Latest(store)


def value_of(found: ValueAndTimestamp[Any] | None) -> Any:
    return None if found is None else found.value


class TableProcessor(Operator):
    """An operator that gives a table: it forwards changes, by itself or when its store's cache is flushed."""

    def __init__(self, *, send_old: bool) -> None:
        self.send_old = send_old
        """Whether the children need to know what was there before."""
        self._is_cached = False

    def open(self, name: str) -> TableStore:
        """The table's store, whose cache, if it has one, tells of changes from now on."""
        store = table_store(self.store(name))
        self._is_cached = store.tell(self._flushed, self.send_old)
        return store

    def update(self, key: Any, new: Any, old: Any, timestamp: int, headers: Headers, put: Put) -> None:
        """Forward a change that was put, unless the cache does it later."""
        if put != "refused" and not self._is_cached:
            change = Change(new, old if self.send_old else None, put == "latest")
            self.forward(Record(key, change, timestamp, headers))

    def _flushed(self, key: Any, new: Any, old: Any, timestamp: int) -> None:
        flushing = self.step.task.flushing
        headers = () if flushing is None else tuple(flushing.headers)
        time = timestamp if new is None else new.timestamp
        change = Change(value_of(new), value_of(old))
        self.forward(Record(key, change, time, headers))
