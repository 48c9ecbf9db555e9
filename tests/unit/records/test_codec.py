"""The decoder and encoder of whole batches."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import BASE_TIMESTAMP, HEADER_SIZE, RECORD_COUNT, has_valid_crc, parse_header
from ottla.records.codec import (
    ControlType,
    Record,
    decode_batch,
    decode_control_type,
    encode_batch,
    encode_end_transaction_marker,
)
from ottla.records.compression import Codec
from ottla.records.varint import encode_varint, read_long_varint

MIB = 1 << 20

optional_bytes = st.none() | st.binary(max_size=200)
headers = st.lists(st.tuples(st.text(max_size=100), optional_bytes), max_size=3).map(tuple)


@st.composite
def batches(draw: st.DrawFn) -> tuple[int, list[Record]]:
    base_offset = draw(st.integers(0, 2**62))
    deltas = sorted(draw(st.sets(st.integers(0, 2**31 - 1), min_size=1, max_size=8)))
    records = [
        Record(
            base_offset + delta,
            draw(st.integers(-1, 2**62)),
            draw(optional_bytes),
            draw(optional_bytes),
            draw(headers),
        )
        for delta in deltas
    ]
    return base_offset, records


@given(batch=batches(), codec=st.sampled_from(Codec), horizon=st.none() | st.integers(0, 2**62))
def test_round_trip(batch: tuple[int, list[Record]], codec: Codec, horizon: int | None) -> None:
    base_offset, records = batch
    data = encode_batch(records, base_offset=base_offset, codec=codec, delete_horizon_ms=horizon)
    header = parse_header(data)
    assert has_valid_crc(data, header)
    assert header.size == len(data)
    assert header.last_offset == records[-1].offset
    assert header.max_timestamp == max(record.timestamp for record in records)
    assert header.delete_horizon_ms == horizon
    assert decode_batch(data, max_bytes=MIB) == records


@given(st.integers(-(2**63), 2**63 - 1))
def test_varints_round_trip_and_are_shortest(value: int) -> None:
    encoded = encode_varint(value)
    zigzag = value << 1 if value >= 0 else -value * 2 - 1
    assert len(encoded) == max(1, -(-zigzag.bit_length() // 7))
    if len(encoded) > 1:
        assert read_long_varint(b"\xff" + encoded + b"\xff", 1) == (value, 1 + len(encoded))
    else:
        assert encoded[0] == zigzag


def test_varints_over_64_bits_are_refused() -> None:
    for encoded in (b"\xff" * 10 + b"\x01", b"\xff" * 9 + b"\x02"):
        with pytest.raises(KafkaError):
            read_long_varint(encoded, 0)
    for encoded in (b"\x80" * 5 + b"\x00", b"\xff" * 4 + b"\x10"):
        with pytest.raises(KafkaError):
            read_long_varint(encoded, 0, 5)
    assert read_long_varint(b"\xff" * 4 + b"\x0f", 0, 5) == (-(2**31), 5)
    assert read_long_varint(b"\xff" * 9 + b"\x01", 0) == (-(2**63), 10)


def test_log_append_time_is_every_record_s_timestamp() -> None:
    data = encode_batch([Record(0, 5, None, b""), Record(1, 9, None, b"")], timestamp_type=1)
    assert [record.timestamp for record in decode_batch(data, max_bytes=0)] == [9, 9]


def test_log_append_time_hides_timestamps_over_64_bits() -> None:
    data = bytearray(encode_batch([Record(0, 7, None, None)], timestamp_type=1))
    data[BASE_TIMESTAMP : BASE_TIMESTAMP + 8] = (2**63 - 1).to_bytes(8, "big")
    data[HEADER_SIZE + 2] = 2  # 1 more than that
    assert decode_batch(data, max_bytes=0) == [Record(0, 7, None, None)]


def test_only_the_first_batch_is_read() -> None:
    record = Record(0, 1, b"k", b"v")
    data = encode_batch([record])
    for kind in (bytes, bytearray, memoryview):
        assert decode_batch(kind(data + b"next batch"), max_bytes=0) == [record]


def test_compacted_batches_keep_their_last_offset_and_may_be_empty() -> None:
    data = encode_batch(
        [], base_offset=10, last_offset=19, max_timestamp=77, codec=Codec.lz4, base_sequence=4
    )
    header = parse_header(data)
    assert (header.size, header.record_count) == (HEADER_SIZE, 0)
    assert (header.base_offset, header.last_offset, header.last_sequence) == (10, 19, 13)
    assert (header.base_timestamp, header.max_timestamp) == (-1, 77)
    assert has_valid_crc(data, header)
    assert decode_batch(data, max_bytes=0) == []


def test_header_names_that_are_not_utf8_survive() -> None:
    raw = encode_batch([Record(0, 0, None, None, (("ab", None),))]).replace(b"\x04ab", b"\x04\xffb")
    (record,) = decode_batch(raw, max_bytes=0)
    assert encode_batch([record])[HEADER_SIZE:] == raw[HEADER_SIZE:]


def test_numbers_in_more_bytes_than_they_take() -> None:
    for headers in (b"\x80\0", b"\x80\x80\x80\x80\0"):
        body = b"\0\0\0\x01\x01" + headers
        data = records_of(bytes((2 * len(body),)) + body)
        assert decode_batch(data, max_bytes=0) == [Record(0, -1, None, None)]


def test_many_headers() -> None:
    for count in (63, 64, 65):
        record = Record(0, 0, None, None, (("h", None),) * count)
        assert decode_batch(encode_batch([record]), max_bytes=0) == [record]


def test_compression_has_levels() -> None:
    records = [Record(i, 0, b"%d" % i, b"%d" % (i * i)) for i in range(2000)]
    sizes = [len(encode_batch(records, codec=Codec.gzip, level=level)) for level in (1, 9)]
    assert sizes[0] > sizes[1]


def records_of(payload: bytes, count: int = 1) -> bytes:
    data = encode_batch([])
    length = len(data) - 12 + len(payload)
    return (
        data[:8] + length.to_bytes(4, "big") + data[12:RECORD_COUNT] + count.to_bytes(4, "big", signed=True)
    ) + payload


@pytest.mark.parametrize(
    ("payload", "count"),
    [
        (b"", 1),
        (b"", 2**31 - 1),
        (b"", -1),
        (b"\x0c\0\0\0\x01\x01\0", 2),  # one record, two claimed
        (b"\x0c\0\0\0\x01\x01\0", 0),  # one record, none claimed
        (b"\x0c\0\0\0\x01\x01\0\0", 1),  # a stray byte
        (b"\x0a\0\0\0\x01\x01\0", 1),  # a length too short
        (b"\x0e\0\0\0\x01\x01\0", 1),  # too long
        (b"\x0b\0\0\0\x01\x01\0", 1),  # negative
        (b"\x0c\0\0\0\x01\x7e\0", 1),  # a value past the end
        (b"\x0c\0\0\0\x01\xfe\xff\xff\xff\x0f\0", 1),  # far past it
        (b"\x0c\0\0\0\x01\x01\x01", 1),  # -1 headers
        (b"\x14\0\0\0\x01\x01\xfe\xff\xff\xff\x0f", 1),  # 2**31 - 1 headers
        (b"\x10\0\0\0\x01\x01\x02\x01\x01", 1),  # a header without a name
        (b"\x1e\0" + b"\xff" * 10 + b"\0\x01\x01\0", 1),  # a varint without end
        (b"\x1e\0" + b"\xff" * 9 + b"\x01\0\x01\x01\0", 1),  # a timestamp below 64 bits
        (b"\x8c\x80\x80\x80\x10\0\0\0\x01\x01\0", 1),  # a length of 33 bits
        (b"\x14\0\0\x80\x80\x80\x80\x10\x01\x01\0", 1),  # an offset
        (b"\x14\0\0\0\x81\x80\x80\x80\x10\x01\0", 1),  # a key's length
        (b"\x14\0\0\0\x01\x01\x80\x80\x80\x80\x10", 1),  # a header count
    ],
)
def test_malformed_records(payload: bytes, count: int) -> None:
    with pytest.raises(KafkaError) as caught:
        decode_batch(records_of(payload, count), max_bytes=MIB)
    assert caught.value.code == ErrorCode.corrupt_message


def test_the_smallest_record_is_read() -> None:
    assert decode_batch(records_of(b"\x0c\0\0\0\x01\x01\0"), max_bytes=0) == [Record(0, -1, None, None)]


@given(
    codec=st.sampled_from(Codec),
    edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 60) | st.just(0),
)
def test_only_refusals_escape_from_damaged_batches(
    codec: Codec, edits: list[tuple[int, int]], cut: int
) -> None:
    records = [Record(i, 1000 + 100 * i, b"k" * i, b"v" * 30, (("h", b"x"),)) for i in range(6)]
    data = bytearray(encode_batch(records, codec=codec))
    for index, byte in edits:
        data[index % len(data)] = byte
    with contextlib.suppress(KafkaError):
        decode_batch(data[: len(data) - cut], max_bytes=10_000)


def test_end_transaction_markers() -> None:
    data = encode_end_transaction_marker(
        ControlType.commit,
        base_offset=50,
        timestamp=1234,
        producer_id=8,
        producer_epoch=3,
        coordinator_epoch=6,
        leader_epoch=2,
    )
    header = parse_header(data)
    assert header.is_control
    assert header.is_transactional
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (8, 3, -1)
    assert (header.base_offset, header.leader_epoch, header.size) == (50, 2, 78)
    (record,) = decode_batch(data, max_bytes=0)
    assert record == Record(50, 1234, b"\0\0\0\x01", b"\0\0\0\0\0\x06")
    assert decode_control_type(record.key) is ControlType.commit


def test_control_types() -> None:
    assert decode_control_type(b"\0\0\0\0") is ControlType.abort
    assert decode_control_type(b"\0\x01\0\x01more") is ControlType.commit
    assert decode_control_type(b"\0\0\0\x05") is None
    for key in (None, b"\0\0\0"):
        with pytest.raises(KafkaError):
            decode_control_type(key)
