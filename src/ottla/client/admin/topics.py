"""Topics: create, delete, list, describe, grow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple
from uuid import UUID

from ottla.client.admin.calls import ANYWHERE, CONTROLLER, Calls, Node, known, operations, outcome
from ottla.client.admin.results import Results
from ottla.client.errors import ClientError, broker_error
from ottla.client.face import Face, awaited
from ottla.protocol.codes import Operation as AclOperation
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
)
from ottla.protocol.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from ottla.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicState
from ottla.protocol.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseTopic,
)

__all__ = [
    "BlockingTopics",
    "CreatedTopic",
    "ListedTopic",
    "NewPartitions",
    "NewTopic",
    "PartitionDescription",
    "TopicDescription",
    "Topics",
]

_BATCHED_TOPICS: Final = 2000
"""How many topics one Metadata asks for by name."""


class NewTopic(NamedTuple):
    """A topic to create. -1 is the broker's default; `assignment` gives each partition's replicas instead."""

    name: str
    partitions: int = -1
    replication_factor: int = -1
    configs: Mapping[str, str] = MappingProxyType({})
    assignment: Mapping[int, Sequence[int]] = MappingProxyType({})


class CreatedTopic(NamedTuple):
    """What was created. Numbers are -1 and `configs` None where the principal may not describe configs."""

    topic_id: UUID | None
    partitions: int
    replication_factor: int
    configs: Mapping[str, str | None] | None


class NewPartitions(NamedTuple):
    """How many partitions a topic is to have, and the replicas of each new one where that is given."""

    total: int
    assignment: Sequence[Sequence[int]] | None = None


class ListedTopic(NamedTuple):
    name: str
    topic_id: UUID | None
    is_internal: bool
    partitions: int
    replication_factor: int
    """The most that one of its partitions has."""


class PartitionDescription(NamedTuple):
    """`leader` is None while there is none; all are ids of brokers."""

    partition: int
    leader: int | None
    leader_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    offline: tuple[int, ...]


class TopicDescription(NamedTuple):
    name: str
    topic_id: UUID | None
    is_internal: bool
    partitions: tuple[PartitionDescription, ...]
    authorized_operations: frozenset[AclOperation] | None = None


class Topics:
    """Admin calls about topics."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def create(
        self, topics: Iterable[NewTopic], *, validate_only: bool = False, timeout_ms: int | None = None
    ) -> Results[str, CreatedTopic]:
        """Create topics, each by itself, or only check whether they could be."""
        wanted = {topic.name: topic for topic in topics}

        async def ask(node: Node, names: Sequence[str]) -> Mapping[str, CreatedTopic | ClientError]:
            response = await self._calls.send(
                CreateTopicsRequest(
                    topics=[_creatable(wanted[name]) for name in names],
                    timeout_ms=self._calls.request_timeout_ms,
                    validate_only=validate_only,
                ),
                CreateTopicsResponse,
                node,
            )
            return {
                each.name: outcome(
                    each.error_code,
                    CreatedTopic(
                        each.topic_id,
                        each.num_partitions,
                        each.replication_factor,
                        None
                        if each.configs is None
                        else {config.name: config.value for config in each.configs},
                    ),
                    each.error_message,
                )
                for each in response.topics
            }

        return await self._calls.each(wanted, CONTROLLER, ask, timeout_ms=timeout_ms)

    async def delete(
        self, topics: Iterable[str | UUID], *, timeout_ms: int | None = None
    ) -> Results[str | UUID, None]:
        """Delete topics, by name or by id, with their records."""

        async def ask(node: Node, keys: Sequence[str | UUID]) -> Mapping[str | UUID, ClientError | None]:
            by_id = any(isinstance(key, UUID) for key in keys)
            states = [
                DeleteTopicState(topic_id=key) if isinstance(key, UUID) else DeleteTopicState(name=key)
                for key in keys
            ]
            response = await self._calls.send(
                DeleteTopicsRequest(
                    topics=states,
                    topic_names=[] if by_id else [str(key) for key in keys],
                    timeout_ms=self._calls.request_timeout_ms,
                ),
                DeleteTopicsResponse,
                node,
                min_version=6 if by_id else None,
            )
            outcomes: dict[str | UUID, ClientError | None] = {}
            for each in response.responses:
                result = outcome(each.error_code, None, each.error_message)
                for key in (each.name, each.topic_id):
                    if key is not None:
                        outcomes[key] = result
            return outcomes

        return await self._calls.each(topics, CONTROLLER, ask, timeout_ms=timeout_ms)

    async def list(self, *, internal: bool = False) -> list[ListedTopic]:
        """All topics that may be seen, by name; Kafka's own ones too with `internal`."""
        response = await self._calls.one(
            MetadataRequest(topics=None, allow_auto_topic_creation=False), MetadataResponse, ANYWHERE
        )
        listed = [
            ListedTopic(
                topic.name or "",
                topic.topic_id,
                topic.is_internal,
                len(topic.partitions),
                max((len(each.replica_nodes) for each in topic.partitions), default=0),
            )
            for topic in response.topics
            if not topic.error_code and (internal or not topic.is_internal)
        ]
        return sorted(listed, key=lambda topic: topic.name)

    async def describe(
        self, topics: Iterable[str | UUID], *, include_operations: bool = False
    ) -> Results[str | UUID, TopicDescription]:
        """Partitions of topics, given by name or by id, and what the principal may do with them."""

        async def ask(
            node: Node, keys: Sequence[str | UUID]
        ) -> Mapping[str | UUID, TopicDescription | ClientError]:
            outcomes: dict[str | UUID, TopicDescription | ClientError] = {}
            for kind, first_version in ((str, 4), (UUID, 12)):
                wanted = [_asked(key) for key in keys if isinstance(key, kind)]
                for start in range(0, len(wanted), _BATCHED_TOPICS):
                    response = await self._calls.send(
                        MetadataRequest(
                            topics=wanted[start : start + _BATCHED_TOPICS],
                            allow_auto_topic_creation=False,
                            include_topic_authorized_operations=include_operations,
                        ),
                        MetadataResponse,
                        node,
                        min_version=first_version,
                    )
                    outcomes |= {
                        key: _description(topic)
                        for topic in response.topics
                        for key in (topic.name, topic.topic_id)
                        if key is not None
                    }
            return outcomes

        return await self._calls.each(topics, ANYWHERE, ask, also_retried={ErrorCode.leader_not_available})

    async def add_partitions(
        self,
        topics: Mapping[str, NewPartitions | int],
        *,
        validate_only: bool = False,
        timeout_ms: int | None = None,
    ) -> Results[str, None]:
        """Grow topics to so many partitions."""
        wanted = {name: NewPartitions(new) if isinstance(new, int) else new for name, new in topics.items()}

        async def ask(node: Node, names: Sequence[str]) -> Mapping[str, ClientError | None]:
            request = CreatePartitionsRequest(
                topics=[_grown(name, wanted[name]) for name in names],
                timeout_ms=self._calls.request_timeout_ms,
                validate_only=validate_only,
            )
            response = await self._calls.send(request, CreatePartitionsResponse, node)
            return {
                each.name: outcome(each.error_code, None, each.error_message) for each in response.results
            }

        return await self._calls.each(wanted, CONTROLLER, ask, timeout_ms=timeout_ms)


