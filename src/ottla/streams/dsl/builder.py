"""Where a program in the DSL begins: it names topics, and gets streams and tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ottla.streams.dsl.global_table import GlobalKTable
from ottla.streams.dsl.graph import Graph, Named, Parameters
from ottla.streams.dsl.graph_nodes import (
    Consumed,
    GlobalStoreGraphNode,
    SourceGraphNode,
    StoreGraphNode,
)
from ottla.streams.dsl.optimization import drop_null_keys, merge_sources, optimize_graph
from ottla.streams.dsl.parts import StreamParts
from ottla.streams.dsl.store import Store
from ottla.streams.dsl.streams import KStream, KTable
from ottla.streams.dsl.tables import global_table, table
from ottla.streams.errors import TopologyError
from ottla.streams.processor import Processor
from ottla.streams.serdes import Serde
from ottla.streams.topology.java_order import java_hash_order
from ottla.streams.topology.nodes import OffsetReset, StoreBuilder, TimestampExtractor
from ottla.streams.topology.topology import Topology

__all__ = ["StreamsBuilder"]

K = TypeVar("K")
V = TypeVar("V")

Topics = str | Sequence[str] | re.Pattern[str]


class StreamsBuilder:
    """Says what an application does; `build` makes a topology of it."""

    def __init__(
        self, default_key: Serde[Any] | None = None, default_value: Serde[Any] | None = None
    ) -> None:
        """The serdes of all topics and stores that are given none."""
        self._graph = Graph(default_key, default_value)

    def stream(
        self,
        topics: Topics,
        key: Serde[K] | None = None,
        value: Serde[V] | None = None,
        *,
        timestamp_extractor: TimestampExtractor | None = None,
        reset: OffsetReset | None = None,
        name: str | None = None,
    ) -> KStream[K, V]:
        """The records of a topic, of several, or of all whose name matches a pattern.

        Without `key` or `value` the application's default serdes read it. `reset` says where to begin a
        partition that has no committed offset. A `timestamp_extractor` gives a record's time from it and from
        the greatest time seen in its partition.
        """
        name = Named(name, self._graph).or_generate("KSTREAM-SOURCE-")
        node = SourceGraphNode(name, _topics(topics, name), Consumed(key, value, timestamp_extractor, reset))
        self._graph.add(self._graph.root, node)
        return KStream(StreamParts(name, key, value, (name,), False, node, self._graph))

    def table(
        self,
        topic: str,
        key: Serde[K] | None = None,
        value: Serde[V] | None = None,
        materialized: Store[K, V] | None = None,
        *,
        timestamp_extractor: TimestampExtractor | None = None,
        reset: OffsetReset | None = None,
        name: str | None = None,
    ) -> KTable[K, V]:
        """A topic as a table: the latest value of each key, null deletes it."""
        consumed = Consumed(key, value, timestamp_extractor, reset)
        return KTable(table(self._graph, topic, consumed, materialized, name))

    def global_table(
        self,
        topic: str,
        key: Serde[K] | None = None,
        value: Serde[V] | None = None,
        materialized: Store[K, V] | None = None,
        *,
        timestamp_extractor: TimestampExtractor | None = None,
        name: str | None = None,
    ) -> GlobalKTable[K, V]:
        """A topic as a table that every instance has in whole."""
        consumed = Consumed(key, value, timestamp_extractor)
        return GlobalKTable(global_table(self._graph, topic, consumed, materialized, name))

    def add_state_store(self, store: Store[Any, Any] | StoreBuilder) -> StreamsBuilder:
        """Have a store for the processors that name it (`process`)."""
        builder = store.builder(self._graph) if isinstance(store, Store) else store
        self._graph.add(self._graph.root, StoreGraphNode(builder))
        return self

    def add_global_store(
        self,
        store: Store[K, V],
        topic: str,
        supplier: Callable[[], Processor[K, V, Any, Any]],
        key: Serde[K] | None = None,
        value: Serde[V] | None = None,
        *,
        name: str | None = None,
    ) -> StreamsBuilder:
        """Have every instance keep a topic in a store that a processor of yours writes."""
        named = Named(name, self._graph)
        source = named.suffixed("-source", "KSTREAM-SOURCE-")
        processor = named.or_generate("KTABLE-SOURCE-")
        builder = store.builder(self._graph, logged=False)
        parameters = Parameters(processor, supplier, lambda: (builder,))
        node = GlobalStoreGraphNode(source, topic, Consumed(key, value), parameters)
        self._graph.add(self._graph.root, node)
        return self

    def build(self, *, optimize: bool = False) -> Topology:
        """The topology, checked. `optimize`: as Kafka Streams with `topology.optimization=all`.

        Raises TopologyError for what cannot run.
        """
        merge_sources(self._graph)
        if optimize:
            optimize_graph(self._graph)
        drop_null_keys(self._graph)
        return self._graph.write()


def _topics(topics: Topics, name: str) -> tuple[str, ...] | re.Pattern[str]:
    if isinstance(topics, re.Pattern):
        return topics
    names = (topics,) if isinstance(topics, str) else tuple(topics)
    if not names or not all(isinstance(topic, str) and topic for topic in names):
        raise TopologyError(f"{name} reads topics: a name, several names, or a pattern, not {topics!r}")
    return tuple(java_hash_order(names))
