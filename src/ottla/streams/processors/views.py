"""How others read a table: from its store, or from that of the table that it is computed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ottla.streams.processors.table_store import TableStore, table_store
from ottla.streams.records import ValueAndTimestamp
from ottla.streams.task.steps import ProcessorStep

__all__ = ["Computed", "FromSessions", "FromStore", "FromWindows", "ValueGetter", "View"]

Found = ValueAndTimestamp[Any] | None


class ValueGetter(Protocol):
    """Reads a table's values, for one processor."""

    def prepare(self, step: ProcessorStep) -> None:
        """Get the stores."""

    @property
    def is_versioned(self) -> bool: ...
    def get(self, key: Any) -> Found: ...
    def get_as_of(self, key: Any, timestamp: int) -> Found: ...


@dataclass(frozen=True)
class View:
    """Which stores a table is read from, and by what."""

    stores: tuple[str, ...]
    make: Callable[[], ValueGetter]


class FromStore:
    """A table that has a store of its own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def prepare(self, step: ProcessorStep) -> None:
        self.store = step.store(self._name)
        self._store: TableStore = table_store(self.store)
        self.get = self._store.get
        self.get_as_of = self._store.get_as_of
        self.is_versioned = self._store.is_versioned


class Computed:
    """A table whose values are computed from another's."""

    def __init__(self, parent: ValueGetter, compute: Callable[[Any, Found], Found]) -> None:
        """`compute` has the key, and what the other table has for it."""
        self._parent = parent
        self._compute = compute

    def prepare(self, step: ProcessorStep) -> None:
        self._parent.prepare(step)

    @property
    def is_versioned(self) -> bool:
        return self._parent.is_versioned

    def get(self, key: Any) -> Found:
        return self._compute(key, self._parent.get(key))

    def get_as_of(self, key: Any, timestamp: int) -> Found:
        return self._compute(key, self._parent.get_as_of(key, timestamp))


class FromWindows:
    """A table of windows: its keys are windowed."""

    is_versioned = False

    def __init__(self, name: str) -> None:
        self._name = name

    def prepare(self, step: ProcessorStep) -> None:
        self._store: Any = step.store(self._name)

    def get(self, key: Any) -> Found:
        found: Found = self._store.fetch(key.key, key.window.start)
        return found

    def get_as_of(self, key: Any, timestamp: int) -> Found:  # noqa: ARG002
        return self.get(key)


class FromSessions(FromWindows):
    """A table of sessions. Their stores keep no time of values: it is that of the session's end."""

    def get(self, key: Any) -> Found:
        window = key.window
        value = self._store.fetch_session(key.key, window.start, window.end)
        return None if value is None else ValueAndTimestamp(value, window.end)
