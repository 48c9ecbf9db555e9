"""Records of share groups (KIP-932) in `__consumer_offsets`.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class ShareGroupCurrentMemberAssignmentKey(Struct, key=14, versions="0", flexible="none"):
    group_id: str = field("string", "0")
    member_id: str = field("string", "0")


class TopicPartitions(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class ShareGroupCurrentMemberAssignmentValue(Struct, key=14, versions="0", flexible="0+"):
    member_epoch: int = field("int32", "0+")
    previous_member_epoch: int = field("int32", "0+")
    state: int = field("int8", "0+")
    assigned_partitions: Sequence[TopicPartitions] = array(TopicPartitions, "0+")


class ShareGroupMemberMetadataKey(Struct, key=10, versions="0", flexible="none"):
    group_id: str = field("string", "0")
    member_id: str = field("string", "0")


class ShareGroupMemberMetadataValue(Struct, key=10, versions="0", flexible="0+"):
    rack_id: str | None = field("string", "0+", nullable="0+")
    client_id: str = field("string", "0+")
    client_host: str = field("string", "0+")
    subscribed_topic_names: Sequence[str] = array("string", "0+")


class ShareGroupMetadataKey(Struct, key=11, versions="0", flexible="none"):
    group_id: str = field("string", "0")


class ShareGroupMetadataValue(Struct, key=11, versions="0", flexible="0+"):
    epoch: int = field("int32", "0+")
    metadata_hash: int = field("int64", "0+")


class ShareGroupStatePartitionMetadataKey(Struct, key=15, versions="0", flexible="none"):
    group_id: str = field("string", "0")


class TopicPartitionsInfo(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    topic_name: str = field("string", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class TopicInfo(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    topic_name: str = field("string", "0+")


class ShareGroupStatePartitionMetadataValue(Struct, key=15, versions="0", flexible="0+"):
    initializing_topics: Sequence[TopicPartitionsInfo] = array(TopicPartitionsInfo, "0+")
    initialized_topics: Sequence[TopicPartitionsInfo] = array(TopicPartitionsInfo, "0+")
    deleting_topics: Sequence[TopicInfo] = array(TopicInfo, "0+")


class ShareGroupTargetAssignmentMemberKey(Struct, key=13, versions="0", flexible="none"):
    group_id: str = field("string", "0")
    member_id: str = field("string", "0")


class TopicPartition(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class ShareGroupTargetAssignmentMemberValue(Struct, key=13, versions="0", flexible="0+"):
    topic_partitions: Sequence[TopicPartition] = array(TopicPartition, "0+")


class ShareGroupTargetAssignmentMetadataKey(Struct, key=12, versions="0", flexible="none"):
    group_id: str = field("string", "0")


class ShareGroupTargetAssignmentMetadataValue(Struct, key=12, versions="0", flexible="0+"):
    assignment_epoch: int = field("int32", "0+")
    assignment_timestamp: int = field("int64", "0+", tag=0)


RECORDS: Final[dict[int, tuple[type[Struct], type[Struct]]]] = {
    10: (ShareGroupMemberMetadataKey, ShareGroupMemberMetadataValue),
    11: (ShareGroupMetadataKey, ShareGroupMetadataValue),
    12: (ShareGroupTargetAssignmentMetadataKey, ShareGroupTargetAssignmentMetadataValue),
    13: (ShareGroupTargetAssignmentMemberKey, ShareGroupTargetAssignmentMemberValue),
    14: (ShareGroupCurrentMemberAssignmentKey, ShareGroupCurrentMemberAssignmentValue),
    15: (ShareGroupStatePartitionMetadataKey, ShareGroupStatePartitionMetadataValue),
}
"""Key and value by the type of the record."""
