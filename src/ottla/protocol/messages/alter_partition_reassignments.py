"""AlterPartitionReassignments: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class ReassignablePartition(Struct):
    partition_index: int = field("int32", "0+")
    replicas: Sequence[int] | None = array("int32", "0+", nullable="0+")


class ReassignableTopic(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[ReassignablePartition] = array(ReassignablePartition, "0+")


class AlterPartitionReassignmentsRequest(Struct, key=45, versions="0-1", flexible="0+"):
    timeout_ms: int = field("int32", "0+", default=60000)
    allow_replication_factor_change: bool = field("bool", "1+", default=True)
    topics: Sequence[ReassignableTopic] = array(ReassignableTopic, "0+")


class ReassignablePartitionResponse(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")


class ReassignableTopicResponse(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[ReassignablePartitionResponse] = array(ReassignablePartitionResponse, "0+")


class AlterPartitionReassignmentsResponse(Struct, key=45, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    allow_replication_factor_change: bool = field("bool", "1+", default=True)
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    responses: Sequence[ReassignableTopicResponse] = array(ReassignableTopicResponse, "0+")