class BlockingTopics(Face[Topics]):
    """`Topics` for callers that wait."""

    create = awaited(Topics.create)
    delete = awaited(Topics.delete)
    list = awaited(Topics.list)
    describe = awaited(Topics.describe)
    add_partitions = awaited(Topics.add_partitions)


def _creatable(topic: NewTopic) -> CreatableTopic:
    assigned = [
        CreatableReplicaAssignment(partition_index=partition, broker_ids=list(replicas))
        for partition, replicas in topic.assignment.items()
    ]
    return CreatableTopic(
        name=topic.name,
        num_partitions=-1 if assigned else topic.partitions,
        replication_factor=-1 if assigned else topic.replication_factor,
        assignments=assigned,
        configs=[CreatableTopicConfig(name=name, value=value) for name, value in topic.configs.items()],
    )


def _grown(name: str, new: NewPartitions) -> CreatePartitionsTopic:
    assigned = None
    if new.assignment is not None:
        assigned = [CreatePartitionsAssignment(broker_ids=list(replicas)) for replicas in new.assignment]
    return CreatePartitionsTopic(name=name, count=new.total, assignments=assigned)


def _asked(topic: str | UUID) -> MetadataRequestTopic:
    if isinstance(topic, UUID):
        return MetadataRequestTopic(topic_id=topic, name=None)
    return MetadataRequestTopic(name=topic)


def _description(topic: MetadataResponseTopic) -> TopicDescription | ClientError:
    if topic.error_code:
        return broker_error(topic.error_code)
    partitions = [
        PartitionDescription(
            each.partition_index,
            known(each.leader_id),
            each.leader_epoch,
            tuple(each.replica_nodes),
            tuple(each.isr_nodes),
            tuple(each.offline_replicas),
        )
        for each in topic.partitions
    ]
    return TopicDescription(
        topic.name or "",
        topic.topic_id,
        topic.is_internal,
        tuple(sorted(partitions, key=lambda each: each.partition)),
        operations(topic.topic_authorized_operations),
    )
