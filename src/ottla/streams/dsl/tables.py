"""Operators of tables: what each adds to the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ottla.streams.dsl.functions import of_key_and_value, of_value
from ottla.streams.dsl.graph import Graph, GraphNode, Named, Parameters, ProcessorGraphNode
from ottla.streams.dsl.graph_nodes import (
    Consumed,
    GlobalStoreGraphNode,
    TableRepartitionGraphNode,
    TableSourceGraphNode,
)
from ottla.streams.dsl.inferred import value_serde
from ottla.streams.dsl.partitioning import SUFFIX, repartition
from ottla.streams.dsl.parts import GlobalTableParts, StreamParts, TableParts
from ottla.streams.dsl.store import Materialized, Store, materialized
from ottla.streams.dsl.suppliers import (
    AggregateSupplier,
    FilterSupplier,
    MapValuesSupplier,
    SourceSupplier,
    TableSupplier,
)
from ottla.streams.errors import TopologyError
from ottla.streams.expressions.aggregates import Aggregates
from ottla.streams.expressions.nodes import Aggregate
from ottla.streams.processors.tables import TableAggregate, TableReduce, TableRegroup, TableToStream
from ottla.streams.processors.views import FromStore
from ottla.streams.records import Record
from ottla.streams.serdes import ChangeSerde, Json, Long
from ottla.streams.state.stores import NO_TIMESTAMP
from ottla.streams.topology.nodes import AnyProcessor, AnySerde, InternalTopic, serde_of

__all__ = [
    "GroupedTable",
    "filtered",
    "global_table",
    "grouped_aggregated",
    "grouped_count",
    "grouped_reduce",
    "map_values",
    "regrouped",
    "stream_to_table",
    "table",
    "to_stream",
]

SOURCE = "KSTREAM-SOURCE-"
TABLE_SOURCE = "KTABLE-SOURCE-"
TO_TABLE = "KSTREAM-TOTABLE-"
AGGREGATE = "KTABLE-AGGREGATE-"


def table(
    graph: Graph, topic: str, consumed: Consumed, given: Store[Any, Any] | None, name: str | None
) -> TableParts:
    """A topic as a table."""
    store = _source_store(graph, topic, consumed, given)
    named = Named(name, graph)
    source = named.suffixed("-source", SOURCE)
    name = named.or_generate(TABLE_SOURCE)
    supplier = SourceSupplier(store)
    node = TableSourceGraphNode(name, source, topic, consumed, Parameters(name, supplier, supplier.stores))
    node.output_versioned = store.is_versioned
    graph.add(graph.root, node)
    return TableParts(name, consumed.key, consumed.value, (source,), supplier, node, graph, store.named)


def global_table(
    graph: Graph, topic: str, consumed: Consumed, given: Store[Any, Any] | None, name: str | None
) -> GlobalTableParts:
    """A topic as a table that every instance has in whole."""
    store = _source_store(graph, topic, consumed, given)
    if store.is_versioned:
        raise TopologyError(f"Global tables cannot be versioned ({topic})")
    named = Named(name, graph)
    source = named.suffixed("-source", SOURCE)
    name = named.or_generate(TABLE_SOURCE)
    supplier = SourceSupplier(store, is_global=True)
    parameters = Parameters(name, supplier, supplier.stores)
    graph.add(graph.root, GlobalStoreGraphNode(source, topic, consumed, parameters))
    return GlobalTableParts(supplier, store.named)


def _source_store(
    graph: Graph, topic: str, consumed: Consumed, given: Store[Any, Any] | None
) -> Materialized:
    store = materialized(given, graph, f"{topic}-", consumed.key, consumed.value)
    consumed.key, consumed.value = consumed.key or store.key, consumed.value or store.value
    return store


def stream_to_table(s: StreamParts, given: Store[Any, Any] | None, name: str | None) -> TableParts:
    """A stream's records as the updates of a table."""
    named = Named(name, s.graph)
    name = named.or_generate(TO_TABLE)
    store = materialized(given, s.graph, TO_TABLE, s.key, s.value)
    parent, sources = s.node, s.sources
    if s.needs_repartition:
        parent = repartition(s.graph, name, store.key, store.value)
        s.graph.add(s.node, parent)
        sources = (parent.name,)
    supplier = SourceSupplier(store)
    node = ProcessorGraphNode(Parameters(name, supplier, supplier.stores))
    node.output_versioned = store.is_versioned
    s.graph.add(parent, node)
    return TableParts(name, store.key, store.value, sources, supplier, node, s.graph, store.named)


