"""AlterReplicaLogDirs: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class AlterReplicaLogDirTopic(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class AlterReplicaLogDir(Struct):
    path: str = field("string", "0+")
    topics: Sequence[AlterReplicaLogDirTopic] = array(AlterReplicaLogDirTopic, "0+")


class AlterReplicaLogDirsRequest(Struct, key=34, versions="1-2", flexible="2+"):
    dirs: Sequence[AlterReplicaLogDir] = array(AlterReplicaLogDir, "0+")


class AlterReplicaLogDirPartitionResult(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")


class AlterReplicaLogDirTopicResult(Struct):
    topic_name: str = field("string", "0+")
    partitions: Sequence[AlterReplicaLogDirPartitionResult] = array(AlterReplicaLogDirPartitionResult, "0+")


class AlterReplicaLogDirsResponse(Struct, key=34, versions="1-2", flexible="2+"):
    throttle_time_ms: int = field("int32", "0+")
    results: Sequence[AlterReplicaLogDirTopicResult] = array(AlterReplicaLogDirTopicResult, "0+")
