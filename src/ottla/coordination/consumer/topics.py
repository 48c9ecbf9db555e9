"""What subscriptions mean in the current image: topic ids, partition counts, patterns, and their hash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from uuid import UUID

from ottla.coordination.consumer.group import ResolvedRegex, subscribed_topics
from ottla.coordination.consumer.member import MemberMetadata
from ottla.coordination.consumer.regex import PatternError, TopicPattern, compile_pattern
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode, KafkaError


def subscribed_topic_ids(
    image: MetadataImage, metadata: MemberMetadata, resolved: Mapping[str, ResolvedRegex]
) -> frozenset[UUID]:
    """The ids of the existing topics that a member wants."""
    return topic_ids(image, subscribed_topics((metadata,), resolved))


def topic_ids(image: MetadataImage, names: Iterable[str]) -> frozenset[UUID]:
    """The ids of those topics that exist."""
    return frozenset(image.topics[name].topic_id for name in names if name in image.topics)


def partition_counts(image: MetadataImage, ids: Iterable[UUID]) -> dict[UUID, int]:
    """How many partitions each of these existing topics has."""
    return {topic_id: len(image.topics_by_id[topic_id].partitions) for topic_id in ids}


def metadata_hash(image: MetadataImage, names: Iterable[str]) -> int:
    """A number that changes when one of the topics is created, deleted, recreated or grows (KIP-1101).

    It is only ever compared with itself. Kafka computes another one, so a group that moves from one to the
    other gets one more epoch, and nothing else.
    """
    existing = sorted(name for name in names if name in image.topics)
    if not existing:
        return 0
    digest = blake2b(digest_size=8)
    for name in existing:
        topic = image.topics[name]
        digest.update(topic.topic_id.bytes)
        digest.update(len(topic.partitions).to_bytes(4, "big"))
    return int.from_bytes(digest.digest(), "big", signed=True)


def parse_pattern(pattern: str) -> TopicPattern:
    """The pattern, or KafkaError(invalid_regular_expression)."""
    try:
        return compile_pattern(pattern)
    except PatternError as error:
        raise KafkaError(
            ErrorCode.invalid_regular_expression,
            f"SubscribedTopicRegex `{pattern}` is not a valid regular expression: {error}.",
        ) from error


def matching_topics(image: MetadataImage, pattern: str) -> frozenset[str]:
    """The topics that match now. Internal ones are not left out, as in Kafka."""
    matches = parse_pattern(pattern).matches
    return frozenset(name for name in image.topics if matches(name))
