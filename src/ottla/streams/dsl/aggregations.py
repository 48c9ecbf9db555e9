"""Aggregates of grouped streams, by key and perhaps by window: what each adds to the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ottla.streams.columnar.aggregates import (
    ChunkedStreamAggregate,
    ChunkedStreamReduce,
    ChunkedTimeWindowAggregate,
    plus_one,
)
from ottla.streams.dsl.graph import GraphNode, Named, Parameters, ProcessorGraphNode
from ottla.streams.dsl.grouping import Aggregation
from ottla.streams.dsl.parts import TableParts
from ottla.streams.dsl.store import Materialized, Store, materialized
from ottla.streams.dsl.suppliers import AggregateSupplier, PassThroughSupplier
from ottla.streams.dsl.tables import map_values
from ottla.streams.errors import TopologyError
from ottla.streams.expressions.aggregates import Aggregates
from ottla.streams.expressions.nodes import Aggregate
from ottla.streams.processors.sessions import SessionWindowAggregate
from ottla.streams.processors.sliding import SlidingWindowAggregate
from ottla.streams.processors.views import FromSessions, FromStore, FromWindows, ValueGetter
from ottla.streams.serdes import Json, Long, SessionWindowedSerde, TimeWindowedSerde
from ottla.streams.state.builders import StoreBuilder
from ottla.streams.topology.nodes import AnyProcessor, AnySerde
from ottla.streams.windows import SessionWindows, SlidingWindows, TimeWindows, UnlimitedWindows

__all__ = ["Aggregator", "By", "Emit", "Windows", "aggregated", "cogrouped", "counted", "reduced"]

Windows = TimeWindows | UnlimitedWindows | SlidingWindows | SessionWindows
Emit = Literal["on_window_update", "on_window_close"]
Initializer = Callable[[], Any]
Aggregator = Callable[[Any, Any, Any], Any] | Aggregates
Merger = Callable[[Any, Any, Any], Any]

REDUCE = "KSTREAM-REDUCE-"
AGGREGATE = "KSTREAM-AGGREGATE-"
COGROUP_AGGREGATE = "COGROUPKSTREAM-AGGREGATE-"
COGROUP_MERGE = "COGROUPKSTREAM-MERGE-"


@dataclass(frozen=True)
class By:
    """What is aggregated by besides the key: windows, or nothing."""

    windows: Windows | None = None
    on_close: bool = False
    """Whether results go on once, when their window has closed."""

    def emit(self, strategy: Emit) -> By:
        if strategy not in ("on_window_update", "on_window_close"):
            raise TopologyError(f"emit takes 'on_window_update' or 'on_window_close', not {strategy!r}")
        if self.windows is None:
            raise TopologyError("emit goes with windows: windowed_by(...) comes first")
        if strategy == "on_window_close" and isinstance(self.windows, UnlimitedWindows):
            raise TopologyError("Unlimited windows never close")
        return By(self.windows, strategy == "on_window_close")

    def store(self, store: Materialized) -> StoreBuilder:
        windows = self.windows
        if windows is None:
            return store.table()
        if isinstance(windows, SessionWindows):
            return store.sessions(windows.gap_ms + windows.grace_ms, by_time=self.on_close)
        if isinstance(windows, SlidingWindows):
            size = windows.difference_ms
            return store.windows(size, 2 * size + windows.grace_ms, by_time=self.on_close)
        size = windows.size_ms
        return store.windows(size, size + windows.grace_ms, by_time=self.on_close)

    def key_serde(self, key: AnySerde) -> AnySerde:
        windows = self.windows
        if windows is None or key is None:
            return key
        if isinstance(windows, SessionWindows):
            return SessionWindowedSerde(key)
        size = windows.difference_ms if isinstance(windows, SlidingWindows) else windows.size_ms
        return TimeWindowedSerde(key, size)

    @property
    def grace_ms(self) -> int | None:
        """How long a window is waited for after its end."""
        windows = self.windows
        if windows is None:
            return None
        return windows.grace_ms + (windows.gap_ms if isinstance(windows, SessionWindows) else 0)

    @property
    def getter(self) -> Callable[[str], ValueGetter]:
        if self.windows is None:
            return FromStore
        return FromSessions if isinstance(self.windows, SessionWindows) else FromWindows

    def processor(
        self, initializer: Initializer, aggregator: Aggregator, merger: Merger | None, store: str
    ) -> Callable[[bool], AnyProcessor]:
        """The processor, made by whether it sends what was there before."""
        windows, on_close = self.windows, self.on_close
        if isinstance(windows, SessionWindows) is not (merger is not None):
            raise TopologyError("An aggregate by sessions, and no other, takes a merger(key, one, other)")

        def make(send_old: bool) -> AnyProcessor:
            if windows is None:
                return ChunkedStreamAggregate(initializer, aggregator, store, send_old=send_old)
            if isinstance(windows, SessionWindows):
                assert merger is not None
                return SessionWindowAggregate(
                    windows, initializer, aggregator, merger, store, send_old=send_old, on_close=on_close
                )
            if isinstance(windows, SlidingWindows):
                return SlidingWindowAggregate(
                    windows, initializer, aggregator, store, send_old=send_old, on_close=on_close
                )
            return ChunkedTimeWindowAggregate(
                windows, initializer, aggregator, store, send_old=send_old, on_close=on_close
            )

        return make


def counted(group: Aggregation, by: By, given: Store[Any, Any] | None, name: str | None) -> TableParts:
    if given is not None and given.name is None:
        group.graph.new_store_name(AGGREGATE)  # takes a number, as in Java
    merger = _sum if isinstance(by.windows, SessionWindows) else None
    return _aggregated(group, by, int, plus_one, merger, given, name, Long())


def aggregated(
    group: Aggregation,
    by: By,
    initializer: Initializer | Mapping[str, Aggregate],
    aggregator: Aggregator | None,
    merger: Merger | None,
    given: Store[Any, Any] | None,
    name: str | None,
) -> TableParts:
    """By functions, or by named aggregates of expressions."""
    if isinstance(initializer, Mapping):
        return _expressed(group, by, Aggregates(initializer), given, name)
    if aggregator is None:
        raise TopologyError("aggregate takes an initializer and an aggregator, or a dict of aggregates")
    return _aggregated(group, by, initializer, aggregator, merger, given, name, None)


def _expressed(
    group: Aggregation, by: By, aggregates: Aggregates, given: Store[Any, Any] | None, name: str | None
) -> TableParts:
    """Rows of results, which are JSON unless the store has another serde."""

    def merge(key: Any, one: Any, other: Any) -> Any:  # noqa: ARG001
        return aggregates.merge(one, other)

    merger = merge if isinstance(by.windows, SessionWindows) else None
    table = _aggregated(group, by, aggregates.initial, aggregates, merger, given, name, Json())
    if aggregates.is_plain:
        return table
    shown = map_values(table, aggregates.result, False, None, None)
    shown.value = table.value
    return shown


def reduced(
    group: Aggregation,
    by: By,
    reducer: Callable[[Any, Any], Any],
    given: Store[Any, Any] | None,
    name: str | None,
) -> TableParts:
    store = materialized(given, group.graph, REDUCE, group.key, group.value)
    name = Named(name, group.graph).or_generate(REDUCE)
    make: Callable[[bool], AnyProcessor]
    if by.windows is None:

        def make(send_old: bool) -> AnyProcessor:
            return ChunkedStreamReduce(reducer, store.name, send_old=send_old)

    else:

        def aggregate(key: Any, value: Any, so_far: Any) -> Any:  # noqa: ARG001
            return value if so_far is None else reducer(so_far, value)

        def swapped(key: Any, one: Any, other: Any) -> Any:
            return aggregate(key, other, one)

        merger = swapped if isinstance(by.windows, SessionWindows) else None
        make = by.processor(_nothing, aggregate, merger, store.name)
    return _table(group, by, make, store, name)


def _aggregated(
    group: Aggregation,
    by: By,
    initializer: Initializer,
    aggregator: Aggregator,
    merger: Merger | None,
    given: Store[Any, Any] | None,
    name: str | None,
    value: AnySerde,
) -> TableParts:
    store = materialized(given, group.graph, AGGREGATE, group.key, value)
    name = Named(name, group.graph).or_generate(AGGREGATE)
    return _table(group, by, by.processor(initializer, aggregator, merger, store.name), store, name)


def _table(
    group: Aggregation, by: By, make: Callable[[bool], AnyProcessor], store: Materialized, name: str
) -> TableParts:
    supplier = AggregateSupplier(make, by.store(store), by.getter)
    node = ProcessorGraphNode(Parameters(name, supplier, supplier.stores))
    node.output_versioned = store.is_versioned
    node.grace_ms = by.grace_ms
    sources = group.place(node, store)
    key = by.key_serde(store.key or group.graph.default_key)
    return TableParts(name, key, store.value, sources, supplier, node, group.graph, store.named)


def cogrouped(
    groups: Sequence[tuple[Aggregation, Aggregator]],
    by: By,
    initializer: Initializer,
    merger: Merger | None,
    given: Store[Any, Any] | None,
    name: str | None,
) -> TableParts:
    """A processor for each stream, all with one store, and below them the one that is the table."""
    graph = groups[0][0].graph
    store = materialized(given, graph, COGROUP_AGGREGATE, None, None)
    builder = by.store(store)
    parents = [group.parent(store) for group, _ in groups]
    sources = graph.copartition(*(names for _, names in parents))
    named = Named(name, graph)
    suppliers: list[AggregateSupplier] = []
    nodes: list[GraphNode] = []
    for number, ((_, aggregator), (parent, _)) in enumerate(zip(groups, parents, strict=True)):
        make = by.processor(initializer, aggregator, merger, store.name)
        supplier = AggregateSupplier(make, builder, by.getter)
        name = named.suffixed(f"-cogroup-agg-{number}", COGROUP_AGGREGATE)
        node = ProcessorGraphNode(Parameters(name, supplier, supplier.stores))
        node.output_versioned = store.is_versioned
        node.grace_ms = by.grace_ms
        graph.add(parent, node)
        suppliers.append(supplier)
        nodes.append(node)
    name = named.suffixed("-cogroup-merge", COGROUP_MERGE)
    together = PassThroughSupplier(suppliers)
    merging = ProcessorGraphNode(Parameters(name, together))
    graph.add(nodes, merging)
    key = by.key_serde(store.key or graph.default_key)
    return TableParts(name, key, store.value, sources, together, merging, graph, store.named)


def _nothing() -> None:
    return None


def _sum(key: object, one: int, other: int) -> int:  # noqa: ARG001
    return one + other
