"""Produce, by hand: the request without copying records, the response with as few calls as possible.

Versions 3 to 13 (0 to 2 are refused by Kafka 4). From 9 on they are flexible, from 13 on topics have ids
instead of names (KIP-516).
"""

from __future__ import annotations

import struct as binary
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, NamedTuple
from uuid import UUID

from ottla.protocol.errors import EncodeError, MalformedRequest
from ottla.protocol.reading import (
    compact_length,
    compact_string,
    compact_text,
    entity_id,
    legacy_string,
    legacy_text,
    skip_tagged_fields,
    sliced,
    uuid_of,
)
from ottla.protocol.varint import UVARINT, decode_uvarint

_FIRST_FLEXIBLE: Final = 9
_FIRST_WITH_TOPIC_IDS: Final = 13
_NO_UUID: Final = UUID(int=0)
_new_tuple: Final = tuple.__new__

_INT16: Final = binary.Struct(">h")
_INT32: Final = binary.Struct(">i")
_ACKS_TIMEOUT: Final = binary.Struct(">hi")
_ACKS_TIMEOUT_COUNT: Final = binary.Struct(">hii")
_INDEX_SIZE: Final = binary.Struct(">ii")
# The usual request: where its topic is (after a null transactional id, acks, timeout and the number of
# topics), as much as is before its records, and what is behind them: no tagged fields of partition, topic
# and request.
_TOPIC: Final = 8
_SHORTEST_HEAD: Final = 20
_HEAD_BYTES: Final = 160
_NO_TAGS: Final = bytes(3)


class PartitionData(NamedTuple):
    """What is to be appended to one partition. Either `topic` or `topic_id` is None, by the request's
    version; `topic_id` also for the zero UUID. `records` is a slice of the request's buffer.
    """

    topic: str | None
    topic_id: UUID | None
    partition: int
    records: memoryview | None


class ProduceRequest(NamedTuple):
    """A request with its partitions in the order in which they came, across topics."""

    transactional_id: str | None
    acks: int
    timeout_ms: int
    partitions: list[PartitionData]


def decode_produce(version: int, view: memoryview, offset: int = 0, *, max_partitions: int) -> ProduceRequest:
    """Decode a Produce request; MalformedRequest for nonsense and for more than `max_partitions` topics or
    partitions."""
    try:
        if version >= _FIRST_FLEXIBLE:
            with_topic_ids = version >= _FIRST_WITH_TOPIC_IDS
            head = bytes(view[offset : offset + _HEAD_BYTES])
            usual = _decode_one(head, view, offset, with_topic_ids)
            return usual or _decode_flexible(view, offset, max_partitions, with_topic_ids)
        return _decode_legacy(view, offset, max_partitions)
    except (binary.error, IndexError, ValueError) as error:
        raise MalformedRequest(f"produce {version}: {error}") from error


def _decode_legacy(view: memoryview, p: int, max_partitions: int) -> ProduceRequest:
    transactional_id, p = legacy_string(view, p)
    acks, timeout_ms, topic_count = _ACKS_TIMEOUT_COUNT.unpack_from(view, p)
    p += 10
    _check_count(topic_count, max_partitions)
    partitions: list[PartitionData] = []
    for _ in range(topic_count):
        topic, p = legacy_text(view, p)
        (count,) = _INT32.unpack_from(view, p)
        p += 4
        _check_count(count, max_partitions - len(partitions))
        for _ in range(count):
            index, size = _INDEX_SIZE.unpack_from(view, p)
            p += 8
            records, p = sliced(view, p, size)
            partitions.append(PartitionData(topic, None, index, records))
    return ProduceRequest(transactional_id, acks, timeout_ms, partitions)


