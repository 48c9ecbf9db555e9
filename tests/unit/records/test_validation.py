"""What a leader refuses of produced batches, by error code, and what it changes in the ones it takes."""

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import (
    ATTRIBUTES,
    BASE_OFFSET,
    BASE_SEQUENCE,
    CRC,
    HEADER_SIZE,
    LAST_OFFSET_DELTA,
    LENGTH,
    MAGIC,
    PRODUCER_EPOCH,
    RECORD_COUNT,
    TimestampType,
    has_valid_crc,
    parse_header,
)
from ottla.records.codec import Record, decode_batch, encode_batch
from ottla.records.compression import Codec
from ottla.records.validation import RecordValidationError, ValidationOptions, validate

from .produced import (
    COMPACTED,
    DEFAULT,
    LOG_APPEND,
    MIB,
    NOW,
    RECORDS,
    Validated,
    accepted,
    options_with,
    patched,
    payload_batch,
    refusal,
)


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("options", [DEFAULT, COMPACTED])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_client_s_bytes_are_kept(codec: Codec, options: ValidationOptions, kind: type) -> None:
    data = encode_batch(RECORDS, codec=codec, producer_id=4, producer_epoch=0, base_sequence=0)
    result = Validated(*validate(kind(data), options, NOW))
    assert result.header == parse_header(data)
    assert result.to_bytes(0, -1) == data
    assert result.log_append_time_ms == -1
    at_77 = result.to_bytes(77, 5)
    assert parse_header(at_77)[:3:2] == (77, 5)
    assert has_valid_crc(at_77, parse_header(at_77))


def test_records_must_be_exactly_one_batch() -> None:
    data = encode_batch(RECORDS[:2])
    for records in (b"", data[:11], data[:40], data + data, data + b"x"):
        assert refusal(records).code == ErrorCode.invalid_record
    for cut in range(1, len(data)):
        assert refusal(data[:cut]).code == ErrorCode.invalid_record


@pytest.mark.parametrize(
    ("magic", "code"),
    [
        (0, ErrorCode.invalid_record),
        (1, ErrorCode.invalid_record),
        (3, ErrorCode.corrupt_message),
        (255, ErrorCode.corrupt_message),
    ],
)
def test_other_message_formats(magic: int, code: ErrorCode) -> None:
    assert refusal(patched(encode_batch(RECORDS), (MAGIC, bytes([magic])))).code == code


@pytest.mark.parametrize("length", [-1, 0, 13, 48])
def test_lengths_below_a_header_are_corrupt(length: int) -> None:
    data = patched(encode_batch(RECORDS), (LENGTH, length.to_bytes(4, "big", signed=True)))
    assert refusal(data).code == ErrorCode.corrupt_message


@pytest.mark.parametrize("offset", [CRC, ATTRIBUTES, RECORD_COUNT, HEADER_SIZE, 300])
def test_a_wrong_crc_is_corrupt(offset: int) -> None:
    data = encode_batch(RECORDS)
    assert (
        refusal(patched(data, (offset, bytes([data[offset] ^ 4])), crc=False)).code
        == ErrorCode.corrupt_message
    )


def test_sizes_are_limited_before_the_crc_is_computed() -> None:
    data = encode_batch(RECORDS)
    exact = options_with(max_message_bytes=len(data))
    accepted(data, exact)
    smaller = dataclasses.replace(exact, max_message_bytes=len(data) - 1)
    assert refusal(data, smaller).code == ErrorCode.message_too_large
    assert refusal(patched(data, (CRC, b"bad!"), crc=False), smaller).code == ErrorCode.message_too_large


@pytest.mark.parametrize(
    "patch",
    [
        (BASE_OFFSET, (7).to_bytes(8, "big")),
        (RECORD_COUNT, bytes(4)),
        (RECORD_COUNT, b"\xff" * 4),
        (RECORD_COUNT, (149).to_bytes(4, "big")),
        (LAST_OFFSET_DELTA, (150).to_bytes(4, "big")),
        (LAST_OFFSET_DELTA, b"\xff" * 4),
        (ATTRIBUTES, b"\x00\x20"),  # control
        (ATTRIBUTES, b"\x00\x10"),  # transactional, without a producer id
    ],
)
def test_headers_that_clients_may_not_write(patch: tuple[int, bytes]) -> None:
    assert refusal(patched(encode_batch(RECORDS), patch)).code == ErrorCode.invalid_record


