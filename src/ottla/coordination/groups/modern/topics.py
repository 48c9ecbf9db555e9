"""What subscriptions mean in the current image: topic ids, partition counts, patterns, and their hash."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final
from uuid import UUID

from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode, KafkaError

_PATTERN_MAX_BYTES: Final = 1024 * 1024
_PATTERN_MAX_INSTRUCTIONS: Final = 5_000
"""Where the states of a pattern outgrow its memory, the longest name still costs no more than 2 ms."""


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
    return matching_names(pattern, image.topics)


def matching_names(pattern: str, names: Iterable[str]) -> frozenset[str]:
    """The names that the whole pattern matches, in RE2's syntax (KIP-848).

    A client's pattern runs inside the coordinator, so it gets linear time and little space: `(a+)+$` would
    stop a backtracking engine. Raises KafkaError(invalid_regular_expression) for what RE2 refuses.
    """
    import re2  # here, so that only a broker with patterns loads it

    options = re2.Options()
    options.max_mem = _PATTERN_MAX_BYTES
    options.never_capture = True
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason: bytes = error.args[0]
        raise _invalid(pattern, reason.decode(errors="replace")) from error
    except UnicodeEncodeError as error:
        raise _invalid(pattern, "not valid Unicode") from error
    finally:
        re2.purge()  # it would keep 128 patterns, each with all its memory
    if compiled.programsize > _PATTERN_MAX_INSTRUCTIONS:
        raise _invalid(pattern, "pattern too large")
    return frozenset(name for name in names if compiled.fullmatch(name))


def _invalid(pattern: str, reason: str) -> KafkaError:
    return KafkaError(
        ErrorCode.invalid_regular_expression,
        f"SubscribedTopicRegex `{pattern}` is not a valid regular expression: {reason}.",
    )
