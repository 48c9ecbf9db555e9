"""Walks over the encoded records of a batch that make no object per record.

Two depths: record lengths alone, and every field of every record. Both are bounded by the data, whatever the
numbers in it claim, and refuse with KafkaError(invalid_record), as Kafka does a batch that it cannot iterate.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import NO_TIMESTAMP
from ottla.records.varint import MAX_INT32_BYTES, read_long_varint

__all__ = ["MAX_FAULTS", "RecordRules", "count_records", "walk_records"]

MAX_FAULTS: Final = 1000  # reported of one batch, so that a response stays smaller than the request
MIN_RECORD_SIZE: Final = 7  # length, attributes, two deltas, two lengths, header count: a byte each

_NULL: Final = 1  # -1 in zigzag


class RecordRules(NamedTuple):
    """What each record of a batch is held to; timestamps in milliseconds, the bounds inclusive."""

    base_timestamp: int
    earliest_timestamp: int
    latest_timestamp: int
    needs_key: bool


def count_records(data: bytes, pos: int, count: int) -> None:
    """Check that the lengths of `count` records fill `data` from `pos` on exactly."""
    end = len(data)
    if count * MIN_RECORD_SIZE > end - pos:
        raise _too_many(count, end - pos)
    signs = 0  # the lowest bit of a zigzag number says whether it is negative
    try:
        for _ in range(count):
            byte = data[pos]
            signs |= byte
            if byte < 0x80:
                pos += 1 + (byte >> 1)
            elif (second := data[pos + 1]) < 0x80:
                pos += 2 + ((byte & 0x7F | second << 7) >> 1)
            else:
                pos = _skip_long(data, pos)
    except (IndexError, KafkaError):
        raise _malformed() from None
    if pos != end or signs & 1:
        raise _malformed()


def walk_records(
    data: bytes, pos: int, count: int, rules: RecordRules
) -> tuple[int, list[tuple[int, int | None]]]:
    """Check the structure of `count` records that fill `data` from `pos` on, and each of them by `rules`.

    Returns the latest timestamp and the records at fault: (index, the timestamp out of range or None for a
    missing key), the first `MAX_FAULTS` of them.
    """
    end = len(data)
    if count * MIN_RECORD_SIZE > end - pos:
        raise _too_many(count, end - pos)
    try:
        pos, max_timestamp, faults = _walk(data, pos, count, rules)
    except (IndexError, KafkaError):
        raise _malformed() from None
    if pos != end:
        raise _malformed()
    return max_timestamp, faults


def _walk(  # noqa: C901  (numbers of one and two bytes are read inline: a call takes as long as the rest)
    data: bytes, pos: int, count: int, rules: RecordRules
) -> tuple[int, int, list[tuple[int, int | None]]]:
    base_timestamp, earliest, latest, needs_key = rules
    max_timestamp = NO_TIMESTAMP
    faults: list[tuple[int, int | None]] = []
    signs = 0
    for index in range(count):
        byte = data[pos]
        signs |= byte
        if byte < 0x80:
            record_end = pos + 1 + (byte >> 1)
            pos += 2
        elif (second := data[pos + 1]) < 0x80:
            record_end = pos + 2 + ((byte & 0x7F | second << 7) >> 1)
            pos += 3
        else:
            length, pos = read_long_varint(data, pos, MAX_INT32_BYTES)
            record_end = pos + length
            pos += 1

        if (delta := data[pos]) < 0x80:
            timestamp = base_timestamp + ((delta >> 1) ^ -(delta & 1))
            pos += 1
        else:
            delta, pos = read_long_varint(data, pos)
            timestamp = base_timestamp + delta
        if timestamp > max_timestamp:
            max_timestamp = timestamp

        if (delta := data[pos]) < 0x80:
            pos += 1
        elif (second := data[pos + 1]) < 0x80:
            delta = delta & 0x7F | second << 7
            pos += 2
        else:
            delta, pos = read_long_varint(data, pos, MAX_INT32_BYTES)
            delta <<= 1
        if delta != index << 1:
            raise _malformed()

        has_key = (byte := data[pos]) != _NULL
        if byte < 0x80:
            if has_key:
                signs |= byte
            pos += 1 + (byte >> 1)
        else:
            pos = _skip_long(data, pos)

        byte = data[pos]
        if byte < 0x80:
            if byte != _NULL:
                signs |= byte
            pos += 1 + (byte >> 1)
        elif (second := data[pos + 1]) < 0x80:
            signs |= byte
            pos += 2 + ((byte & 0x7F | second << 7) >> 1)
        else:
            pos = _skip_long(data, pos)

        pos = pos + 1 if not data[pos] else _skip_headers(data, pos)
        if pos != record_end:
            raise _malformed()
        if needs_key and not has_key:
            _add_fault(faults, index, None)
        elif not earliest <= timestamp <= latest and timestamp != NO_TIMESTAMP:
            _add_fault(faults, index, timestamp)
    if signs & 1:
        raise _malformed()
    return pos, max_timestamp, faults


def _add_fault(faults: list[tuple[int, int | None]], index: int, timestamp: int | None) -> None:
    if len(faults) < MAX_FAULTS:
        faults.append((index, timestamp))


def _skip_long(data: bytes, pos: int) -> int:
    length, pos = read_long_varint(data, pos, MAX_INT32_BYTES)
    if length < 0:
        raise _malformed()
    return pos + length


def _skip_bytes(data: bytes, pos: int) -> int:
    byte = data[pos]
    if byte >= 0x80:
        return _skip_long(data, pos)
    if byte & 1:
        raise _malformed()
    return pos + 1 + (byte >> 1)


def _skip_headers(data: bytes, pos: int) -> int:
    if (byte := data[pos]) < 0x80:
        count = (byte >> 1) ^ -(byte & 1)
        pos += 1
    else:
        count, pos = read_long_varint(data, pos, MAX_INT32_BYTES)
    if count < 0:
        raise _malformed()
    for _ in range(count):
        pos = _skip_bytes(data, pos)
        pos = pos + 1 if data[pos] == _NULL else _skip_bytes(data, pos)
    return pos


def _malformed() -> KafkaError:
    return KafkaError(ErrorCode.invalid_record, "the batch's records are malformed")


def _too_many(count: int, size: int) -> KafkaError:
    return KafkaError(ErrorCode.invalid_record, f"the batch says it has {count} records in {size} bytes")