@pytest.mark.parametrize("offset", [BASE_SEQUENCE, PRODUCER_EPOCH])
def test_idempotent_producers_need_epoch_and_sequence(offset: int) -> None:
    data = encode_batch(RECORDS, producer_id=5, producer_epoch=0, base_sequence=0)
    accepted(data)
    assert refusal(patched(data, (offset, b"\xff" * 2))).code == ErrorCode.invalid_record


def test_codecs_that_are_none() -> None:
    for codec in (5, 6, 7):
        data = patched(encode_batch(RECORDS), (ATTRIBUTES, codec.to_bytes(2, "big")))
        assert refusal(data).code == ErrorCode.unsupported_compression_type


def test_zstd_needs_a_newer_request() -> None:
    data = encode_batch(RECORDS, codec=Codec.zstd)
    assert refusal(data, allow_zstd=False).code == ErrorCode.unsupported_compression_type
    validate(encode_batch(RECORDS, codec=Codec.lz4), DEFAULT, NOW, allow_zstd=False)


# Counts and structure


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("options", [DEFAULT, COMPACTED])
@pytest.mark.parametrize("claimed", [1, 149, 151, 1_000_000, 2**31 - 1])
def test_counts_may_not_lie(codec: Codec, options: ValidationOptions, claimed: int) -> None:
    payload = encode_batch(RECORDS)[HEADER_SIZE:]
    assert refusal(payload_batch(payload, claimed, codec), options).code == ErrorCode.invalid_record


@pytest.mark.parametrize("codec", [Codec.none, Codec.zstd])
@pytest.mark.parametrize("options", [DEFAULT, COMPACTED])
@pytest.mark.parametrize(
    "payload",
    [
        b"\x0c\0\0\0\0\x01",  # cut off
        b"\x0c\0\0\0\0\x01\0\0",  # a stray byte
        b"\x0e\0\0\0\0\x01\0",  # longer than it is
        b"\x0b\0\0\0\0\x01\0",  # a negative length
        b"\x80",  # a varint cut off
        b"\x8c" + b"\x80" * 9 + b"\0" + b"\0\0\0\0\x01\0",  # a varint too long
        b"\xff\xff\xff\xff\x0f\0\0\0\0\x01\0",  # far back
        b"\xfe\xff\xff\xff\x0f\0\0\0\0\x01\0",  # far ahead
    ],
)
def test_lengths_must_fill_the_batch(codec: Codec, options: ValidationOptions, payload: bytes) -> None:
    assert refusal(payload_batch(payload, 1, codec), options).code == ErrorCode.invalid_record


def test_lengths_that_run_back_and_forth_are_refused() -> None:
    step_back = b"\xcf\x80\x80\0"  # -40, in more bytes than it needs
    payload = b"\x0c\0\0\0\0\x01\0" * 8 + step_back + b"\x0c\0\0\0\0\x01\0" * 9
    for count in range(1, 9):
        assert refusal(payload_batch(payload, count)).code == ErrorCode.invalid_record


MALFORMED = {
    "a key past the end": b"\x0c\0\0\0\x7e\x01\0",
    "a value past the record's end": b"\x0c\0\0\0\0\x04\0",
    "a value far past the end": b"\x14\0\0\0\0\xfe\xff\xff\xff\x0f\0",
    "-1 headers": b"\x0c\0\0\0\0\x01\x01",
    "2**31 - 1 headers": b"\x14\0\0\0\0\x01\xfe\xff\xff\xff\x0f",
    "a header without a name": b"\x10\0\0\0\0\x01\x02\x01\x01",
    "bytes after the headers": b"\x10\0\0\0\0\x01\0\0\0",
}


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("options", [DEFAULT, COMPACTED, LOG_APPEND, options_with(codec=Codec.lz4)])
@pytest.mark.parametrize("payload", MALFORMED.values(), ids=MALFORMED)
def test_malformed_records(codec: Codec, options: ValidationOptions, payload: bytes) -> None:
    error = refusal(payload_batch(payload, 1, codec), options)
    assert error.code == ErrorCode.invalid_record
    assert not isinstance(error, RecordValidationError)


