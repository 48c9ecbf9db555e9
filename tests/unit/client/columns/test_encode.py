"""Columns to batches, by both implementations: read back by this decoder, and by those of others."""

from __future__ import annotations

import random
import warnings
from array import array
from collections.abc import Iterable

import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.client.columns.test_columns import RECORDS

from ottla.client.columns.binary import BinaryColumn
from ottla.client.columns.columns import Columns, Record
from ottla.client.columns.decode import FetchedRecords
from ottla.client.columns.encode import EncodedBatch, encode_columns, finish, seal
from ottla.client.columns.implementation import Implementation
from ottla.records import codec
from ottla.records.batch import BatchHeader, has_valid_crc, parse_header
from ottla.records.compression import Codec

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of importlib.resources, which kafka-python calls
    from kafka.record.memory_records import MemoryRecords

SMALL_TIMES = st.integers(-1, 1 << 50)


def _of_partition(partitions: Iterable[int]) -> memoryview:
    return memoryview(array("i", partitions))


def _numbered(rows: list[Record], partition: int) -> list[Record]:
    """What a log without any other records would give of `rows`."""
    return [
        row._replace(partition=partition, offset=offset, timestamp_type=0) for offset, row in enumerate(rows)
    ]


def _appended(batches: list[EncodedBatch], partition: int, implementation: Implementation) -> Columns:
    """The log of `partition` after `batches`, as a fetch has it."""
    log = bytearray()
    offset = 0
    for batch in batches:
        if batch.partition == partition:
            seal(batch.data, implementation=implementation)
            batch.data[:8] = offset.to_bytes(8, "big")
            log += batch.data
            offset += batch.records
    fetched = FetchedRecords(bytes(log), partition=partition, implementation=implementation)
    return fetched.read() or Columns.of([])


@settings(deadline=None)
@given(RECORDS, st.data())
def test_what_is_read_can_be_written(
    implementation: Implementation, records: list[Record], data: st.DataObject
) -> None:
    rows = [row._replace(timestamp=data.draw(SMALL_TIMES)) for row in records]
    chosen = [data.draw(st.integers(0, 2)) for _ in rows]
    skipped = data.draw(st.integers(0, 3))
    columns = Columns.of(rows)[skipped:]
    rows, chosen = rows[skipped:], chosen[skipped:]
    batches = list(
        encode_columns(
            columns,
            _of_partition(chosen),
            3,
            max_bytes=data.draw(st.integers(1, 2000)),
            codec=data.draw(st.sampled_from(Codec)),
            implementation=implementation,
        )
    )
    assert sum(batch.records for batch in batches) == len(rows)
    for partition in range(3):
        expected = [row for row, number in zip(rows, chosen, strict=True) if number == partition]
        found = _appended(batches, partition, implementation)
        assert list(found.records()) == _numbered(expected, partition)


@given(RECORDS)
def test_both_ways_to_a_batch_give_the_same_bytes(
    implementation: Implementation, records: list[Record]
) -> None:
    """Row by row and by columns, and what the broker's encoder makes of them."""
    one_by_one, at_once = (implementation.BatchBuilder(1 << 20) for _ in range(2))
    done = at_once.append_rows(Columns.of(records).raw, None, 0, len(records), -1)
    for number, row in enumerate(records):
        added = one_by_one.append(row.timestamp, row.key, row.value, row.headers)
        assert added == (number < done)
        if not added:  # it is too far from the first for a difference of 64 bits
            assert abs(row.timestamp - records[0].timestamp) >= 1 << 63
            break
    assert (one_by_one.count, one_by_one.size) == (at_once.count, at_once.size)
    batch = finish(one_by_one)
    assert batch == finish(at_once)
    assert len(batch) == at_once.size
    seal(batch, implementation=implementation)
    if done:
        assert batch == codec.encode_batch(
            [codec.Record(i, row.timestamp, *row[5:]) for i, row in enumerate(records[:done])]
        )


