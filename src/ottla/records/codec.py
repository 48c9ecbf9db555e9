"""Record batches as records: the full decoder and encoder.

The broker itself rarely needs them: for its internal topics, for compaction, and to look a timestamp up
inside a batch. Produced and fetched batches stay bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import google_crc32c

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import (
    ATTRIBUTES,
    BODY_HEADER,
    CONTROL_MASK,
    DELETE_HORIZON_MASK,
    HEADER_SIZE,
    LOG_OVERHEAD,
    MAGIC_V2,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    PREFIX,
    TIMESTAMP_TYPE_MASK,
    TRANSACTIONAL_MASK,
    BatchHeader,
    Buffer,
    TimestampType,
    parse_header,
)
from ottla.records.compression import Codec, compress, decompress
from ottla.records.varint import MAX_INT32_BYTES, encode_varint, read_long_varint

__all__ = [
    "ControlType",
    "Record",
    "decode_batch",
    "decode_control_type",
    "encode_batch",
    "encode_end_transaction_marker",
]

_CONTROL_KEY: Final = struct.Struct(">hh")  # version, type
_MARKER_VALUE: Final = struct.Struct(">hi")  # version, coordinator epoch

_MIN_INT64: Final = -(1 << 63)
_MAX_INT64: Final = (1 << 63) - 1

Headers = tuple[tuple[str, bytes | None], ...]


class Record(NamedTuple):
    """One record; `timestamp` in milliseconds since the epoch, -1 for none.

    Header names are UTF-8; other bytes in them survive a round trip (as surrogate escapes).
    """

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class ControlType(IntEnum):
    """What a control record says. Readers pass over types that they don't know (KIP-98)."""

    abort = 0
    commit = 1


def decode_batch(batch: Buffer, *, max_bytes: int) -> list[Record]:
    """The records of the batch at the start of `batch`; the CRC is not checked (`batch.has_valid_crc` does).

    `max_bytes` bounds what compressed records may inflate to. Raises KafkaError: corrupt_message for anything
    malformed, and what `decompress` raises.
    """
    header = parse_header(batch)
    size = header.batch_length + LOG_OVERHEAD
    if header.magic != MAGIC_V2 or not HEADER_SIZE <= size <= len(batch):
        raise KafkaError(ErrorCode.corrupt_message, "not a whole batch of magic 2")
    payload = bytes(memoryview(batch)[HEADER_SIZE:size])
    if header.codec != Codec.none and header.record_count:
        payload = decompress(header.codec, payload, max_bytes)
    try:
        return _decode_records(header, payload)
    except IndexError:
        raise KafkaError(ErrorCode.corrupt_message, "the records end early") from None


def _decode_records(header: BatchHeader, data: bytes) -> list[Record]:
    """Raises IndexError where the data ends inside a record's numbers.

    Lengths past the end need no check of their own: slices come out short then, but the position has left the
    record, which the check after each record sees. Any negative length is null, as Kafka reads it.
    """
    base_offset = header.base_offset
    base_timestamp = header.base_timestamp
    append_time = header.max_timestamp if header.timestamp_type else None
    end = len(data)
    if not 0 <= header.record_count <= end:
        raise KafkaError(ErrorCode.corrupt_message, f"{header.record_count} records in {end} bytes")
    records: list[Record] = []
    pos = 0
    for _ in range(header.record_count):
        if (byte := data[pos]) < 0x80:
            length = (byte >> 1) ^ -(byte & 1)
            pos += 1
        else:
            length, pos = read_long_varint(data, pos, MAX_INT32_BYTES)
        record_end = pos + length
        pos += 1  # attributes, unused
        if (byte := data[pos]) < 0x80:
            timestamp = base_timestamp + ((byte >> 1) ^ -(byte & 1))
            pos += 1
        else:
            delta, pos = read_long_varint(data, pos)
            timestamp = base_timestamp + delta
        if append_time is not None:
            timestamp = append_time
        if (byte := data[pos]) < 0x80:
            offset = base_offset + ((byte >> 1) ^ -(byte & 1))
            pos += 1
        else:
            delta, pos = read_long_varint(data, pos, MAX_INT32_BYTES)
            offset = base_offset + delta
        key, pos = _read_bytes(data, pos)
        value, pos = _read_bytes(data, pos)
        headers: Headers = ()
        if byte := data[pos]:
            headers, pos = _read_headers(data, pos)
        else:
            pos += 1
        if pos != record_end or pos > end:
            raise KafkaError(ErrorCode.corrupt_message, "a record's length is not what its fields take")
        if not (_MIN_INT64 <= timestamp <= _MAX_INT64 and _MIN_INT64 <= offset <= _MAX_INT64):
            raise KafkaError(ErrorCode.corrupt_message, "a record's timestamp or offset exceeds 64 bits")
        records.append(Record(offset, timestamp, key, value, headers))
    if pos != end:
        raise KafkaError(ErrorCode.corrupt_message, f"{end - pos} bytes after the last record")
    return records


