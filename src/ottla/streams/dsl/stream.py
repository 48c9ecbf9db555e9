"""A stream of records, each a fact of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar, overload

from ottla.streams.dsl.functions import of_key_and_value, of_value, predicate
from ottla.streams.dsl.graph import Graph, GraphNode, Named, Parameters, ProcessorGraphNode, union
from ottla.streams.dsl.graph_nodes import SinkGraphNode
from ottla.streams.dsl.partitioning import repartition
from ottla.streams.expressions.nodes import Expression
from ottla.streams.processor import Processor
from ottla.streams.processors import stateless
from ottla.streams.serdes import Serde
from ottla.streams.topology.nodes import AnyProcessor, AnySerde, Partitioner, TopicNameExtractor

__all__ = ["KStream"]

K = TypeVar("K")
V = TypeVar("V")
KR = TypeVar("KR")
VR = TypeVar("VR")
VO = TypeVar("VO")


class KStream(Generic[K, V]):
    """Operators give another stream, or a table; nothing happens before the topology runs.

    Each takes a `name` for its node. Functions see keys and values as the serdes give them, None for null.
    """

    def __init__(
        self,
        name: str,
        key: AnySerde,
        value: AnySerde,
        sources: tuple[str, ...],
        needs_repartition: bool,
        node: GraphNode,
        graph: Graph,
    ) -> None:
        self.name = name
        self.key_serde = key
        self.value_serde = value
        self.sources = sources
        """The source nodes that its records come from."""
        self.needs_repartition = needs_repartition
        """Whether the keys were changed, so that records of a key may be anywhere."""
        self.node = node
        self.graph = graph
        self.repartitioned: KStream[Any, Any] | None = None
        """Itself, repartitioned for a join: the next join takes the same."""

    # Operators that remember nothing.

    def filter(
        self, function: Callable[[K, V], object] | Expression, *, name: str | None = None
    ) -> KStream[K, V]:
        """Only the records of which the function, or expression, is true."""
        keep = partial(stateless.Filter, predicate(function, "filter"))
        return self._same("KSTREAM-FILTER-", name, keep)

    def filter_not(
        self, function: Callable[[K, V], object] | Expression, *, name: str | None = None
    ) -> KStream[K, V]:
        """Only the records of which the function is not true."""
        drop = partial(stateless.FilterNot, predicate(function, "filter_not"))
        return self._same("KSTREAM-FILTER-", name, drop)

    def map(self, function: Callable[[K, V], tuple[KR, VR]], *, name: str | None = None) -> KStream[KR, VR]:
        """Another key and value for each. What groups or joins by key is repartitioned after it."""
        mapper = of_key_and_value(function, "map")
        return self._derived("KSTREAM-MAP-", name, partial(stateless.Map, mapper), changes_key=True)

    def flat_map(
        self, function: Callable[[K, V], Iterable[tuple[KR, VR]]], *, name: str | None = None
    ) -> KStream[KR, VR]:
        """Any number of keys and values for each."""
        mapper = of_key_and_value(function, "flat_map")
        return self._derived("KSTREAM-FLATMAP-", name, partial(stateless.FlatMap, mapper), changes_key=True)

    @overload
    def map_values(
        self, function: Callable[[V], VR], *, with_key: bool = False, name: str | None = None
    ) -> KStream[K, VR]: ...
    @overload
    def map_values(
        self, function: Callable[[K, V], VR], *, with_key: bool, name: str | None = None
    ) -> KStream[K, VR]: ...
    @overload
    def map_values(
        self,
        function: Expression | Mapping[str, Expression],
        *,
        with_key: bool = False,
        name: str | None = None,
    ) -> KStream[K, Any]: ...
    def map_values(
        self, function: Any, *, with_key: bool = False, name: str | None = None
    ) -> KStream[K, Any]:
        """Another value for each: by a function of the value (and the key, `with_key`), an expression, or a
        dict of expressions, which makes a dict."""
        mapper = of_value(function, with_key, "map_values")
        return self._derived(
            "KSTREAM-MAPVALUES-", name, partial(stateless.MapValues, mapper), changes_value=True
        )

    @overload
    def flat_map_values(
        self, function: Callable[[V], Iterable[VR]], *, with_key: bool = False, name: str | None = None
    ) -> KStream[K, VR]: ...
    @overload
    def flat_map_values(
        self, function: Callable[[K, V], Iterable[VR]], *, with_key: bool, name: str | None = None
    ) -> KStream[K, VR]: ...
    def flat_map_values(
        self, function: Any, *, with_key: bool = False, name: str | None = None
    ) -> KStream[K, Any]:
        """Any number of values for each."""
        mapper = of_value(function, with_key, "flat_map_values")
        return self._derived(
            "KSTREAM-FLATMAPVALUES-", name, partial(stateless.FlatMapValues, mapper), changes_value=True
        )

    def select_key(
        self, function: Callable[[K, V], KR] | Expression, *, name: str | None = None
    ) -> KStream[KR, V]:
        """Another key for each."""
        node = self.key_selecting_node(function, Named(name, self.graph))
        self.graph.add(self.node, node)
        return KStream(node.name, None, self.value_serde, self.sources, True, node, self.graph)

    def peek(self, function: Callable[[K, V], object], *, name: str | None = None) -> KStream[K, V]:
        """Call the function for each, and go on with the same records."""
        return self._same("KSTREAM-PEEK-", name, partial(stateless.Peek, function))

    def for_each(self, function: Callable[[K, V], object], *, name: str | None = None) -> None:
        """Call the function for each."""
        name = Named(name, self.graph).or_generate("KSTREAM-FOREACH-")
        node = ProcessorGraphNode(Parameters(name, partial(stateless.ForEach, function)))
        self.graph.add(self.node, node)

    def merge(self, other: KStream[K, V], *, name: str | None = None) -> KStream[K, V]:
        """The records of both."""
        name = Named(name, self.graph).or_generate("KSTREAM-MERGE-")
        node = ProcessorGraphNode(Parameters(name, stateless.PassThrough))
        node.merges = True
        self.graph.add((self.node, other.node), node)
        needs_repartition = self.needs_repartition or other.needs_repartition
        # Neither's serdes need be right for both.
        return KStream(
            name, None, None, union(self.sources, other.sources), needs_repartition, node, self.graph
        )

    def split(self, *, name: str | None = None) -> BranchedKStream[K, V]:
        """Streams of parts of the records: say with `branch` which."""
        return BranchedKStream(self, Named(name, self.graph).or_generate("KSTREAM-BRANCH-"))

    def repartition(
        self,
        name: str | None = None,
        key: Serde[K] | None = None,
        value: Serde[V] | None = None,
        *,
        partitions: int | None = None,
        partitioner: Partitioner | None = None,
    ) -> KStream[K, V]:
        """Write the records to a topic of the application's own, `APPLICATION-NAME-repartition`, and read
        them from it."""
        named = Named(name, self.graph).name or self.graph.new_name("KSTREAM-REPARTITION-")
        key_serde = self.key_serde if key is None else key
        value_serde = self.value_serde if value is None else value
        node = repartition(
            self.graph,
            named,
            key_serde,
            value_serde,
            partitioner=partitioner,
            partitions=partitions,
            optimizable=False,
        )
        self.graph.add(self.node, node)
        return KStream(node.name, key_serde, value_serde, (node.name,), False, node, self.graph)

    def to(
        self,
        topic: str | TopicNameExtractor,
        key: Serde[K] | None = None,
        value: Serde[V] | None = None,
        *,
        partitioner: Partitioner | None = None,
        name: str | None = None,
    ) -> None:
        """Write the records to a topic, or each to the one that a function of it and its metadata names."""
        key_serde = self.key_serde if key is None else key
        name = Named(name, self.graph).or_generate("KSTREAM-SINK-")
        value_serde = self.value_serde if value is None else value
        self.graph.add(self.node, SinkGraphNode(name, topic, key_serde, value_serde, partitioner))

    def process(
        self, supplier: Callable[[], Processor[K, V, KR, VR]], *stores: str, name: str | None = None
    ) -> KStream[KR, VR]:
        """What a processor of the user's forwards; each task has its own, of `supplier`, which may use
        `stores`."""
        return self._processed("KSTREAM-PROCESSOR-", supplier, stores, name, changes_key=True)

    def process_values(
        self, supplier: Callable[[], Processor[K, V, K, VR]], *stores: str, name: str | None = None
    ) -> KStream[K, VR]:
        """As `process`, of a processor that forwards no other keys."""

        def keeping_keys() -> AnyProcessor:
            return stateless.ProcessValues(supplier())

        return self._processed("KSTREAM-PROCESSVALUES-", keeping_keys, stores, name, changes_key=False)

    # What the operators have in common.

    def key_selecting_node(self, function: object, named: Named) -> ProcessorGraphNode:
        mapper = of_key_and_value(function, "select_key")
        name = named.or_generate("KSTREAM-KEY-SELECT-")
        node = ProcessorGraphNode(Parameters(name, partial(stateless.SelectKey, mapper)))
        node.changes_key = True
        return node

    def _same(self, prefix: str, name: str | None, supplier: Callable[[], AnyProcessor]) -> KStream[K, V]:
        name = Named(name, self.graph).or_generate(prefix)
        node = ProcessorGraphNode(Parameters(name, supplier))
        self.graph.add(self.node, node)
        return KStream(
            name, self.key_serde, self.value_serde, self.sources, self.needs_repartition, node, self.graph
        )

    def _derived(
        self,
        prefix: str,
        name: str | None,
        supplier: Callable[[], AnyProcessor],
        *,
        changes_key: bool = False,
        changes_value: bool = False,
    ) -> KStream[Any, Any]:
        name = Named(name, self.graph).or_generate(prefix)
        node = ProcessorGraphNode(Parameters(name, supplier))
        node.changes_key = changes_key
        node.changes_value = changes_value
        self.graph.add(self.node, node)
        key = None if changes_key else self.key_serde
        needs_repartition = self.needs_repartition or changes_key
        return KStream(name, key, None, self.sources, needs_repartition, node, self.graph)

    def _processed(
        self,
        prefix: str,
        supplier: Callable[[], AnyProcessor],
        stores: tuple[str, ...],
        name: str | None,
        *,
        changes_key: bool,
    ) -> KStream[Any, Any]:
        # A name that is given takes no number here, as in Java.
        name = Named(name, self.graph).name or self.graph.new_name(prefix)
        node = ProcessorGraphNode(Parameters(name, supplier), lambda: stores)
        self.graph.add(self.node, node)
        key = None if changes_key else self.key_serde
        needs_repartition = self.needs_repartition or changes_key
        return KStream(name, key, None, self.sources, needs_repartition, node, self.graph)


class BranchedKStream(Generic[K, V]):
    """A stream that is being split: a record goes to the first branch whose predicate takes it."""

    def __init__(self, stream: KStream[K, V], name: str) -> None:
        self._stream = stream
        self._name = name
        self._predicates: list[Callable[[Any, Any], Any]] = []
        self._children: list[str] = []
        self._branches: dict[str, KStream[K, V]] = {}
        branching = partial(stateless.Branch, self._predicates, self._children)
        self._node = ProcessorGraphNode(Parameters(name, branching))
        stream.graph.add(stream.node, self._node)

    def branch(
        self, function: Callable[[K, V], object] | Expression, *, name: str | None = None
    ) -> BranchedKStream[K, V]:
        """A branch, whose name is that of the split and after it `name`, or its number."""
        self._predicates.append(predicate(function, "branch"))
        self._add(str(len(self._predicates)) if name is None else name)
        return self

    def default_branch(self, *, name: str | None = None) -> dict[str, KStream[K, V]]:
        """All branches by name, with one more for all else (its number is 0)."""
        self._add("0" if name is None else name)
        return self._branches

    def no_default_branch(self) -> dict[str, KStream[K, V]]:
        """All branches by name; all else is dropped."""
        return self._branches

    def _add(self, suffix: str) -> None:
        stream = self._stream
        name = self._name + suffix
        self._children.append(name)
        stream.graph.new_name(name)  # takes a number, as in Java
        node = ProcessorGraphNode(Parameters(name, stateless.PassThrough))
        stream.graph.add(self._node, node)
        self._branches[name] = KStream(
            name,
            stream.key_serde,
            stream.value_serde,
            stream.sources,
            stream.needs_repartition,
            node,
            stream.graph,
        )
