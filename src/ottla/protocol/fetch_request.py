"""The Fetch request, by hand, so that it can be compiled: what a consumer asks for.

Versions 4 to 18. From 7 on there are fetch sessions (KIP-227), from 12 on they are flexible, from 13 on
topics have ids instead of names (KIP-516), from 15 on a follower says who it is in a tagged field (KIP-903).
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
from ottla.protocol.varint import decode_uvarint

_FIRST_WITH_LEADER_EPOCH: Final = 9
_FIRST_WITH_RACK: Final = 11
_FIRST_WITH_REPLICA_STATE: Final = 15
_new_tuple: Final = tuple.__new__

_INT32: Final = binary.Struct(">i")
_REPLICA_STATE_TAG: Final = 1
_REPLICA_STATE: Final = binary.Struct(">iq")
_CONSUMER: Final = -1
# Replica id (up to 14), longest wait, smallest and largest size, isolation, session id and epoch (from 7 on).
_HEAD_4: Final = binary.Struct(">iiiib")
_HEAD_7: Final = binary.Struct(">iiiibii")
_HEAD_15: Final = binary.Struct(">iiibii")
# Partition, leader's epoch (9), offset, last fetched epoch (12), log start offset (5), size.
_PARTITION_4: Final = binary.Struct(">iqi")
_PARTITION_5: Final = binary.Struct(">iqqi")
_PARTITION_9: Final = binary.Struct(">iiqqi")
_PARTITION_12: Final = binary.Struct(">iiqiqi")


class AskedPartition(NamedTuple):
    """What is asked of one partition; -1 stands for epochs and a log start that are not given."""

    partition: int
    current_leader_epoch: int
    fetch_offset: int
    last_fetched_epoch: int
    log_start_offset: int
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
    """A request, its topics as they came. Without sessions the id is 0 and the epoch -1.

    A consumer's `replica_id` is negative; `replica_epoch` is -1 where it is not given, and `rack_id` empty.
    """

    replica_id: int
    max_wait_ms: int
    min_bytes: int
    max_bytes: int
    isolation_level: int
    session_id: int
    session_epoch: int
    topics: list[AskedTopic]
    forgotten_topics_data: list[ForgottenTopic]
    rack_id: str
    replica_epoch: int


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
        head = (_CONSUMER, *_HEAD_15.unpack_from(view, p))
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
    rack_id, p = compact_text(view, p)
    if view[p] and version >= _FIRST_WITH_REPLICA_STATE:
        replica_id, replica_epoch = _replica_state(view, p)
        return _new_tuple(FetchRequest, (replica_id, *head[1:], topics, forgotten, rack_id, replica_epoch))
    skip_tagged_fields(view, p)
    return _new_tuple(FetchRequest, (*head, topics, forgotten, rack_id, -1))


def _replica_state(view: memoryview, p: int) -> tuple[int, int]:
    """A follower's id and epoch, from the tagged fields of the request."""
    skip_tagged_fields(view, p)  # checks them
    count, p = decode_uvarint(view, p)
    for _ in range(count):
        tag, p = decode_uvarint(view, p)
        size, p = decode_uvarint(view, p)
        if tag == _REPLICA_STATE_TAG:
            state: tuple[int, int] = _REPLICA_STATE.unpack_from(view[p : p + size])
            return state
        p += size
    return _CONSUMER, -1


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
    rack_id = ""
    if version >= _FIRST_WITH_RACK:
        rack_id, p = legacy_text(view, p)
    session = () if with_sessions else (0, -1)
    return _new_tuple(FetchRequest, (*head, *session, topics, forgotten, rack_id, -1))


def _legacy_partition(version: int, view: memoryview, p: int) -> tuple[AskedPartition, int]:
    epoch = log_start = -1
    if version >= _FIRST_WITH_LEADER_EPOCH:
        index, epoch, offset, log_start, size = _PARTITION_9.unpack_from(view, p)
        p += _PARTITION_9.size
    elif version >= FIRST_WITH_LOG_START:
        index, offset, log_start, size = _PARTITION_5.unpack_from(view, p)
        p += _PARTITION_5.size
    else:
        index, offset, size = _PARTITION_4.unpack_from(view, p)
        p += _PARTITION_4.size
    return AskedPartition(index, epoch, offset, -1, log_start, size), p


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
