"""What clients are told when their batch is refused: the error code, and a message that says why."""

import dataclasses
from typing import Any

import pytest

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
    PRODUCER_ID,
    RECORD_COUNT,
    has_valid_crc,
    iter_headers,
    parse_header,
)
from ottla.records.codec import Record, decode_batch, decode_control_type, encode_batch
from ottla.records.compression import Codec
from ottla.records.validation import RecordValidationError, ValidationOptions

from .produced import COMPACTED, DEFAULT, HOUR, LOG_APPEND, NOW, accepted, patched, payload_batch, refusal

BATCH = encode_batch([Record(i, NOW, b"k", b"v") for i in range(3)])
SIZE = len(BATCH)
NOT_ONE = "a partition's records must be exactly one record batch"
PRODUCER = "the batch of producer 0"
SMALL = dataclasses.replace(DEFAULT, max_message_bytes=SIZE - 1)


def int32(value: int) -> bytes:
    return value.to_bytes(4, "big", signed=True)


HEADERS = [
    (2, "a record batch says its length is 13", (LENGTH, int32(13))),
    (2, "a record batch says it has 26 bytes", (LENGTH, int32(14))),
    (2, "a record batch says it has 60 bytes", (LENGTH, int32(48))),
    (87, f"{NOT_ONE}: this one has 61 bytes of {SIZE}", (LENGTH, int32(49))),
    (2, "there is no message format with magic -1", (MAGIC, b"\xff")),
    (2, "there is no message format with magic 3", (MAGIC, b"\x03")),
    (87, "only magic 2 is supported, not 0", (MAGIC, b"\0")),
    (87, "the base offset is 5 and must be 0", (BASE_OFFSET + 7, b"\x05")),
    (87, "the batch says it has 0 records", (RECORD_COUNT, int32(0))),
    (87, "the batch says it has -1 records", (RECORD_COUNT, int32(-1)), (LAST_OFFSET_DELTA, int32(-2))),
    (87, "the batch has 3 records and a last offset delta of 3", (LAST_OFFSET_DELTA, int32(3))),
    (76, "there is no codec 5", (ATTRIBUTES, b"\0\x05")),
    (87, "clients may not write control records", (ATTRIBUTES, b"\0\x20")),
    (87, "a transactional batch needs a producer id", (ATTRIBUTES, b"\0\x10")),
    (87, f"{PRODUCER} has epoch 0 and sequence -1", (PRODUCER_ID, bytes(8)), (PRODUCER_EPOCH, bytes(2))),
    (87, f"{PRODUCER} has epoch -1 and sequence 0", (PRODUCER_ID, bytes(8)), (BASE_SEQUENCE, bytes(4))),
]


@pytest.mark.parametrize("case", HEADERS, ids=[case[1] for case in HEADERS])
def test_headers(case: tuple[Any, ...]) -> None:
    code, message, *patches = case
    error = refusal(patched(BATCH, *patches))
    assert (error.code, error.message) == (code, message)


@pytest.mark.parametrize("delta", [-(2**31), -1, 0, 1, 3, 4, 2**31 - 1])
def test_last_offsets_that_are_not_the_last_record_s(delta: int) -> None:
    error = refusal(patched(BATCH, (LAST_OFFSET_DELTA, int32(delta))))
    assert (error.code, error.message) == (87, f"the batch has 3 records and a last offset delta of {delta}")


def test_a_batch_of_no_records() -> None:
    error = refusal(payload_batch(b"", 0))
    assert (error.code, error.message) == (87, "the batch says it has 0 records")


OTHERS = [
    (87, "a partition's records must be one record batch", BATCH[:60], DEFAULT),
    (87, f"{NOT_ONE}: this one has {SIZE} bytes of 61", BATCH[:61], DEFAULT),
    (87, f"{NOT_ONE}: this one has {SIZE} bytes of {SIZE + 1}", BATCH + b"x", DEFAULT),
    (10, f"the record batch has {SIZE} bytes, more than max.message.bytes ({SIZE - 1})", BATCH, SMALL),
    (2, "the record batch does not match its CRC", patched(BATCH, (CRC, int32(1)), crc=False), DEFAULT),
    (87, "the batch's records are malformed", payload_batch(b"\x0c\0\0\0\0\x01\x01", 1), DEFAULT),
]


@pytest.mark.parametrize("case", OTHERS, ids=[case[1] for case in OTHERS])
def test_batches(case: tuple[int, str, bytes, ValidationOptions]) -> None:
    code, message, data, options = case
    error = refusal(data, options)
    assert (error.code, error.message) == (code, message)


