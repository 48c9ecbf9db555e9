"""The records of a consumer group as Kafka writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ottla.coordination.groups.modern.assignors import Partitions
from ottla.coordination.groups.modern.consumer.member import MemberMetadata
from ottla.coordination.groups.modern.reconcile import CurrentAssignment, PartitionEpochs
from ottla.coordination.groups.records import RecordType, encode_record
from ottla.coordination.runtime import CoordinatorRecord


def epoch_record(group_id: str, epoch: int, metadata_hash: int) -> CoordinatorRecord:
    """The group's epoch, and the state of the topics for which it is."""
    return _group_record(
        RecordType.CONSUMER_GROUP_METADATA, group_id, {"epoch": epoch, "metadata_hash": metadata_hash}
    )


def target_epoch_record(group_id: str, epoch: int, timestamp_ms: int) -> CoordinatorRecord:
    """The epoch of the target assignment, written after the target itself."""
    value = {"assignment_epoch": epoch, "assignment_timestamp": timestamp_ms}
    return _group_record(RecordType.CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA, group_id, value)


def partition_metadata_tombstone(group_id: str) -> CoordinatorRecord:
    """Kafka before 4.1 kept the topics' partition counts; the hash took their place."""
    return _group_record(RecordType.CONSUMER_GROUP_PARTITION_METADATA, group_id, None)


def metadata_record(group_id: str, member_id: str, metadata: MemberMetadata) -> CoordinatorRecord:
    """What a member told of itself."""
    classic = metadata.classic
    value = {
        "instance_id": metadata.instance_id,
        "rack_id": metadata.rack_id,
        "client_id": metadata.client_id,
        "client_host": metadata.client_host,
        "subscribed_topic_names": sorted(metadata.subscribed_topic_names),
        "subscribed_topic_regex": metadata.subscribed_topic_regex,
        "rebalance_timeout_ms": metadata.rebalance_timeout_ms,
        "server_assignor": metadata.server_assignor,
        "classic_member_metadata": classic
        and {
            "session_timeout_ms": classic.session_timeout_ms,
            "supported_protocols": [{"name": name, "metadata": data} for name, data in classic.protocols],
        },
    }
    return _member_record(RecordType.CONSUMER_GROUP_MEMBER_METADATA, group_id, member_id, value)


def target_record(group_id: str, member_id: str, target: Partitions) -> CoordinatorRecord:
    """What a member shall own."""
    value = {
        "topic_partitions": [
            {"topic_id": topic_id, "partitions": sorted(partitions)}
            for topic_id, partitions in sorted(target.items())
        ]
    }
    return _member_record(RecordType.CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER, group_id, member_id, value)


def current_record(group_id: str, member_id: str, current: CurrentAssignment) -> CoordinatorRecord:
    """What a member owns."""
    value = {
        "member_epoch": current.member_epoch,
        "previous_member_epoch": current.previous_member_epoch,
        "state": current.state.value,
        "assigned_partitions": _with_epochs(current.assigned),
        "partitions_pending_revocation": _with_epochs(current.pending_revocation),
    }
    return _member_record(RecordType.CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT, group_id, member_id, value)


def regex_record(group_id: str, pattern: str, topics: Iterable[str], timestamp_ms: int) -> CoordinatorRecord:
    """What a pattern matched. Kafka's version of the metadata has no counterpart: 0 is older than any."""
    value = {"topics": sorted(topics), "version": 0, "timestamp": timestamp_ms}
    return encode_record(
        RecordType.CONSUMER_GROUP_REGULAR_EXPRESSION,
        {"group_id": group_id, "regular_expression": pattern},
        value,
    )


def regex_tombstone(group_id: str, pattern: str) -> CoordinatorRecord:
    """Nobody subscribes with the pattern any more."""
    return encode_record(
        RecordType.CONSUMER_GROUP_REGULAR_EXPRESSION,
        {"group_id": group_id, "regular_expression": pattern},
        None,
    )


_MEMBER_TYPES = (
    RecordType.CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT,
    RecordType.CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER,
    RecordType.CONSUMER_GROUP_MEMBER_METADATA,
)


def member_tombstones(group_id: str, member_id: str) -> list[CoordinatorRecord]:
    """A member goes: first what it owned, then its target, then itself."""
    return [_member_record(record_type, group_id, member_id, None) for record_type in _MEMBER_TYPES]


def group_tombstones(
    group_id: str, member_ids: Iterable[str], patterns: Iterable[str]
) -> list[CoordinatorRecord]:
    """Everything goes, in the order that replaying needs: the group last."""
    return [
        *(record for member_id in member_ids for record in member_tombstones(group_id, member_id)),
        _group_record(RecordType.CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA, group_id, None),
        *(regex_tombstone(group_id, pattern) for pattern in patterns),
        partition_metadata_tombstone(group_id),
        _group_record(RecordType.CONSUMER_GROUP_METADATA, group_id, None),
    ]


def _with_epochs(partitions: PartitionEpochs) -> list[dict[str, Any]]:
    return [
        {
            "topic_id": topic_id,
            "partitions": sorted(epochs),
            "assignment_epochs": [epochs[partition] for partition in sorted(epochs)],
        }
        for topic_id, epochs in sorted(partitions.items())
    ]


def _group_record(
    record_type: RecordType, group_id: str, value: Mapping[str, Any] | None
) -> CoordinatorRecord:
    return encode_record(record_type, {"group_id": group_id}, value)


def _member_record(
    record_type: RecordType, group_id: str, member_id: str, value: Mapping[str, Any] | None
) -> CoordinatorRecord:
    return encode_record(record_type, {"group_id": group_id, "member_id": member_id}, value)
