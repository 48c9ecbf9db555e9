"""Record batches that lie, and topics that may not be: refused with Kafka's codes, and nothing is written."""

from __future__ import annotations

import gzip
import struct
import time
from collections.abc import Iterator
from typing import Any

import cramjam
import pytest
from tests.raw_client import request_frame

from ottla.protocol.errors import ErrorCode
from ottla.records.batch import compute_crc
from ottla.records.codec import Record, decode_batch, encode_batch
from ottla.records.compression import Codec, compress

from .hostile import MIB, SMALL_LIMITS, Target, call, fetch, produce, receive_all

CRC, ATTRIBUTES, LAST_OFFSET_DELTA, RECORD_COUNT, RECORDS = 17, 21, 23, 57, 61
INFLATED_MAX = int(SMALL_LIMITS["ottla.decompressed.batch.max.bytes"])
CODECS = [Codec.gzip, Codec.snappy, Codec.lz4, Codec.zstd]


@pytest.fixture
def target(module_target: Target) -> Iterator[Target]:
    yield module_target
    module_target.assert_unharmed(grown_by_bytes=2 * INFLATED_MAX)


def batch(codec: int = Codec.none, count: int = 3) -> bytearray:
    now_ms = int(time.time() * 1000)
    return bytearray(encode_batch([Record(i, now_ms, b"k", b"v") for i in range(count)], codec=codec))


def sealed(changed: bytearray) -> bytes:
    """With the length and the CRC that belong to it now."""
    struct.pack_into(">i", changed, 8, len(changed) - 12)
    struct.pack_into(">I", changed, CRC, compute_crc(bytes(changed)))
    return bytes(changed)


def end_offset(target: Target) -> int:
    with target.connect() as connection:
        asked = [{"name": "victim", "partitions": [{"partition_index": 0, "timestamp": -1}]}]
        response = call(connection, 2, 5, {"replica_id": -1, "topics": asked})
        return int(response["topics"][0]["partitions"][0]["offset"])


def refused(target: Target, records: bytes | None, *codes: ErrorCode) -> None:
    """Neither accepted nor a reason to close the connection."""
    before = end_offset(target)
    with target.connect() as connection:
        response = produce(connection, records)
        assert response["error_code"] in codes, response
        assert call(connection, 18, 0, {})["error_code"] == ErrorCode.none
    assert end_offset(target) == before


def test_a_corrupt_crc(target: Target) -> None:
    for position in range(ATTRIBUTES, len(batch())):
        changed = batch()
        changed[position] ^= 0x10
        refused(target, bytes(changed), ErrorCode.corrupt_message)


def test_records_that_are_no_batch(target: Target) -> None:
    whole = bytes(batch())
    for records in (None, b"", b"\0", whole[:60], whole[:-1], whole + b"\0", whole + whole, bytes(61)):
        refused(target, records, ErrorCode.invalid_record, ErrorCode.corrupt_message)


@pytest.mark.parametrize("magic", [-1, 0, 1, 3, 127])
def test_other_magics(target: Target, magic: int) -> None:
    changed = batch()
    struct.pack_into(">b", changed, 16, magic)
    refused(target, bytes(changed), ErrorCode.invalid_record, ErrorCode.corrupt_message)


@pytest.mark.parametrize("codec", [Codec.none, *CODECS])
@pytest.mark.parametrize("count", [-1, 0, 2, 4, 1_000_000, (1 << 31) - 1])
@pytest.mark.parametrize("with_delta", [False, True])
def test_lying_record_counts(target: Target, codec: Codec, count: int, with_delta: bool) -> None:
    changed = batch(codec)
    struct.pack_into(">i", changed, RECORD_COUNT, count)
    if with_delta:
        struct.pack_into(">i", changed, LAST_OFFSET_DELTA, max(count - 1, -1))
    refused(target, sealed(changed), ErrorCode.invalid_record, ErrorCode.corrupt_message)


MALFORMED = {
    "a key longer than its record": b"\x0e\0\0\0\x64k\x01\0",
    "a value that reaches into the next record": b"\x0e\0\0\0\x01\x04v\0",
    "a byte left in the record": b"\x10\0\0\0\x01\x02v\0\0",
    "-1 headers": b"\x0e\0\0\0\x01\x02v\x01",
    "2**31 - 1 headers": b"\x16\0\0\0\x01\x02v\xfe\xff\xff\xff\x0f",
    "a header without a name": b"\x12\0\0\0\x01\x02v\x02\x01\x01",
    "a record longer than the batch": b"\xfe\xff\xff\xff\x0f\0\0\0\x01\x02v\0",
}


