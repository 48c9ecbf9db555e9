"""Operators of streams that remember nothing: what each adds to the graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ottla.streams.columnar.stateless import (
    FilterByExpression,
    MapBatches,
    MapValuesByExpression,
    SelectKeyByExpression,
    TableFunction,
)
from ottla.streams.dsl.functions import of_key_and_value, of_value, with_expression
from ottla.streams.dsl.graph import Named, Parameters, ProcessorGraphNode, union
from ottla.streams.dsl.graph_nodes import SinkGraphNode
from ottla.streams.dsl.inferred import key_serde, value_serde
from ottla.streams.dsl.partitioning import repartition
from ottla.streams.dsl.parts import StreamParts, derived, same
from ottla.streams.dsl.store import Store
from ottla.streams.expressions.nodes import Expression
from ottla.streams.processors import stateless
from ottla.streams.topology.nodes import AnyProcessor, AnySerde, Partitioner, StoreBuilder, TopicNameExtractor

__all__ = [
    "batches_mapped",
    "filtered",
    "for_each",
    "key_selecting_node",
    "merged",
    "processed",
    "repartitioned",
    "select_key",
    "sink",
    "values_mapped",
]


def filtered(s: StreamParts, function: object, name: str | None, *, negated: bool = False) -> StreamParts:
    """By a function, or an expression, whose opposite is null where it is null itself, as in SQL."""
    if negated and isinstance(function, Expression):
        function, negated = ~function, False
    by_function = stateless.FilterNot if negated else stateless.Filter
    operator = "filter_not" if negated else "filter"
    make = with_expression(function, operator, FilterByExpression, by_function, of_key_and_value)
    return same(s, "KSTREAM-FILTER-", name, make)


def values_mapped(s: StreamParts, function: object, with_key: bool, name: str | None) -> StreamParts:
    def made(given: object, operator: str) -> Callable[[Any, Any], Any]:
        return of_value(given, with_key, operator)

    make = with_expression(function, "map_values", MapValuesByExpression, stateless.MapValues, made)
    mapped = derived(s, "KSTREAM-MAPVALUES-", name, make, changes_value=True)
    mapped.value = value_serde(function)
    return mapped


def batches_mapped(s: StreamParts, function: TableFunction, name: str | None) -> StreamParts:
    make = partial(MapBatches, function)
    return derived(s, "KSTREAM-MAP-", name, make, changes_key=True, changes_value=True)


def key_selecting_node(s: StreamParts, function: object, named: Named) -> ProcessorGraphNode:
    make = with_expression(
        function, "select_key", SelectKeyByExpression, stateless.SelectKey, of_key_and_value
    )
    name = named.or_generate("KSTREAM-KEY-SELECT-")
    node = ProcessorGraphNode(Parameters(name, make))
    node.changes_key = True
    s.graph.add(s.node, node)
    return node


def select_key(s: StreamParts, function: object, name: str | None) -> StreamParts:
    node = key_selecting_node(s, function, Named(name, s.graph))
    key = key_serde(function, None, s.key, s.value)
    return StreamParts(node.name, key, s.value, s.sources, True, node, s.graph)


def for_each(s: StreamParts, function: Callable[..., object], name: str | None) -> None:
    name = Named(name, s.graph).or_generate("KSTREAM-FOREACH-")
    s.graph.add(s.node, ProcessorGraphNode(Parameters(name, partial(stateless.ForEach, function))))


def merged(one: StreamParts, other: StreamParts, name: str | None) -> StreamParts:
    name = Named(name, one.graph).or_generate("KSTREAM-MERGE-")
    node = ProcessorGraphNode(Parameters(name, stateless.PassThrough))
    node.merges = True
    one.graph.add((one.node, other.node), node)
    needs_repartition = one.needs_repartition or other.needs_repartition
    # Neither's serdes need be right for both.
    return StreamParts(
        name, None, None, union(one.sources, other.sources), needs_repartition, node, one.graph
    )


def repartitioned(
    s: StreamParts,
    name: str | None,
    key: AnySerde,
    value: AnySerde,
    partitions: int | None,
    partitioner: Partitioner | None,
) -> StreamParts:
    prefix = Named(name, s.graph).name or s.graph.new_name("KSTREAM-REPARTITION-")
    key, value = key or s.key, value or s.value
    node = repartition(
        s.graph, prefix, key, value, partitioner=partitioner, partitions=partitions, optimizable=False
    )
    s.graph.add(s.node, node)
    return StreamParts(node.name, key, value, (node.name,), False, node, s.graph)


def sink(
    s: StreamParts,
    topic: str | TopicNameExtractor,
    key: AnySerde,
    value: AnySerde,
    partitioner: Partitioner | None,
    name: str | None,
) -> None:
    name = Named(name, s.graph).or_generate("KSTREAM-SINK-")
    s.graph.add(s.node, SinkGraphNode(name, topic, key or s.key, value or s.value, partitioner))


def processed(
    s: StreamParts,
    supplier: Callable[[], AnyProcessor],
    stores: tuple[str, ...],
    name: str | None,
    *,
    changes_key: bool,
) -> StreamParts:
    """A processor of the user's. A name that is given takes no number here, as in Java."""
    name = Named(name, s.graph).name or s.graph.new_name(
        "KSTREAM-PROCESSOR-" if changes_key else "KSTREAM-PROCESSVALUES-"
    )

    def keeping_keys() -> AnyProcessor:
        return stateless.ProcessValues(supplier())

    made = supplier if changes_key else keeping_keys
    node = ProcessorGraphNode(Parameters(name, made, lambda: _own_stores(supplier, s)), lambda: stores)
    s.graph.add(s.node, node)
    key = None if changes_key else s.key
    return StreamParts(name, key, None, s.sources, s.needs_repartition or changes_key, node, s.graph)


def _own_stores(supplier: object, s: StreamParts) -> tuple[StoreBuilder, ...]:
    """The stores that a supplier brings along (KIP-401): what it has under `stores`."""
    stores = getattr(supplier, "stores", ())
    return tuple(store.builder(s.graph) if isinstance(store, Store) else store for store in stores)
