"""What streams and tables are to the functions that make one of another, whatever their types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ottla.streams.dsl.graph import Graph, GraphNode, Named, Parameters, ProcessorGraphNode
from ottla.streams.dsl.suppliers import TableSupplier
from ottla.streams.processors.views import View
from ottla.streams.topology.nodes import AnyProcessor, AnySerde

__all__ = ["GlobalTableParts", "StreamParts", "TableParts", "derived", "same"]


@dataclass
class StreamParts:
    """A stream: its node's name, the serdes where they are known, and the source nodes that it comes from."""

    name: str
    key: AnySerde
    value: AnySerde
    sources: tuple[str, ...]
    needs_repartition: bool
    """Whether keys were changed, so that records of a key may be in any partition."""
    node: GraphNode
    graph: Graph
    repartitioned: GraphNode | None = field(default=None, compare=False)
    """The repartition that a join made: the next join takes the same."""


@dataclass
class TableParts:
    """A table."""

    name: str
    key: AnySerde
    value: AnySerde
    sources: tuple[str, ...]
    supplier: TableSupplier
    node: GraphNode
    graph: Graph
    store_name: str | None = None
    """Of the store that can be asked for its content."""
    sends_old: bool = False

    def enable_old(self, *, force: bool) -> bool:
        """Have it send what was there before, with a store if that needs one (`force`); whether it does."""
        if not self.sends_old:
            self.sends_old = self.supplier.enable_old(force=force)
        return self.sends_old

    def view(self) -> View:
        return self.supplier.view()


@dataclass
class GlobalTableParts:
    """A table that every instance has in whole."""

    supplier: TableSupplier
    store_name: str | None


def same(s: StreamParts, prefix: str, name: str | None, supplier: Callable[[], AnyProcessor]) -> StreamParts:
    """A processor that gives the same kind of records."""
    name = Named(name, s.graph).or_generate(prefix)
    node = ProcessorGraphNode(Parameters(name, supplier))
    s.graph.add(s.node, node)
    return StreamParts(name, s.key, s.value, s.sources, s.needs_repartition, node, s.graph)


def derived(
    s: StreamParts,
    prefix: str,
    name: str | None,
    supplier: Callable[[], AnyProcessor],
    *,
    changes_key: bool = False,
    changes_value: bool = False,
) -> StreamParts:
    """A processor that gives other values, or other keys and values: their serdes are not known."""
    name = Named(name, s.graph).or_generate(prefix)
    node = ProcessorGraphNode(Parameters(name, supplier))
    node.changes_key = changes_key
    node.changes_value = changes_value
    s.graph.add(s.node, node)
    key = None if changes_key else s.key
    return StreamParts(name, key, None, s.sources, s.needs_repartition or changes_key, node, s.graph)