def test_a_batch_ends_before_it_is_too_large(implementation: Implementation) -> None:
    whole = implementation.BatchBuilder(1 << 20)
    for _ in range(3):
        assert whole.append(0, b"k", b"v" * 100, ())
    size = whole.size
    for limit, fits in ((size, 3), (size - 1, 2), (1, 1)):
        builder = implementation.BatchBuilder(limit)
        added = [builder.append(0, b"k", b"v" * 100, ()) for _ in range(3)]
        assert added == [True] * fits + [False] * (3 - fits)
        columns = Columns.of([Record("", 0, 0, 0, 0, b"k", b"v" * 100)] * 3)
        builder = implementation.BatchBuilder(limit)
        assert builder.append_rows(columns.raw, None, 0, 3, -1) == fits
        assert parse_header(builder.finish()).record_count == fits


def test_a_batch_is_finished_once(implementation: Implementation) -> None:
    builder = implementation.BatchBuilder(100)
    builder.append(0, None, None, ())
    assert parse_header(builder.finish()).record_count == 1
    columns = Columns.of([])
    for again in (
        builder.finish,
        lambda: builder.append(0, None, None, ()),
        lambda: builder.append_rows(columns.raw, None, 0, 0, -1),
    ):
        with pytest.raises(ValueError, match="finished"):
            again()
    for size in (0, -1, 1 << 31):
        with pytest.raises(ValueError, match="a batch of"):
            implementation.BatchBuilder(size)


@pytest.mark.parametrize("size", [1, 100, 1535, 16_383, 16_384, 16_385, 40_000, 300_000])
def test_batches_of_any_size_have_their_checksum(implementation: Implementation, size: int) -> None:
    """It is put together of what was summed up on the way."""
    chance = random.Random(size)
    columns = Columns.of(Record("", 0, 0, 0, 0, None, chance.randbytes(size)) for _ in range(7))
    builder = implementation.BatchBuilder(1 << 22)
    assert builder.append_rows(columns.raw, None, 0, 5, -1) == 5
    assert builder.append(0, b"key", chance.randbytes(size), ())
    assert builder.append_rows(columns.raw, None, 5, 7, -1) == 7
    batch = builder.finish()
    assert has_valid_crc(batch, parse_header(batch))
    implementation.seal(batch, 1 << 50, 7, 1 << 30, True)
    assert has_valid_crc(batch, parse_header(batch))
    with pytest.raises(ValueError, match="a batch of 60 bytes"):
        implementation.seal(batch[:60], 1, 1, 1, False)


@pytest.mark.parametrize("is_transactional", [False, True])
@pytest.mark.parametrize("number", Codec)
def test_a_producer_seals_with_what_it_is(
    implementation: Implementation, number: Codec, is_transactional: bool
) -> None:
    builder = implementation.BatchBuilder(1000)
    for timestamp in (7, 3, 5):
        builder.append(timestamp, b"key", b"value", ())
    batch = finish(builder, number)
    seal(batch, producer_id=9, producer_epoch=9, base_sequence=9, is_transactional=not is_transactional)
    seal(
        batch,
        producer_id=1 << 40,
        producer_epoch=3,
        base_sequence=(1 << 31) - 1,
        is_transactional=is_transactional,
        implementation=implementation,
    )
    header = parse_header(batch)
    assert header == BatchHeader(
        base_offset=0,
        batch_length=len(batch) - 12,
        leader_epoch=-1,
        magic=2,
        crc=header.crc,
        attributes=number | is_transactional << 4,
        last_offset_delta=2,
        base_timestamp=7,
        max_timestamp=7,
        producer_id=1 << 40,
        producer_epoch=3,
        base_sequence=(1 << 31) - 1,
        record_count=3,
    )
    assert has_valid_crc(batch, header)


@pytest.mark.parametrize("number", Codec)
def test_other_clients_read_it(implementation: Implementation, number: Codec) -> None:
    rows = [
        Record("", 0, 0, 1000 - i, 0, None if i % 3 else b"k%d" % i, None if i % 5 == 4 else b"v" * i)
        for i in range(200)
    ]
    rows[7] = rows[7]._replace(headers=(("name", b"held"), ("name", None), ("", b"")))
    (batch,) = encode_columns(
        Columns.of(rows),
        _of_partition([0] * 200),
        1,
        max_bytes=1 << 20,
        codec=number,
        implementation=implementation,
    )
    seal(batch.data, implementation=implementation)
    aiokafka_batch = DefaultRecordBatch(bytes(batch.data))
    assert aiokafka_batch.validate_crc()
    kafka_batch = MemoryRecords(bytes(batch.data)).next_batch()
    assert kafka_batch.validate_crc()
    for other in (aiokafka_batch, kafka_batch):
        assert [
            Record("", 0, 0, record.timestamp, 0, record.key, record.value, tuple(record.headers))
            for record in other
        ] == rows


