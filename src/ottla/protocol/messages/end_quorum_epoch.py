"""EndQuorumEpoch: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class ReplicaInfo(Struct):
    candidate_id: int = field("int32", "1+")
    candidate_directory_id: UUID | None = field("uuid", "1+")


class EndQuorumEpochRequestPartitionData(Struct):
    partition_index: int = field("int32", "0+")
    leader_id: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")
    preferred_successors: Sequence[int] = array("int32", "0")
    preferred_candidates: Sequence[ReplicaInfo] = array(ReplicaInfo, "1+")


class EndQuorumEpochRequestTopicData(Struct):
    topic_name: str = field("string", "0+")
    partitions: Sequence[EndQuorumEpochRequestPartitionData] = array(EndQuorumEpochRequestPartitionData, "0+")


class LeaderEndpoint(Struct):
    name: str = field("string", "1+")
    host: str = field("string", "1+")
    port: int = field("uint16", "1+")


class EndQuorumEpochRequest(Struct, key=54, versions="0-1", flexible="1+"):
    cluster_id: str | None = field("string", "0+", nullable="0+")
    topics: Sequence[EndQuorumEpochRequestTopicData] = array(EndQuorumEpochRequestTopicData, "0+")
    leader_endpoints: Sequence[LeaderEndpoint] = array(LeaderEndpoint, "1+")


class EndQuorumEpochResponsePartitionData(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    leader_id: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")


class EndQuorumEpochResponseTopicData(Struct):
    topic_name: str = field("string", "0+")
    partitions: Sequence[EndQuorumEpochResponsePartitionData] = array(
        EndQuorumEpochResponsePartitionData, "0+"
    )


class NodeEndpoint(Struct):
    node_id: int = field("int32", "1+")
    host: str = field("string", "1+")
    port: int = field("uint16", "1+")


class EndQuorumEpochResponse(Struct, key=54, versions="0-1", flexible="1+"):
    error_code: int = field("int16", "0+")
    topics: Sequence[EndQuorumEpochResponseTopicData] = array(EndQuorumEpochResponseTopicData, "0+")
    node_endpoints: Sequence[NodeEndpoint] = array(NodeEndpoint, "1+", tag=0)
