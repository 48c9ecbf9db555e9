"""BeginQuorumEpoch: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class BeginQuorumEpochRequestPartitionData(Struct):
    partition_index: int = field("int32", "0+")
    voter_directory_id: UUID | None = field("uuid", "1+")
    leader_id: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")


class BeginQuorumEpochRequestTopicData(Struct):
    topic_name: str = field("string", "0+")
    partitions: Sequence[BeginQuorumEpochRequestPartitionData] = array(
        BeginQuorumEpochRequestPartitionData, "0+"
    )


class LeaderEndpoint(Struct):
    name: str = field("string", "1+")
    host: str = field("string", "1+")
    port: int = field("uint16", "1+")


class BeginQuorumEpochRequest(Struct, key=53, versions="0-1", flexible="1+"):
    cluster_id: str | None = field("string", "0+", nullable="0+")
    voter_id: int = field("int32", "1+", default=-1)
    topics: Sequence[BeginQuorumEpochRequestTopicData] = array(BeginQuorumEpochRequestTopicData, "0+")
    leader_endpoints: Sequence[LeaderEndpoint] = array(LeaderEndpoint, "1+")


class BeginQuorumEpochResponsePartitionData(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    leader_id: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")


class BeginQuorumEpochResponseTopicData(Struct):
    topic_name: str = field("string", "0+")
    partitions: Sequence[BeginQuorumEpochResponsePartitionData] = array(
        BeginQuorumEpochResponsePartitionData, "0+"
    )


class NodeEndpoint(Struct):
    node_id: int = field("int32", "1+")
    host: str = field("string", "1+")
    port: int = field("uint16", "1+")


class BeginQuorumEpochResponse(Struct, key=53, versions="0-1", flexible="1+"):
    error_code: int = field("int16", "0+")
    topics: Sequence[BeginQuorumEpochResponseTopicData] = array(BeginQuorumEpochResponseTopicData, "0+")
    node_endpoints: Sequence[NodeEndpoint] = array(NodeEndpoint, "1+", tag=0)
