"""The records of a consumer group as Kafka writes them."""

from __future__ import annotations

from collections.abc import Iterable

from ottla.coordination.groups.modern.assignors import Partitions
from ottla.coordination.groups.modern.consumer.member import MemberMetadata
from ottla.coordination.groups.modern.reconcile import CurrentAssignment, PartitionEpochs
from ottla.coordination.runtime import CoordinatorRecord
from ottla.protocol.messages.records.consumer_group import (
    ClassicMemberMetadata,
    ClassicProtocol,
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
    TopicPartition,
    TopicPartitions,
)


def epoch_record(group_id: str, epoch: int, metadata_hash: int) -> CoordinatorRecord:
    """The group's epoch, and the state of the topics for which it is."""
    value = ConsumerGroupMetadataValue(epoch=epoch, metadata_hash=metadata_hash)
    return CoordinatorRecord(ConsumerGroupMetadataKey(group_id=group_id), value)


def target_epoch_record(group_id: str, epoch: int, timestamp_ms: int) -> CoordinatorRecord:
    """The epoch of the target assignment, written after the target itself."""
    value = ConsumerGroupTargetAssignmentMetadataValue(
        assignment_epoch=epoch, assignment_timestamp=timestamp_ms
    )
    return CoordinatorRecord(ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id), value)


def partition_metadata_tombstone(group_id: str) -> CoordinatorRecord:
    """Kafka before 4.1 kept the topics' partition counts; the hash took their place."""
    return CoordinatorRecord(ConsumerGroupPartitionMetadataKey(group_id=group_id), None)


def metadata_record(group_id: str, member_id: str, metadata: MemberMetadata) -> CoordinatorRecord:
    """What a member told of itself."""
    classic = metadata.classic
    value = ConsumerGroupMemberMetadataValue(
        instance_id=metadata.instance_id,
        rack_id=metadata.rack_id,
        client_id=metadata.client_id,
        client_host=metadata.client_host,
        subscribed_topic_names=sorted(metadata.subscribed_topic_names),
        subscribed_topic_regex=metadata.subscribed_topic_regex,
        rebalance_timeout_ms=metadata.rebalance_timeout_ms,
        server_assignor=metadata.server_assignor,
        classic_member_metadata=None
        if classic is None
        else ClassicMemberMetadata(
            session_timeout_ms=classic.session_timeout_ms,
            supported_protocols=[
                ClassicProtocol(name=name, metadata=data) for name, data in classic.protocols
            ],
        ),
    )
    return CoordinatorRecord(ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member_id), value)


def target_record(group_id: str, member_id: str, target: Partitions) -> CoordinatorRecord:
    """What a member shall own."""
    value = ConsumerGroupTargetAssignmentMemberValue(
        topic_partitions=[
            TopicPartition(topic_id=topic_id, partitions=sorted(partitions))
            for topic_id, partitions in sorted(target.items())
        ]
    )
    key = ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id)
    return CoordinatorRecord(key, value)


def current_record(group_id: str, member_id: str, current: CurrentAssignment) -> CoordinatorRecord:
    """What a member owns."""
    value = ConsumerGroupCurrentMemberAssignmentValue(
        member_epoch=current.member_epoch,
        previous_member_epoch=current.previous_member_epoch,
        state=current.state.value,
        assigned_partitions=_with_epochs(current.assigned),
        partitions_pending_revocation=_with_epochs(current.pending_revocation),
    )
    key = ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member_id)
    return CoordinatorRecord(key, value)


def regex_record(group_id: str, pattern: str, topics: Iterable[str], timestamp_ms: int) -> CoordinatorRecord:
    """What a pattern matched. Kafka's version of the metadata has no counterpart: 0 is older than any."""
    value = ConsumerGroupRegularExpressionValue(topics=sorted(topics), version=0, timestamp=timestamp_ms)
    return CoordinatorRecord(_regex_key(group_id, pattern), value)


def regex_tombstone(group_id: str, pattern: str) -> CoordinatorRecord:
    """Nobody subscribes with the pattern any more."""
    return CoordinatorRecord(_regex_key(group_id, pattern), None)


def member_tombstones(group_id: str, member_id: str) -> list[CoordinatorRecord]:
    """A member goes: first what it owned, then its target, then itself."""
    return [
        CoordinatorRecord(key_class(group_id=group_id, member_id=member_id), None)
        for key_class in (
            ConsumerGroupCurrentMemberAssignmentKey,
            ConsumerGroupTargetAssignmentMemberKey,
            ConsumerGroupMemberMetadataKey,
        )
    ]


def group_tombstones(
    group_id: str, member_ids: Iterable[str], patterns: Iterable[str]
) -> list[CoordinatorRecord]:
    """Everything goes, in the order that replaying needs: the group last."""
    return [
        *(record for member_id in member_ids for record in member_tombstones(group_id, member_id)),
        CoordinatorRecord(ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id), None),
        *(regex_tombstone(group_id, pattern) for pattern in patterns),
        partition_metadata_tombstone(group_id),
        CoordinatorRecord(ConsumerGroupMetadataKey(group_id=group_id), None),
    ]


def _regex_key(group_id: str, pattern: str) -> ConsumerGroupRegularExpressionKey:
    return ConsumerGroupRegularExpressionKey(group_id=group_id, regular_expression=pattern)


def _with_epochs(partitions: PartitionEpochs) -> list[TopicPartitions]:
    return [
        TopicPartitions(
            topic_id=topic_id,
            partitions=sorted(epochs),
            assignment_epochs=[epochs[partition] for partition in sorted(epochs)],
        )
        for topic_id, epochs in sorted(partitions.items())
    ]
