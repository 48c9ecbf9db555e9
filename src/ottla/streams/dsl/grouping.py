"""Where aggregates of a grouped stream stand: below its node, or below a repartition where keys were
changed."""

from __future__ import annotations

from ottla.streams.dsl.graph import GraphNode
from ottla.streams.dsl.graph_nodes import RepartitionGraphNode
from ottla.streams.dsl.partitioning import repartition
from ottla.streams.dsl.parts import StreamParts
from ottla.streams.dsl.store import Materialized

__all__ = ["Aggregation"]


class Aggregation:
    """A grouped stream, with the serdes that it was grouped with."""

    def __init__(self, stream: StreamParts, name: str | None) -> None:
        """`name`: of the repartition topic, where the user gave one."""
        self.stream = stream
        self.graph = stream.graph
        self.key = stream.key
        self.value = stream.value
        self._name = name
        self._repartition: RepartitionGraphNode | None = None

    def parent(self, store: Materialized) -> tuple[GraphNode, tuple[str, ...]]:
        """What one of several aggregates with one store comes below, and the source nodes of that."""
        if not self.stream.needs_repartition:
            return self.stream.node, self.stream.sources
        node = self._made(store)
        self.graph.add(self.stream.node, node)
        return node, (node.name,)

    def place(self, node: GraphNode, store: Materialized) -> tuple[str, ...]:
        """Add an aggregate's node; the source nodes that its table comes from."""
        parent = self.stream.node
        sources = self.stream.sources
        if self.stream.needs_repartition:
            made = self._made(store)
            # Aggregates share a topic only if the user named it: else each has one of its store's name.
            if self._repartition is None or self._name is None:
                self._repartition = made
            self.graph.add(parent, self._repartition)
            parent = self._repartition
            sources = (parent.name,)
        self.graph.add(parent, node)
        return sources

    def _made(self, store: Materialized) -> RepartitionGraphNode:
        """It takes numbers even where it is not used, as in Java."""
        return repartition(self.graph, self._name or store.name, self.key, self.value)
