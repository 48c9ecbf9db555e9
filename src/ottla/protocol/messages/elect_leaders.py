"""ElectLeaders: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class TopicPartitions(Struct):
    topic: str = field("string", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class ElectLeadersRequest(Struct, key=43, versions="0-2", flexible="2+"):
    election_type: int = field("int8", "1+")
    topic_partitions: Sequence[TopicPartitions] | None = array(TopicPartitions, "0+", nullable="0+")
    timeout_ms: int = field("int32", "0+", default=60000)


class PartitionResult(Struct):
    partition_id: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")


class ReplicaElectionResult(Struct):
    topic: str = field("string", "0+")
    partition_result: Sequence[PartitionResult] = array(PartitionResult, "0+")


class ElectLeadersResponse(Struct, key=43, versions="0-2", flexible="2+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "1+")
    replica_election_results: Sequence[ReplicaElectionResult] = array(ReplicaElectionResult, "0+")
