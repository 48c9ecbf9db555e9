"""What a program says in the DSL, as a graph; a topology is written from it, with Kafka Streams' names and
numbers.

Each operator takes the next number, whether its node is named after it or not, so that programs that say the
same have the same names: those are the names of internal topics.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from ottla.streams.errors import TopologyError
from ottla.streams.topology.nodes import AnyProcessor, AnySerde, InternalTopic, StoreBuilder
from ottla.streams.topology.topology import Topology

__all__ = ["Graph", "GraphNode", "Named", "Parameters", "ProcessorGraphNode", "check_name", "union"]

Supplier = Callable[[], AnyProcessor]


class GraphNode:
    """One operator, which may become several nodes of the topology, or none."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parents: list[GraphNode] = []
        self.children: list[GraphNode] = []
        self.priority = -1
        self.changes_key = False
        self.changes_value = False
        self.merges = False
        self.takes_null_keys = False
        """Left and outer joins do: a record without a key meets nobody, and is not dropped."""
        self.output_versioned: bool | None = None
        """Whether the table that comes out has a versioned store; None: as its parents."""
        self.takes_versioned = True
        self.grace_ms: int | None = None
        """How long a window that comes out is waited for after its end."""

    def add_child(self, child: GraphNode) -> None:
        if child not in self.children:
            self.children.append(child)
            child.parents.append(self)

    def remove_child(self, child: GraphNode) -> None:
        self.children.remove(child)
        child.parents.remove(self)

    def parent_names(self) -> list[str]:
        return [parent.name for parent in self.parents]

    def write(self, topology: Topology) -> None:
        """Add what this is to the topology. The parents are there."""

    def use_versioned_semantics(self, parent: GraphNode) -> None:
        """A parent's output is versioned: records may come out of order."""


class Parameters:
    """A processor to be: its name, supplier, and the stores that are its own or that it also uses."""

    def __init__(
        self, name: str, supplier: Supplier, stores: Callable[[], Sequence[StoreBuilder]] = tuple
    ) -> None:
        self.name = name
        self.supplier = supplier
        self.stores = stores
        """Asked when the topology is written: only then is it known which tables need a store."""

    def write(self, topology: Topology, parents: Iterable[str]) -> None:
        topology.add_processor(self.name, self.supplier, *parents, stores=self.stores())


class ProcessorGraphNode(GraphNode):
    """One processor; `also_uses` gives the names of stores that belong to others."""

    def __init__(self, parameters: Parameters, also_uses: Callable[[], Sequence[str]] = tuple) -> None:
        super().__init__(parameters.name)
        self.parameters = parameters
        self._also_uses = also_uses

    def write(self, topology: Topology) -> None:
        self.parameters.write(topology, self.parent_names())
        stores = self._also_uses()
        if stores:
            topology.connect(self.name, *stores)


class Named:
    """The name that an operator was given, or none: then it gets one with the next number."""

    def __init__(self, name: str | None, graph: Graph) -> None:
        if name is not None:
            check_name(name)
        self.name = name
        self._graph = graph

    def or_generate(self, prefix: str) -> str:
        generated = self._graph.new_name(prefix)
        return generated if self.name is None else self.name

    def suffixed(self, suffix: str, prefix: str) -> str:
        generated = self._graph.new_name(prefix)
        return generated if self.name is None else self.name + suffix

    def suffixed_or(self, suffix: str, other: str) -> str:
        return other if self.name is None else self.name + suffix


_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def check_name(name: str) -> None:
    """Raise TopologyError for what cannot be a name: it is part of topics' names."""
    if not name or name in (".", "..") or len(name) > 249 or not _NAME_CHARACTERS.issuperset(name):
        raise TopologyError(
            f"{name!r} is no name for an operator or a store: up to 249 of a-z, A-Z, 0-9, '.', '_' and '-'"
        )


def union(*groups: Iterable[str]) -> tuple[str, ...]:
    """All names, each once."""
    return tuple(dict.fromkeys(name for group in groups for name in group))


class Graph:
    """All that a builder was told."""

    def __init__(self, default_key: AnySerde = None, default_value: AnySerde = None) -> None:
        self.default_key = default_key
        self.default_value = default_value
        self.root = GraphNode("root")
        self.internal_topics: list[InternalTopic] = []
        self.copartitioned: list[tuple[str, ...]] = []
        self.added: list[GraphNode] = []
        """All nodes, in the order in which they were said."""
        self._index = count()
        self._priority = count()

    def new_name(self, prefix: str) -> str:
        return f"{prefix}{next(self._index):010d}"

    def new_store_name(self, prefix: str) -> str:
        return f"{prefix}STATE-STORE-{next(self._index):010d}"

    def add(self, parents: GraphNode | Iterable[GraphNode], node: GraphNode) -> None:
        if node not in self.added:
            self.added.append(node)
        for parent in (parents,) if isinstance(parents, GraphNode) else parents:
            parent.add_child(node)
            node.priority = next(self._priority)

    def copartition(self, *sources: Iterable[str]) -> tuple[str, ...]:
        """Have the topics of these sources as many partitions as each other; all of the sources."""
        names = union(*sources)
        self.copartitioned.append(names)
        return names

    def replace_source(self, old: str, new: str) -> None:
        """Have a source take another's place among those that are copartitioned."""
        self.copartitioned = [
            union(new if name == old else name for name in names) for names in self.copartitioned
        ]

    def nodes(self) -> list[GraphNode]:
        """All but the root, in the order in which they are written."""
        return list(self._in_order())[1:]

    def write(self) -> Topology:
        self._tell_versioned()
        topology = Topology(self.default_key, self.default_value)
        for topic in self.internal_topics:
            topology.add_internal_topic(topic)
        for node in self._in_order():
            node.write(topology)
        for sources in self.copartitioned:
            topology.copartition(sources)
        topology.check()
        return topology

    def _tell_versioned(self) -> None:
        """Tell operators below versioned tables: records may come out of order there."""
        for node in self.nodes():
            if not node.takes_versioned and all(map(self.is_versioned, node.parents)):
                raise TopologyError(f"{node.name} does not take a versioned table, or one made from it")
            for parent in node.parents:
                if self.is_versioned(parent):
                    node.use_versioned_semantics(parent)

    def is_versioned(self, node: GraphNode) -> bool:
        """Whether what comes out of a node is a versioned table's, of its own store or of all its
        parents'."""
        if node.output_versioned is not None:
            return node.output_versioned
        return node is not self.root and all(map(self.is_versioned, node.parents))

    def _in_order(self) -> Iterable[GraphNode]:
        """Each node after all of its parents, of several the one that was added first."""
        ready: list[tuple[int, int, GraphNode]] = [(self.root.priority, 0, self.root)]
        tie = count(1)
        seen: set[int] = set()
        while ready:
            node = heapq.heappop(ready)[2]
            if id(node) not in seen and all(id(parent) in seen for parent in node.parents):
                seen.add(id(node))
                yield node
            for child in node.children:
                if id(child) not in seen:
                    heapq.heappush(ready, (child.priority, next(tie), child))