def to_stream(t: TableParts, name: str | None) -> StreamParts:
    name = Named(name, t.graph).or_generate("KTABLE-TOSTREAM-")
    node = ProcessorGraphNode(Parameters(name, TableToStream))
    t.graph.add(t.node, node)
    return StreamParts(name, t.key, t.value, t.sources, False, node, t.graph)


def filtered(
    t: TableParts, function: object, given: Store[Any, Any] | None, name: str | None, *, negated: bool
) -> TableParts:
    store = _derived_store(t, given, "KTABLE-FILTER-", t.value)
    name = Named(name, t.graph).or_generate("KTABLE-FILTER-")
    supplier = FilterSupplier(t, of_key_and_value(function, "filter"), negated, store)
    node = _FilterGraphNode(Parameters(name, supplier, supplier.stores), supplier)
    return _derived(t, name, supplier, node, store, t.value)


def map_values(
    t: TableParts, function: object, with_key: bool, given: Store[Any, Any] | None, name: str | None
) -> TableParts:
    value = value_serde(function)
    store = _derived_store(t, given, "KTABLE-MAPVALUES-", value)
    name = Named(name, t.graph).or_generate("KTABLE-MAPVALUES-")
    supplier = MapValuesSupplier(t, of_value(function, with_key, "map_values"), store)
    node = ProcessorGraphNode(Parameters(name, supplier, supplier.stores))
    return _derived(t, name, supplier, node, store, value)


def _derived_store(
    t: TableParts, given: Store[Any, Any] | None, prefix: str, value: AnySerde
) -> Materialized | None:
    """A store only where it has a name; one without takes a number all the same, as in Java."""
    return None if given is None else materialized(given, t.graph, prefix, t.key, value)


def _derived(
    t: TableParts,
    name: str,
    supplier: TableSupplier,
    node: GraphNode,
    store: Materialized | None,
    value: AnySerde,
) -> TableParts:
    key, store_name = t.key, None
    if store is not None:
        key, value, store_name = store.key, store.value, store.named
        node.output_versioned = store.is_versioned
    t.graph.add(t.node, node)
    return TableParts(name, key, value, t.sources, supplier, node, t.graph, store_name)


class _FilterGraphNode(ProcessorGraphNode):
    def __init__(self, parameters: Parameters, supplier: FilterSupplier) -> None:
        super().__init__(parameters)
        self._supplier = supplier

    def use_versioned_semantics(self, parent: GraphNode) -> None:  # noqa: ARG002
        self._supplier.versioned = True


class _RegroupGraphNode(ProcessorGraphNode):
    def __init__(self, name: str, mapper: Callable[[Any, Any], tuple[Any, Any]]) -> None:
        self._versioned = False
        super().__init__(Parameters(name, self._make))
        self._mapper = mapper

    def use_versioned_semantics(self, parent: GraphNode) -> None:  # noqa: ARG002
        self._versioned = True

    def _make(self) -> AnyProcessor:
        return TableRegroup(self._mapper, versioned=self._versioned)


class GroupedTable:
    """A table grouped by other keys."""

    def __init__(
        self, graph: Graph, key: AnySerde, value: AnySerde, name: str | None, node: GraphNode
    ) -> None:
        """`name`: of the repartition topic, where the user gave one."""
        self.graph = graph
        self.key = key
        self.value = value
        self._name = name
        self._node = node
        self._repartition: GraphNode | None = None

    def place(
        self,
        make: Callable[[bool], AnyProcessor],
        store: Materialized,
        prefix: str,
        name: str | None,
    ) -> TableParts:
        graph = self.graph
        named = Named(name, graph)
        sink = named.suffixed("-sink", "KSTREAM-SINK-")
        source = named.suffixed("-source", SOURCE)
        name = named.or_generate(prefix)
        if self._repartition is None or self._name is None:
            key = serde_of(self.key, graph.default_key, name, "key")
            change = ChangeSerde(serde_of(self.value, graph.default_value, name, "value"))
            topic = InternalTopic((self._name or store.name) + SUFFIX)
            self._repartition = TableRepartitionGraphNode(source, sink, topic, key, change)
        graph.add(self._node, self._repartition)
        supplier = AggregateSupplier(make, store.table(), FromStore)
        node = ProcessorGraphNode(Parameters(name, supplier, supplier.stores))
        node.output_versioned = store.is_versioned
        graph.add(self._repartition, node)
        sources = (self._repartition.name,)
        return TableParts(name, store.key, store.value, sources, supplier, node, graph, store.named)


