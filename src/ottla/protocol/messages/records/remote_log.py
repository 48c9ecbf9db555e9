"""Records in `__remote_log_metadata` (KIP-405).

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class RemoteLogSegmentMetadataRecordTopicIdPartitionEntry(Struct):
    name: str = field("string", "0+")
    id: UUID | None = field("uuid", "0+")
    partition: int = field("int32", "0+")


class RemoteLogSegmentMetadataRecordRemoteLogSegmentIdEntry(Struct):
    topic_id_partition: RemoteLogSegmentMetadataRecordTopicIdPartitionEntry = field(
        RemoteLogSegmentMetadataRecordTopicIdPartitionEntry, "0+"
    )
    id: UUID | None = field("uuid", "0+")


class RemoteLogSegmentMetadataRecordSegmentLeaderEpochEntry(Struct):
    leader_epoch: int = field("int32", "0+")
    offset: int = field("int64", "0+")


class RemoteLogSegmentMetadataRecord(Struct, key=0, versions="0", flexible="0+"):
    remote_log_segment_id: RemoteLogSegmentMetadataRecordRemoteLogSegmentIdEntry = field(
        RemoteLogSegmentMetadataRecordRemoteLogSegmentIdEntry, "0+"
    )
    start_offset: int = field("int64", "0+")
    end_offset: int = field("int64", "0+")
    broker_id: int = field("int32", "0+")
    max_timestamp_ms: int = field("int64", "0+")
    event_timestamp_ms: int = field("int64", "0+")
    segment_leader_epochs: Sequence[RemoteLogSegmentMetadataRecordSegmentLeaderEpochEntry] = array(
        RemoteLogSegmentMetadataRecordSegmentLeaderEpochEntry, "0+"
    )
    segment_size_in_bytes: int = field("int32", "0+")
    custom_metadata: bytes | None = field("bytes", "0+", nullable="0+")
    remote_log_segment_state: int = field("int8", "0+")
    txn_index_empty: bool = field("bool", "0+", tag=0)


class RemoteLogSegmentMetadataSnapshotRecordSegmentLeaderEpochEntry(Struct):
    leader_epoch: int = field("int32", "0+")
    offset: int = field("int64", "0+")


class RemoteLogSegmentMetadataSnapshotRecord(Struct, key=3, versions="0", flexible="0+"):
    segment_id: UUID | None = field("uuid", "0+")
    start_offset: int = field("int64", "0+")
    end_offset: int = field("int64", "0+")
    broker_id: int = field("int32", "0+")
    max_timestamp_ms: int = field("int64", "0+")
    event_timestamp_ms: int = field("int64", "0+")
    segment_leader_epochs: Sequence[RemoteLogSegmentMetadataSnapshotRecordSegmentLeaderEpochEntry] = array(
        RemoteLogSegmentMetadataSnapshotRecordSegmentLeaderEpochEntry, "0+"
    )
    segment_size_in_bytes: int = field("int32", "0+")
    custom_metadata: bytes | None = field("bytes", "0+", nullable="0+")
    remote_log_segment_state: int = field("int8", "0+")
    txn_index_empty: bool = field("bool", "0+", tag=0)


class RemoteLogSegmentMetadataUpdateRecordTopicIdPartitionEntry(Struct):
    name: str = field("string", "0+")
    id: UUID | None = field("uuid", "0+")
    partition: int = field("int32", "0+")


class RemoteLogSegmentMetadataUpdateRecordRemoteLogSegmentIdEntry(Struct):
    topic_id_partition: RemoteLogSegmentMetadataUpdateRecordTopicIdPartitionEntry = field(
        RemoteLogSegmentMetadataUpdateRecordTopicIdPartitionEntry, "0+"
    )
    id: UUID | None = field("uuid", "0+")


class RemoteLogSegmentMetadataUpdateRecord(Struct, key=1, versions="0", flexible="0+"):
    remote_log_segment_id: RemoteLogSegmentMetadataUpdateRecordRemoteLogSegmentIdEntry = field(
        RemoteLogSegmentMetadataUpdateRecordRemoteLogSegmentIdEntry, "0+"
    )
    broker_id: int = field("int32", "0+")
    event_timestamp_ms: int = field("int64", "0+")
    custom_metadata: bytes | None = field("bytes", "0+", nullable="0+")
    remote_log_segment_state: int = field("int8", "0+")


class RemotePartitionDeleteMetadataRecordTopicIdPartitionEntry(Struct):
    name: str = field("string", "0+")
    id: UUID | None = field("uuid", "0+")
    partition: int = field("int32", "0+")


class RemotePartitionDeleteMetadataRecord(Struct, key=2, versions="0", flexible="0+"):
    topic_id_partition: RemotePartitionDeleteMetadataRecordTopicIdPartitionEntry = field(
        RemotePartitionDeleteMetadataRecordTopicIdPartitionEntry, "0+"
    )
    broker_id: int = field("int32", "0+")
    event_timestamp_ms: int = field("int64", "0+")
    remote_partition_delete_state: int = field("int8", "0+")
