"""What tables are made by: a processor, perhaps a store, and a way for others to read the table.

Whether a table has a store, and sends what was there before, is known only when all that needs it has been
said: so suppliers are asked when the topology is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ottla.streams.columnar.tables import ChunkedTableSource
from ottla.streams.dsl.store import Materialized
from ottla.streams.processors import tables
from ottla.streams.processors.views import Computed, Found, FromStore, ValueGetter, View
from ottla.streams.records import ValueAndTimestamp
from ottla.streams.topology.nodes import AnyProcessor, StoreBuilder

__all__ = [
    "AggregateSupplier",
    "FilterSupplier",
    "MapValuesSupplier",
    "PassThroughSupplier",
    "SourceSupplier",
    "Table",
    "TableSupplier",
]


class Table(Protocol):
    """A table that another is made from."""

    def enable_old(self, *, force: bool) -> bool:
        """Have it send what was there before, with a store if that needs one (`force`); whether it does."""

    def view(self) -> View: ...


class TableSupplier:
    """Makes the processors of a table."""

    send_old = False

    def __call__(self) -> AnyProcessor:
        raise NotImplementedError

    def stores(self) -> Sequence[StoreBuilder]:
        return ()

    def enable_old(self, *, force: bool) -> bool:  # noqa: ARG002
        self.send_old = True
        return True

    def view(self) -> View:
        raise NotImplementedError


class SourceSupplier(TableSupplier):
    """A topic as a table."""

    def __init__(self, store: Materialized, *, is_global: bool = False) -> None:
        self._store = store
        self._is_stored = is_global or store.is_named
        self._is_global = is_global
        self._builder: StoreBuilder | None = None

    def __call__(self) -> AnyProcessor:
        return ChunkedTableSource(self._store.name if self._is_stored else None, send_old=self.send_old)

    def stores(self) -> Sequence[StoreBuilder]:
        if not self._is_stored:
            return ()
        if self._builder is None:
            # A global table is restored from its topic.
            self._builder = self._store.table(logged=not self._is_global)
        return (self._builder,)

    def enable_old(self, *, force: bool) -> bool:
        if not force and not self._is_stored:
            return False
        self.send_old = self._is_stored = True
        return True

    def view(self) -> View:
        self._is_stored = True
        return View((self._store.name,), lambda: FromStore(self._store.name))


class _DerivedSupplier(TableSupplier):
    """Computes a table from another; with a store only where the user named one."""

    def __init__(self, parent: Table, store: Materialized | None) -> None:
        self.parent = parent
        is_stored = store is not None and store.is_named
        self._builder = store.table() if store is not None and is_stored else None
        self.store_name = None if self._builder is None else self._builder.name

    def stores(self) -> Sequence[StoreBuilder]:
        return () if self._builder is None else (self._builder,)

    def enable_old(self, *, force: bool) -> bool:
        if self._builder is not None or self.parent.enable_old(force=force):
            self.send_old = True
        return self.send_old

    def computed(self, key: Any, found: Found) -> Found:
        raise NotImplementedError

    def view(self) -> View:
        name = self.store_name
        if name is not None:
            return View((name,), lambda: FromStore(name))
        parent = self.parent.view()
        return View(parent.stores, lambda: Computed(parent.make(), self.computed))


class FilterSupplier(_DerivedSupplier):
    def __init__(
        self, parent: Table, predicate: Callable[[Any, Any], Any], negated: bool, store: Materialized | None
    ) -> None:
        super().__init__(parent, store)
        self._predicate = predicate
        self._negated = negated
        self.versioned = False
        # Where the parent has what was there before, a record that was never in the table needs no tombstone.
        self.send_old = parent.enable_old(force=False)

    def __call__(self) -> AnyProcessor:
        return tables.TableFilter(
            self._predicate,
            self.store_name,
            negated=self._negated,
            send_old=self.send_old,
            versioned=self.versioned,
        )

    def computed(self, key: Any, found: Found) -> Found:
        if found is None or bool(self._predicate(key, found.value)) is self._negated:
            return None
        return found


class MapValuesSupplier(_DerivedSupplier):
    def __init__(self, parent: Table, mapper: Callable[[Any, Any], Any], store: Materialized | None) -> None:
        super().__init__(parent, store)
        self._mapper = mapper

    def __call__(self) -> AnyProcessor:
        return tables.TableMapValues(self._mapper, self.store_name, send_old=self.send_old)

    def computed(self, key: Any, found: Found) -> Found:
        value = None if found is None else self._mapper(key, found.value)
        return None if found is None or value is None else ValueAndTimestamp(value, found.timestamp)


class AggregateSupplier(TableSupplier):
    """An aggregate, whose store is always there. `make` is given whether to send what was there before."""

    def __init__(
        self, make: Callable[[bool], AnyProcessor], store: StoreBuilder, getter: Callable[[str], ValueGetter]
    ) -> None:
        self._make = make
        self._store = store
        self._getter = getter

    def __call__(self) -> AnyProcessor:
        return self._make(self.send_old)

    def stores(self) -> Sequence[StoreBuilder]:
        return (self._store,)

    def view(self) -> View:
        name = self._store.name
        return View((name,), lambda: self._getter(name))


class PassThroughSupplier(TableSupplier):
    """Several aggregates that keep one table together."""

    def __init__(self, parents: Sequence[TableSupplier]) -> None:
        self._parents = parents

    def __call__(self) -> AnyProcessor:
        return tables.TablePassThrough()

    def enable_old(self, *, force: bool) -> bool:
        for parent in self._parents:
            parent.enable_old(force=force)
        return True

    def view(self) -> View:
        return self._parents[0].view()
