"""What a client knows of the cluster: an immutable view, and how news change it.

Brokers answer from what they know, which may be old: of one topic (by its id) an older leader epoch never
replaces a newer one (KIP-320). A topic that was deleted and made again has another id, and begins anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from ottla.client.errors import code_of
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.metadata import (
    MetadataResponse,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

NO_LEADER = -1
NO_EPOCH = -1


class TopicPartition(NamedTuple):
    topic: str
    partition: int


Partition = TopicPartition | tuple[str, int]
"""How applications may name one."""


def by_topic(partitions: Iterable[TopicPartition]) -> Mapping[str, Sequence[TopicPartition]]:
    """Partitions grouped, as most requests want them."""
    grouped: dict[str, list[TopicPartition]] = {}
    for each in partitions:
        grouped.setdefault(each.topic, []).append(each)
    return grouped


class BrokerNode(NamedTuple):
    """Where a broker is reached."""

    node_id: int
    host: str
    port: int
    rack: str | None = None

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Leader(NamedTuple):
    """Who leads a partition, and since which epoch; -1 where the broker is too old to say."""

    node_id: int
    epoch: int


class PartitionView(NamedTuple):
    """`leader` is -1 while there is none."""

    partition: int
    leader: int
    leader_epoch: int
    replicas: tuple[int, ...] = ()
    isr: tuple[int, ...] = ()
    offline: tuple[int, ...] = ()


class TopicView(NamedTuple):
    """`topic_id` is None with brokers that have no ids (before Kafka 2.8)."""

    name: str
    topic_id: UUID | None
    is_internal: bool
    partitions: Mapping[int, PartitionView]


class ClusterMetadata:
    """A view of the cluster at one time. `topics` are those that were asked for and exist; `errors` says why
    others are not among them.
    """

    __slots__ = ("brokers", "cluster_id", "controller_id", "errors", "names", "topics")

    def __init__(
        self,
        brokers: Mapping[int, BrokerNode] = MappingProxyType({}),
        topics: Mapping[str, TopicView] = MappingProxyType({}),
        errors: Mapping[str, ErrorCode] = MappingProxyType({}),
        cluster_id: str | None = None,
        controller_id: int = NO_LEADER,
    ) -> None:
        self.brokers = brokers
        self.topics = topics
        self.errors = errors
        self.cluster_id = cluster_id
        self.controller_id = controller_id
        self.names: Mapping[UUID, str] = {
            topic.topic_id: name for name, topic in topics.items() if topic.topic_id is not None
        }

    def leader_of(self, topic: str, partition: int) -> Leader | None:
        """None where it is not known, or there is none now."""
        view = self.topics.get(topic)
        state = None if view is None else view.partitions.get(partition)
        if state is None or state.leader not in self.brokers:
            return None
        return Leader(state.leader, state.leader_epoch)

    def partitions_of(self, topic: str) -> Collection[int]:
        """Empty for a topic that is not known."""
        view = self.topics.get(topic)
        return () if view is None else view.partitions.keys()

    def updated(self, response: MetadataResponse, keep: Collection[str] | None = None) -> ClusterMetadata:
        """The view after an answer to Metadata; all of it is new where that is another cluster's. Topics that
        were not asked about stay, but for those that are not in `keep` where that is given.
        """
        if self.cluster_id is not None and response.cluster_id not in (None, self.cluster_id):
            return ClusterMetadata().updated(response)
        topics = {name: view for name, view in self.topics.items() if keep is None or name in keep}
        errors = {name: code for name, code in self.errors.items() if keep is None or name in keep}
        newer_leaders: list[int] = []
        """Which a broker with older news may not know of"""
        for topic in response.topics:
            name = topic.name or self.names.get(topic.topic_id) if topic.topic_id else topic.name
            if not name:
                continue
            errors.pop(name, None)
            code = code_of(topic.error_code)
            if code is ErrorCode.none or (topic.partitions and code is ErrorCode.leader_not_available):
                old = self.topics.get(name)
                topics[name] = merged = _merged(old, name, topic)
                if old is not None:
                    newer_leaders += _leaders_in_both(old, merged)
                continue
            errors[name] = code
            if code in _GONE:
                topics.pop(name, None)
        brokers = {
            each.node_id: BrokerNode(each.node_id, each.host, each.port, each.rack)
            for each in response.brokers
        }
        for node in newer_leaders:
            if node in self.brokers:
                brokers.setdefault(node, self.brokers[node])
        return ClusterMetadata(brokers, topics, errors, response.cluster_id, response.controller_id)

    def moved(
        self, topic: str, partition: int, leader: Leader, endpoints: Iterable[BrokerNode] = ()
    ) -> ClusterMetadata:
        """The view after a broker said who leads instead (KIP-951); itself where that is no news."""
        view = self.topics.get(topic)
        state = None if view is None else view.partitions.get(partition)
        if view is None or state is None or leader.node_id < 0 or leader.epoch <= state.leader_epoch:
            return self
        known = self.with_brokers(endpoints)
        if leader.node_id not in known.brokers:
            return self
        changed = state._replace(leader=leader.node_id, leader_epoch=leader.epoch)
        partitions = {**view.partitions, partition: changed}
        topics = {**self.topics, topic: view._replace(partitions=partitions)}
        return ClusterMetadata(known.brokers, topics, self.errors, self.cluster_id, self.controller_id)

    def with_brokers(self, endpoints: Iterable[BrokerNode]) -> ClusterMetadata:
        """The view with these brokers' addresses as they are given."""
        news = {each.node_id: each for each in endpoints if self.brokers.get(each.node_id) != each}
        if not news:
            return self
        brokers = {**self.brokers, **news}
        return ClusterMetadata(brokers, self.topics, self.errors, self.cluster_id, self.controller_id)


_GONE = frozenset(
    {
        ErrorCode.unknown_topic_or_partition,
        ErrorCode.unknown_topic_id,
        ErrorCode.inconsistent_topic_id,
        ErrorCode.invalid_topic_exception,
        ErrorCode.topic_authorization_failed,
    }
)
"""After these a topic's partitions are not to be used any more."""


def _merged(old: TopicView | None, name: str, topic: MetadataResponseTopic) -> TopicView:
    same = old is not None and (old.topic_id is None or topic.topic_id in (None, old.topic_id))
    known = old.partitions if old is not None and same else {}
    partitions = {
        each.partition_index: _newer(known.get(each.partition_index), each) for each in topic.partitions
    }
    topic_id = topic.topic_id or (old.topic_id if old is not None and same else None)
    return TopicView(name, topic_id, topic.is_internal, partitions)


def _leaders_in_both(old: TopicView, new: TopicView) -> list[int]:
    """Of the partitions of which the old view is kept."""
    return [state.leader for index, state in new.partitions.items() if old.partitions.get(index) is state]


def _newer(old: PartitionView | None, news: MetadataResponsePartition) -> PartitionView:
    if old is not None and NO_EPOCH < news.leader_epoch < old.leader_epoch:
        return old
    return PartitionView(
        news.partition_index,
        news.leader_id,
        news.leader_epoch,
        tuple(news.replica_nodes),
        tuple(news.isr_nodes),
        tuple(news.offline_replicas),
    )