def test_rows_without_a_timestamp_get_the_time_given(implementation: Implementation) -> None:
    columns = Columns.of([Record("", 0, 0, timestamp, 0, None, b"") for timestamp in (5, -1)])
    for now, expected in ((-1, [5, -1]), (77, [5, 77])):
        batches = list(
            encode_columns(
                columns, _of_partition((0, 0)), 1, max_bytes=1000, now=now, implementation=implementation
            )
        )
        assert list(_appended(batches, 0, implementation).timestamp) == expected


def test_partitions_take_turns(implementation: Implementation) -> None:
    columns = Columns.of([Record("", 0, 0, 0, 0, None, b"x" * 90)] * 9)
    chosen = _of_partition((5, 5, 5, 5, 0, 0, 2, 2, 2))
    batches = encode_columns(columns, chosen, 7, max_bytes=300, implementation=implementation)
    assert [(batch.partition, batch.records) for batch in batches] == [(0, 2), (2, 2), (5, 2), (2, 1), (5, 2)]


def test_text_and_bytes_name_headers(implementation: Implementation) -> None:
    builder = implementation.BatchBuilder(1000)
    headers = [("n\N{EURO SIGN}\udcff", b"1"), (b"\xff", None), ("", bytearray(b"2"))]
    builder.append(0, bytearray(b"key"), memoryview(b"value"), headers)
    batch = finish(builder)
    seal(batch, implementation=implementation)
    columns = FetchedRecords(batch, implementation=implementation).read()
    assert columns is not None
    assert columns.headers[0] == (("n\N{EURO SIGN}".encode() + b"\xff", b"1"), (b"\xff", None), (b"", b"2"))
    assert (columns.key[0], columns.value[0]) == (b"key", b"value")


@pytest.mark.parametrize(
    "row",
    [
        ("0", None, None, ()),
        (1 << 63, None, None, ()),
        (0, "text", None, ()),
        (0, None, 5, ()),
        (0, None, None, 5),
        (0, None, None, [5]),
        (0, None, None, [("name",)]),
        (0, None, None, [(None, b"")]),
        (0, None, None, [("name", "text")]),
    ],
)
def test_other_types_are_refused(implementation: Implementation, row: tuple[object, ...]) -> None:
    builder = implementation.BatchBuilder(1000)
    with pytest.raises((TypeError, ValueError, IndexError, OverflowError)):
        builder.append(*row)
    assert builder.count == 0


def test_rows_that_are_not_there_are_refused(implementation: Implementation) -> None:
    columns = Columns.of([Record("", 0, 0, 0, 0, b"", b"")] * 3)
    builder = implementation.BatchBuilder(1000)
    for start, stop in ((-1, 2), (2, 1), (0, 4)):
        with pytest.raises(ValueError, match="there are no rows"):
            builder.append_rows(columns.raw, None, start, stop, -1)
    for row in (-1, 3):
        with pytest.raises(ValueError, match="there is no row"):
            builder.append_rows(columns.raw, memoryview(array("q", [row])), 0, 1, -1)
    with pytest.raises(ValueError, match="2 partitions for 3 rows"):
        list(encode_columns(columns, _of_partition((0, 0)), 1, max_bytes=100, implementation=implementation))
    for partition in (-1, 1):
        with pytest.raises(ValueError, match=f"row 2 is for partition {partition} of 1"):
            list(
                encode_columns(
                    columns, _of_partition((0, 0, partition)), 1, max_bytes=100, implementation=implementation
                )
            )


def test_a_header_without_a_name_is_refused(implementation: Implementation) -> None:
    columns = Columns.of([Record("", 0, 0, 0, 0, b"", b"", (("a", b""),))])
    columns.headers.names = BinaryColumn.of([None])
    if implementation.NAME == "plain":  # where a null name reads as an empty one
        return
    with pytest.raises(ValueError, match="name is null"):
        implementation.BatchBuilder(1000).append_rows(columns.raw, None, 0, 1, -1)
