"""AssignReplicasToDirs: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class AssignReplicasToDirsRequestPartitionData(Struct):
    partition_index: int = field("int32", "0+")


class AssignReplicasToDirsRequestTopicData(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[AssignReplicasToDirsRequestPartitionData] = array(
        AssignReplicasToDirsRequestPartitionData, "0+"
    )


class AssignReplicasToDirsRequestDirectoryData(Struct):
    id: UUID | None = field("uuid", "0+")
    topics: Sequence[AssignReplicasToDirsRequestTopicData] = array(AssignReplicasToDirsRequestTopicData, "0+")


class AssignReplicasToDirsRequest(Struct, key=73, versions="0", flexible="0+"):
    broker_id: int = field("int32", "0+")
    broker_epoch: int = field("int64", "0+", default=-1)
    directories: Sequence[AssignReplicasToDirsRequestDirectoryData] = array(
        AssignReplicasToDirsRequestDirectoryData, "0+"
    )


class AssignReplicasToDirsResponsePartitionData(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")


class AssignReplicasToDirsResponseTopicData(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[AssignReplicasToDirsResponsePartitionData] = array(
        AssignReplicasToDirsResponsePartitionData, "0+"
    )


class AssignReplicasToDirsResponseDirectoryData(Struct):
    id: UUID | None = field("uuid", "0+")
    topics: Sequence[AssignReplicasToDirsResponseTopicData] = array(
        AssignReplicasToDirsResponseTopicData, "0+"
    )


class AssignReplicasToDirsResponse(Struct, key=73, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    directories: Sequence[AssignReplicasToDirsResponseDirectoryData] = array(
        AssignReplicasToDirsResponseDirectoryData, "0+"
    )