@pytest.mark.parametrize("codec", [Codec.none, *CODECS])
@pytest.mark.parametrize("first", MALFORMED.values(), ids=MALFORMED)
def test_malformed_records(target: Target, codec: Codec, first: bytes) -> None:
    changed = batch(count=2)
    changed[RECORDS:] = compress(codec, first + b"\x0e\0\0\x02\x01\x02w\0")
    struct.pack_into(">h", changed, ATTRIBUTES, codec)
    refused(target, sealed(changed), ErrorCode.invalid_record)


def test_bytes_after_the_last_record(target: Target) -> None:
    refused(target, sealed(batch() + b"\0"), ErrorCode.invalid_record)


@pytest.mark.parametrize("codec", [Codec.none, *CODECS])
def test_offsets_and_nulls_are_made_regular(target: Target, codec: Codec) -> None:
    """Kafka takes such records; what is kept of them every client reads (`assert_real_clients_work`)."""
    changed = batch(count=2)
    changed[RECORDS:] = compress(codec, b"\x0e\0\0\x08\x03\x02v\0" + b"\x0e\0\0\0\x01\x02w\0")
    struct.pack_into(">h", changed, ATTRIBUTES, codec)
    with target.connect() as connection:
        produced = produce(connection, sealed(changed))
        assert produced["error_code"] == ErrorCode.none, produced
        kept = decode_batch(fetch(connection, produced["base_offset"]), max_bytes=MIB)
    first = produced["base_offset"]
    assert [(each.offset, each.key, each.value) for each in kept] == [
        (first, None, b"v"),
        (first + 1, None, b"w"),
    ]


@pytest.mark.parametrize("codec", [Codec.none, *CODECS])
def test_a_max_timestamp_that_is_the_last_record_s(target: Target, codec: Codec) -> None:
    """As kafka-go writes it: what is looked up by time is found nevertheless."""
    target.clients.create_topic(topic := f"lying-{codec.name}")
    now_ms = int(time.time() * 1000)
    records = [Record(i, now_ms + after, None, b"") for i, after in enumerate((0, 120_000, 60_000))]
    lying = encode_batch(records, codec=codec, max_timestamp=now_ms + 60_000)
    with target.connect() as connection:
        assert produce(connection, lying, topic)["error_code"] == ErrorCode.none
        for wanted, answer in (
            (now_ms + 90_000, (1, now_ms + 120_000)),
            (-3, (1, now_ms + 120_000)),
            (now_ms + 120_001, (-1, -1)),
        ):
            asked = [{"name": topic, "partitions": [{"partition_index": 0, "timestamp": wanted}]}]
            response = call(connection, 2, 7, {"replica_id": -1, "topics": asked})
            found = response["topics"][0]["partitions"][0]
            assert (found["offset"], found["timestamp"]) == answer
        records[1] = records[1]._replace(timestamp=now_ms + 10 * 86_400_000)
        ahead = produce(connection, encode_batch(records, codec=codec, max_timestamp=now_ms + 60_000), topic)
    assert ahead["error_code"] == ErrorCode.invalid_timestamp
    assert [each["batch_index"] for each in ahead["record_errors"]] == [1]


@pytest.mark.parametrize("delta", [-1, 0, 3, (1 << 31) - 1])
def test_lying_last_offsets(target: Target, delta: int) -> None:
    changed = batch()
    struct.pack_into(">i", changed, LAST_OFFSET_DELTA, delta)
    refused(target, sealed(changed), ErrorCode.invalid_record)


@pytest.mark.parametrize("codec", CODECS)
def test_data_that_does_not_decompress(target: Target, codec: Codec) -> None:
    for garbage in (b"", b"\0", b"garbage" * 10, bytes(batch(codec))[RECORDS:-3]):
        changed = batch(codec)
        changed[RECORDS:] = garbage
        refused(target, sealed(changed), ErrorCode.corrupt_message, ErrorCode.invalid_record)


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_codecs_that_do_not_exist(target: Target, codec: int) -> None:
    changed = batch()
    struct.pack_into(">h", changed, ATTRIBUTES, codec)
    refused(target, sealed(changed), ErrorCode.unsupported_compression_type)


