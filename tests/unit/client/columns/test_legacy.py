"""Messages of magic 0 and 1 to columns, as kafka-python and aiokafka write them."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder as AiokafkaBuilder

from ottla.client.columns.columns import Record
from ottla.client.columns.decode import CorruptRecordsError, FetchedRecords
from ottla.client.columns.implementation import Implementation
from ottla.protocol.errors import ErrorCode
from ottla.records import codec
from ottla.records.codec import encode_batch
from ottla.records.compression import Codec, compress

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of importlib.resources, which kafka-python calls
    from kafka.record.legacy_records import LegacyRecordBatchBuilder as KafkaPythonBuilder

CODECS = [Codec.none, Codec.gzip, Codec.snappy, Codec.lz4]  # zstd came with magic 2
ROWS: Sequence[tuple[bytes | None, bytes | None]] = [
    (b"k", b"v" * 100),
    (None, b""),
    (b"", None),
    (b"a", b"b"),
]


def message_set(
    magic: int, number: int = 0, *, first: int = 0, builder_class: Any = KafkaPythonBuilder
) -> bytearray:
    """`ROWS` as a broker has them, who numbers what producers number from 0 on."""
    builder = builder_class(magic=magic, compression_type=number, batch_size=1 << 20)
    for i, (key, value) in enumerate(ROWS):
        offset = i if number and magic else first + i
        assert builder.append(offset, timestamp=1000 + i, key=key, value=value, headers=[]) is not None
    built = bytearray(builder.build())
    if number:
        built[:8] = (first + len(ROWS) - 1).to_bytes(8, "big")
    return built


def expected(magic: int, first: int = 0) -> list[Record]:
    return [
        Record("", 3, first + i, 1000 + i if magic else -1, 0 if magic else -1, key, value)
        for i, (key, value) in enumerate(ROWS)
    ]


def read(data: bytes, implementation: Implementation, **options: Any) -> list[Record]:
    fetched = FetchedRecords(data, partition=3, implementation=implementation, **options)
    return [record for columns in fetched for record in columns.records()]


@pytest.mark.parametrize("builder", [KafkaPythonBuilder, AiokafkaBuilder])
@pytest.mark.parametrize(
    ("magic", "number"),
    [(magic, number) for magic in (0, 1) for number in CODECS if magic or number != Codec.lz4],
)
def test_messages_are_read(implementation: Implementation, magic: int, number: int, builder: Any) -> None:
    data = bytes(message_set(magic, number, first=70, builder_class=builder))
    rows = expected(magic, 70)
    assert read(data, implementation) == rows
    assert read(data, implementation, fetch_offset=72) == rows[2:]
    fetched = FetchedRecords(data, fetch_offset=99, implementation=implementation)
    assert fetched.read() is None
    assert (fetched.next_offset, fetched.left) == (99, 0)


def wrapped(magic: int, number: int, value: bytes) -> bytes:
    """A message around `value`, which is compressed messages."""
    outer = message_set(1, Codec.gzip)[:34]
    if magic == 0:
        del outer[18:26]
        outer[16] = 0
    outer[17] = number
    outer[-4:] = len(value).to_bytes(4, "big")
    outer += value
    outer[8:12] = (len(outer) - 12).to_bytes(4, "big")
    return with_crc(outer)


@pytest.mark.parametrize("size", [10, 100_000])
def test_the_odd_lz4_of_magic_0_is_read(implementation: Implementation, size: int) -> None:
    builder = KafkaPythonBuilder(magic=0, compression_type=0, batch_size=1 << 20)
    builder.append(3, timestamp=0, key=None, value=b"x" * size, headers=[])
    frame = bytearray(compress(Codec.lz4, bytes(builder.build())))
    (record,) = read(wrapped(0, Codec.lz4, bytes(frame)), implementation)
    assert record == Record("", 3, 3, -1, -1, None, b"x" * size)
    frame[6] ^= 0xFF  # the checksum of its descriptor
    assert read(wrapped(0, Codec.lz4, bytes(frame)), implementation) == [record]
    with pytest.raises(CorruptRecordsError, match="decompress"):
        read(wrapped(1, Codec.lz4, bytes(frame)), implementation)
    with pytest.raises(CorruptRecordsError, match="early"):
        read(wrapped(0, Codec.lz4, b"\x04\x22\x4d\x18\x68\x40"), implementation)


def test_messages_come_before_and_between_batches(implementation: Implementation) -> None:
    """A topic that has lived through several formats."""
    batch = encode_batch([codec.Record(20, 5, None, b"new")], base_offset=20, leader_epoch=4)
    data = bytes(message_set(0)) + bytes(message_set(1, Codec.gzip, first=10)) + batch
    rows = [*expected(0), *expected(1, 10), Record("", 3, 20, 5, 0, None, b"new")]
    assert read(data, implementation) == rows
    assert read(data, implementation, fetch_offset=14) == rows[-1:]
    assert read(batch + data[: -len(batch)], implementation) == [*rows[-1:], *rows[:-1]]
    fetched = FetchedRecords(data, implementation=implementation)
    pieces = []
    while (columns := fetched.read(max_records=1)) is not None:
        pieces.append(len(columns))
        assert fetched.next_offset == columns.offset[-1] + 1
    assert pieces == [1, 1, 1, 1, 4, 1]
    assert fetched.leader_epoch == 4


@pytest.mark.parametrize("number", [Codec.none, Codec.gzip])
@pytest.mark.parametrize("magic", [0, 1])
def test_a_message_that_is_cut_off_is_left(implementation: Implementation, magic: int, number: int) -> None:
    whole = bytes(message_set(magic, number))
    for cut in range(len(whole)):
        fetched = FetchedRecords(whole + whole[:cut], partition=3, implementation=implementation)
        rows = [record for columns in fetched for record in columns.records()]
        assert rows[:4] == expected(magic)
        assert fetched.left <= cut
    fetched = FetchedRecords(whole[:-1], implementation=implementation)
    assert sum(map(len, fetched)) == (0 if number else 3)


def with_crc(data: bytearray) -> bytes:
    data[12:16] = zlib.crc32(data[16:]).to_bytes(4, "big")
    return bytes(data)


def test_log_append_time_is_the_message_around_its(implementation: Implementation) -> None:
    data = message_set(1, Codec.gzip)
    data[17] |= 8
    data[18:26] = (5_000).to_bytes(8, "big")
    rows = read(with_crc(data), implementation)
    assert {(row.timestamp, row.timestamp_type) for row in rows} == {(5_000, 1)}


@pytest.mark.parametrize("magic", [0, 1])
def test_a_damaged_message_is_told(implementation: Implementation, magic: int) -> None:
    data = message_set(magic)
    second = 12 + int.from_bytes(data[8:12], "big")
    data[second + 20] ^= 1
    fetched = FetchedRecords(bytes(data), implementation=implementation)
    columns = fetched.read()
    assert columns is not None
    assert len(columns) == 1
    for _ in range(2):
        with pytest.raises(CorruptRecordsError, match="offset 1: its CRC is wrong"):
            fetched.read()


@pytest.mark.parametrize(
    ("at", "field", "message"),
    [
        (0, b"\xff" * 8, "offset"),
        (8, b"\0\0\0\x04", "16 bytes"),
        (8, b"\xff\xff\xff\xff", "11 bytes"),
        (26, b"\x7f\xff\xff\xff", "early"),
        (26, b"\0\0\0\x02", "length|early"),
        (17, b"\x02", "null|decompress"),
        (17, b"\x05", "codec 5"),
    ],
)
def test_nonsense_is_told(implementation: Implementation, at: int, field: bytes, message: str) -> None:
    data = message_set(1)
    data[at : at + len(field)] = field
    end = 12 + int.from_bytes(message_set(1)[8:12], "big")
    with pytest.raises(CorruptRecordsError, match=message):
        read(with_crc(data[:end]), implementation)


@pytest.mark.parametrize("number", [Codec.gzip, Codec.snappy, Codec.lz4])
def test_a_message_may_not_inflate_past_the_limit(implementation: Implementation, number: int) -> None:
    builder = KafkaPythonBuilder(magic=1, compression_type=number, batch_size=1 << 20)
    builder.append(0, timestamp=0, key=None, value=b"x" * 100_000, headers=[])
    data = bytes(builder.build())
    assert len(read(data, implementation, max_batch_bytes=101_000)) == 1
    with pytest.raises(CorruptRecordsError, match="inflates") as caught:
        read(data, implementation, max_batch_bytes=100_000)
    assert caught.value.code == ErrorCode.message_too_large


@pytest.mark.parametrize(
    ("at", "field", "message"),
    [
        (16, b"\0", "length"),  # magic 0
        (17, b"\1", "another kind"),
        (8, b"\0\0\0\x01", "impossible length"),
        (8, b"\x7f\xff\xff\xff", "impossible length"),
        (0, b"\x7f" + b"\xff" * 7, "offset"),
        (None, b"", "holds none"),
        (None, bytes(9), "end early"),
    ],
)
def test_compressed_messages_are_not_believed(
    implementation: Implementation, at: int | None, field: bytes, message: str
) -> None:
    inner = message_set(1) if field else bytearray()
    if at is None:
        inner += field
    else:
        inner[at : at + len(field)] = field
    with pytest.raises(CorruptRecordsError, match=message):
        read(wrapped(1, Codec.gzip, compress(Codec.gzip, bytes(inner))), implementation)
