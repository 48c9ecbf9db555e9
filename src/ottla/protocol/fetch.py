"""The Fetch response, by hand. Records that are still in their file are a piece of it, not copied.

Versions 4 to 18. From 7 on there are fetch sessions (KIP-227), from 12 on they are flexible, from 13 on
topics have ids instead of names (KIP-516). Requests are decoded by `fetch_request`.
"""

from __future__ import annotations

import struct as binary
from collections.abc import Sequence, Sized
from typing import Any, Final, NamedTuple
from uuid import UUID

from ottla.protocol.errors import EncodeError
from ottla.protocol.produce import NodeEndpoint, tagged_current_leader, tagged_node_endpoints
from ottla.protocol.varint import UVARINT

FIRST_WITH_LOG_START: Final = 5
FIRST_WITH_SESSIONS: Final = 7
_FIRST_WITH_READ_REPLICA: Final = 11
FIRST_FLEXIBLE: Final = 12
FIRST_WITH_TOPIC_IDS: Final = 13
_FIRST_WITH_ENDPOINTS: Final = 16
_NO_UUID: Final = UUID(int=0)

_INT16: Final = binary.Struct(">h")
_INT32: Final = binary.Struct(">i")
_ABORTED: Final = binary.Struct(">qq")
_FLEXIBLE_ABORTED: Final = binary.Struct(">qqx")
_DIVERGING_EPOCH: Final = binary.Struct(">BBiqx")
_PARTITION_4: Final = binary.Struct(">ihqq")
_PARTITION_5: Final = binary.Struct(">ihqqq")
# As above up to the length of records, for no aborted transactions (null, as Kafka answers read_uncommitted).
_PLAIN_4: Final = binary.Struct(">ihqqii")
_PLAIN_5: Final = binary.Struct(">ihqqqii")
_PLAIN_11: Final = binary.Struct(">ihqqqiii")
_PLAIN_12: Final = binary.Struct(">ihqqqxi")
_HEAD_4: Final = binary.Struct(">iii")
_HEAD_7: Final = binary.Struct(">iiihi")
_HEAD_12: Final = binary.Struct(">iixihi")


class FetchedPartition(NamedTuple):
    """What one partition gives. `records` are whole batches that follow one another: bytes, or what else has
    a length and can be sent later.

    `aborted` are (producer id, first offset) pairs, None for a reader of uncommitted records;
    `diverging_epoch` is (epoch, end offset) and `current_leader` (leader id, leader epoch), sent from version
    12 on.
    """

    partition: int
    error_code: int = 0
    high_watermark: int = -1
    last_stable_offset: int = -1
    log_start_offset: int = -1
    aborted: Sequence[tuple[int, int]] | None = None
    preferred_read_replica: int = -1
    records: Sized = b""
    diverging_epoch: tuple[int, int] | None = None
    current_leader: tuple[int, int] | None = None


class FetchedTopic(NamedTuple):
    """The partitions of one topic; its name or its id is needed, by the request's version."""

    topic: str | None
    topic_id: UUID | None
    partitions: Sequence[FetchedPartition]


def encode_fetch_response(
    version: int,
    correlation_id: int,
    topics: Sequence[FetchedTopic],
    *,
    error_code: int = 0,
    session_id: int = 0,
    throttle_time_ms: int = 0,
    node_endpoints: Sequence[NodeEndpoint] = (),
) -> bytes | list[Any]:
    """The whole frame: bytes, or where records are not bytes, pieces to be sent in turn, with the records as
    they were given. EncodeError where a value does not fit.
    """
    try:
        pieces, is_in_memory = _encode_topics(version, topics)
        if version >= FIRST_FLEXIBLE:
            with_endpoints = node_endpoints and version >= _FIRST_WITH_ENDPOINTS
            pieces.append(tagged_node_endpoints(node_endpoints) if with_endpoints else b"\0")
            count = UVARINT[len(topics) + 1]
        else:
            count = _INT32.pack(len(topics))
        size = len(count) + sum(map(len, pieces))
        if version >= FIRST_FLEXIBLE:
            head = _HEAD_12.pack(size + 15, correlation_id, throttle_time_ms, error_code, session_id)
        elif version >= FIRST_WITH_SESSIONS:
            head = _HEAD_7.pack(size + 14, correlation_id, throttle_time_ms, error_code, session_id)
        else:
            head = _HEAD_4.pack(size + 8, correlation_id, throttle_time_ms)
        pieces[:0] = (head, count)
        return b"".join(pieces) if is_in_memory else pieces
    except (binary.error, AttributeError, TypeError, ValueError) as error:
        raise EncodeError(f"fetch response {version}: {error}") from error


