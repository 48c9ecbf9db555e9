"""The Fetch request, by hand, so that it can be compiled: what a consumer asks for.

Versions 4 to 18. From 7 on there are fetch sessions (KIP-227), from 12 on they are flexible, from 13 on
topics have ids instead of names (KIP-516). What only a follower says (its id, and how far its log goes) is
passed over.
"""

from __future__ import annotations

import struct as binary
from typing import Final, NamedTuple
from uuid import UUID

from ottla.protocol.errors import MalformedRequest
from ottla.protocol.fetch import (
    FIRST_FLEXIBLE,
    FIRST_WITH_LOG_START,
    FIRST_WITH_SESSIONS,
    FIRST_WITH_TOPIC_IDS,
)
from ottla.protocol.reading import compact_length, compact_text, entity_id, legacy_text, skip_tagged_fields

_FIRST_WITH_LEADER_EPOCH: Final = 9
_FIRST_WITH_RACK: Final = 11
_FIRST_WITH_REPLICA_STATE: Final = 15
_new_tuple: Final = tuple.__new__

_INT32: Final = binary.Struct(">i")
# Replica id (up to 14), longest wait, smallest and largest size, isolation, session id and epoch (from 7 on).
_HEAD_4: Final = binary.Struct(">4xiiib")
_HEAD_7: Final = binary.Struct(">4xiiibii")
_HEAD_15: Final = binary.Struct(">iiibii")
# Partition, leader's epoch (9), offset, last fetched epoch (12), log start offset (5, not kept), size.
_PARTITION_4: Final = binary.Struct(">iqi")
_PARTITION_5: Final = binary.Struct(">iq8xi")
_PARTITION_9: Final = binary.Struct(">iiq8xi")
_PARTITION_12: Final = binary.Struct(">iiqi8xi")


class AskedPartition(NamedTuple):
    """What is asked of one partition; epochs are -1 where they are not given."""

    partition: int
    current_leader_epoch: int
    fetch_offset: int
    last_fetched_epoch: int
    partition_max_bytes: int


class AskedTopic(NamedTuple):
    """Either `topic` or `topic_id` is None, by the request's version; `topic_id` also for the zero UUID."""

    topic: str | None
    topic_id: UUID | None
    partitions: list[AskedPartition]


class ForgottenTopic(NamedTuple):
    """Partitions to remove from the session; named as in `AskedTopic`."""

    topic: str | None
    topic_id: UUID | None
    partitions: list[int]


class FetchRequest(NamedTuple):
    """A request, its topics as they came. Without sessions the id is 0 and the epoch -1."""

    max_wait_ms: int
    min_bytes: int
    max_bytes: int
    isolation_level: int
    session_id: int
    session_epoch: int
    topics: list[AskedTopic]
    forgotten_topics_data: list[ForgottenTopic]


def decode_fetch(version: int, buffer: bytes | memoryview, offset: int = 0) -> FetchRequest:
    """Decode a Fetch request; bytes behind it are ignored. MalformedRequest for nonsense."""
    view = memoryview(buffer)
    try:
        if version >= FIRST_FLEXIBLE:
            return _decode_flexible(version, view, offset)
        return _decode_legacy(version, view, offset)
    except (binary.error, IndexError, ValueError) as error:
        raise MalformedRequest(f"fetch {version}: {error}") from error


def _decode_flexible(version: int, view: memoryview, p: int) -> FetchRequest:
    if version >= _FIRST_WITH_REPLICA_STATE:
        head = _HEAD_15.unpack_from(view, p)
        p += _HEAD_15.size
    else:
        head = _HEAD_7.unpack_from(view, p)
        p += _HEAD_7.size
    count, p = _counted(view, p)
    topics: list[AskedTopic] = []
    for _ in range(count):
        topic, topic_id, p = _topic(version, view, p)
        partitions: list[AskedPartition] = []
        asked, p = _counted(view, p)
        for _ in range(asked):
            partitions.append(_new_tuple(AskedPartition, _PARTITION_12.unpack_from(view, p)))
            p = skip_tagged_fields(view, p + _PARTITION_12.size)
        topics.append(_new_tuple(AskedTopic, (topic, topic_id, partitions)))
        p = skip_tagged_fields(view, p)
    count, p = _counted(view, p)
    forgotten: list[ForgottenTopic] = []
    for _ in range(count):
        topic, topic_id, p = _topic(version, view, p)
        named, p = _counted(view, p)
        forgotten.append(ForgottenTopic(topic, topic_id, _indexes(view, p, named)))
        p = skip_tagged_fields(view, p + 4 * named)
    _, p = compact_text(view, p)  # the rack
    skip_tagged_fields(view, p)
    return _new_tuple(FetchRequest, (*head, topics, forgotten))


def _decode_legacy(version: int, view: memoryview, p: int) -> FetchRequest:
    with_sessions = version >= FIRST_WITH_SESSIONS
    head = (_HEAD_7 if with_sessions else _HEAD_4).unpack_from(view, p)
    p += _HEAD_7.size if with_sessions else _HEAD_4.size
    topics: list[AskedTopic] = []
    count, p = _legacy_counted(view, p)
    for _ in range(count):
        topic, p = legacy_text(view, p)
        asked, p = _legacy_counted(view, p)
        partitions: list[AskedPartition] = []
        for _ in range(asked):
            partition, p = _legacy_partition(version, view, p)
            partitions.append(partition)
        topics.append(AskedTopic(topic, None, partitions))
    forgotten: list[ForgottenTopic] = []
    if with_sessions:
        count, p = _legacy_counted(view, p)
        for _ in range(count):
            topic, p = legacy_text(view, p)
            named, p = _legacy_counted(view, p)
            forgotten.append(ForgottenTopic(topic, None, _indexes(view, p, named)))
            p += 4 * named
    if version >= _FIRST_WITH_RACK:
        legacy_text(view, p)  # the rack
    session = () if with_sessions else (0, -1)
    return _new_tuple(FetchRequest, (*head, *session, topics, forgotten))


def _legacy_partition(version: int, view: memoryview, p: int) -> tuple[AskedPartition, int]:
    epoch = -1
    if version >= _FIRST_WITH_LEADER_EPOCH:
        index, epoch, offset, size = _PARTITION_9.unpack_from(view, p)
        p += _PARTITION_9.size
    elif version >= FIRST_WITH_LOG_START:
        index, offset, size = _PARTITION_5.unpack_from(view, p)
        p += _PARTITION_5.size
    else:
        index, offset, size = _PARTITION_4.unpack_from(view, p)
        p += _PARTITION_4.size
    return AskedPartition(index, epoch, offset, -1, size), p


def _topic(version: int, view: memoryview, p: int) -> tuple[str | None, UUID | None, int]:
    if version < FIRST_WITH_TOPIC_IDS:
        name, p = compact_text(view, p)
        return name, None, p
    topic_id, p = entity_id(view, p)
    return None, topic_id, p


def _counted(view: memoryview, p: int) -> tuple[int, int]:
    count, p = compact_length(view, p)
    return _check_count(count), p


def _legacy_counted(view: memoryview, p: int) -> tuple[int, int]:
    (count,) = _INT32.unpack_from(view, p)
    return _check_count(count), p + 4


def _check_count(count: int) -> int:
    if count < 0:
        raise MalformedRequest("null where a list must be")
    return count


def _indexes(view: memoryview, p: int, count: int) -> list[int]:
    if 4 * count > len(view) - p:
        raise MalformedRequest(f"{count} partitions with {len(view) - p} bytes left")
    return list(binary.unpack_from(f">{count}i", view, p))
