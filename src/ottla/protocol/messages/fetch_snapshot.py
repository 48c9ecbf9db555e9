"""FetchSnapshot: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class FetchSnapshotRequestSnapshotId(Struct):
    end_offset: int = field("int64", "0+")
    epoch: int = field("int32", "0+")


class FetchSnapshotRequestPartitionSnapshot(Struct):
    partition: int = field("int32", "0+")
    current_leader_epoch: int = field("int32", "0+")
    snapshot_id: FetchSnapshotRequestSnapshotId = field(FetchSnapshotRequestSnapshotId, "0+")
    position: int = field("int64", "0+")
    replica_directory_id: UUID | None = field("uuid", "1+", tag=0)


class FetchSnapshotRequestTopicSnapshot(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[FetchSnapshotRequestPartitionSnapshot] = array(
        FetchSnapshotRequestPartitionSnapshot, "0+"
    )


class FetchSnapshotRequest(Struct, key=59, versions="0-1", flexible="0+"):
    cluster_id: str | None = field("string", "0+", nullable="0+", tag=0)
    replica_id: int = field("int32", "0+", default=-1)
    max_bytes: int = field("int32", "0+", default=2147483647)
    topics: Sequence[FetchSnapshotRequestTopicSnapshot] = array(FetchSnapshotRequestTopicSnapshot, "0+")


class FetchSnapshotResponseSnapshotId(Struct):
    end_offset: int = field("int64", "0+")
    epoch: int = field("int32", "0+")


class LeaderIdAndEpoch(Struct):
    leader_id: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")


class FetchSnapshotResponsePartitionSnapshot(Struct):
    index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    snapshot_id: FetchSnapshotResponseSnapshotId = field(FetchSnapshotResponseSnapshotId, "0+")
    current_leader: LeaderIdAndEpoch = field(LeaderIdAndEpoch, "0+", tag=0)
    size: int = field("int64", "0+")
    position: int = field("int64", "0+")
    unaligned_records: bytes | memoryview = field("records", "0+")


class FetchSnapshotResponseTopicSnapshot(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[FetchSnapshotResponsePartitionSnapshot] = array(
        FetchSnapshotResponsePartitionSnapshot, "0+"
    )


class NodeEndpoint(Struct):
    node_id: int = field("int32", "1+")
    host: str = field("string", "1+")
    port: int = field("uint16", "1+")


class FetchSnapshotResponse(Struct, key=59, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    topics: Sequence[FetchSnapshotResponseTopicSnapshot] = array(FetchSnapshotResponseTopicSnapshot, "0+")
    node_endpoints: Sequence[NodeEndpoint] = array(NodeEndpoint, "1+", tag=0)
