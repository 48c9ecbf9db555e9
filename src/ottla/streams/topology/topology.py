"""A topology: what an application reads, does and writes.

The DSL makes one (`StreamsBuilder.build`), or it is put together node by node. It is checked as it grows:
what cannot run raises TopologyError at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from ottla.streams.errors import TopologyError
from ottla.streams.serdes import Serde
from ottla.streams.topology.description import describe
from ottla.streams.topology.groups import UnionFind
from ottla.streams.topology.nodes import (
    AnyProcessor,
    AnySerde,
    InternalTopic,
    Node,
    NodeGroup,
    OffsetReset,
    Partitioner,
    ProcessorNode,
    SinkNode,
    SourceNode,
    StoreBuilder,
    TimestampExtractor,
    TopicNameExtractor,
    serde_of,
)
from ottla.streams.topology.picture import flowchart

__all__ = ["Topology"]


class Topology:
    """Nodes by name, in the order in which they were added, and the stores that they use."""

    def __init__(self, default_key: AnySerde = None, default_value: AnySerde = None) -> None:
        """The serdes of sources and sinks that are given none."""
        self.default_key = default_key
        self.default_value = default_value
        self.nodes: dict[str, Node] = {}
        self.stores: dict[str, StoreBuilder] = {}
        self.global_stores: dict[str, StoreBuilder] = {}
        self.internal_topics: dict[str, InternalTopic] = {}
        """The repartition topics, by their names without the application's id."""
        self.source_changelogs: dict[str, str] = {}
        """The input topic that a store is restored from, instead of a changelog of its own."""
        self.copartitioned: list[tuple[str, ...]] = []
        """Source nodes whose topics must have as many partitions as each other."""
        self.global_topics: dict[str, str] = {}
        """Each topic that is read in whole by every instance, and its store."""
        self._store_users: dict[str, str] = {}
        self._groups = UnionFind()

    def add_source(
        self,
        name: str,
        topics: str | Iterable[str] | re.Pattern[str],
        *,
        key: AnySerde = None,
        value: AnySerde = None,
        timestamp_extractor: TimestampExtractor | None = None,
        reset: OffsetReset | None = None,
    ) -> Topology:
        """Read `topics`: names, or a pattern that a topic's whole name matches."""
        self._check_name(name)
        names: tuple[str, ...] = ()
        pattern: re.Pattern[str] | None = None
        if isinstance(topics, re.Pattern):
            pattern = topics
            for topic in self.source_topics():
                if pattern.fullmatch(topic):
                    raise TopologyError(
                        f"Source {name}: the pattern {pattern.pattern} matches topic {topic}, which another"
                        " source reads"
                    )
        else:
            names = (topics,) if isinstance(topics, str) else tuple(topics)
            if not names:
                raise TopologyError(f"Source {name} reads no topic")
            for topic in names:
                self._check_topic(name, topic)
        self.nodes[name] = SourceNode(name, names, pattern, key, value, timestamp_extractor, reset)
        self._groups.add(name)
        return self

    def add_processor(
        self,
        name: str,
        supplier: Callable[[], AnyProcessor],
        *parents: str,
        stores: Iterable[str | StoreBuilder] = (),
    ) -> Topology:
        """Have a processor of `supplier`, one for each task, handle what the parents forward."""
        self._check_name(name)
        if not callable(supplier):
            raise TopologyError(
                f"Processor {name}: {supplier!r} is no supplier, such as a class, of processors"
            )
        self._check_parents(name, parents)
        self.nodes[name] = ProcessorNode(name, parents, supplier)
        self._groups.add(name)
        self._groups.unite(name, parents)
        for store in stores:
            if isinstance(store, str):
                self.connect(name, store)
            else:
                self.add_state_store(store, name)
        return self

    def add_sink(
        self,
        name: str,
        topic: str | TopicNameExtractor,
        *parents: str,
        key: AnySerde = None,
        value: AnySerde = None,
        partitioner: Partitioner | None = None,
    ) -> Topology:
        """Write what the parents forward to `topic`, or to the topic that a function says for each record."""
        self._check_name(name)
        self._check_parents(name, parents)
        self.nodes[name] = SinkNode(name, parents, topic, key, value, partitioner)
        self._groups.add(name)
        self._groups.unite(name, parents)
        return self

    def add_state_store(self, store: StoreBuilder, *processors: str) -> Topology:
        """Have a store for each task, which `processors` use."""
        known = self.stores.get(store.name)
        if (known is not None and known is not store) or store.name in self.global_stores:
            raise TopologyError(f"There are two different stores of the name {store.name}")
        self.stores[store.name] = store
        for processor in processors:
            self.connect(processor, store.name)
        return self

    def add_global_store(
        self,
        store: StoreBuilder,
        topic: str,
        processor: str,
        supplier: Callable[[], AnyProcessor],
        *,
        source: str,
        key: AnySerde = None,
        value: AnySerde = None,
        timestamp_extractor: TimestampExtractor | None = None,
    ) -> Topology:
        """Have every instance keep all of `topic` in a store, by a processor of `supplier`."""
        self._check_name(source)
        self._check_topic(source, topic)
        self._check_name(processor)
        if source == processor:
            raise TopologyError(f"{source} cannot be both the source and the processor of a global store")
        if store.name in self.stores or store.name in self.global_stores:
            raise TopologyError(f"There are two different stores of the name {store.name}")
        self.nodes[source] = SourceNode(source, (topic,), None, key, value, timestamp_extractor)
        self.nodes[processor] = ProcessorNode(processor, (source,), supplier, [store.name])
        self._groups.add(source)
        self._groups.add(processor)
        self._groups.unite(processor, (source,))
        self.global_stores[store.name] = store
        self.global_topics[topic] = store.name
        self.source_changelogs[store.name] = topic
        return self

    def connect(self, processor: str, *stores: str) -> Topology:
        """Let a processor use stores that there are: with that all their users are one sub-topology."""
        node = self.nodes.get(processor)
        if not isinstance(node, ProcessorNode):
            what = "is not there" if node is None else "is no processor, so that it can use no store"
            raise TopologyError(f"{processor} {what} (stores: {', '.join(stores)})")
        for store in stores:
            if store in self.global_stores:
                raise TopologyError(
                    f"Every processor may read the global store {store}: {processor} cannot own it"
                )
            if store not in self.stores:
                raise TopologyError(f"{processor} uses the store {store}, which is not there")
            user = self._store_users.setdefault(store, processor)
            self._groups.unite(user, (processor,))
            if store not in node.stores:
                node.stores.append(store)
        return self

    def add_internal_topic(self, topic: InternalTopic) -> None:
        self.internal_topics[topic.name] = topic

    def copartition(self, sources: Collection[str]) -> None:
        """Have the topics of these sources as many partitions as each other."""
        self.copartitioned.append(tuple(dict.fromkeys(sources)))

    def restore_from_source(self, store: str, topic: str) -> None:
        """Have the store restored from the topic that it is a table of, without a changelog of its own."""
        self.source_changelogs[store] = topic

    def source_topics(self) -> list[str]:
        """The topics that are read by name, internal ones without the application's id."""
        return [
            topic for node in self.nodes.values() if isinstance(node, SourceNode) for topic in node.topics
        ]

    def sink_topics(self, application_id: str) -> list[str]:
        """The topics that are written to by name, by their real names."""
        sinks = (node for node in self.nodes.values() if isinstance(node, SinkNode))
        named = [sink.topic for sink in sinks if isinstance(sink.topic, str)]
        return list(dict.fromkeys(self.real_name(topic, application_id) for topic in named))

    def node_groups(self) -> list[NodeGroup]:
        """The nodes of each sub-topology; the place is the id."""
        groups: dict[str, list[str]] = {}
        for name in self.nodes:
            groups.setdefault(self._groups.root(name), []).append(name)
        return [NodeGroup(names, self._is_global(names)) for names in groups.values()]

    def real_name(self, topic: str, application_id: str) -> str:
        """The topic's name in Kafka: an internal one has the application's id in front."""
        return f"{application_id}-{topic}" if topic in self.internal_topics else topic

    def changelogs(self, application_id: str) -> dict[str, str]:
        """The topic that has what is written to each store that is logged."""
        return {
            name: f"{application_id}-{name}-changelog"
            for name, store in self.stores.items()
            if store.logging and name not in self.source_changelogs
        }

    def describe(self) -> str:
        """The topology as text, in the words of Kafka Streams' `TopologyDescription`."""
        return describe(self.nodes, self.node_groups())

    def picture(self) -> str:
        """The topology as a Mermaid flowchart."""
        return flowchart(self.nodes, self.node_groups())

    def key_of(self, node: SourceNode | SinkNode) -> Serde[Any]:
        """What reads or writes the keys there. Raises TopologyError where nothing does."""
        return serde_of(node.key, self.default_key, node.name, "key")

    def value_of(self, node: SourceNode | SinkNode) -> Serde[Any]:
        return serde_of(node.value, self.default_value, node.name, "value")

    def check(self) -> None:
        """Raise TopologyError where something is missing, or does not fit together."""
        for node in self.nodes.values():
            if not isinstance(node, ProcessorNode):
                self.key_of(node)
                self.value_of(node)
        self.check_copartition()

    def check_copartition(self) -> None:
        """Raise TopologyError where topics that need as many partitions were given different numbers."""
        for sources in self.copartitioned:
            topics = {
                topic
                for name in sources
                if isinstance(node := self.nodes.get(name), SourceNode)
                for topic in node.topics
            }
            given = {
                topic: internal.partitions
                for topic in sorted(topics)
                if (internal := self.internal_topics.get(topic)) is not None
                and internal.partitions is not None
            }
            if len(given) == len(topics) and len(set(given.values())) > 1:
                numbers = ", ".join(f"{topic}: {partitions}" for topic, partitions in given.items())
                raise TopologyError(
                    f"Topics that are joined need as many partitions as each other ({numbers})"
                )

    def _is_global(self, names: Iterable[str]) -> bool:
        nodes = map(self.nodes.__getitem__, names)
        return any(
            isinstance(node, SourceNode) and any(topic in self.global_topics for topic in node.topics)
            for node in nodes
        )

    def _check_name(self, name: str) -> None:
        if name in self.nodes:
            raise TopologyError(f"There are two nodes of the name {name}")

    def _check_topic(self, source: str, topic: str) -> None:
        if topic in self.global_topics or topic in self.source_topics():
            raise TopologyError(f"Source {source}: topic {topic} is read by another source already")
        for node in self.nodes.values():
            if isinstance(node, SourceNode) and node.matches(topic):
                assert node.pattern is not None
                raise TopologyError(
                    f"Source {source}: topic {topic} matches the pattern {node.pattern.pattern}"
                    f" of {node.name}"
                )

    def _check_parents(self, name: str, parents: tuple[str, ...]) -> None:
        if not parents:
            raise TopologyError(f"{name} has no parents, so that no record would come to it")
        for parent in parents:
            if parent not in self.nodes:
                raise TopologyError(f"{name} has the parent {parent}, which is not there")
            if isinstance(self.nodes[parent], SinkNode):
                raise TopologyError(f"{name} has the parent {parent}, which is a sink")
