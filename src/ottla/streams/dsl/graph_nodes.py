"""The operators that are more, or less, than one processor: sources, sinks, repartitions and joins."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ottla.streams.dsl.graph import GraphNode, Parameters
from ottla.streams.errors import TopologyError
from ottla.streams.processors.stateless import Filter
from ottla.streams.topology.nodes import (
    AnySerde,
    InternalTopic,
    OffsetReset,
    Partitioner,
    StoreBuilder,
    TimestampExtractor,
    TopicNameExtractor,
)
from ottla.streams.topology.topology import Topology

__all__ = [
    "Consumed",
    "GlobalStoreGraphNode",
    "RepartitionGraphNode",
    "SinkGraphNode",
    "SourceGraphNode",
    "StoreGraphNode",
    "StreamJoinGraphNode",
    "TableJoinGraphNode",
    "TableRepartitionGraphNode",
    "TableSourceGraphNode",
]


class Consumed:
    """How a topic is read."""

    def __init__(
        self,
        key: AnySerde = None,
        value: AnySerde = None,
        timestamp_extractor: TimestampExtractor | None = None,
        reset: OffsetReset | None = None,
    ) -> None:
        self.key = key
        self.value = value
        self.timestamp_extractor = timestamp_extractor
        self.reset = reset


class SourceGraphNode(GraphNode):
    def __init__(self, name: str, topics: Sequence[str] | re.Pattern[str], consumed: Consumed) -> None:
        super().__init__(name)
        self.topics = topics
        self.consumed = consumed

    def merge(self, other: SourceGraphNode) -> None:
        """Take over what another source, of the same topics, is read for."""
        mine, its = self.consumed, other.consumed
        if mine.reset != its.reset:
            raise TopologyError(
                f"{self.name} and {other.name} read the same topics and want to begin at different places:"
                f" reset={mine.reset!r} and {its.reset!r}"
            )
        for child in list(other.children):
            other.remove_child(child)
            self.add_child(child)

    def write(self, topology: Topology) -> None:
        topology.add_source(
            self.name,
            self.topics,
            key=self.consumed.key,
            value=self.consumed.value,
            timestamp_extractor=self.consumed.timestamp_extractor,
            reset=self.consumed.reset,
        )


class TableSourceGraphNode(GraphNode):
    """A source and the processor that keeps its topic as a table, where somebody needs to read that."""

    def __init__(
        self,
        name: str,
        source: str,
        topic: str,
        consumed: Consumed,
        parameters: Parameters,
    ) -> None:
        super().__init__(name)
        self.reuses_topic = False
        """Whether the store is restored from the topic itself, and needs no changelog."""
        self._source = source
        self._topic = topic
        self._consumed = consumed
        self._parameters = parameters

    def write(self, topology: Topology) -> None:
        consumed, parameters = self._consumed, self._parameters
        topology.add_source(
            self._source,
            (self._topic,),
            key=consumed.key,
            value=consumed.value,
            timestamp_extractor=consumed.timestamp_extractor,
            reset=consumed.reset,
        )
        parameters.write(topology, (self._source,))
        if self.reuses_topic:
            for store in parameters.stores():
                topology.restore_from_source(store.name, self._topic)


class SinkGraphNode(GraphNode):
    def __init__(
        self,
        name: str,
        topic: str | TopicNameExtractor,
        key: AnySerde,
        value: AnySerde,
        partitioner: Partitioner | None,
    ) -> None:
        super().__init__(name)
        self._topic = topic
        self._key = key
        self._value = value
        self._partitioner = partitioner

    def write(self, topology: Topology) -> None:
        topology.add_sink(
            self.name,
            self._topic,
            *self.parent_names(),
            key=self._key,
            value=self._value,
            partitioner=self._partitioner,
        )


class RepartitionGraphNode(GraphNode):
    """Writes to an internal topic and reads from it, so that records of a key come to one task."""

    def __init__(
        self,
        source: str,
        sink: str,
        filtering: Parameters,
        topic: InternalTopic,
        key: AnySerde,
        value: AnySerde,
        partitioner: Partitioner | None = None,
        *,
        optimizable: bool = True,
    ) -> None:
        super().__init__(source)
        self.topic = topic
        self.key = key
        self.value = value
        self.optimizable = optimizable
        """Whether one topic may do for several repartitions of the same keys."""
        self.drops_null_keys = False
        self._sink = sink
        self._filtering = filtering
        self._partitioner = partitioner

    def write(self, topology: Topology) -> None:
        filtering = self._filtering
        if self.drops_null_keys:
            filtering = Parameters(filtering.name, lambda: Filter(_has_key))
        topology.add_internal_topic(self.topic)
        filtering.write(topology, self.parent_names())
        topology.add_sink(
            self._sink,
            self.topic.name,
            filtering.name,
            key=self.key,
            value=self.value,
            partitioner=self._partitioner,
        )
        topology.add_source(self.name, (self.topic.name,), key=self.key, value=self.value)


def _has_key(key: Any, value: Any) -> bool:  # noqa: ARG001
    return key is not None


class TableRepartitionGraphNode(GraphNode):
    """As a repartition of a stream, of a table's changes."""

    def __init__(self, source: str, sink: str, topic: InternalTopic, key: AnySerde, change: AnySerde) -> None:
        super().__init__(source)
        self._sink = sink
        self._topic = topic
        self._key = key
        self._change = change

    def write(self, topology: Topology) -> None:
        topology.add_internal_topic(self._topic)
        topology.add_sink(
            self._sink, self._topic.name, *self.parent_names(), key=self._key, value=self._change
        )
        topology.add_source(self.name, (self._topic.name,), key=self._key, value=self._change)


