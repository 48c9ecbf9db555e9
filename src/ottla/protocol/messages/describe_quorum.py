"""DescribeQuorum: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class DescribeQuorumRequestPartitionData(Struct):
    partition_index: int = field("int32", "0+")


class DescribeQuorumRequestTopicData(Struct):
    topic_name: str = field("string", "0+")
    partitions: Sequence[DescribeQuorumRequestPartitionData] = array(DescribeQuorumRequestPartitionData, "0+")


class DescribeQuorumRequest(Struct, key=55, versions="0-2", flexible="0+"):
    topics: Sequence[DescribeQuorumRequestTopicData] = array(DescribeQuorumRequestTopicData, "0+")


class ReplicaState(Struct):
    replica_id: int = field("int32", "0+")
    replica_directory_id: UUID | None = field("uuid", "2+")
    log_end_offset: int = field("int64", "0+")
    last_fetch_timestamp: int = field("int64", "1+", default=-1)
    last_caught_up_timestamp: int = field("int64", "1+", default=-1)


class DescribeQuorumResponsePartitionData(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "2+", nullable="2+")
    leader_id: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")
    high_watermark: int = field("int64", "0+")
    current_voters: Sequence[ReplicaState] = array(ReplicaState, "0+")
    observers: Sequence[ReplicaState] = array(ReplicaState, "0+")


class DescribeQuorumResponseTopicData(Struct):
    topic_name: str = field("string", "0+")
    partitions: Sequence[DescribeQuorumResponsePartitionData] = array(
        DescribeQuorumResponsePartitionData, "0+"
    )


class Listener(Struct):
    name: str = field("string", "2+")
    host: str = field("string", "2+")
    port: int = field("uint16", "2+")


class Node(Struct):
    node_id: int = field("int32", "2+")
    listeners: Sequence[Listener] = array(Listener, "2+")


class DescribeQuorumResponse(Struct, key=55, versions="0-2", flexible="0+"):
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "2+", nullable="2+")
    topics: Sequence[DescribeQuorumResponseTopicData] = array(DescribeQuorumResponseTopicData, "0+")
    nodes: Sequence[Node] = array(Node, "2+")
