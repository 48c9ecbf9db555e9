"""AlterReplicaLogDirs: move a replica to another log directory of its broker (KIP-113)."""

from __future__ import annotations

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


def _handle(
    services: ClusterServices, _context: RequestContext, message: AlterReplicaLogDirsRequest
) -> AlterReplicaLogDirsResponse:
    topics: dict[str, list[AlterReplicaLogDirPartitionResult]] = {}
    for directory in message.dirs:
        for topic in directory.topics:
            topics.setdefault(topic.name, []).extend(
                AlterReplicaLogDirPartitionResult(
                    partition_index=index, error_code=_one(services, directory.path, topic.name, index)
                )
                for index in topic.partitions
            )
    return AlterReplicaLogDirsResponse(
        results=[
            AlterReplicaLogDirTopicResult(topic_name=name, partitions=found) for name, found in topics.items()
        ]
    )


def _one(services: ClusterServices, path: str, topic: str, index: int) -> ErrorCode:
    if path != services.data_dir.path:
        return ErrorCode.log_dir_not_found
    try:
        services.partitions.get(topic, index)
    except KafkaError as error:
        return error.code
    return ErrorCode.none


API = Api(
    key=34,
    name="AlterReplicaLogDirs",
    versions=(1, 2),
    handle=_handle,
    kips=(113,),
    gaps=("A broker has one log directory, so there is no other to move to.",),
)
