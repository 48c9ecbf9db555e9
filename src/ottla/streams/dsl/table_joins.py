"""Joins of tables: what each adds to the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ottla.streams.dsl.graph import Named, Parameters
from ottla.streams.dsl.graph_nodes import TableJoinGraphNode
from ottla.streams.dsl.parts import TableParts
from ottla.streams.dsl.store import Materialized, Store, materialized
from ottla.streams.dsl.suppliers import TableSupplier
from ottla.streams.processors.table_joins import JoinedTables, JoinKind, TableJoinMerge, TableJoinSide
from ottla.streams.processors.views import FromStore, View
from ottla.streams.state.builders import StoreBuilder
from ottla.streams.topology.nodes import AnyProcessor

__all__ = ["table_join"]

MERGE = "KTABLE-MERGE-"


class _Side:
    """One side of a join: it reads the other table."""

    def __init__(
        self,
        table: TableParts,
        other: TableParts,
        joiner: Callable[[Any, Any], Any],
        kind: JoinKind,
        is_left: bool,
    ) -> None:
        self.table = table
        self.view = table.view()
        self.send_old = False
        self.versioned = False
        self._other = other.view()
        self._joiner = joiner
        self._kind: JoinKind = kind
        self._is_left = is_left

    def __call__(self) -> AnyProcessor:
        return TableJoinSide(
            self._other.make(),
            self._joiner,
            self._kind,
            is_left=self._is_left,
            send_old=self.send_old,
            versioned=self.versioned,
        )

    def enable_old(self) -> None:
        self.table.enable_old(force=True)
        self.send_old = True


class _MergeSupplier(TableSupplier):
    def __init__(
        self,
        left: _Side,
        right: _Side,
        joiner: Callable[[Any, Any], Any],
        kind: JoinKind,
        store: Materialized | None,
    ) -> None:
        self._left = left
        self._right = right
        self._joiner = joiner
        self._kind: JoinKind = kind
        self._builder = None if store is None else store.table()

    def __call__(self) -> AnyProcessor:
        return TableJoinMerge(None if self._builder is None else self._builder.name, send_old=self.send_old)

    def stores(self) -> Sequence[StoreBuilder]:
        return () if self._builder is None else (self._builder,)

    def enable_old(self, *, force: bool) -> bool:  # noqa: ARG002
        self._left.enable_old()
        self._right.enable_old()
        self.send_old = True
        return True

    def view(self) -> View:
        if self._builder is not None:
            return View((self._builder.name,), partial(FromStore, self._builder.name))
        left, right = self._left.view, self._right.view
        stores = tuple(dict.fromkeys(left.stores + right.stores))
        return View(stores, lambda: JoinedTables(left.make(), right.make(), self._joiner, self._kind))


def table_join(
    table: TableParts,
    other: TableParts,
    joiner: Callable[[Any, Any], Any],
    given: Store[Any, Any] | None,
    name: str | None,
    kind: JoinKind,
) -> TableParts:
    """A join by the tables' own keys."""
    graph = table.graph
    store = None if given is None else materialized(given, graph, MERGE, table.key, None)
    named = Named(name, graph)
    name = named.or_generate(MERGE)
    sources = graph.copartition(table.sources, other.sources)
    if kind != "inner":
        table.enable_old(force=True)
    if kind == "outer":
        other.enable_old(force=True)
    left = _Side(table, other, joiner, kind, is_left=True)
    right = _Side(other, table, joiner, kind, is_left=False)
    left_name = named.suffixed("-join-this", "KTABLE-JOINTHIS-")
    right_name = named.suffixed("-join-other", "KTABLE-JOINOTHER-")
    supplier = _MergeSupplier(left, right, joiner, kind, store)

    def versioned(parent: str) -> None:
        for side in (left, right):
            if side.table.name == parent:
                side.versioned = True

    node = TableJoinGraphNode(
        name,
        (table.name, Parameters(left_name, left), lambda: left.view.stores),
        (other.name, Parameters(right_name, right), lambda: right.view.stores),
        Parameters(name, supplier, supplier.stores),
        versioned,
    )
    node.output_versioned = store is not None and store.is_versioned
    graph.add((table.node, other.node), node)
    key = table.key if store is None else store.key
    value = None if store is None else store.value
    # Unlike other tables' stores, a join's that was given no name can be asked for its content as well.
    store_name = None if store is None else store.name
    return TableParts(name, key, value, sources, supplier, node, graph, store_name)
