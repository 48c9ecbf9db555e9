"""The header view against the encoder: what is read, patched and refused."""

import pytest

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import (
    ATTRIBUTES,
    HEADER_SIZE,
    LENGTH,
    MAGIC,
    PREFIX,
    TimestampType,
    compute_crc,
    has_valid_crc,
    iter_headers,
    parse_header,
)
from ottla.records.codec import Record, encode_batch


def batch(base_offset: int = 0, count: int = 3) -> bytes:
    records = [Record(base_offset + i, 1000 + i, b"k", b"v" * i) for i in range(count)]
    return encode_batch(records, base_offset=base_offset, producer_id=9, producer_epoch=2, base_sequence=5)


def test_every_field_is_read() -> None:
    data = encode_batch(
        [Record(40, 1000, b"k", None), Record(42, 900, None, b"v")],
        base_offset=40,
        codec=1,
        timestamp_type=TimestampType.log_append_time,
        leader_epoch=7,
        producer_id=1 << 40,
        producer_epoch=300,
        base_sequence=70_000,
        is_transactional=True,
        is_control=True,
        delete_horizon_ms=123_456,
    )
    header = parse_header(b"xx" + data, 2)
    assert (header.base_offset, header.last_offset, header.next_offset) == (40, 42, 43)
    assert header.size == len(data)
    assert header.batch_length == len(data) - 12
    assert (header.leader_epoch, header.magic, header.codec, header.record_count) == (7, 2, 1, 2)
    assert header.timestamp_type is TimestampType.log_append_time
    assert (header.base_timestamp, header.max_timestamp) == (123_456, 1000)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (1 << 40, 300, 70_000)
    assert header.last_sequence == 70_002
    assert header.is_transactional
    assert header.is_control
    assert header.has_producer_id
    assert header.has_delete_horizon
    assert header.delete_horizon_ms == 123_456


def test_plain_batch_has_no_flags() -> None:
    header = parse_header(encode_batch([Record(0, 5, None, b"v")]))
    assert not header.is_transactional
    assert not header.is_control
    assert not header.has_delete_horizon
    assert not header.has_producer_id
    assert header.delete_horizon_ms is None
    assert header.last_sequence == -1
    assert header.timestamp_type is TimestampType.create_time


def test_sequences_wrap_to_zero() -> None:
    header = parse_header(batch())._replace(base_sequence=2**31 - 2, last_offset_delta=3)
    assert header.last_sequence == 1


def test_parse_header_refuses_a_short_buffer() -> None:
    with pytest.raises(KafkaError) as caught:
        parse_header(batch()[: HEADER_SIZE - 1])
    assert caught.value.code == ErrorCode.corrupt_message


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_iterates_whole_batches(kind: type) -> None:
    first, second = batch(0), batch(3, 5)
    found = list(iter_headers(kind(first + second)))
    assert [(pos, header.base_offset) for pos, header in found] == [(0, 0), (len(first), 3)]
    assert list(iter_headers(kind(first + second), len(first))) == found[1:]


def test_partial_tail_ends_or_raises() -> None:
    first, second = batch(0), batch(3)
    for cut in range(len(first) + 1, len(first) + len(second)):
        data = (first + second)[:cut]
        assert [pos for pos, _ in iter_headers(data)] == [0]
        with pytest.raises(KafkaError) as caught:
            list(iter_headers(data, allow_partial=False))
        assert caught.value.code == ErrorCode.corrupt_message
    assert list(iter_headers(b"", allow_partial=False)) == []


@pytest.mark.parametrize(
    ("offset", "patch"), [(MAGIC, b"\x01"), (LENGTH, b"\0\0\0\x30"), (LENGTH, b"\xff" * 4)]
)
def test_iteration_refuses_what_is_no_batch(offset: int, patch: bytes) -> None:
    data = bytearray(batch())
    data[offset : offset + len(patch)] = patch
    with pytest.raises(KafkaError) as caught:
        list(iter_headers(data))
    assert caught.value.code == ErrorCode.corrupt_message


def test_crc_covers_what_follows_it() -> None:
    data = bytearray(b"pad" + batch())
    header = parse_header(data, 3)
    assert compute_crc(data, 3, header.size) == header.crc
    assert has_valid_crc(data, header, 3)
    for offset in (ATTRIBUTES, HEADER_SIZE, header.size - 1):
        data[3 + offset] ^= 1
        assert not has_valid_crc(data, header, 3)
        data[3 + offset] ^= 1
    assert not has_valid_crc(data[:-1], header, 3)
    assert not has_valid_crc(data, header._replace(batch_length=3), 3)


def test_offset_and_epoch_are_stamped_without_touching_the_crc() -> None:
    original = batch()
    header = parse_header(original)
    prefix = PREFIX.pack(1 << 33, header.batch_length, 12, header.magic, header.crc)
    stamped = prefix + original[ATTRIBUTES:]
    header = parse_header(stamped)
    assert (header.base_offset, header.leader_epoch) == (1 << 33, 12)
    assert header.batch_length == parse_header(original).batch_length
    assert has_valid_crc(stamped, header)
