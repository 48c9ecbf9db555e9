"""Records of consumer groups (KIP-848) in `__consumer_offsets`.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class ConsumerGroupCurrentMemberAssignmentKey(Struct, key=8, versions="0", flexible="none"):
    group_id: str = field("string", "0")
    member_id: str = field("string", "0")


class TopicPartitions(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[int] = array("int32", "0+")
    assignment_epochs: Sequence[int] | None = array("int32", "0+", nullable="0+", tag=0)


class ConsumerGroupCurrentMemberAssignmentValue(Struct, key=8, versions="0", flexible="0+"):
    member_epoch: int = field("int32", "0+")
    previous_member_epoch: int = field("int32", "0+")
    state: int = field("int8", "0+")
    assigned_partitions: Sequence[TopicPartitions] = array(TopicPartitions, "0+")
    partitions_pending_revocation: Sequence[TopicPartitions] = array(TopicPartitions, "0+")


class ConsumerGroupMemberMetadataKey(Struct, key=5, versions="0", flexible="none"):
    group_id: str = field("string", "0")
    member_id: str = field("string", "0")


class ClassicProtocol(Struct):
    name: str = field("string", "0+")
    metadata: bytes = field("bytes", "0+")


class ClassicMemberMetadata(Struct):
    session_timeout_ms: int = field("int32", "0+")
    supported_protocols: Sequence[ClassicProtocol] = array(ClassicProtocol, "0+")


class ConsumerGroupMemberMetadataValue(Struct, key=5, versions="0", flexible="0+"):
    instance_id: str | None = field("string", "0+", nullable="0+")
    rack_id: str | None = field("string", "0+", nullable="0+")
    client_id: str = field("string", "0+")
    client_host: str = field("string", "0+")
    subscribed_topic_names: Sequence[str] = array("string", "0+")
    subscribed_topic_regex: str | None = field("string", "0+", nullable="0+")
    rebalance_timeout_ms: int = field("int32", "0+", default=-1)
    server_assignor: str | None = field("string", "0+", nullable="0+")
    classic_member_metadata: ClassicMemberMetadata | None = field(
        ClassicMemberMetadata, "0+", nullable="0+", tag=0
    )


class ConsumerGroupMetadataKey(Struct, key=3, versions="0", flexible="none"):
    group_id: str = field("string", "0")


class ConsumerGroupMetadataValue(Struct, key=3, versions="0", flexible="0+"):
    epoch: int = field("int32", "0+")
    metadata_hash: int = field("int64", "0+", tag=0)


class ConsumerGroupPartitionMetadataKey(Struct, key=4, versions="0", flexible="none"):
    group_id: str = field("string", "0")


class PartitionMetadata(Struct):
    partition: int = field("int32", "0+")
    racks: Sequence[str] = array("string", "0+")


class TopicMetadata(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    topic_name: str = field("string", "0+")
    num_partitions: int = field("int32", "0+")
    partition_metadata: Sequence[PartitionMetadata] = array(PartitionMetadata, "0+")


class ConsumerGroupPartitionMetadataValue(Struct, key=4, versions="0", flexible="0+"):
    topics: Sequence[TopicMetadata] = array(TopicMetadata, "0+")


class ConsumerGroupRegularExpressionKey(Struct, key=16, versions="0", flexible="none"):
    group_id: str = field("string", "0")
    regular_expression: str = field("string", "0")


class ConsumerGroupRegularExpressionValue(Struct, key=16, versions="0", flexible="0+"):
    topics: Sequence[str] = array("string", "0+")
    version: int = field("int64", "0+")
    timestamp: int = field("int64", "0+")


class ConsumerGroupTargetAssignmentMemberKey(Struct, key=7, versions="0", flexible="none"):
    group_id: str = field("string", "0")
    member_id: str = field("string", "0")


class TopicPartition(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class ConsumerGroupTargetAssignmentMemberValue(Struct, key=7, versions="0", flexible="0+"):
    topic_partitions: Sequence[TopicPartition] = array(TopicPartition, "0+")


class ConsumerGroupTargetAssignmentMetadataKey(Struct, key=6, versions="0", flexible="none"):
    group_id: str = field("string", "0")


class ConsumerGroupTargetAssignmentMetadataValue(Struct, key=6, versions="0", flexible="0+"):
    assignment_epoch: int = field("int32", "0+")
    assignment_timestamp: int = field("int64", "0+", tag=0)


RECORDS: Final[dict[int, tuple[type[Struct], type[Struct]]]] = {
    3: (ConsumerGroupMetadataKey, ConsumerGroupMetadataValue),
    4: (ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue),
    5: (ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue),
    6: (ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue),
    7: (ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue),
    8: (ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue),
    16: (ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue),
}
"""Key and value by the type of the record."""
