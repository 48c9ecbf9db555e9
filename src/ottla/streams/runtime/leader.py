"""The leader's work in a rebalance: internal topics are made, tasks given to members."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ottla.client.admin.topics import NewTopic
from ottla.client.connecting import AsyncClient
from ottla.client.consumer.logs import list_offsets
from ottla.client.core.groups.subscription import MemberSubscription, encode_assignment
from ottla.client.core.metadata import ClusterMetadata, TopicPartition
from ottla.client.core.positions import LATEST_TIMESTAMP
from ottla.client.errors import ClientError, code_of
from ottla.protocol.errors import ErrorCode
from ottla.streams.errors import StreamsError
from ottla.streams.runtime.assignment import Client, Limits, assign, lag_of
from ottla.streams.runtime.protocol import (
    INCOMPLETE_SOURCE_TOPICS,
    NO_REBALANCE,
    RUNNING,
    SHUTDOWN_REQUESTED,
    Assignment,
    Subscription,
    TaskId,
    decode_subscription,
)
from ottla.streams.runtime.protocol import encode_assignment as encode_info
from ottla.streams.runtime.settings import StreamsSettings
from ottla.streams.runtime.topics import InternalTopicPlan, Layout, MissingSourceTopicsError, plan
from ottla.streams.topology.nodes import SourceNode
from ottla.streams.topology.topology import Topology

_TRIES: Final = 50
_WAIT_S: Final = 0.1
_MANY: Final = 1 << 62
"""More records than any changelog has."""
_GONE: Final = (ErrorCode.unknown_topic_or_partition, ErrorCode.unknown_topic_id)


class Leader:
    """Of one thread, which may or may not lead."""

    def __init__(
        self,
        client: AsyncClient,
        topology: Topology,
        settings: StreamsSettings,
        topic_config: Mapping[str, str],
        now_ms: Callable[[], int],
    ) -> None:
        self._client = client
        self._topology = topology
        self._settings = settings
        self._topic_config = topic_config
        self._now_ms = now_ms
        self._sources = [node for node in topology.nodes.values() if isinstance(node, SourceNode)]
        self._patterns = [node.pattern for node in self._sources if node.pattern is not None]
        self.counts: Mapping[str, int] = {}
        """Partitions of the topics that are read, as of the last assignment that was made here."""

    async def layout(self) -> Layout:
        """The tasks there are, as the topics stand. Raises MissingSourceTopicsError, TopologyError."""
        counts = await self.source_counts()
        self.counts = counts
        return plan(self._topology, self._settings.application_id, counts, self._topic_config)

    async def look_for_topics(self) -> None:
        """Have the client hear of all topics that the application reads: by itself it asks for those that
        its thread reads. Which new ones match patterns only the cluster knows."""
        if self._patterns:
            await self.source_counts()
        else:
            self._client.cluster.stale(self.counts)

    def changed(self, metadata: ClusterMetadata) -> bool:
        """Whether the topics that are read have other partitions than when tasks were assigned, or none."""
        return any(
            len(metadata.partitions_of(topic)) != count
            for topic, count in self.counts.items()
            if topic in metadata.topics or metadata.errors.get(topic) in _GONE
        ) or any(name not in self.counts for name in self._matching(metadata))

    async def source_counts(self) -> dict[str, int]:
        """How many partitions each topic has that is there and is read."""
        internal = self._topology.internal_topics
        names = [topic for node in self._sources for topic in node.topics if topic not in internal]
        cluster = self._client.cluster
        wanted = None if self._patterns else sorted(names)
        metadata = await cluster.retrying(lambda: cluster.refresh(wanted))
        found = [name for name in names if name in metadata.topics]
        found += [topic for topic in self._matching(metadata) if topic not in found]
        counts = {name: len(metadata.partitions_of(name)) for name in found}
        return {name: count for name, count in counts.items() if count}

    async def assign(self, members: Mapping[str, MemberSubscription]) -> dict[str, bytes]:
        """What each member gets, in bytes. Raises StreamsError and ClientError."""
        infos = {name: decode_subscription(each.user_data) for name, each in members.items()}
        if any(info.error == SHUTDOWN_REQUESTED for info in infos.values()):
            return _nothing(members, SHUTDOWN_REQUESTED)
        try:
            layout = await self.layout()
        except MissingSourceTopicsError:
            return _nothing(members, INCOMPLETE_SOURCE_TOPICS)
        await self._make_internal(layout.internal)
        ends = await self._end_sums(layout)
        chosen = assign(layout.tasks, ends, _clients(infos, ends), self._limits())
        owners = _owners(members)
        hosts, standby_hosts = _hosts(infos, chosen.active, layout), _hosts(infos, chosen.standby, layout)
        result = {}
        for number, name in enumerate(sorted(members)):
            pairs = sorted(
                (TopicPartition(*partition), task)
                for task in chosen.active[name]
                for partition in layout.tasks[task]
                # What another member still has it gives up first; then there is another rebalance.
                if all(owners.get(TopicPartition(*each), [name]) == [name] for each in layout.tasks[task])
            )
            standby = {
                task: tuple(sorted(layout.changelog_partitions(task).values()))
                for task in chosen.standby[name]
            }
            probing = chosen.needs_probing and number == 0
            next_ms = (
                self._now_ms() + self._settings.probing_rebalance_interval_ms if probing else NO_REBALANCE
            )
            info = Assignment(
                tuple(task for _, task in pairs), standby, hosts, standby_hosts, next_rebalance_ms=next_ms
            )
            result[name] = encode_assignment([partition for partition, _ in pairs], encode_info(info))
        return result

    def _matching(self, metadata: ClusterMetadata) -> list[str]:
        """What patterns match, of all topics but Kafka's own."""
        return [
            name
            for name, topic in metadata.topics.items()
            if not topic.is_internal and topic.partitions and any(p.fullmatch(name) for p in self._patterns)
        ]

    def _limits(self) -> Limits:
        settings = self._settings
        return Limits(
            settings.acceptable_recovery_lag,
            settings.max_warmup_replicas,
            settings.num_standby_replicas,
            settings.rack_aware_assignment_tags,
        )

    async def _make_internal(self, topics: Sequence[InternalTopicPlan]) -> None:
        cluster = self._client.cluster
        for _ in range(_TRIES):
            metadata = await cluster.retrying(lambda: cluster.refresh([topic.name for topic in topics]))
            missing = []
            for topic in topics:
                count = len(metadata.partitions_of(topic.name)) if topic.name in metadata.topics else 0
                if count == 0:
                    missing.append(topic)
                elif count != topic.partitions:
                    raise StreamsError(
                        f"the internal topic {topic.name} has {count} partitions, not {topic.partitions}:"
                        " the topics that are read have other numbers of partitions than when it was made."
                        " Delete the application's internal topics and its local state, or give it another id"
                    )
            if not missing:
                return
            made = await self._client.admin.topics.create(
                NewTopic(topic.name, topic.partitions, self._settings.replication_factor, topic.config)
                for topic in missing
            )
            for name, error in made.errors.items():
                if (
                    code_of(getattr(error, "code", -1)) != ErrorCode.topic_already_exists
                    and not error.retriable
                ):
                    raise StreamsError(f"the internal topic {name} could not be made: {error}") from error
            await asyncio.sleep(_WAIT_S)
        raise StreamsError(f"internal topics do not appear: {', '.join(topic.name for topic in topics)}")

    async def _end_sums(self, layout: Layout) -> dict[TaskId, int]:
        """Of each task that has state, the sum of its changelogs' end offsets."""
        changelogs = {task: list(layout.changelog_partitions(task).values()) for task in layout.tasks}
        stateful = {task: partitions for task, partitions in changelogs.items() if partitions}
        stateful |= {
            task: [] for task in layout.tasks if task not in stateful and self._has_store(layout, task)
        }
        asked = {TopicPartition(*each): LATEST_TIMESTAMP for found in stateful.values() for each in found}
        try:
            ends = await list_offsets(self._client.cluster, asked) if asked else {}
        except ClientError:
            return dict.fromkeys(stateful, _MANY)  # then state stays where it is
        return {
            task: sum(ends[TopicPartition(*each)].offset for each in partitions)
            for task, partitions in stateful.items()
        }

    def _has_store(self, layout: Layout, task: TaskId) -> bool:
        nodes = self._topology.nodes
        return any(getattr(nodes[name], "stores", ()) for name in layout.sub_topologies[task.group].nodes)