def regrouped(
    t: TableParts,
    function: Callable[[Any, Any], tuple[Any, Any]],
    key: AnySerde,
    value: AnySerde,
    name: str | None,
) -> GroupedTable:
    node = _RegroupGraphNode(Named(name, t.graph).or_generate("KTABLE-SELECT-"), function)
    t.graph.add(t.node, node)
    t.enable_old(force=True)
    return GroupedTable(t.graph, key, value, name, node)


def grouped_count(g: GroupedTable, given: Store[Any, Any] | None, name: str | None) -> TableParts:
    return _grouped_aggregate(g, int, _plus_one, _minus_one, given, name, Long())


def grouped_aggregated(
    g: GroupedTable,
    initializer: Callable[[], Any] | Mapping[str, Aggregate],
    adder: Callable[[Any, Any, Any], Any] | None,
    subtractor: Callable[[Any, Any, Any], Any] | None,
    given: Store[Any, Any] | None,
    name: str | None,
) -> TableParts:
    """By functions, or by named aggregates of expressions."""
    if isinstance(initializer, Mapping):
        return _grouped_expressed(g, Aggregates(initializer), given, name)
    if adder is None or subtractor is None:
        raise TopologyError("aggregate takes an initializer, an adder and a subtractor, or a dict")
    return _grouped_aggregate(g, initializer, adder, subtractor, given, name)


def _grouped_aggregate(
    g: GroupedTable,
    initializer: Callable[[], Any],
    adder: Callable[[Any, Any, Any], Any],
    subtractor: Callable[[Any, Any, Any], Any],
    given: Store[Any, Any] | None,
    name: str | None,
    value: AnySerde = None,
) -> TableParts:
    store = materialized(given, g.graph, AGGREGATE, g.key, value)

    def make(send_old: bool) -> AnyProcessor:
        return TableAggregate(initializer, adder, subtractor, store.name, send_old=send_old)

    return g.place(make, store, AGGREGATE, name)


def _grouped_expressed(
    g: GroupedTable, aggregates: Aggregates, given: Store[Any, Any] | None, name: str | None
) -> TableParts:
    """Rows of results, which are JSON unless the store has another serde."""
    if aggregates.irreversible:
        raise TopologyError(
            f"a table's groups take values back, which {', '.join(aggregates.irreversible)} cannot:"
            " what remains of a group does not say what came second"
        )

    def add(key: Any, value: Any, state: Any) -> Any:
        return aggregates.add(Record(key, value, NO_TIMESTAMP), None, state)

    def subtract(key: Any, value: Any, state: Any) -> Any:
        return aggregates.subtract(Record(key, value, NO_TIMESTAMP), None, state)

    table = _grouped_aggregate(g, aggregates.initial, add, subtract, given, name, Json())
    if aggregates.is_plain:
        return table
    shown = map_values(table, aggregates.result, False, None, None)
    shown.value = table.value
    return shown


def grouped_reduce(
    g: GroupedTable,
    adder: Callable[[Any, Any], Any],
    subtractor: Callable[[Any, Any], Any],
    given: Store[Any, Any] | None,
    name: str | None,
) -> TableParts:
    store = materialized(given, g.graph, AGGREGATE, g.key, g.value)

    def make(send_old: bool) -> AnyProcessor:
        return TableReduce(adder, subtractor, store.name, send_old=send_old)

    return g.place(make, store, "KTABLE-REDUCE-", name)


def _plus_one(key: object, value: object, count: int) -> int:  # noqa: ARG001
    return count + 1


def _minus_one(key: object, value: object, count: int) -> int:  # noqa: ARG001
    return count - 1
