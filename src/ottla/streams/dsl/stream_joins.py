"""Joins of streams, with streams and with tables: what each adds to the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from ottla.streams.columnar.joins import ChunkedStreamTableJoin
from ottla.streams.dsl.graph import GraphNode, Named, Parameters, ProcessorGraphNode, union
from ottla.streams.dsl.graph_nodes import StreamJoinGraphNode
from ottla.streams.dsl.partitioning import repartition
from ottla.streams.dsl.parts import GlobalTableParts, StreamParts, TableParts
from ottla.streams.errors import TopologyError
from ottla.streams.expressions.errors import ExpressionError
from ottla.streams.expressions.inference import bind
from ottla.streams.expressions.nodes import Expression, as_expression
from ottla.streams.processors.join_buffer import JoinBufferBuilder
from ottla.streams.processors.stateless import PassThrough
from ottla.streams.processors.stream_joins import (
    JoinSide,
    KeepWindow,
    SelfJoin,
    SideKeySerde,
    SideValueSerde,
)
from ottla.streams.processors.stream_table_joins import ExpressionJoiner, StreamTableJoin
from ottla.streams.state import builders
from ottla.streams.state.stack import StoreOptions
from ottla.streams.topology.nodes import AnySerde, StoreBuilder, serde_of
from ottla.streams.topology.topology import Topology
from ottla.streams.windows import Duration, JoinWindows, milliseconds

__all__ = ["Joiner", "StreamJoinKind", "joined", "joiner_of"]

StreamJoinKind = Literal["inner", "left", "outer"]
Joiner = Callable[..., Any] | Mapping[str, Any] | Expression
_PLAIN = StoreOptions(caching=False)


def joiner_of(joiner: Joiner, with_key: bool) -> Callable[[Any, Any, Any], Any]:
    """The joiner as a function of the key, the left value and the right one. Expressions have both values as
    the fields `left` and `right` of one."""
    if isinstance(joiner, Mapping | Expression):
        try:
            return ExpressionJoiner(bind(as_expression(joiner)))
        except ExpressionError as error:
            raise TopologyError(f"join: {error}") from None
    if not callable(joiner):
        raise TopologyError(f"a join takes a function of two values, or an expression: not {joiner!r}")
    if with_key:
        return joiner

    def join(key: Any, left: Any, right: Any) -> Any:  # noqa: ARG001
        return joiner(left, right)

    return join


def stream_join(
    this: StreamParts,
    other: StreamParts,
    joiner: Callable[[Any, Any, Any], Any],
    windows: JoinWindows,
    kind: StreamJoinKind,
    serdes: tuple[AnySerde, AnySerde, AnySerde],
    name: str | None,
    store_name: str | None,
) -> StreamParts:
    """`serdes`: of the key, of this stream's values and of the other's, over the streams' own."""
    graph = this.graph
    named = Named(name, graph)
    key, value, other_value = serdes
    if this.needs_repartition:
        prefix = named.suffixed_or("-left", this.name)
        this = _repartitioned(this, prefix, key, value)
    if other.needs_repartition:
        prefix = named.suffixed_or("-right", other.name)
        other = _repartitioned(other, prefix, key, other_value)
    graph.copartition(this.sources, other.sources)
    return _stream_join(this, other, joiner, windows, kind, serdes, named, store_name)


def _repartitioned(s: StreamParts, prefix: str, key: AnySerde, value: AnySerde) -> StreamParts:
    key, value = key or s.key, value or s.value
    node = repartition(s.graph, prefix, key, value)  # takes numbers even where it is not needed, as in Java
    source = node.name
    kept: GraphNode = node
    if s.repartitioned is None or s.name != prefix:
        s.graph.add(s.node, node)
        s.repartitioned = node
    else:
        kept = s.repartitioned
        source = kept.name
    return StreamParts(source, key, value, (source,), False, kept, s.graph)