def _decode_one(head: bytes, view: memoryview, p: int, with_topic_ids: bool) -> ProduceRequest | None:
    """The usual request: no transaction, one partition, and all that comes before its records in `head`,
    which begins at `p`. None where it is not that. A third fewer instructions than the general way.
    """
    if len(head) < _SHORTEST_HEAD or head[0] != 0 or head[_TOPIC - 1] != 2:
        return None
    acks, timeout_ms = _ACKS_TIMEOUT.unpack_from(head, 1)
    topic: str | None = None
    topic_id: UUID | None = None
    # Counted from the start of the head.
    if with_topic_ids:
        topic_id = uuid_of(head[_TOPIC : _TOPIC + 16])
        q = _TOPIC + 16
    else:
        q = _TOPIC + head[_TOPIC]
        if not _TOPIC < q < _TOPIC + 128:
            return None
        topic = head[_TOPIC + 1 : q].decode()
    if len(head) < q + 10 or head[q] != 2:
        return None
    (index,) = _INT32.unpack_from(head, q + 1)
    size, q = decode_uvarint(head, q + 5)
    start = p + q
    end = start + size - 1
    if size == 0 or len(view) - end != len(_NO_TAGS) or view[end:] != _NO_TAGS:
        return None
    partition = _new_tuple(PartitionData, (topic, topic_id, index, view[start:end]))
    return _new_tuple(ProduceRequest, (None, acks, timeout_ms, [partition]))


def _decode_flexible(view: memoryview, p: int, max_partitions: int, with_topic_ids: bool) -> ProduceRequest:
    transactional_id, p = compact_string(view, p)
    acks, timeout_ms = _ACKS_TIMEOUT.unpack_from(view, p)
    topic_count, p = compact_length(view, p + 6)
    _check_count(topic_count, max_partitions)
    partitions: list[PartitionData] = []
    topic: str | None = None
    topic_id: UUID | None = None
    for _ in range(topic_count):
        if with_topic_ids:
            topic_id, p = entity_id(view, p)
        else:
            topic, p = compact_text(view, p)
        count, p = compact_length(view, p)
        _check_count(count, max_partitions - len(partitions))
        for _ in range(count):
            (index,) = _INT32.unpack_from(view, p)
            size, p = compact_length(view, p + 4)
            records, p = sliced(view, p, size)
            p = skip_tagged_fields(view, p)
            partitions.append(_new_tuple(PartitionData, (topic, topic_id, index, records)))
        p = skip_tagged_fields(view, p)
    skip_tagged_fields(view, p)
    return _new_tuple(ProduceRequest, (transactional_id, acks, timeout_ms, partitions))


def _check_count(count: int, limit: int) -> None:
    if not 0 <= count <= limit:
        raise MalformedRequest(f"{count} topics or partitions where at most {limit} may be")


class PartitionResult(NamedTuple):
    """How one partition's append went.

    `record_errors` are (batch index, message) pairs, `current_leader` is (leader id, leader epoch), for
    not_leader_or_follower (KIP-951). Either `topic` or `topic_id` must be set, by the request's version.
    """

    topic: str | None
    topic_id: UUID | None
    partition: int
    error_code: int = 0
    base_offset: int = -1
    log_append_time_ms: int = -1
    log_start_offset: int = -1
    record_errors: Sequence[tuple[int, str | None]] = ()
    error_message: str | None = None
    current_leader: tuple[int, int] | None = None


def appended(
    topic: str | None,
    topic_id: UUID | None,
    partition: int,
    base_offset: int,
    log_append_time_ms: int,
    log_start_offset: int,
) -> PartitionResult:
    """The result of an append that went well, made without the named tuple's interpreted constructor."""
    return _new_tuple(
        PartitionResult,
        (topic, topic_id, partition, 0, base_offset, log_append_time_ms, log_start_offset, (), None, None),
    )


class NodeEndpoint(NamedTuple):
    """Where a client reaches a broker (KIP-951)."""

    node_id: int
    host: str
    port: int
    rack: str | None = None


# Size, correlation id, and the header's tagged fields where it has them.
_FRAME: Final = binary.Struct(">ii")
_FLEXIBLE_FRAME: Final = binary.Struct(">iix")
# Index, error, base offset, append time; log start offset from 5 on.
_PARTITION_3: Final = binary.Struct(">ihqq")
_PARTITION_5: Final = binary.Struct(">ihqqq")
# No record errors, no message; from 9 on, no tagged fields.
_NO_DETAILS_8: Final = b"\0\0\0\0\xff\xff"
_NO_DETAILS_9: Final = b"\x01\0\0"
# A whole response with one partition and nothing to explain: what is before and after the topic's name or id.
_ONE_HEAD: Final = binary.Struct(">iixBB")
_ONE_HEAD_WITH_ID: Final = binary.Struct(">iixB16s")
_ONE_TAIL: Final = binary.Struct(">BihqqqBxxxix")
_ONE_TAIL_BYTES: Final[int] = _ONE_TAIL.size
_LONGEST_SHORT_NAME: Final = 126


