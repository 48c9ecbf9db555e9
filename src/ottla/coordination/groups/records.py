"""The records of `__consumer_offsets`, in Kafka's own schemas so that Kafka's tools read them.

Every key and value begins with a version of two bytes; a key's version says which type the record is. Values
are written at the version that Kafka 4 writes, and read at every version that an upgraded topic may hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

from ottla.coordination.runtime import CoordinatorRecord
from ottla.protocol.errors import DecodeError, ErrorCode, KafkaError
from ottla.protocol.schema import Message, field


class RecordType(IntEnum):
    """The version in a key. Types that are missing here belong to share groups and streams groups."""

    LEGACY_OFFSET_COMMIT = 0
    OFFSET_COMMIT = 1
    GROUP_METADATA = 2
    CONSUMER_GROUP_METADATA = 3
    CONSUMER_GROUP_PARTITION_METADATA = 4
    CONSUMER_GROUP_MEMBER_METADATA = 5
    CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA = 6
    CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER = 7
    CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT = 8
    CONSUMER_GROUP_REGULAR_EXPRESSION = 16


class RecordSchema(NamedTuple):
    """How one type of record looks. A key's own fields have version 0, whatever its prefix says."""

    key: Message
    value: Message
    written_version: int


class DecodedRecord(NamedTuple):
    """A record as it was read; no value is a tombstone."""

    type: RecordType
    key: dict[str, Any]
    value: dict[str, Any] | None


def _key(name: str, *more: Any, group: str = "group_id") -> Message:
    return Message(name, versions="0", flexible="none", fields=(field(group, "string"), *more))


def _partitions(*more: Any) -> tuple[Any, ...]:
    return (field("topic_id", "uuid"), field("partitions", "[]int32"), *more)


_OFFSET_KEY_FIELDS: Final = (field("topic", "string"), field("partition", "int32"))
_MEMBER_ID: Final = field("member_id", "string")

_LEGACY_OFFSET_COMMIT: Final = RecordSchema(
    _key("LegacyOffsetCommitKey", *_OFFSET_KEY_FIELDS, group="group"),
    Message(
        "LegacyOffsetCommitValue",
        versions="0",
        flexible="none",
        fields=(
            field("offset", "int64"),
            field("metadata", "string"),
            field("commit_timestamp", "int64"),
        ),
    ),
    0,
)

_OFFSET_COMMIT: Final = RecordSchema(
    _key("OffsetCommitKey", *_OFFSET_KEY_FIELDS, group="group"),
    Message(
        "OffsetCommitValue",
        versions="0-4",
        flexible="4+",
        fields=(
            field("offset", "int64"),
            field("leader_epoch", "int32", "3+", default=-1),
            field("metadata", "string"),
            field("commit_timestamp", "int64"),
            field("expire_timestamp", "int64", "1", default=-1),
            field("topic_id", "uuid", "4+", tagged="4+", tag=0),
        ),
    ),
    4,
)

_GROUP_METADATA: Final = RecordSchema(
    _key("GroupMetadataKey", group="group"),
    Message(
        "GroupMetadataValue",
        versions="0-4",
        flexible="4+",
        fields=(
            field("protocol_type", "string"),
            field("generation", "int32"),
            field("protocol", "string", nullable="0+"),
            field("leader", "string", nullable="0+"),
            field("current_state_timestamp", "int64", "2+", default=-1),
            field(
                "members",
                "[]struct",
                fields=(
                    field("member_id", "string"),
                    field("group_instance_id", "string", "3+", nullable="3+", default=None),
                    field("client_id", "string"),
                    field("client_host", "string"),
                    field("rebalance_timeout", "int32", "1+", default=-1),
                    field("session_timeout", "int32"),
                    field("subscription", "bytes"),
                    field("assignment", "bytes"),
                ),
            ),
        ),
    ),
    # Kafka 4 still writes version 3, for brokers of before KIP-915 can't read a flexible one.
    3,
)

_CONSUMER_GROUP_METADATA: Final = RecordSchema(
    _key("ConsumerGroupMetadataKey"),
    Message(
        "ConsumerGroupMetadataValue",
        versions="0",
        flexible="0+",
        fields=(
            field("epoch", "int32"),
            field("metadata_hash", "int64", tagged="0+", tag=0),
        ),
    ),
    0,
)

_CONSUMER_GROUP_PARTITION_METADATA: Final = RecordSchema(
    _key("ConsumerGroupPartitionMetadataKey"),
    Message(
        "ConsumerGroupPartitionMetadataValue",
        versions="0",
        flexible="0+",
        fields=(
            field(
                "topics",
                "[]struct",
                fields=(
                    field("topic_id", "uuid"),
                    field("topic_name", "string"),
                    field("num_partitions", "int32"),
                    field(
                        "partition_metadata",
                        "[]struct",
                        fields=(field("partition", "int32"), field("racks", "[]string")),
                    ),
                ),
            ),
        ),
    ),
    0,
)