def _stream_join(
    this: StreamParts,
    other: StreamParts,
    joiner: Callable[[Any, Any, Any], Any],
    windows: JoinWindows,
    kind: StreamJoinKind,
    serdes: tuple[AnySerde, AnySerde, AnySerde],
    named: Named,
    store_name: str | None,
) -> StreamParts:
    graph = this.graph
    left_outer, right_outer = kind != "inner", kind == "outer"
    this_suffix = "-outer-this-join" if right_outer else "-this-join"
    other_suffix = "-outer-other-join" if left_outer else "-other-join"
    this_window = named.suffixed("-this-windowed", "KSTREAM-WINDOWED-")
    other_window = named.suffixed("-other-windowed", "KSTREAM-WINDOWED-")
    this_generated = graph.new_name("KSTREAM-OUTERTHIS-" if right_outer else "KSTREAM-JOINTHIS-")
    other_generated = graph.new_name("KSTREAM-OUTEROTHER-" if left_outer else "KSTREAM-JOINOTHER-")
    merge_name = named.suffixed("-merge", "KSTREAM-MERGE-")
    key, value, other_value = serdes
    key_serde = serde_of(key or this.key or other.key, graph.default_key, merge_name, "key")
    left = serde_of(value or this.value, graph.default_value, merge_name, "value")
    right = serde_of(other_value or other.value, graph.default_value, merge_name, "other_value")
    this_store = (store_name + this_suffix if store_name else this_generated) + "-store"
    other_store = (store_name + other_suffix if store_name else other_generated) + "-store"
    this_builder = _window_store(this_store, key_serde, left, windows)
    other_builder = _window_store(other_store, key_serde, right, windows)
    waiting: StoreBuilder | None = None
    if left_outer:
        number = this_generated.rpartition("-")[2]
        suffix = "-outer-shared-join" if right_outer else "-left-shared-join"
        waiting_name = (store_name + suffix if store_name else f"KSTREAM-OUTERSHARED-{number}") + "-store"
        waiting = builders.list_store(
            waiting_name, SideKeySerde(key_serde), SideValueSerde(left, right), _PLAIN
        )
    for stream, window, builder in ((this, this_window, this_builder), (other, other_window, other_builder)):
        parameters = Parameters(window, partial(KeepWindow, builder.name), _constant(builder))
        graph.add(stream.node, ProcessorGraphNode(parameters))
    waiting_store = None if waiting is None else waiting.name
    side = partial(JoinSide, windows, joiner)
    this_side = partial(
        side, other_builder.name, waiting_store, merge_name, is_left=True, is_outer=left_outer
    )
    other_side = partial(
        side, this_builder.name, waiting_store, merge_name, is_left=False, is_outer=right_outer
    )
    this_name = named.suffixed_or(this_suffix, this_generated)
    other_name = named.suffixed_or(other_suffix, other_generated)
    node = StreamJoinGraphNode(
        merge_name,
        (this_window, Parameters(this_name, this_side, _constant(other_builder, waiting))),
        (other_window, Parameters(other_name, other_side, _constant(this_builder, waiting))),
        Parameters(merge_name, PassThrough),
        Parameters(
            merge_name, partial(SelfJoin, windows, joiner, this_builder.name), _constant(this_builder)
        ),
    )
    node.takes_null_keys = left_outer
    graph.add((this.node, other.node), node)
    sources = union(this.sources, other.sources)
    return StreamParts(merge_name, key, None, sources, False, node, graph)


def _constant(*stores: StoreBuilder | None) -> Callable[[], tuple[StoreBuilder, ...]]:
    given = tuple(store for store in stores if store is not None)
    return lambda: given


def _window_store(name: str, key: Any, value: Any, windows: JoinWindows) -> StoreBuilder:
    size = windows.size_ms
    return builders.window_store(
        name,
        key,
        value,
        retention=size + windows.grace_ms,
        window_size=size,
        retain_duplicates=True,
        options=_PLAIN,
    )


class _TableJoinGraphNode(ProcessorGraphNode):
    """Checks, when all is known, that a table that is waited for is versioned, for long enough."""

    def __init__(self, parameters: Parameters, stores: tuple[str, ...], grace_ms: int | None) -> None:
        super().__init__(parameters, lambda: stores)
        self._table_stores = stores
        self._grace = grace_ms

    def write(self, topology: Topology) -> None:
        super().write(topology)
        if self._grace is None:
            return
        for name in self._table_stores:
            history = getattr(topology.stores[name], "history_retention_ms", None)
            if history is None:
                raise TopologyError(
                    f"{self.name}: only a versioned table can be joined with a grace; {name} is not"
                )
            if history < self._grace:
                raise TopologyError(
                    f"{self.name}: the store {name} keeps {history} ms, the grace is {self._grace} ms"
                )


