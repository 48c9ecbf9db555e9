"""What subscriptions mean in the current image: topic ids, partition counts, patterns, and their hash."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from uuid import UUID

from ottla.coordination.patterns import matching_names
from ottla.metadata.image import MetadataImage


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


def matching_topics(image: MetadataImage, pattern: str) -> frozenset[str]:
    """The topics that match now. Internal ones are not left out, as in Kafka.

    Raises KafkaError(invalid_regular_expression).
    """
    return matching_names(pattern, image.topics, "SubscribedTopicRegex")
