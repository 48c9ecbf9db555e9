"""The consumer protocol that classic members embed in JoinGroup and SyncGroup.

The bytes come from clients and are read defensively: whatever does not follow the schema is a
KafkaError. Newer versions only add fields at the end, so they are read as the newest that is known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from ottla.coordination.groups.modern.assignors import Partitions
from ottla.metadata.image import MetadataImage
from ottla.protocol import wire
from ottla.protocol.errors import DecodeError, ErrorCode, KafkaError
from ottla.protocol.messages.records.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolAssignmentTopicPartition,
    ConsumerProtocolSubscription,
)
from ottla.protocol.structs import Struct

_NEWEST_VERSION: Final = 3
_PREFIX_SIZE: Final = 2

S = TypeVar("S", bound=Struct)


@dataclass(frozen=True, slots=True)
class EmbeddedSubscription:
    """What a classic consumer wants, and what it says it owns."""

    topics: frozenset[str]
    owned: tuple[tuple[str, frozenset[int]], ...]
    rack_id: str | None


@dataclass(frozen=True, slots=True)
class EmbeddedAssignment:
    """What a classic consumer was given by the group's leader."""

    partitions: tuple[tuple[str, frozenset[int]], ...]
    has_user_data: bool


def decode_subscription(data: bytes) -> EmbeddedSubscription:
    """Raises KafkaError(inconsistent_group_protocol)."""
    value = _decode(ConsumerProtocolSubscription, data)
    owned = tuple((each.topic, frozenset(each.partitions)) for each in value.owned_partitions)
    return EmbeddedSubscription(frozenset(value.topics), owned, value.rack_id or None)


def decode_assignment(data: bytes) -> EmbeddedAssignment:
    """No bytes at all are an empty assignment. Raises KafkaError(inconsistent_group_protocol)."""
    if not data:
        return EmbeddedAssignment((), has_user_data=False)
    value = _decode(ConsumerProtocolAssignment, data)
    partitions = tuple((each.topic, frozenset(each.partitions)) for each in value.assigned_partitions)
    return EmbeddedAssignment(partitions, bool(value.user_data))


def encode_assignment(image: MetadataImage, partitions: Partitions, subscription: bytes) -> bytes:
    """An assignment in the version of the member's subscription; topics that are gone are left out."""
    topics = [
        ConsumerProtocolAssignmentTopicPartition(
            topic=image.topics_by_id[topic_id].name, partitions=sorted(numbers)
        )
        for topic_id, numbers in partitions.items()
        if topic_id in image.topics_by_id
    ]
    topics.sort(key=lambda each: each.topic)
    assignment = ConsumerProtocolAssignment(assigned_partitions=topics)
    return wire.encode_prefixed(assignment, _version(subscription))


def by_topic_id(
    image: MetadataImage, partitions: Iterable[tuple[str, frozenset[int]]]
) -> dict[UUID, frozenset[int]]:
    """The same by topic id; topics and partitions that do not exist are left out."""
    result: dict[UUID, frozenset[int]] = {}
    for name, numbers in partitions:
        topic = image.topics.get(name)
        existing = frozenset(n for n in numbers if topic is not None and 0 <= n < len(topic.partitions))
        if topic is not None and existing:
            result[topic.topic_id] = result.get(topic.topic_id, frozenset()) | existing
    return result


def _version(data: bytes) -> int:
    version = int.from_bytes(data[:_PREFIX_SIZE], "big", signed=True)
    if len(data) < _PREFIX_SIZE or version < 0:
        raise _malformed()
    return min(version, _NEWEST_VERSION)


def _decode(class_: type[S], data: bytes) -> S:
    version = _version(data)
    try:
        return wire.decode(class_, version, data, _PREFIX_SIZE)
    except DecodeError as error:
        raise _malformed() from error


def _malformed() -> KafkaError:
    return KafkaError(ErrorCode.inconsistent_group_protocol, "Malformed embedded consumer protocol.")