class StoreGraphNode(GraphNode):
    """A store that processors name."""

    def __init__(self, store: StoreBuilder) -> None:
        super().__init__(store.name)
        self._store = store

    def write(self, topology: Topology) -> None:
        topology.add_state_store(self._store)


class GlobalStoreGraphNode(GraphNode):
    """A source and the processor, which has one store, that keeps its topic on every instance."""

    def __init__(self, source: str, topic: str, consumed: Consumed, parameters: Parameters) -> None:
        super().__init__(parameters.name)
        self._source = source
        self._topic = topic
        self._consumed = consumed
        self._parameters = parameters

    def write(self, topology: Topology) -> None:
        (store,) = self._parameters.stores()
        topology.add_global_store(
            store,
            self._topic,
            self._parameters.name,
            self._parameters.supplier,
            source=self._source,
            key=self._consumed.key,
            value=self._consumed.value,
            timestamp_extractor=self._consumed.timestamp_extractor,
        )


class StreamJoinGraphNode(GraphNode):
    """The two sides of a join of streams, each below the processor that keeps its window, and what merges
    them."""

    def __init__(
        self,
        name: str,
        this: tuple[str, Parameters],
        other: tuple[str, Parameters],
        merging: Parameters,
        self_join: Parameters,
    ) -> None:
        """`this` and `other`: the name of the processor above, and the side itself."""
        super().__init__(name)
        self.this_above, self._this = this
        self.other_above, self._other = other
        self.is_self_join = False
        self._merging = merging
        self._self_join = self_join

    def write(self, topology: Topology) -> None:
        if self.is_self_join:
            self._self_join.write(topology, (self.this_above,))
            return
        self._this.write(topology, (self.this_above,))
        self._other.write(topology, (self.other_above,))
        self._merging.write(topology, (self._this.name, self._other.name))


class TableJoinGraphNode(GraphNode):
    """The two sides of a join of tables, and what merges them."""

    def __init__(
        self,
        name: str,
        this: tuple[str, Parameters, Callable[[], Sequence[str]]],
        other: tuple[str, Parameters, Callable[[], Sequence[str]]],
        merging: Parameters,
        on_versioned: Callable[[str], None],
    ) -> None:
        """A side is the name of its table's node, the processor, and the stores that its table is read
        from."""
        super().__init__(name)
        self._this = this
        self._other = other
        self._merging = merging
        self._on_versioned = on_versioned

    def use_versioned_semantics(self, parent: GraphNode) -> None:
        self._on_versioned(parent.name)

    def write(self, topology: Topology) -> None:
        this_above, this, this_stores = self._this
        other_above, other, other_stores = self._other
        this.write(topology, (this_above,))
        other.write(topology, (other_above,))
        self._merging.write(topology, (this.name, other.name))
        if stores := other_stores():
            topology.connect(this.name, *stores)
        if stores := this_stores():
            topology.connect(other.name, *stores)
