"""Fetch: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class ReplicaState(Struct):
    replica_id: int = field("int32", "15+", default=-1)
    replica_epoch: int = field("int64", "15+", default=-1)


class FetchPartition(Struct):
    partition: int = field("int32", "0+")
    current_leader_epoch: int = field("int32", "9+", default=-1)
    fetch_offset: int = field("int64", "0+")
    last_fetched_epoch: int = field("int32", "12+", default=-1)
    log_start_offset: int = field("int64", "5+", default=-1)
    partition_max_bytes: int = field("int32", "0+")
    replica_directory_id: UUID | None = field("uuid", "17+", tag=0)
    high_watermark: int = field("int64", "18+", default=9223372036854775807, tag=1)


class FetchTopic(Struct):
    topic: str = field("string", "0-12")
    topic_id: UUID | None = field("uuid", "13+")
    partitions: Sequence[FetchPartition] = array(FetchPartition, "0+")


class ForgottenTopic(Struct):
    topic: str = field("string", "7-12")
    topic_id: UUID | None = field("uuid", "13+")
    partitions: Sequence[int] = array("int32", "7+")


class FetchRequest(Struct, key=1, versions="4-18", flexible="12+"):
    cluster_id: str | None = field("string", "12+", nullable="12+", tag=0)
    replica_id: int = field("int32", "0-14", default=-1)
    replica_state: ReplicaState = field(ReplicaState, "15+", tag=1)
    max_wait_ms: int = field("int32", "0+")
    min_bytes: int = field("int32", "0+")
    max_bytes: int = field("int32", "3+", default=2147483647)
    isolation_level: int = field("int8", "4+")
    session_id: int = field("int32", "7+")
    session_epoch: int = field("int32", "7+", default=-1)
    topics: Sequence[FetchTopic] = array(FetchTopic, "0+")
    forgotten_topics_data: Sequence[ForgottenTopic] = array(ForgottenTopic, "7+")
    rack_id: str = field("string", "11+")


class EpochEndOffset(Struct):
    epoch: int = field("int32", "12+", default=-1)
    end_offset: int = field("int64", "12+", default=-1)


class LeaderIdAndEpoch(Struct):
    leader_id: int = field("int32", "12+", default=-1)
    leader_epoch: int = field("int32", "12+", default=-1)


class SnapshotId(Struct):
    end_offset: int = field("int64", "0+", default=-1)
    epoch: int = field("int32", "0+", default=-1)


class AbortedTransaction(Struct):
    producer_id: int = field("int64", "4+")
    first_offset: int = field("int64", "4+")


class PartitionData(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    high_watermark: int = field("int64", "0+")
    last_stable_offset: int = field("int64", "4+", default=-1)
    log_start_offset: int = field("int64", "5+", default=-1)
    diverging_epoch: EpochEndOffset = field(EpochEndOffset, "12+", tag=0)
    current_leader: LeaderIdAndEpoch = field(LeaderIdAndEpoch, "12+", tag=1)
    snapshot_id: SnapshotId = field(SnapshotId, "12+", tag=2)
    aborted_transactions: Sequence[AbortedTransaction] | None = array(AbortedTransaction, "4+", nullable="4+")
    preferred_read_replica: int = field("int32", "11+", default=-1)
    records: bytes | memoryview | None = field("records", "0+", nullable="0+")


class FetchableTopicResponse(Struct):
    topic: str = field("string", "0-12")
    topic_id: UUID | None = field("uuid", "13+")
    partitions: Sequence[PartitionData] = array(PartitionData, "0+")


class NodeEndpoint(Struct):
    node_id: int = field("int32", "16+")
    host: str = field("string", "16+")
    port: int = field("int32", "16+")
    rack: str | None = field("string", "16+", nullable="16+")


class FetchResponse(Struct, key=1, versions="4-18", flexible="12+"):
    throttle_time_ms: int = field("int32", "1+")
    error_code: int = field("int16", "7+")
    session_id: int = field("int32", "7+")
    responses: Sequence[FetchableTopicResponse] = array(FetchableTopicResponse, "0+")
    node_endpoints: Sequence[NodeEndpoint] = array(NodeEndpoint, "16+", tag=0)