def _encode_topics(version: int, topics: Sequence[FetchedTopic]) -> tuple[list[Any], bool]:
    """The topics in pieces, and whether these are all bytes."""
    flexible = version >= FIRST_FLEXIBLE
    is_in_memory = True
    pieces: list[Any] = []
    for topic in topics:
        pieces.append(_topic_head(version, topic))
        for partition in topic.partitions:
            records = partition.records
            size = len(records)
            pieces.append(_partition_head(version, partition, size))
            if size:
                pieces.append(records)
                is_in_memory = is_in_memory and isinstance(records, bytes)
            if flexible:
                pieces.append(_partition_tags(partition))
        if flexible:
            pieces.append(b"\0")
    return pieces, is_in_memory


def _topic_head(version: int, topic: FetchedTopic) -> bytes:
    if version >= FIRST_WITH_TOPIC_IDS:
        return (topic.topic_id or _NO_UUID).bytes + UVARINT[len(topic.partitions) + 1]
    if topic.topic is None:
        raise EncodeError("a topic without its name")
    name = topic.topic.encode()
    if version >= FIRST_FLEXIBLE:
        return UVARINT[len(name) + 1] + name + UVARINT[len(topic.partitions) + 1]
    return _INT16.pack(len(name)) + name + _INT32.pack(len(topic.partitions))


def _partition_head(version: int, partition: FetchedPartition, size: int) -> bytes:
    """All of a partition before its records, with their length."""
    aborted, replica = partition.aborted, partition.preferred_read_replica
    if version >= FIRST_FLEXIBLE:
        if aborted is None:
            return _PLAIN_12.pack(*partition[:5], replica) + UVARINT[size + 1]
        transactions = b"".join([_FLEXIBLE_ABORTED.pack(*each) for each in aborted])
        counted = UVARINT[len(aborted) + 1] + transactions
        return _PARTITION_5.pack(*partition[:5]) + counted + _INT32.pack(replica) + UVARINT[size + 1]
    if aborted is None:
        if version >= _FIRST_WITH_READ_REPLICA:
            return _PLAIN_11.pack(*partition[:5], -1, replica, size)
        if version >= FIRST_WITH_LOG_START:
            return _PLAIN_5.pack(*partition[:5], -1, size)
        return _PLAIN_4.pack(*partition[:4], -1, size)
    if version >= FIRST_WITH_LOG_START:
        parts = [_PARTITION_5.pack(*partition[:5])]
    else:
        parts = [_PARTITION_4.pack(*partition[:4])]
    parts += (_INT32.pack(len(aborted)), *(_ABORTED.pack(*each) for each in aborted))
    if version >= _FIRST_WITH_READ_REPLICA:
        parts.append(_INT32.pack(replica))
    parts.append(_INT32.pack(size))
    return b"".join(parts)


def _partition_tags(partition: FetchedPartition) -> bytes:
    if partition.diverging_epoch is None and partition.current_leader is None:
        return b"\0"
    tags = []
    if partition.diverging_epoch is not None:
        tags.append(_DIVERGING_EPOCH.pack(0, 13, *partition.diverging_epoch))
    if partition.current_leader is not None:
        tags.append(tagged_current_leader(1, partition.current_leader))
    return UVARINT[len(tags)] + b"".join(tags)
