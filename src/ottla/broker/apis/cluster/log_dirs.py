"""DescribeLogDirs, AlterReplicaLogDirs: where logs lie, and how full the disk is (KIP-113)."""

from __future__ import annotations

from collections.abc import Iterable

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import ClusterServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.alter_replica_log_dirs import (
    AlterReplicaLogDirPartitionResult,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
    AlterReplicaLogDirTopicResult,
)
from ottla.protocol.messages.describe_log_dirs import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)
from ottla.replica.partition import Partition


def _describe(
    services: ClusterServices, _context: RequestContext, message: DescribeLogDirsRequest
) -> DescribeLogDirsResponse:
    topics: dict[str, list[DescribeLogDirsPartition]] = {}
    for partition in _asked(services, message):
        topics.setdefault(partition.topic, []).append(
            DescribeLogDirsPartition(partition_index=partition.index, partition_size=partition.log.size)
        )
    total_bytes, usable_bytes = services.data_dir.space()
    described = DescribeLogDirsResult(
        log_dir=services.data_dir.path,
        topics=[DescribeLogDirsTopic(name=name, partitions=found) for name, found in topics.items()],
        total_bytes=total_bytes,
        usable_bytes=usable_bytes,
    )
    return DescribeLogDirsResponse(results=[described])


def _asked(services: ClusterServices, message: DescribeLogDirsRequest) -> Iterable[Partition]:
    partitions = services.partitions
    if message.topics is None:
        return partitions
    return [
        partition
        for topic in message.topics
        for partition in partitions.of_topic(topic.topic)
        if partition.index in topic.partitions
    ]


def _alter(
    services: ClusterServices, _context: RequestContext, message: AlterReplicaLogDirsRequest
) -> AlterReplicaLogDirsResponse:
    topics: dict[str, list[AlterReplicaLogDirPartitionResult]] = {}
    for directory in message.dirs:
        for topic in directory.topics:
            topics.setdefault(topic.name, []).extend(
                AlterReplicaLogDirPartitionResult(
                    partition_index=index, error_code=_alter_one(services, directory.path, topic.name, index)
                )
                for index in topic.partitions
            )
    return AlterReplicaLogDirsResponse(
        results=[
            AlterReplicaLogDirTopicResult(topic_name=name, partitions=found) for name, found in topics.items()
        ]
    )


def _alter_one(services: ClusterServices, path: str, topic: str, index: int) -> ErrorCode:
    if path != services.data_dir.path:
        return ErrorCode.log_dir_not_found
    try:
        services.partitions.get(topic, index)
    except KafkaError as error:
        return error.code
    return ErrorCode.none


APIS = (
    Api(ClusterServices, DescribeLogDirsRequest, DescribeLogDirsResponse, _describe, kips=(113, 827, 1066)),
    Api(
        ClusterServices,
        AlterReplicaLogDirsRequest,
        AlterReplicaLogDirsResponse,
        _alter,
        kips=(113,),
        gaps=("A broker has one log directory, so there is no other to move to.",),
    ),
)