IRREGULAR = {
    "a first offset of 1": b"\x0e\0\0\x02\x02k\x01\0",
    "an offset of -1": b"\x0e\0\0\x01\x02k\x01\0",
    "an offset of 8192": b"\x12\0\0\x80\x80\x01\x02k\x01\0",
    "a value of -3 bytes": b"\x0e\0\0\0\x02k\x05\0",
    "a header's value of -2 bytes": b"\x14\0\0\0\x02k\x01\x02\x02n\x03",
}


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("options", [DEFAULT, COMPACTED, LOG_APPEND, options_with(codec=Codec.lz4)])
@pytest.mark.parametrize("payload", IRREGULAR.values(), ids=IRREGULAR)
def test_irregular_records_are_written_anew(codec: Codec, options: ValidationOptions, payload: bytes) -> None:
    """As Kafka they are taken; but its log keeps what not every client can read."""
    result, batch = accepted(payload_batch(payload, 1, codec), options)
    headers = (("n", None),) if b"n" in payload else ()
    assert decode_batch(batch, max_bytes=MIB) == [Record(0, NOW, b"k", None, headers)]
    assert result.header.codec == (codec if options.codec is None else options.codec)
    regular = payload_batch(encode_batch([Record(0, NOW, b"k", None, headers)])[HEADER_SIZE:], 1, codec)
    assert accepted(regular, options)[1] == batch


def test_records_are_numbered_anew() -> None:
    records = [Record(offset, NOW, b"%d" % offset, None) for offset in (7, 3, 3, 90)]
    data = patched(
        encode_batch(records, base_offset=0, codec=Codec.zstd), (LAST_OFFSET_DELTA, (3).to_bytes(4, "big"))
    )
    _, batch = accepted(data)
    assert decode_batch(batch, max_bytes=MIB) == [
        each._replace(offset=index) for index, each in enumerate(records)
    ]


def test_keys_of_less_than_null_are_no_keys() -> None:
    data = payload_batch(b"\x0c\0\0\0\x03\x01\0", 1)
    assert decode_batch(accepted(data)[1], max_bytes=MIB) == [Record(0, NOW, None, None)]
    error = refusal(data, COMPACTED)
    assert isinstance(error, RecordValidationError)
    assert error.record_errors[0][0] == 0


def test_records_written_anew_are_held_to_the_size() -> None:
    """Numbered rightly they may take more bytes than before."""
    records = b"\x0c\0\0\0\0\x01\0" * 100
    data = payload_batch(records, 100)
    accepted(data, options_with(max_message_bytes=len(data) + 36))
    options = options_with(max_message_bytes=len(data) + 35)
    assert refusal(data, options).code == ErrorCode.message_too_large


def test_the_smallest_records_are_taken() -> None:
    payload = b"\x0c\0\0\0\0\x01\0" + b"\x0c\0\0\x02\0\x01\0"
    for codec in Codec:
        accepted(payload_batch(payload, 2, codec), COMPACTED)
    accepted(payload_batch(b"\x12\0\0\0\0\x01\x02\0\x02x", 1), COMPACTED)


def test_large_fields_are_taken() -> None:
    records = [
        Record(i, NOW + i * 50_000, bytes(70 + i), bytes(i * 40_000), (("n" * 9000, bytes(70)), ("", None)))
        for i in range(3)
    ]
    accepted(encode_batch(records), COMPACTED)
    many = [Record(i, NOW - i * 9_000_000, b"k", b"") for i in range(9000)]
    accepted(encode_batch(many, codec=Codec.lz4))


# Compressed data


@pytest.mark.parametrize("codec", list(Codec)[1:])
def test_data_that_does_not_inflate_is_corrupt(codec: Codec) -> None:
    data = encode_batch(RECORDS, codec=codec)
    cut = patched(data[:-5], (LENGTH, (len(data) - 5 - 12).to_bytes(4, "big")))
    assert refusal(cut).code == ErrorCode.corrupt_message


@pytest.mark.parametrize("codec", list(Codec)[1:])
def test_inflated_size_is_limited(codec: Codec) -> None:
    data = encode_batch([Record(0, NOW, b"k", bytes(MIB))], codec=codec)
    accepted(data)
    limited = options_with(max_inflated_bytes=MIB)
    assert refusal(data, limited).code == ErrorCode.message_too_large


# Keys


def test_compacted_topics_need_keys() -> None:
    records = [Record(i, NOW, None if i in (1, 4) else b"", b"v") for i in range(6)]
    for codec in Codec:
        error = refusal(encode_batch(records, codec=codec), COMPACTED)
        assert isinstance(error, RecordValidationError)
        assert error.code == ErrorCode.invalid_record
        assert [index for index, _ in error.record_errors] == [1, 4]
        accepted(encode_batch(records, codec=codec))


