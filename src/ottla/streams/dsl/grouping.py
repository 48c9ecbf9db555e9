"""Where aggregates of a grouped stream stand: below its node, or below a repartition where keys were
changed."""

from __future__ import annotations

from ottla.streams.dsl.graph import Graph, GraphNode
from ottla.streams.dsl.graph_nodes import RepartitionGraphNode
from ottla.streams.dsl.partitioning import repartition
from ottla.streams.dsl.store import Materialized
from ottla.streams.topology.nodes import AnySerde

__all__ = ["Aggregation"]


class Aggregation:
    """A grouped stream: its serdes, where it comes from, and whether it must be repartitioned."""

    def __init__(
        self,
        graph: Graph,
        stream_name: str,
        key: AnySerde,
        value: AnySerde,
        name: str | None,
        sources: tuple[str, ...],
        needs_repartition: bool,
        node: GraphNode,
    ) -> None:
        """`name`: of the repartition topic, where the user gave one."""
        self.graph = graph
        self.stream_name = stream_name
        self.key = key
        self.value = value
        self.name = name
        self.sources = sources
        self.needs_repartition = needs_repartition
        self.node = node
        self._repartition: RepartitionGraphNode | None = None

    def parent(self, store: Materialized) -> tuple[GraphNode, tuple[str, ...]]:
        """What one of several aggregates with one store comes below, and the source nodes of that."""
        if not self.needs_repartition:
            return self.node, self.sources
        node = repartition(self.graph, self.name or store.name, self.key, self.value)
        self.graph.add(self.node, node)
        return node, (node.name,)

    def place(self, node: GraphNode, store: Materialized) -> tuple[str, ...]:
        """Add an aggregate's node; the source nodes that its table comes from."""
        parent = self.node
        sources = self.sources
        if self.needs_repartition:
            made = repartition(self.graph, self.name or store.name, self.key, self.value)
            # Aggregates share a topic only if the user named it: else each has one of its store's name.
            if self._repartition is None or self.name is None:
                self._repartition = made
            self.graph.add(parent, self._repartition)
            parent = self._repartition
            sources = (made.name,)
        self.graph.add(parent, node)
        return sources