_CONSUMER_GROUP_MEMBER_METADATA: Final = RecordSchema(
    _key("ConsumerGroupMemberMetadataKey", _MEMBER_ID),
    Message(
        "ConsumerGroupMemberMetadataValue",
        versions="0",
        flexible="0+",
        fields=(
            field("instance_id", "string", nullable="0+"),
            field("rack_id", "string", nullable="0+"),
            field("client_id", "string"),
            field("client_host", "string"),
            field("subscribed_topic_names", "[]string"),
            field("subscribed_topic_regex", "string", nullable="0+"),
            field("rebalance_timeout_ms", "int32", default=-1),
            field("server_assignor", "string", nullable="0+"),
            field(
                "classic_member_metadata",
                "struct",
                nullable="0+",
                tagged="0+",
                tag=0,
                default=None,
                fields=(
                    field("session_timeout_ms", "int32"),
                    field(
                        "supported_protocols",
                        "[]struct",
                        fields=(field("name", "string"), field("metadata", "bytes")),
                    ),
                ),
            ),
        ),
    ),
    0,
)

_CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA: Final = RecordSchema(
    _key("ConsumerGroupTargetAssignmentMetadataKey"),
    Message(
        "ConsumerGroupTargetAssignmentMetadataValue",
        versions="0",
        flexible="0+",
        fields=(
            field("assignment_epoch", "int32"),
            field("assignment_timestamp", "int64", tagged="0+", tag=0),
        ),
    ),
    0,
)

_CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER: Final = RecordSchema(
    _key("ConsumerGroupTargetAssignmentMemberKey", _MEMBER_ID),
    Message(
        "ConsumerGroupTargetAssignmentMemberValue",
        versions="0",
        flexible="0+",
        fields=(field("topic_partitions", "[]struct", fields=_partitions()),),
    ),
    0,
)

_ASSIGNED: Final = _partitions(
    field("assignment_epochs", "[]int32", nullable="0+", tagged="0+", tag=0, default=None)
)

_CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT: Final = RecordSchema(
    _key("ConsumerGroupCurrentMemberAssignmentKey", _MEMBER_ID),
    Message(
        "ConsumerGroupCurrentMemberAssignmentValue",
        versions="0",
        flexible="0+",
        fields=(
            field("member_epoch", "int32"),
            field("previous_member_epoch", "int32"),
            field("state", "int8"),
            field("assigned_partitions", "[]struct", fields=_ASSIGNED),
            field("partitions_pending_revocation", "[]struct", fields=_ASSIGNED),
        ),
    ),
    0,
)

_CONSUMER_GROUP_REGULAR_EXPRESSION: Final = RecordSchema(
    _key("ConsumerGroupRegularExpressionKey", field("regular_expression", "string")),
    Message(
        "ConsumerGroupRegularExpressionValue",
        versions="0",
        flexible="0+",
        fields=(
            field("topics", "[]string"),
            field("version", "int64"),
            field("timestamp", "int64"),
        ),
    ),
    0,
)

SCHEMAS: Final[Mapping[RecordType, RecordSchema]] = {
    RecordType.LEGACY_OFFSET_COMMIT: _LEGACY_OFFSET_COMMIT,
    RecordType.OFFSET_COMMIT: _OFFSET_COMMIT,
    RecordType.GROUP_METADATA: _GROUP_METADATA,
    RecordType.CONSUMER_GROUP_METADATA: _CONSUMER_GROUP_METADATA,
    RecordType.CONSUMER_GROUP_PARTITION_METADATA: _CONSUMER_GROUP_PARTITION_METADATA,
    RecordType.CONSUMER_GROUP_MEMBER_METADATA: _CONSUMER_GROUP_MEMBER_METADATA,
    RecordType.CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA: _CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA,
    RecordType.CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER: _CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER,
    RecordType.CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT: _CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT,
    RecordType.CONSUMER_GROUP_REGULAR_EXPRESSION: _CONSUMER_GROUP_REGULAR_EXPRESSION,
}

_PREFIX_SIZE: Final = 2


def encode_record(
    record_type: RecordType,
    key: Mapping[str, Any],
    value: Mapping[str, Any] | None,
    *,
    version: int | None = None,
    applied: bool = False,
) -> CoordinatorRecord:
    """A record as it is written; without a value a tombstone, without a version Kafka 4's."""
    schema = SCHEMAS[record_type]
    key_bytes = record_type.to_bytes(_PREFIX_SIZE, "big") + schema.key.encode(0, key)
    if value is None:
        return CoordinatorRecord(key_bytes, None, applied)
    written = schema.written_version if version is None else version
    return CoordinatorRecord(key_bytes, schema.value.encode_prefixed(written, value), applied)


def decode_record(key: bytes, value: bytes | None) -> DecodedRecord | None:
    """Read a record; None for types that Ottla does not keep. KafkaError(corrupt_message) for broken ones."""
    if len(key) < _PREFIX_SIZE:
        raise KafkaError(ErrorCode.corrupt_message, "a coordinator record's key without a type")
    try:
        record_type = RecordType(int.from_bytes(key[:_PREFIX_SIZE], "big"))
    except ValueError:
        return None
    schema = SCHEMAS[record_type]
    try:
        decoded_key = schema.key.decode(0, key, _PREFIX_SIZE)
        decoded_value = None if value is None else schema.value.decode_prefixed(value)[1]
    except DecodeError as error:
        raise KafkaError(ErrorCode.corrupt_message, f"{record_type.name.lower()}: {error}") from error
    return DecodedRecord(record_type, decoded_key, decoded_value)