def encode_produce(version: int, request: ProduceRequest) -> list[bytes | memoryview]:
    """A client's request, without its header: pieces to be sent one after the other, among which records are
    not copied. Partitions of one topic follow one another.
    """
    is_flexible = version >= _FIRST_FLEXIBLE
    pieces: list[bytes | memoryview] = []
    before = [
        _string(request.transactional_id, is_flexible),
        _ACKS_TIMEOUT.pack(request.acks, request.timeout_ms),
    ]
    topics = [(key, list(group)) for key, group in groupby(request.partitions, _topic_of)]
    before.append(_count(len(topics), is_flexible))
    for (topic, topic_id), partitions in topics:
        if version >= _FIRST_WITH_TOPIC_IDS:
            before.append((topic_id or _NO_UUID).bytes)
        else:
            before.append(_string(topic or "", is_flexible))
        before.append(_count(len(partitions), is_flexible))
        for partition in partitions:
            records = partition.records
            before += (
                _INT32.pack(partition.partition),
                _count(-1 if records is None else len(records), is_flexible),
            )
            if records is not None:
                pieces += (b"".join(before), records)
                before = []
            if is_flexible:
                before.append(b"\0")
        if is_flexible:
            before.append(b"\0")
    if is_flexible:
        before.append(b"\0")
    pieces.append(b"".join(before))
    return pieces


def _topic_of(partition: PartitionData) -> tuple[str | None, UUID | None]:
    return partition.topic, partition.topic_id


def _count(count: int, is_flexible: bool) -> bytes:
    """A length of an array or of bytes; -1 for null."""
    return UVARINT[count + 1] if is_flexible else _INT32.pack(count)


def _string(text: str | None, is_flexible: bool) -> bytes:
    if text is None:
        return b"\0" if is_flexible else _INT16.pack(-1)
    encoded = text.encode()
    return (UVARINT[len(encoded) + 1] if is_flexible else _INT16.pack(len(encoded))) + encoded


def encode_produce_response(
    version: int,
    correlation_id: int,
    results: Sequence[PartitionResult],
    throttle_time_ms: int = 0,
    node_endpoints: Sequence[NodeEndpoint] = (),
) -> bytes:
    """The whole frame. Results of one topic must stand together. EncodeError where a value does not fit."""
    try:
        if len(results) == 1 and version >= _FIRST_FLEXIBLE and not node_endpoints:
            frame = _encode_one(version, correlation_id, results[0], throttle_time_ms)
            if frame is not None:
                return frame
        if version >= _FIRST_FLEXIBLE:
            body = _encode_flexible(version, results, throttle_time_ms, node_endpoints)
            return _FLEXIBLE_FRAME.pack(len(body) + 5, correlation_id) + body
        body = _encode_legacy(version, results, throttle_time_ms)
        return _FRAME.pack(len(body) + 4, correlation_id) + body
    except (binary.error, AttributeError, TypeError, ValueError) as error:
        raise EncodeError(f"produce response {version}: {error}") from error


def _encode_one(
    version: int, correlation_id: int, result: PartitionResult, throttle_time_ms: int
) -> bytes | None:
    """The usual response: one partition, nothing to explain. None where it is not that."""
    topic, topic_id, index, code, base, append_time, start, record_errors, message, leader = result
    if record_errors or message is not None or leader is not None:
        return None
    tail: bytes = _ONE_TAIL.pack(2, index, code, base, append_time, start, 1, throttle_time_ms)
    if version >= _FIRST_WITH_TOPIC_IDS:
        size = 22 + _ONE_TAIL_BYTES
        return _ONE_HEAD_WITH_ID.pack(size, correlation_id, 2, (topic_id or _NO_UUID).bytes) + tail
    name = _name(topic)
    if len(name) > _LONGEST_SHORT_NAME:
        return None
    return _ONE_HEAD.pack(len(name) + 7 + _ONE_TAIL_BYTES, correlation_id, 2, len(name) + 1) + name + tail