# Recompression


@pytest.mark.parametrize("source", list(Codec))
@pytest.mark.parametrize("target", list(Codec))
def test_recompression(source: Codec, target: Codec) -> None:
    data = encode_batch(
        RECORDS, codec=source, is_transactional=True, producer_id=7, producer_epoch=1, base_sequence=2
    )
    result, batch = accepted(data, options_with(codec=target))
    assert result.header.codec == target
    assert result.header.is_transactional
    assert (result.header.producer_id, result.header.base_sequence) == (7, 2)
    assert decode_batch(batch, max_bytes=MIB) == RECORDS
    assert (batch == data) == (source == target)


def test_recompression_heeds_the_level() -> None:
    data = encode_batch(RECORDS)
    sizes = [accepted(data, options_with(codec=Codec.gzip, level=level))[0].header.size for level in (1, 9)]
    assert sizes[0] > sizes[1]


def test_recompression_and_log_append_time_together() -> None:
    options = dataclasses.replace(LOG_APPEND, codec=Codec.zstd)
    result, batch = accepted(encode_batch(RECORDS, codec=Codec.gzip), options)
    assert result.header.codec == Codec.zstd
    assert {record.timestamp for record in decode_batch(batch, max_bytes=MIB)} == {NOW}


def test_size_is_limited_again_after_recompression() -> None:
    data = encode_batch(RECORDS, codec=Codec.zstd)
    options = options_with(codec=Codec.none, max_message_bytes=len(data) + 100)
    assert refusal(data, options).code == ErrorCode.message_too_large
    accepted(data, dataclasses.replace(options, max_message_bytes=1 << 20))


def test_records_are_limited_where_they_are_compressed() -> None:
    # Attributes, two deltas, a null key, two bytes of length and no headers: 1000 bytes in all.
    records = [Record(0, NOW, None, b"v" * 993), Record(1, NOW, None, b"v" * 2000)]
    limited = options_with(max_inflated_record_bytes=1000)
    accepted(encode_batch(records[:1], codec=Codec.gzip), limited)
    accepted(encode_batch(records), limited)
    for longest, count in ((999, 1), (1000, 2)):
        data = encode_batch(records[:count], codec=Codec.gzip)
        error = refusal(data, options_with(max_inflated_record_bytes=longest))
        assert error.code == ErrorCode.invalid_record
        assert "max.decompressed.message.bytes" in (error.message or "")


# Anything at all

OPTIONS = st.builds(
    options_with,
    codec=st.none() | st.sampled_from(Codec),
    is_compacted=st.booleans(),
    timestamp_type=st.sampled_from(TimestampType),
    timestamp_before_max_ms=st.sampled_from([1000, 2**63 - 1]),
    max_inflated_bytes=st.just(20_000),
)


@given(
    options=OPTIONS,
    codec=st.sampled_from(Codec),
    edits=st.lists(st.tuples(st.integers(ATTRIBUTES, 500), st.integers(0, 255)), max_size=6),
)
def test_damaged_batches_are_refused_or_sound(
    options: ValidationOptions, codec: Codec, edits: list[tuple[int, int]]
) -> None:
    records = [Record(i, NOW + 100 * i, b"k" * i, b"v" * 30, (("h", b"x"),)) for i in range(6)]
    data = encode_batch(records, codec=codec)
    data = patched(data, *((index % len(data), bytes([byte])) for index, byte in edits if index < len(data)))
    with contextlib.suppress(KafkaError):
        result, batch = accepted(data, options)
        header = result.header
        assert header.record_count == header.last_offset_delta + 1 > 0
        decoded = decode_batch(batch, max_bytes=20_000)
        assert [record.offset for record in decoded] == list(range(header.record_count))
        assert max(-1, *(record.timestamp for record in decoded)) == header.max_timestamp


@given(data=st.binary(max_size=200), count=st.integers(1, 30), codec=st.sampled_from(Codec), options=OPTIONS)
def test_random_payloads_raise_nothing_but_refusals(
    data: bytes, count: int, codec: Codec, options: ValidationOptions
) -> None:
    with contextlib.suppress(KafkaError):
        accepted(payload_batch(data, count, codec), options)