def _read_bytes(data: bytes, pos: int) -> tuple[bytes | None, int]:
    if (byte := data[pos]) < 0x80:
        length = (byte >> 1) ^ -(byte & 1)
        pos += 1
    else:
        length, pos = read_long_varint(data, pos, MAX_INT32_BYTES)
    if length < 0:
        return None, pos
    return data[pos : pos + length], pos + length


def _read_headers(data: bytes, pos: int) -> tuple[Headers, int]:
    if (byte := data[pos]) < 0x80:
        count = (byte >> 1) ^ -(byte & 1)
        pos += 1
    else:
        count, pos = read_long_varint(data, pos, MAX_INT32_BYTES)
    # Each takes two bytes at least, so that a lie about the count runs into the data's end.
    if count < 0:
        raise KafkaError(ErrorCode.corrupt_message, f"a record with {count} headers")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, pos = _read_bytes(data, pos)
        if name is None:
            raise KafkaError(ErrorCode.corrupt_message, "a record header without a name")
        value, pos = _read_bytes(data, pos)
        headers.append((name.decode("utf-8", "surrogateescape"), value))
    return tuple(headers), pos


def encode_batch(
    records: Sequence[Record],
    *,
    base_offset: int = 0,
    codec: int = Codec.none,
    timestamp_type: int = TimestampType.create_time,
    leader_epoch: int = -1,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    base_sequence: int = NO_SEQUENCE,
    is_transactional: bool = False,
    is_control: bool = False,
    level: int | None = None,
    delete_horizon_ms: int | None = None,
    last_offset: int | None = None,
    max_timestamp: int | None = None,
) -> bytes:
    """One batch of `records`, whose offsets are absolute and ascending from `base_offset` on.

    A compacted batch keeps the original's `last_offset` and, under log append time or when it comes out
    empty, its `max_timestamp`; other callers leave both to be taken from the records. `delete_horizon_ms`
    sets the attribute of KIP-534, which lends the base timestamp's field to the horizon.
    """
    if delete_horizon_ms is not None:
        base_timestamp = delete_horizon_ms
    else:
        base_timestamp = records[0].timestamp if records else NO_TIMESTAMP
    payload = _encode_records(records, base_offset, base_timestamp)
    if records and codec != Codec.none:
        payload = compress(codec, payload, level)
    if last_offset is None:
        last_offset = records[-1].offset if records else base_offset
    if max_timestamp is None:
        max_timestamp = max((record.timestamp for record in records), default=NO_TIMESTAMP)
    attributes = (
        codec
        | (TIMESTAMP_TYPE_MASK if timestamp_type else 0)
        | (TRANSACTIONAL_MASK if is_transactional else 0)
        | (CONTROL_MASK if is_control else 0)
        | (DELETE_HORIZON_MASK if delete_horizon_ms is not None else 0)
    )
    body = (
        BODY_HEADER.pack(
            attributes,
            last_offset - base_offset,
            base_timestamp,
            max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            len(records),
        )
        + payload
    )
    batch_length = len(body) + ATTRIBUTES - LOG_OVERHEAD
    return PREFIX.pack(base_offset, batch_length, leader_epoch, MAGIC_V2, google_crc32c.value(body)) + body


def _encode_records(records: Sequence[Record], base_offset: int, base_timestamp: int) -> bytes:
    varint = encode_varint
    parts: list[bytes] = []
    for offset, timestamp, key, value, headers in records:
        fields = [b"\x00", varint(timestamp - base_timestamp), varint(offset - base_offset)]
        if key is None:
            fields.append(b"\x01")
        else:
            fields += (varint(len(key)), key)
        if value is None:
            fields.append(b"\x01")
        else:
            fields += (varint(len(value)), value)
        fields.append(varint(len(headers)))
        for name, header_value in headers:
            encoded_name = name.encode("utf-8", "surrogateescape")
            fields += (varint(len(encoded_name)), encoded_name)
            if header_value is None:
                fields.append(b"\x01")
            else:
                fields += (varint(len(header_value)), header_value)
        record = b"".join(fields)
        parts += (varint(len(record)), record)
    return b"".join(parts)


def encode_end_transaction_marker(
    control_type: ControlType,
    *,
    base_offset: int,
    timestamp: int,
    producer_id: int,
    producer_epoch: int,
    coordinator_epoch: int,
    leader_epoch: int = -1,
) -> bytes:
    """The control batch of one record that ends a producer's transaction in a partition (KIP-98)."""
    key = _CONTROL_KEY.pack(0, control_type)
    value = _MARKER_VALUE.pack(0, coordinator_epoch)
    return encode_batch(
        [Record(base_offset, timestamp, key, value)],
        base_offset=base_offset,
        leader_epoch=leader_epoch,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        is_transactional=True,
        is_control=True,
    )


def decode_control_type(key: bytes | None) -> ControlType | None:
    """The type that a control record's key names, None for one that is not known here.

    Raises KafkaError(corrupt_message) when the key is too short to name any.
    """
    if key is None or len(key) < _CONTROL_KEY.size:
        raise KafkaError(ErrorCode.corrupt_message, "a control record's key has fewer than 4 bytes")
    _, control_type = _CONTROL_KEY.unpack_from(key)
    return ControlType(control_type) if control_type in (ControlType.abort, ControlType.commit) else None