def _nothing(members: Mapping[str, MemberSubscription], error: int) -> dict[str, bytes]:
    info = encode_info(Assignment(error=error))
    return {name: encode_assignment([], info) for name in members}


def _clients(infos: Mapping[str, Subscription], ends: Mapping[TaskId, int]) -> dict[str, Client]:
    members: dict[str, dict[str, list[TaskId]]] = {}
    lags: dict[str, dict[TaskId, int]] = {}
    tags = {str(info.process_id): info.tags for info in infos.values()}
    for name, info in sorted(infos.items()):
        process = str(info.process_id)
        running = [task for task, total in info.offset_sums.items() if total == RUNNING]
        members.setdefault(process, {})[name] = sorted(running)
        known = lags.setdefault(process, {})
        for task, total in info.offset_sums.items():
            if task in ends:
                known[task] = min(known.get(task, ends[task]), lag_of(total, ends[task]))
    return {process: Client(members[process], lags[process], tags[process]) for process in members}


def _owners(members: Mapping[str, MemberSubscription]) -> dict[TopicPartition, list[str]]:
    """Who says to have what still. Members of older generations count: one that missed an answer goes on with
    what it had until it is told otherwise, and from its join on it may commit that."""
    owners: dict[TopicPartition, list[str]] = {}
    for name, each in members.items():
        for partition in each.owned:
            owners.setdefault(partition, []).append(name)
    return owners


def _hosts(
    infos: Mapping[str, Subscription], tasks: Mapping[str, Sequence[TaskId]], layout: Layout
) -> dict[tuple[str, int], tuple[tuple[str, int], ...]]:
    """By application.server what it has, for queries."""
    found: dict[tuple[str, int], dict[tuple[str, int], None]] = {}
    for name, info in infos.items():
        host, _, port = info.endpoint.rpartition(":")
        if host and port.isdigit():
            mine = found.setdefault((host, int(port)), {})
            for task in tasks[name]:
                mine |= dict.fromkeys(layout.tasks[task])
    return {host: tuple(sorted(partitions)) for host, partitions in found.items()}