def test_zstd_for_old_clients() -> None:
    error = refusal(encode_batch([Record(0, NOW, None, b"")], codec=Codec.zstd), allow_zstd=False)
    assert (error.code, error.message) == (76, "zstd needs produce version 7")


def test_a_batch_that_recompression_makes_too_large() -> None:
    data = encode_batch([Record(0, NOW, None, b"v")])
    options = dataclasses.replace(DEFAULT, codec=Codec.gzip, max_message_bytes=len(data))
    size = accepted(data, dataclasses.replace(options, max_message_bytes=1000))[0].header.size
    error = refusal(data, options)
    assert error.code == ErrorCode.message_too_large
    assert error.message == f"the record batch has {size} bytes, more than max.message.bytes ({len(data)})"
    assert accepted(data, dataclasses.replace(options, max_message_bytes=size))[0].header.size == size


def test_records() -> None:
    records = [Record(0, NOW, None, b""), Record(1, NOW + HOUR + 1, b"k", b"")]
    error = refusal(encode_batch(records), COMPACTED)
    assert isinstance(error, RecordValidationError)
    assert error.message == "one or more records have been rejected"
    assert error.record_errors == (
        (0, "a compacted topic takes no record without a key"),
        (1, f"timestamp {NOW + HOUR + 1} is outside of [{NOW - 2**63 + 1}, {NOW + HOUR}]"),
    )
    error = refusal(encode_batch(records[:1], timestamp_type=1), LOG_APPEND)
    assert isinstance(error, RecordValidationError)
    assert error.record_errors == ((0, "producers may not set the log append time"),)


def told(call: object, *arguments: object, **named: object) -> str:
    with pytest.raises(KafkaError) as caught:
        list(call(*arguments, **named))  # type: ignore[operator]
    assert caught.value.code == ErrorCode.corrupt_message
    return caught.value.message


def test_batches_in_a_log() -> None:
    pair = encode_batch([], base_offset=4) + BATCH
    assert [pos for pos, _ in iter_headers(pair)] == [0, HEADER_SIZE]
    strict = {"allow_partial": False}
    assert told(iter_headers, BATCH + BATCH[:60], **strict) == "60 stray bytes after the last batch"
    assert told(iter_headers, BATCH + BATCH[:61], **strict) == f"batch at byte {SIZE} is cut off"
    assert told(iter_headers, BATCH[:-1], **strict) == "batch at byte 0 is cut off"
    short = patched(BATCH, (LENGTH, int32(48)))
    assert told(iter_headers, BATCH + short) == f"batch at byte {SIZE} says it has 60 bytes"
    other = patched(BATCH, (MAGIC, b"\x01"))
    assert told(iter_headers, BATCH + other) == f"batch at byte {SIZE} has magic 1"
    assert told(parse_header, BATCH[:60]) == "the buffer ends inside a batch header"


def test_checksums_among_other_batches() -> None:
    first, second = BATCH, encode_batch([Record(0, NOW + 1, b"a", b"b")])
    data = first + second + first
    header = parse_header(data, len(first))
    assert has_valid_crc(data, header, len(first))
    assert not has_valid_crc(data[: len(first) + len(second) - 1], header, len(first))
    assert has_valid_crc(first + second, header, len(first))


def test_decoding() -> None:
    def decoded(payload: bytes, count: int = 1) -> str:
        return told(decode_batch, payload_batch(payload, count), max_bytes=1000)

    assert told(decode_batch, BATCH[:-1], max_bytes=0) == "not a whole batch of magic 2"
    assert decoded(b"\x0c\0\0\0\0\x01", 1) == "the records end early"
    assert decoded(b"\0", 2) == "2 records in 1 bytes"
    assert decoded(b"\0", -1) == "-1 records in 1 bytes"
    assert decoded(b"\x0a\0\0\0\0\x01\0") == "a record's length is not what its fields take"
    assert decoded(b"\x0c\0\0\0\0\x01\0xy") == "2 bytes after the last record"
    assert decoded(b"\x0c\0\0\0\0\x01\x01") == "a record with -1 headers"
    assert decoded(b"\x10\0\0\0\0\x01\x02\x01\x01") == "a record header without a name"
    overflow = payload_batch(b"\x0c\0\x02\0\0\x01\0", 1, timestamp=2**63 - 1)
    assert told(decode_batch, overflow, max_bytes=0) == "a record's timestamp or offset exceeds 64 bits"
    assert told(decode_control_type, b"\0\0\0") == "a control record's key has fewer than 4 bytes"
    assert decoded(b"\x80\x80\x80\x80\x80\0") == "a variable-length integer is too long"