def stream_table_join(
    s: StreamParts,
    table: TableParts,
    joiner: Callable[[Any, Any, Any], Any],
    serdes: tuple[AnySerde, AnySerde],
    grace: Duration | None,
    name: str | None,
    *,
    left: bool,
) -> StreamParts:
    graph = s.graph
    named = Named(name, graph)
    key, value = serdes
    if s.needs_repartition:
        s = _repartitioned(s, named.name or s.name, key, value)
    sources = graph.copartition(s.sources, table.sources)
    name = named.or_generate("KSTREAM-LEFTJOIN-" if left else "KSTREAM-JOIN-")
    grace_ms = None if grace is None else milliseconds(grace, "grace")
    buffer: JoinBufferBuilder | None = None
    if grace_ms is not None:
        if table.node.output_versioned is False:
            raise TopologyError(f"{name}: only a versioned table can be joined with a grace")
        key_serde = serde_of(key or s.key, graph.default_key, name, "key")
        value_serde = serde_of(value or s.value, graph.default_value, name, "value")
        buffer = JoinBufferBuilder(f"{name}-Buffer", key_serde, value_serde, grace_ms)
    view = table.view()
    buffer_name = None if buffer is None else buffer.name

    def make() -> StreamTableJoin:
        return ChunkedStreamTableJoin(view.make(), None, joiner, buffer_name, is_left=left)

    node = _TableJoinGraphNode(Parameters(name, make, _constant(buffer)), view.stores, grace_ms)
    node.takes_null_keys = left
    graph.add(s.node, node)
    return StreamParts(name, key or s.key, None, sources, False, node, graph)


def global_join(
    s: StreamParts,
    table: GlobalTableParts,
    key_mapper: Callable[[Any, Any], Any],
    joiner: Callable[[Any, Any, Any], Any],
    name: str | None,
    *,
    left: bool,
) -> StreamParts:
    name = Named(name, s.graph).or_generate("KSTREAM-LEFTJOIN-")
    view = table.supplier.view()

    def make() -> StreamTableJoin:
        return StreamTableJoin(view.make(), key_mapper, joiner, None, is_left=left)

    node = ProcessorGraphNode(Parameters(name, make))
    node.takes_null_keys = left
    s.graph.add(s.node, node)
    return StreamParts(name, s.key, None, s.sources, s.needs_repartition, node, s.graph)


def joined(
    s: StreamParts,
    other: StreamParts | TableParts | GlobalTableParts,
    kind: StreamJoinKind,
    joiner: Callable[[Any, Any, Any], Any],
    windows: JoinWindows | None,
    options: dict[str, Any],
) -> StreamParts:
    """A join with whatever it is, with the options that such a join has."""
    if isinstance(other, StreamParts):
        if windows is None:
            raise TopologyError("A join of two streams takes windows=JoinWindows.of(...)")
        if isinstance(joiner, ExpressionJoiner) and joiner.asks_for_the_record:
            raise TopologyError(
                "What joins two streams comes of two records: it has no time, place or header"
            )
        given = _options(options, "a join of streams", "key", "value", "other_value", "name", "store_name")
        serdes = (given["key"], given["value"], given["other_value"])
        return stream_join(s, other, joiner, windows, kind, serdes, given["name"], given["store_name"])
    if windows is not None or kind == "outer":
        raise TopologyError("Joins with tables have no windows, and are inner or left")
    left = kind == "left"
    if isinstance(other, TableParts):
        given = _options(options, "a join with a table", "key", "value", "other_value", "grace", "name")
        serdes_of_stream = (given["key"], given["value"])
        return stream_table_join(s, other, joiner, serdes_of_stream, given["grace"], given["name"], left=left)
    given = _options(options, "a join with a global table", "key_mapper", "name")
    if given["key_mapper"] is None:
        raise TopologyError("A join with a global table takes key_mapper=, which gives the key in the table")
    return global_join(s, other, given["key_mapper"], joiner, given["name"], left=left)


def _options(options: dict[str, Any], what: str, *names: str) -> dict[str, Any]:
    unknown = sorted(set(options) - set(names))
    if unknown:
        raise TypeError(f"{what} has no option {unknown[0]}; it has {', '.join(names)}, with_key")
    return {name: options.get(name) for name in names}
