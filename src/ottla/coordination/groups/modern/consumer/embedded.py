"""The consumer protocol that classic members embed in JoinGroup and SyncGroup.

The bytes come from clients and are read defensively: whatever does not follow the schema is a
KafkaError. Newer versions only add fields at the end, so they are read as the newest that is known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from ottla.coordination.groups.modern.assignors import Partitions
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import DecodeError, ErrorCode, KafkaError
from ottla.protocol.schema import Message, field

_NEWEST_VERSION: Final = 3
_PREFIX_SIZE: Final = 2
_TOPICS: Final = (field("topic", "string"), field("partitions", "[]int32"))

_SUBSCRIPTION: Final = Message(
    "ConsumerProtocolSubscription",
    versions="0-3",
    flexible="none",
    fields=(
        field("topics", "[]string"),
        field("user_data", "bytes", nullable="0+", default=None),
        field("owned_partitions", "[]struct", "1+", fields=_TOPICS),
        field("generation_id", "int32", "2+", default=-1),
        field("rack_id", "string", "3+", nullable="3+", default=None),
    ),
)
_ASSIGNMENT: Final = Message(
    "ConsumerProtocolAssignment",
    versions="0-3",
    flexible="none",
    fields=(
        field("assigned_partitions", "[]struct", fields=_TOPICS),
        field("user_data", "bytes", nullable="0+", default=None),
    ),
)


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
    value = _decode(_SUBSCRIPTION, data)
    return EmbeddedSubscription(
        frozenset(value["topics"]), _by_topic(value["owned_partitions"]), value["rack_id"] or None
    )


def decode_assignment(data: bytes) -> EmbeddedAssignment:
    """No bytes at all are an empty assignment. Raises KafkaError(inconsistent_group_protocol)."""
    if not data:
        return EmbeddedAssignment((), has_user_data=False)
    value = _decode(_ASSIGNMENT, data)
    return EmbeddedAssignment(_by_topic(value["assigned_partitions"]), bool(value["user_data"]))


def encode_assignment(image: MetadataImage, partitions: Partitions, subscription: bytes) -> bytes:
    """An assignment in the version of the member's subscription; topics that are gone are left out."""
    topics = [
        {"topic": image.topics_by_id[topic_id].name, "partitions": sorted(numbers)}
        for topic_id, numbers in partitions.items()
        if topic_id in image.topics_by_id
    ]
    topics.sort(key=lambda each: str(each["topic"]))
    return _ASSIGNMENT.encode_prefixed(_version(subscription), {"assigned_partitions": topics})


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


def _decode(message: Message, data: bytes) -> Mapping[str, Any]:
    version = _version(data)
    try:
        return message.decode(version, data, _PREFIX_SIZE)
    except DecodeError as error:
        raise _malformed() from error


def _malformed() -> KafkaError:
    return KafkaError(ErrorCode.inconsistent_group_protocol, "Malformed embedded consumer protocol.")


def _by_topic(topics: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, frozenset[int]], ...]:
    return tuple((each["topic"], frozenset(each["partitions"])) for each in topics)