def _name(topic: str | None) -> bytes:
    if topic is None:
        raise EncodeError("a result without the topic's name")
    return topic.encode()


def _by_topic(
    results: Iterable[PartitionResult],
) -> list[tuple[str | None, UUID | None, list[PartitionResult]]]:
    return [(*topic, list(group)) for topic, group in groupby(results, lambda result: result[:2])]


def _encode_legacy(version: int, results: Sequence[PartitionResult], throttle_time_ms: int) -> bytes:
    topics = _by_topic(results)
    parts = [_INT32.pack(len(topics))]
    for topic, _, group in topics:
        name = _name(topic)
        parts += (_INT16.pack(len(name)), name, _INT32.pack(len(group)))
        for result in group:
            if version < 5:
                parts.append(_PARTITION_3.pack(*result[2:6]))
                continue
            parts.append(_PARTITION_5.pack(*result[2:7]))
            if version >= 8:
                parts.append(_legacy_details(result))
    parts.append(_INT32.pack(throttle_time_ms))
    return b"".join(parts)


def _legacy_details(result: PartitionResult) -> bytes:
    if not result.record_errors and result.error_message is None:
        return _NO_DETAILS_8
    parts = [_INT32.pack(len(result.record_errors))]
    for batch_index, message in result.record_errors:
        parts += (_INT32.pack(batch_index), _nullable_string(message))
    parts.append(_nullable_string(result.error_message))
    return b"".join(parts)


def _nullable_string(text: str | None) -> bytes:
    if text is None:
        return b"\xff\xff"
    data = text.encode()
    return _INT16.pack(len(data)) + data


def _encode_flexible(
    version: int,
    results: Sequence[PartitionResult],
    throttle_time_ms: int,
    node_endpoints: Sequence[NodeEndpoint],
) -> bytes:
    topics = _by_topic(results)
    parts = [UVARINT[len(topics) + 1]]
    for topic, topic_id, group in topics:
        if version >= _FIRST_WITH_TOPIC_IDS:
            parts.append((topic_id or _NO_UUID).bytes)
        else:
            name = _name(topic)
            parts += (UVARINT[len(name) + 1], name)
        parts.append(UVARINT[len(group) + 1])
        for result in group:
            parts += (_PARTITION_5.pack(*result[2:7]), _flexible_details(version, result))
        parts.append(b"\0")
    parts.append(_INT32.pack(throttle_time_ms))
    parts.append(tagged_node_endpoints(node_endpoints) if node_endpoints and version >= 10 else b"\0")
    return b"".join(parts)


def _flexible_details(version: int, result: PartitionResult) -> bytes:
    if not result.record_errors and result.error_message is None and result.current_leader is None:
        return _NO_DETAILS_9
    parts = [UVARINT[len(result.record_errors) + 1]]
    for batch_index, message in result.record_errors:
        parts += (_INT32.pack(batch_index), compact_nullable_string(message), b"\0")
    parts.append(compact_nullable_string(result.error_message))
    if result.current_leader is None or version < 10:
        parts.append(b"\0")
    else:
        parts.append(b"\x01" + tagged_current_leader(0, result.current_leader))
    return b"".join(parts)


def compact_nullable_string(text: str | None) -> bytes:
    """A string as flexible versions have it, null allowed."""
    if text is None:
        return b"\0"
    data = text.encode()
    return UVARINT[len(data) + 1] + data


def tagged_current_leader(tag: int, leader: tuple[int, int]) -> bytes:
    """The tagged field that tells a client the leader, as (id, epoch); the same in Produce and Fetch but for
    its tag.
    """
    return binary.pack(">BBiix", tag, 9, *leader)


def tagged_node_endpoints(endpoints: Sequence[NodeEndpoint]) -> bytes:
    """The tagged fields at the end of a Produce or Fetch response where they are these endpoints alone."""
    parts = [UVARINT[len(endpoints) + 1]]
    for node_id, host, port, rack in endpoints:
        parts += (_INT32.pack(node_id), compact_nullable_string(host), _INT32.pack(port))
        parts += (compact_nullable_string(rack), b"\0")
    body = b"".join(parts)
    return b"\x01\0" + UVARINT[len(body)] + body
