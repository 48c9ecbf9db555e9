"""DescribeLogDirs, AlterReplicaLogDirs: where logs lie, and how full the disks are (KIP-113)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import OnCluster
from ottla.broker.services import ClusterServices
from ottla.protocol.codes import Operation
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
from ottla.replica.data_dir import DataDir
from ottla.replica.log_moves import Move
from ottla.replica.replica import Replica


def _describe(
    services: ClusterServices, _context: RequestContext, message: DescribeLogDirsRequest
) -> DescribeLogDirsResponse:
    asked = list(_asked(services, message))
    moves = list(services.log_moves)
    cordoned = services.config.value.cordoned_log_dirs
    return DescribeLogDirsResponse(
        results=[
            _describe_one(folder, asked, moves, is_cordoned=folder.path in cordoned or "*" in cordoned)
            for folder in services.data_dirs.all
        ]
    )


def _describe_one(
    folder: DataDir, asked: Sequence[Replica], moves: Sequence[Move], *, is_cordoned: bool
) -> DescribeLogDirsResult:
    try:
        space = folder.space() if folder.is_online else None
    except OSError:
        space = None
    if space is None:
        return DescribeLogDirsResult(log_dir=folder.path, error_code=ErrorCode.kafka_storage_error)
    topics: dict[str, list[DescribeLogDirsPartition]] = {}
    for partition in folder.mine(asked):
        topics.setdefault(partition.topic, []).append(
            DescribeLogDirsPartition(
                partition_index=partition.index,
                partition_size=partition.log.size,
                offset_lag=max(partition.high_watermark - partition.log.log_end_offset, 0),
            )
        )
    originals = {(each.topic, each.index): each for each in asked}
    for move in moves:
        copy, original = move.copy, originals.get((move.copy.topic, move.copy.index))
        if move.folder is folder and original is not None:
            topics.setdefault(copy.topic, []).append(
                DescribeLogDirsPartition(
                    partition_index=copy.index,
                    partition_size=copy.log.size,
                    offset_lag=original.log.log_end_offset - copy.log.log_end_offset,
                    is_future_key=True,
                )
            )
    return DescribeLogDirsResult(
        log_dir=folder.path,
        topics=[DescribeLogDirsTopic(name=name, partitions=found) for name, found in topics.items()],
        total_bytes=space.total,
        usable_bytes=space.free,
        is_cordoned=is_cordoned,
    )


def _asked(services: ClusterServices, message: DescribeLogDirsRequest) -> Iterable[Replica]:
    partitions = services.partitions
    if message.topics is None:
        return partitions
    return [
        partition
        for topic in message.topics
        for indexes in (frozenset(topic.partitions),)
        for partition in partitions.replicas_of(topic.topic)
        if partition.index in indexes
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
    try:
        services.log_moves.begin(topic, index, path)
    except KafkaError as error:
        if error.code is ErrorCode.not_leader_or_follower:
            return ErrorCode.replica_not_available  # what it was called when this API came
        return error.code
    return ErrorCode.none


def _describe_error(
    _message: DescribeLogDirsRequest, code: ErrorCode, _text: str | None
) -> DescribeLogDirsResponse:
    """Before version 3 there is nothing that could have the error, and nothing is told."""
    return DescribeLogDirsResponse(error_code=code)


def _alter_error(
    message: AlterReplicaLogDirsRequest, code: ErrorCode, _text: str | None
) -> AlterReplicaLogDirsResponse:
    return AlterReplicaLogDirsResponse(
        results=[
            AlterReplicaLogDirTopicResult(
                topic_name=topic.name,
                partitions=[
                    AlterReplicaLogDirPartitionResult(partition_index=index, error_code=code)
                    for index in topic.partitions
                ],
            )
            for directory in message.dirs
            for topic in directory.topics
        ]
    )


APIS = (
    Api(
        ClusterServices,
        DescribeLogDirsRequest,
        DescribeLogDirsResponse,
        _describe,
        right=OnCluster(Operation.DESCRIBE),
        error=_describe_error,
        kips=(113, 827, 1066),
    ),
    Api(
        ClusterServices,
        AlterReplicaLogDirsRequest,
        AlterReplicaLogDirsResponse,
        _alter,
        right=OnCluster(Operation.ALTER),
        error=_alter_error,
        is_audited=True,
        kips=(113, 1066),
    ),
)
