"""Where replicas lie and who leads them: log directories, elections, reassignments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from ottla.client.admin.calls import CONTROLLER, Calls, Named, Node, known, outcome
from ottla.client.admin.results import Results
from ottla.client.core.metadata import TopicPartition, by_topic
from ottla.client.errors import ClientError, broker_error
from ottla.client.face import Face, awaited
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages import (
    alter_partition_reassignments,
    alter_replica_log_dirs,
    describe_log_dirs,
    elect_leaders,
    list_partition_reassignments,
)

__all__ = [
    "BlockingReplicas",
    "ElectionType",
    "LogDir",
    "Reassignment",
    "Replica",
    "ReplicaInLogDir",
    "ReplicaLogDirs",
    "Replicas",
]


class ElectionType(IntEnum):
    """PREFERRED: the first replica; UNCLEAN: any that lives, whatever it lacks."""

    PREFERRED = 0
    UNCLEAN = 1


class Replica(NamedTuple):
    """The replica of a partition on a broker."""

    topic: str
    partition: int
    broker: int


class ReplicaInLogDir(NamedTuple):
    """`offset_lag`: how far it is behind the high watermark, or behind the current replica if it `is_future`,
    that is, to take its place after a move within the broker."""

    size: int
    offset_lag: int
    is_future: bool


class LogDir(NamedTuple):
    """A directory of a broker. `error` says why it cannot be used; sizes in bytes are None where unknown."""

    replicas: Mapping[TopicPartition, ReplicaInLogDir]
    error: ClientError | None = None
    total_bytes: int | None = None
    usable_bytes: int | None = None
    is_cordoned: bool = False


class ReplicaLogDirs(NamedTuple):
    """Where a replica lies (None: nowhere), and where it is being moved to within its broker."""

    current: str | None = None
    current_lag: int = -1
    future: str | None = None
    future_lag: int = -1


class Reassignment(NamedTuple):
    """A reassignment under way: all replicas now, and those of them that come and that go."""

    replicas: tuple[int, ...]
    adding: tuple[int, ...]
    removing: tuple[int, ...]


class Replicas:
    """Admin calls about replicas."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def log_dirs(self, brokers: Iterable[int] | None = None) -> Results[int, Mapping[str, LogDir]]:
        """The log directories of brokers (None: all), by path, and what is in them."""

        async def ask(node: Node, keys: Sequence[int]) -> Mapping[int, Mapping[str, LogDir] | ClientError]:
            request = describe_log_dirs.DescribeLogDirsRequest(topics=None)
            return {keys[0]: await self._log_dirs(request, node)}

        wanted = await self._calls.brokers() if brokers is None else brokers
        return await self._calls.each(wanted, Named(int), ask)

    async def replica_log_dirs(self, replicas: Iterable[Replica]) -> Results[Replica, ReplicaLogDirs]:
        """Where these replicas lie."""

        async def ask(node: Node, keys: Sequence[Replica]) -> Mapping[Replica, ReplicaLogDirs | ClientError]:
            partitions = by_topic(TopicPartition(key.topic, key.partition) for key in keys)
            request = describe_log_dirs.DescribeLogDirsRequest(
                topics=[
                    describe_log_dirs.DescribableLogDirTopic(
                        topic=topic, partitions=[each.partition for each in found]
                    )
                    for topic, found in partitions.items()
                ]
            )
            dirs = await self._log_dirs(request, node)
            return {key: _places(key, dirs) for key in keys}

        return await self._calls.each(replicas, Named[Replica](lambda key: key.broker), ask)

    async def _log_dirs(
        self, request: describe_log_dirs.DescribeLogDirsRequest, node: Node
    ) -> Mapping[str, LogDir]:
        response = await self._calls.send(request, describe_log_dirs.DescribeLogDirsResponse, node)
        if response.error_code:
            raise broker_error(response.error_code)
        return {each.log_dir: _log_dir(each) for each in response.results}

    async def alter_log_dirs(self, moves: Mapping[Replica, str]) -> Results[Replica, None]:
        """Move replicas to other log directories of their brokers; this begins it."""

        async def ask(node: Node, keys: Sequence[Replica]) -> Mapping[Replica, ClientError | None]:
            grouped: dict[str, list[TopicPartition]] = {}
            for key in keys:
                grouped.setdefault(moves[key], []).append(TopicPartition(key.topic, key.partition))
            request = alter_replica_log_dirs.AlterReplicaLogDirsRequest(
                dirs=[
                    alter_replica_log_dirs.AlterReplicaLogDir(
                        path=path,
                        topics=[
                            alter_replica_log_dirs.AlterReplicaLogDirTopic(
                                name=topic, partitions=[key.partition for key in each]
                            )
                            for topic, each in by_topic(partitions).items()
                        ],
                    )
                    for path, partitions in grouped.items()
                ]
            )
            response = await self._calls.send(
                request, alter_replica_log_dirs.AlterReplicaLogDirsResponse, node
            )
            return {
                Replica(topic.topic_name, each.partition_index, keys[0].broker): outcome(
                    each.error_code, None
                )
                for topic in response.results
                for each in topic.partitions
            }

        return await self._calls.each(moves, Named[Replica](lambda key: key.broker), ask)

    async def elect_leaders(
        self,
        election: ElectionType = ElectionType.PREFERRED,
        partitions: Iterable[TopicPartition] | None = None,
    ) -> Results[TopicPartition, None]:
        """Elect leaders for partitions (None: for all that need one). One that needs none has an error,
        `election_not_needed`.
        """
        wanted = None
        if partitions is not None:
            wanted = [
                elect_leaders.TopicPartitions(topic=topic, partitions=[key.partition for key in each])
                for topic, each in by_topic(dict.fromkeys(partitions)).items()
            ]
        request = elect_leaders.ElectLeadersRequest(
            election_type=election, topic_partitions=wanted, timeout_ms=self._calls.request_timeout_ms
        )
        response = await self._calls.one(
            request, elect_leaders.ElectLeadersResponse, CONTROLLER, min_version=1 if election else None
        )
        return Results(
            {
                TopicPartition(topic.topic, each.partition_id): outcome(
                    each.error_code, None, each.error_message
                )
                for topic in response.replica_election_results
                for each in topic.partition_result
            }
        )

    async def reassign(
        self,
        assignments: Mapping[TopicPartition, Sequence[int] | None],
        *,
        allow_replication_factor_change: bool = True,
    ) -> Results[TopicPartition, None]:
        """Begin to move partitions to other brokers; None ends what is under way for one (KIP-455)."""

        async def ask(
            node: Node, keys: Sequence[TopicPartition]
        ) -> Mapping[TopicPartition, ClientError | None]:
            messages = alter_partition_reassignments
            request = messages.AlterPartitionReassignmentsRequest(
                timeout_ms=self._calls.request_timeout_ms,
                allow_replication_factor_change=allow_replication_factor_change,
                topics=[
                    messages.ReassignableTopic(
                        name=topic,
                        partitions=[
                            messages.ReassignablePartition(
                                partition_index=key.partition, replicas=assignments[key]
                            )
                            for key in each
                        ],
                    )
                    for topic, each in by_topic(keys).items()
                ],
            )
            response = await self._calls.send(
                request,
                messages.AlterPartitionReassignmentsResponse,
                node,
                min_version=None if allow_replication_factor_change else 1,
            )
            if response.error_code:
                raise broker_error(response.error_code, response.error_message)
            return {
                TopicPartition(topic.name, each.partition_index): outcome(
                    each.error_code, None, each.error_message
                )
                for topic in response.responses
                for each in topic.partitions
            }

        return await self._calls.each(assignments, CONTROLLER, ask)

    async def reassignments(
        self, partitions: Iterable[TopicPartition] | None = None
    ) -> Mapping[TopicPartition, Reassignment]:
        """What is being reassigned, of these partitions (None: of all)."""
        wanted = None
        if partitions is not None:
            wanted = [
                list_partition_reassignments.ListPartitionReassignmentsTopics(
                    name=topic, partition_indexes=[key.partition for key in each]
                )
                for topic, each in by_topic(partitions).items()
            ]
        request = list_partition_reassignments.ListPartitionReassignmentsRequest(
            timeout_ms=self._calls.request_timeout_ms, topics=wanted
        )
        response = await self._calls.one(
            request, list_partition_reassignments.ListPartitionReassignmentsResponse, CONTROLLER
        )
        return {
            TopicPartition(topic.name, each.partition_index): Reassignment(
                tuple(each.replicas), tuple(each.adding_replicas), tuple(each.removing_replicas)
            )
            for topic in response.topics
            for each in topic.partitions
        }