def zeros(codec: Codec, size: int) -> bytes:
    """`size` zero bytes as that codec's clients would compress them."""
    data = bytes(size)
    if codec is Codec.gzip:
        return gzip.compress(data)
    if codec is Codec.snappy:
        return bytes(cramjam.snappy.compress_raw(data))
    if codec is Codec.lz4:
        frame = cramjam.lz4.Compressor(content_checksum=False, block_linked=False)
        frame.compress(data)
        return bytes(frame.finish())
    return bytes(cramjam.zstd.compress(data))


@pytest.mark.parametrize("codec", CODECS)
def test_decompression_bombs(target: Target, codec: Codec) -> None:
    """200 MiB (snappy packs only 20 times: 16 MiB) in less than one: memory stays bounded."""
    size = 16 * MIB if codec is Codec.snappy else 200 * MIB
    changed = batch(codec)
    changed[RECORDS:] = zeros(codec, size)
    assert len(changed) < MIB
    target.reset_peak()
    refused(target, sealed(changed), ErrorCode.message_too_large)
    assert target.peak_rss_bytes() < target.rss_at_rest + 4 * INFLATED_MAX + 24 * MIB


def test_a_snappy_block_that_claims_gigabytes(target: Target) -> None:
    changed = batch(Codec.snappy)
    changed[RECORDS:] = b"\xff\xff\xff\xff\x0f" + bytes(20)
    refused(target, sealed(changed), ErrorCode.message_too_large, ErrorCode.corrupt_message)


def test_a_batch_larger_than_the_topic_takes(target: Target) -> None:
    large = encode_batch([Record(0, int(time.time() * 1000), None, bytes(2 * MIB))])
    refused(target, large, ErrorCode.message_too_large)


@pytest.mark.parametrize("attributes", [0x10, 0x20, 0x30])
def test_attributes_that_only_brokers_set(target: Target, attributes: int) -> None:
    changed = batch()
    struct.pack_into(">h", changed, ATTRIBUTES, attributes)
    refused(target, sealed(changed), ErrorCode.invalid_record, ErrorCode.invalid_timestamp)


@pytest.mark.parametrize("base_offset", [-1, 1, 1 << 40])
def test_offsets_are_the_brokers(target: Target, base_offset: int) -> None:
    changed = batch()
    struct.pack_into(">q", changed, 0, base_offset)
    refused(target, bytes(changed), ErrorCode.invalid_record)


def test_a_failed_produce_without_acks_closes_the_connection(target: Target) -> None:
    before = target.refusals()
    data = {"name": "victim", "partition_data": [{"index": 0, "records": b"nonsense"}]}
    with target.connect() as connection:
        connection.sendall(request_frame(0, 8, 1, {"acks": 0, "timeout_ms": 1, "topic_data": [data]}))
        assert receive_all(connection) == b""
    target.wait_for_refusals(before + 1)


ILLEGAL_NAMES = [
    "",
    ".",
    "..",
    "a/b",
    "../../etc/passwd",
    "a b",
    "ä",
    "x" * 250,
    "a\0b",
    "a\nb",
    "%s",
    "-\x1b[2J",
]


@pytest.mark.parametrize("name", ILLEGAL_NAMES)
def test_illegal_topic_names(target: Target, name: str) -> None:
    folders = {path.name for path in target.broker.data.iterdir()}
    wanted: dict[str, Any] = {"name": name, "num_partitions": 1, "replication_factor": 1}
    with target.connect() as connection:
        created = call(connection, 19, 7, {"topics": [wanted], "timeout_ms": 1000})["topics"][0]
        assert created["error_code"] == ErrorCode.invalid_topic_exception
        asked = {"topics": [{"name": name}], "allow_auto_topic_creation": True}
        answered = call(connection, 3, 8, asked)["topics"][0]
        assert answered["error_code"] == ErrorCode.invalid_topic_exception
        assert produce(connection, bytes(batch()), name)["error_code"] in {
            ErrorCode.unknown_topic_or_partition,
            ErrorCode.invalid_topic_exception,
        }
    assert {path.name for path in target.broker.data.iterdir()} == folders


@pytest.mark.parametrize("partitions", [0, -2, 10_001, (1 << 31) - 1])
def test_impossible_numbers_of_partitions(target: Target, partitions: int) -> None:
    wanted = {"name": "impossible", "num_partitions": partitions, "replication_factor": 1}
    with target.connect() as connection:
        created = call(connection, 19, 7, {"topics": [wanted], "timeout_ms": 1000})["topics"][0]
    assert created["error_code"] in {ErrorCode.invalid_partitions, ErrorCode.policy_violation}
