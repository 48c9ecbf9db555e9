"""What a topology means for topics: which internal ones there must be, and which tasks read what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ottla.streams.errors import StreamsError, TopologyError
from ottla.streams.queries.routes import Host, Routes, StoreSources
from ottla.streams.runtime.protocol import Partition, TaskId
from ottla.streams.topology.nodes import SinkNode, SourceNode
from ottla.streams.topology.topology import Topology

Hosts = Mapping[Host, Sequence[Partition]]
"""By application.server what is read there."""


class MissingSourceTopicsError(StreamsError):
    """Topics that are to be read are not there."""


@dataclass(frozen=True)
class InternalTopicPlan:
    name: str
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class SubTopology:
    """One group of nodes that runs in tasks of its own."""

    number: int
    nodes: tuple[str, ...]
    sources: tuple[str, ...]
    """The topics it reads, by their real names."""
    stores: tuple[str, ...]
    changelogs: Mapping[str, str]
    """By store the topic that it is restored from: its changelog, or the topic that it is a table of."""
    source_changelogs: frozenset[str]
    """The stores that are restored from a topic that the sub-topology reads."""


@dataclass(frozen=True)
class Layout:
    """Tasks with the partitions that they read, and the internal topics that there must be."""

    sub_topologies: Mapping[int, SubTopology]
    tasks: Mapping[TaskId, tuple[Partition, ...]]
    internal: Sequence[InternalTopicPlan]

    def routes(self, active: Hosts, standby: Hosts) -> Routes:
        """Where stores are to be asked."""
        tasks: dict[int, int] = {}
        for task in self.tasks:
            tasks[task.group] = tasks.get(task.group, 0) + 1
        stores = {
            store: StoreSources(sub.sources, tasks.get(number, 0))
            for number, sub in self.sub_topologies.items()
            for store in sub.stores
        }
        return Routes(active, standby, stores)

    def changelog_partitions(self, task: TaskId) -> dict[str, Partition]:
        """By store of a task."""
        changelogs = self.sub_topologies[task.group].changelogs
        return {store: (topic, task.partition) for store, topic in changelogs.items()}


def sub_topologies(
    topology: Topology, application_id: str, known_topics: Sequence[str]
) -> dict[int, SubTopology]:
    """By number; those of global stores are left out. `known_topics`: what patterns may match."""
    changelogs = topology.changelogs(application_id)
    result = {}
    for number, group in enumerate(topology.node_groups()):
        if group.is_global:
            continue
        names = tuple(group.names)
        stores = dict.fromkeys(
            store for name in group.names for store in getattr(topology.nodes[name], "stores", ())
        )
        sources: dict[str, None] = {}
        for name in group.names:
            node = topology.nodes[name]
            if isinstance(node, SourceNode):
                sources |= dict.fromkeys(topology.real_name(topic, application_id) for topic in node.topics)
                sources |= dict.fromkeys(filter(node.matches, known_topics))
        by_store, from_source = {}, set()
        for store in stores:
            if store in topology.source_changelogs and store not in topology.global_stores:
                by_store[store] = topology.real_name(topology.source_changelogs[store], application_id)
                from_source.add(store)
            elif store in changelogs:
                by_store[store] = changelogs[store]
        result[number] = SubTopology(
            number, names, tuple(sorted(sources)), tuple(stores), by_store, frozenset(from_source)
        )
    return result


def plan(
    topology: Topology,
    application_id: str,
    counts: Mapping[str, int],
    topic_config: Mapping[str, str] = {},
) -> Layout:
    """`counts`: how many partitions each topic has that there is.

    Raises MissingSourceTopicsError, and TopologyError where topics that are joined have other numbers of
    partitions than each other.
    """
    subs = sub_topologies(topology, application_id, sorted(counts))
    internal = {
        topology.real_name(name, application_id): topic for name, topic in topology.internal_topics.items()
    }
    missing = sorted(
        {each for sub in subs.values() for each in sub.sources} - counts.keys() - internal.keys()
    )
    if missing:
        raise MissingSourceTopicsError(f"there are no topics {', '.join(missing)}, which are to be read")
    sizes = _repartition_sizes(topology, application_id, subs, counts)
    known = {**counts, **sizes}
    _check_copartitioned(topology, application_id, known)
    topics = [
        InternalTopicPlan(name, sizes[name], {**REPARTITION_CONFIG, **topic_config, **internal[name].config})
        for name in sorted(sizes)
    ]
    tasks: dict[TaskId, tuple[Partition, ...]] = {}
    for number, sub in subs.items():
        if not sub.sources:
            continue
        count = max(known[topic] for topic in sub.sources)
        for partition in range(count):
            tasks[TaskId(number, partition)] = tuple(
                (topic, partition) for topic in sub.sources if partition < known[topic]
            )
        topics += [
            InternalTopicPlan(topic, count, {**topic_config, **topology.stores[store].changelog_config()})
            for store, topic in sorted(sub.changelogs.items())
            if store not in sub.source_changelogs
        ]
    return Layout(subs, tasks, topics)


REPARTITION_CONFIG = {"cleanup.policy": "delete", "segment.bytes": "52428800", "retention.ms": "-1"}


def _repartition_sizes(
    topology: Topology, application_id: str, subs: Mapping[int, SubTopology], counts: Mapping[str, int]
) -> dict[str, int]:
    """As many partitions as was said, or as the topics have that it comes from, or is joined with."""
    sizes: dict[str, int] = {}
    writers: dict[str, list[SubTopology]] = {}
    for name, topic in topology.internal_topics.items():
        real = topology.real_name(name, application_id)
        if topic.partitions is not None:
            sizes[real] = topic.partitions
        writers[real] = [
            sub
            for sub in subs.values()
            if any(
                isinstance(node := topology.nodes[each], SinkNode) and node.topic == name
                for each in sub.nodes
            )
        ]
    left = [real for real in writers if real not in sizes]
    while left:
        size_of = {**counts, **sizes}
        found = {
            real: max(size_of[topic] for sub in writers[real] for topic in sub.sources if topic in size_of)
            for real in left
            if writers[real] and all(topic in size_of for sub in writers[real] for topic in sub.sources)
        }
        if not found:
            raise TopologyError(
                f"how many partitions {', '.join(sorted(left))} need cannot be told: give one partitions="
            )
        sizes |= found
        left = [real for real in left if real not in sizes]
    _align(topology, application_id, sizes, counts)
    return sizes


def _align(topology: Topology, application_id: str, sizes: dict[str, int], counts: Mapping[str, int]) -> None:
    """Repartition topics that nobody gave a number take that of what they are joined with."""
    for topics in _copartitioned(topology, application_id):
        free = [
            topic
            for topic in topics
            if topic in sizes
            and topology.internal_topics[topic.removeprefix(f"{application_id}-")].partitions is None
        ]
        fixed = [{**counts, **sizes}[topic] for topic in topics if topic not in free]
        wanted = max(fixed or [sizes[topic] for topic in free], default=0)
        for topic in free:
            sizes[topic] = wanted


def _check_copartitioned(topology: Topology, application_id: str, known: Mapping[str, int]) -> None:
    for topics in _copartitioned(topology, application_id):
        numbers = {topic: known[topic] for topic in topics}
        if len(set(numbers.values())) > 1:
            said = ", ".join(f"{topic}: {count}" for topic, count in sorted(numbers.items()))
            raise TopologyError(
                f"topics that are joined need as many partitions as each other ({said}): repartition() helps"
            )


def _copartitioned(topology: Topology, application_id: str) -> list[list[str]]:
    result = []
    for sources in topology.copartitioned:
        topics: dict[str, None] = {}
        for name in sources:
            node = topology.nodes.get(name)
            if isinstance(node, SourceNode):
                topics |= dict.fromkeys(topology.real_name(topic, application_id) for topic in node.topics)
        result.append(list(topics))
    return result
