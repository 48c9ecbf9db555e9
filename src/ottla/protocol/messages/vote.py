"""Vote: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class VoteRequestPartitionData(Struct):
    partition_index: int = field("int32", "0+")
    replica_epoch: int = field("int32", "0+")
    replica_id: int = field("int32", "0+")
    replica_directory_id: UUID | None = field("uuid", "1+")
    voter_directory_id: UUID | None = field("uuid", "1+")
    last_offset_epoch: int = field("int32", "0+")
    last_offset: int = field("int64", "0+")
    pre_vote: bool = field("bool", "2+")


class VoteRequestTopicData(Struct):
    topic_name: str = field("string", "0+")
    partitions: Sequence[VoteRequestPartitionData] = array(VoteRequestPartitionData, "0+")


class VoteRequest(Struct, key=52, versions="0-2", flexible="0+"):
    cluster_id: str | None = field("string", "0+", nullable="0+")
    voter_id: int = field("int32", "1+", default=-1)
    topics: Sequence[VoteRequestTopicData] = array(VoteRequestTopicData, "0+")


class VoteResponsePartitionData(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    leader_id: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")
    vote_granted: bool = field("bool", "0+")


class VoteResponseTopicData(Struct):
    topic_name: str = field("string", "0+")
    partitions: Sequence[VoteResponsePartitionData] = array(VoteResponsePartitionData, "0+")


class NodeEndpoint(Struct):
    node_id: int = field("int32", "1+")
    host: str = field("string", "1+")
    port: int = field("uint16", "1+")


class VoteResponse(Struct, key=52, versions="0-2", flexible="0+"):
    error_code: int = field("int16", "0+")
    topics: Sequence[VoteResponseTopicData] = array(VoteResponseTopicData, "0+")
    node_endpoints: Sequence[NodeEndpoint] = array(NodeEndpoint, "1+", tag=0)