class BlockingReplicas(Face[Replicas]):
    """`Replicas` for callers that wait."""

    log_dirs = awaited(Replicas.log_dirs)
    replica_log_dirs = awaited(Replicas.replica_log_dirs)
    alter_log_dirs = awaited(Replicas.alter_log_dirs)
    elect_leaders = awaited(Replicas.elect_leaders)
    reassign = awaited(Replicas.reassign)
    reassignments = awaited(Replicas.reassignments)


def _log_dir(found: describe_log_dirs.DescribeLogDirsResult) -> LogDir:
    return LogDir(
        {
            TopicPartition(topic.name, each.partition_index): ReplicaInLogDir(
                each.partition_size, each.offset_lag, each.is_future_key
            )
            for topic in found.topics
            for each in topic.partitions
        },
        broker_error(found.error_code, what=found.log_dir) if found.error_code else None,
        known(found.total_bytes),
        known(found.usable_bytes),
        found.is_cordoned,
    )


def _places(key: Replica, dirs: Mapping[str, LogDir]) -> ReplicaLogDirs | ClientError:
    current: tuple[str | None, int] = None, -1
    future: tuple[str | None, int] = None, -1
    for path, log_dir in dirs.items():
        found = log_dir.replicas.get(TopicPartition(key.topic, key.partition))
        if log_dir.error is not None and log_dir.error.code != ErrorCode.kafka_storage_error:
            return log_dir.error
        if found is None:
            continue
        if found.is_future:
            future = path, found.offset_lag
        else:
            current = path, found.offset_lag
    return ReplicaLogDirs(*current, *future)
