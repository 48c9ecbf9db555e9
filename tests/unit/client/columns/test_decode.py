"""Fetched batches to columns, by both implementations."""

from __future__ import annotations

import random
import threading
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottla.client.columns.columns import Columns, Record
from ottla.client.columns.decode import CorruptRecordsError, FetchedRecords
from ottla.client.columns.implementation import Implementation
from ottla.protocol.errors import ErrorCode
from ottla.records import codec
from ottla.records.batch import ATTRIBUTES, CRC, TimestampType, compute_crc
from ottla.records.codec import ControlType, encode_batch, encode_end_transaction_marker
from ottla.records.compression import Codec

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
STRINGS = st.binary(max_size=300) | st.none()
NAMES = st.binary(max_size=80).map(lambda name: name.decode("utf-8", "surrogateescape"))
HEADERS = st.lists(st.tuples(NAMES, STRINGS), max_size=3).map(tuple)


@st.composite
def batches(draw: st.DrawFn) -> list[bytes]:
    """Batches as a log has them: offsets ascend, with gaps where it was compacted."""
    offset = draw(st.integers(0, 1 << 40))
    made = []
    for _ in range(draw(st.integers(1, 4))):
        base = offset
        base_time = draw(st.integers(-1, 1 << 50))
        records = []
        for _ in range(draw(st.integers(0, 6))):
            offset += draw(st.integers(1, 3) | st.integers(1, 1 << 20))
            time = base_time + draw(st.integers(-1000, 1000) | st.integers(-1000, 1 << 45))
            records.append(codec.Record(offset, time, draw(STRINGS), draw(STRINGS), draw(HEADERS)))
        made.append(
            encode_batch(
                records,
                base_offset=base,
                codec=draw(st.sampled_from(Codec)),
                timestamp_type=draw(st.sampled_from(TimestampType)),
                leader_epoch=draw(st.integers(-1, 9)),
                last_offset=offset,
            )
        )
        offset += 1
    return made


def expected(encoded: list[bytes], partition: int, fetch_offset: int = 0) -> list[Record]:
    """What the broker's decoder says of the batches."""
    return [
        Record("t", partition, *record[:2], batch[ATTRIBUTES + 1] >> 3 & 1, *record[2:])
        for batch in encoded
        for record in codec.decode_batch(batch, max_bytes=1 << 30)
        if record.offset >= fetch_offset
    ]


def rows(columns: Columns | None) -> list[Record]:
    return [] if columns is None else list(columns.records("t"))


@settings(deadline=None)
@given(batches(), st.integers(0, 1 << 20), st.booleans())
def test_all_that_a_batch_may_hold(
    implementation: Implementation, encoded: list[bytes], skip: int, is_view: bool
) -> None:
    data = b"".join(encoded)
    fetch_offset = int.from_bytes(data[:8], "big") + skip
    fetched = FetchedRecords(
        memoryview(data) if is_view else data,
        partition=3,
        fetch_offset=fetch_offset,
        implementation=implementation,
    )
    assert rows(fetched.read()) == expected(encoded, 3, fetch_offset)
    assert fetched.read() is None
    assert fetched.left == 0
    last = encoded[-1]
    end = int.from_bytes(last[:8], "big") + int.from_bytes(last[23:27], "big") + 1
    assert fetched.next_offset == max(end, fetch_offset)
    assert fetched.leader_epoch == int.from_bytes(last[12:16], "big", signed=True)


def one_batch(*values: bytes | None, base: int = 0, **options: int) -> bytes:
    records = [codec.Record(base + i, 1000 + i, b"k%d" % i, value) for i, value in enumerate(values)]
    return encode_batch(records, base_offset=base, **options)


def test_a_batch_that_is_cut_off_is_left_for_the_next_fetch(implementation: Implementation) -> None:
    first, second = one_batch(b"a", b"b"), one_batch(b"c", base=2)
    for cut in range(len(second)):
        fetched = FetchedRecords(first + second[:cut], implementation=implementation)
        assert [row.value for row in rows(fetched.read())] == [b"a", b"b"]
        assert fetched.read() is None
        assert (fetched.next_offset, fetched.left) == (2, cut)


def test_nothing_is_read_of_nothing(implementation: Implementation) -> None:
    fetched = FetchedRecords(b"", fetch_offset=5, implementation=implementation)
    assert fetched.read() is None
    assert (fetched.next_offset, fetched.leader_epoch, fetched.left) == (5, -1, 0)


def test_pieces_end_with_the_batch_that_reaches_a_limit(implementation: Implementation) -> None:
    data = b"".join(one_batch(b"x" * 100, b"y" * 100, base=2 * i) for i in range(5))

    def sizes(**limits: int) -> list[int]:
        fetched = FetchedRecords(data, implementation=implementation)
        found = []
        while (columns := fetched.read(**limits)) is not None:
            found.append(len(columns))
            assert fetched.next_offset == columns.offset[-1] + 1
        return found

    assert sizes() == [10]
    assert sizes(max_records=4) == [4, 4, 2]
    assert sizes(max_records=5) == [4, 4, 2]
    assert sizes(max_records=1) == [2] * 5
    # A record: 100 bytes of value, 2 of key, 32 for what is fixed.
    assert sizes(max_bytes=2 * 134) == [2] * 5
    assert sizes(max_bytes=2 * 134 + 1) == [4, 4, 2]


def test_a_sink_takes_rows_of_one_partition_after_the_other(implementation: Implementation) -> None:
    sink = implementation.Sink(1000)
    made = [(one_batch(b"a", None), 1), (one_batch(b"b" * 100, b"", b"c", base=7, codec=4), 2)]
    readers = [FetchedRecords(data, partition=at, implementation=implementation) for data, at in made]
    assert [reader.gather(sink, max_records=10) for reader in readers] == [2, 3]
    assert sink.count == 5
    found = Columns.from_raw(sink.take())
    assert rows(found) == [*expected([made[0][0]], 1), *expected([made[1][0]], 2)]
    assert (sink.count, len(Columns.from_raw(sink.take()))) == (0, 0)
    assert [reader.gather(sink) for reader in readers] == [0, 0]


def test_a_sink_takes_no_batch_that_does_not_fit(implementation: Implementation) -> None:
    sink = implementation.Sink(0)
    first = FetchedRecords(one_batch(b"a", b"b", b"c"), implementation=implementation)
    second = FetchedRecords(one_batch(b"d", b"e"), implementation=implementation)
    assert first.gather(sink, max_records=2) == 3  # one comes in any case
    assert second.gather(sink, max_records=4) == 0
    assert second.next_offset == 0
    assert second.gather(sink, max_records=5, max_bytes=100) == 0
    assert second.gather(sink, max_records=5) == 2


def test_a_fault_takes_nothing_out_of_the_sink(implementation: Implementation) -> None:
    sink = implementation.Sink(0)
    FetchedRecords(one_batch(b"a", None), implementation=implementation).gather(sink)
    record = codec.Record(0, 1, b"k", None, (("h", b"v"),))
    damaged = bytearray(encode_batch([record, record]))
    damaged[-2] = 0  # the last header's value is empty, so there is a byte too many
    broken = FetchedRecords(damaged, check_crcs=False, implementation=implementation)
    with pytest.raises(CorruptRecordsError):
        broken.gather(sink)
    FetchedRecords(one_batch(None, b"b"), implementation=implementation).gather(sink)
    assert [row.value for row in rows(Columns.from_raw(sink.take()))] == [b"a", None, None, b"b"]


def test_what_is_left_can_be_kept_apart(implementation: Implementation) -> None:
    response = bytearray(one_batch(b"a") + one_batch(b"b", base=1))
    fetched = FetchedRecords(memoryview(response)[:], implementation=implementation)
    assert len(rows(fetched.read(max_records=1))) == 1
    fetched.detach()
    response.clear()  # would raise BufferError if anything still pointed into it
    assert [row.value for row in rows(fetched.read())] == [b"b"]
    assert (fetched.next_offset, fetched.left) == (2, 0)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_damaged_batch_comes_up_after_what_is_before_it(
    implementation: Implementation, number: int
) -> None:
    parts = [bytearray(one_batch(b"a", b"b", base=10 * i)) for i in range(3)]
    parts[number][-2] ^= 1
    fetched = FetchedRecords(b"".join(parts), partition=7, implementation=implementation)
    if number:
        assert len(rows(fetched.read())) == 2 * number
    message = f"partition 7, the batch at offset {10 * number}: its CRC is wrong"
    for _ in range(2):
        with pytest.raises(CorruptRecordsError, match=message) as caught:
            fetched.read()
        assert (caught.value.code, caught.value.offset) == (ErrorCode.corrupt_message, 10 * number)
    assert fetched.next_offset == (10 * (number - 1) + 2 if number else 0)
    unchecked = FetchedRecords(b"".join(parts), check_crcs=False, implementation=implementation)
    assert len(rows(unchecked.read())) == 6


def patched(batch: bytes, at: int, field: bytes) -> bytes:
    changed = bytearray(batch)
    changed[at : at + len(field)] = field
    changed[CRC : CRC + 4] = compute_crc(changed).to_bytes(4, "big")
    return bytes(changed)


@pytest.mark.parametrize(
    ("at", "field", "message"),
    [
        (0, b"\xff" * 8, "offset"),  # a negative base offset
        (0, b"\x7f" + b"\xff" * 7, "offset"),  # no offset after it
        (8, b"\0\0\0\x30", "60 bytes"),
        (8, b"\x80\0\0\0", "bytes"),
        (16, b"\x03", "magic 3"),
        (22, b"\x05", "codec 5"),
        (23, b"\xff" * 4, "offset"),
        (57, b"\0\0\0\x03", "batch at offset 0: "),  # a record too many
        (57, b"\0\0\0\x01", "batch at offset 0: "),
        (57, b"\xff\xff\xff\xff", "batch at offset 0: "),
        (57, b"\x7f\xff\xff\xff", "batch at offset 0: "),
        (61, b"\x7f", "batch at offset 0: "),  # the first record's length
        (61, b"\x01", "batch at offset 0: "),
        (61, b"\xff" * 5, "batch at offset 0: "),
        (65, b"\x7f", "batch at offset 0: "),  # its key's
        (66, b"\x80" * 6, "batch at offset 0: "),
    ],
)
def test_nonsense_is_told_and_not_believed(
    implementation: Implementation, at: int, field: bytes, message: str
) -> None:
    data = patched(one_batch(b"a", b"b"), at, field)
    with pytest.raises(CorruptRecordsError, match=message):
        FetchedRecords(data, implementation=implementation).read()


@pytest.mark.parametrize("codec_number", [1, 2, 3, 4])
def test_a_batch_may_not_inflate_past_the_limit(implementation: Implementation, codec_number: int) -> None:
    data = one_batch(b"x" * 100_000, codec=codec_number)

    def read(limit: int) -> list[Record]:
        return rows(FetchedRecords(data, max_batch_bytes=limit, implementation=implementation).read())

    assert len(read(100_100)) == 1
    with pytest.raises(CorruptRecordsError, match="inflates to more than") as caught:
        read(100_000)
    assert caught.value.code == ErrorCode.message_too_large


def test_an_uncompressed_batch_is_held_to_the_limit_as_well(implementation: Implementation) -> None:
    data = one_batch(b"x" * 1000)
    with pytest.raises(CorruptRecordsError, match="more than 1000 bytes"):
        FetchedRecords(data, max_batch_bytes=1000, implementation=implementation).read()
    with pytest.raises(ValueError, match="max_batch_bytes"):
        FetchedRecords(data, max_batch_bytes=1 << 31, implementation=implementation)


def marker(offset: int, producer: int, control_type: ControlType) -> bytes:
    return encode_end_transaction_marker(
        control_type,
        base_offset=offset,
        timestamp=5,
        producer_id=producer,
        producer_epoch=0,
        coordinator_epoch=0,
    )


def transactional(offset: int, producer: int) -> bytes:
    return encode_batch(
        [codec.Record(offset, 5, b"%d" % producer, b"%d" % offset)],
        base_offset=offset,
        producer_id=producer,
        producer_epoch=0,
        base_sequence=0,
        is_transactional=True,
    )


def test_what_was_aborted_is_left_out(implementation: Implementation) -> None:
    abort, commit = ControlType.abort, ControlType.commit
    data = b"".join(
        (
            transactional(0, 1),
            transactional(1, 2),
            one_batch(b"plain", base=2),
            marker(3, 1, abort),
            transactional(4, 2),
            transactional(5, 1),  # another transaction of producer 1, committed
            marker(6, 2, commit),
            marker(7, 1, commit),
            transactional(8, 1),
            marker(9, 1, abort),
            transactional(10, 1),  # still open, or aborted later than this fetch looks
        )
    )

    def offsets(aborted: list[tuple[int, int]], fetch_offset: int = 0) -> list[int]:
        fetched = FetchedRecords(
            data, aborted=aborted, fetch_offset=fetch_offset, implementation=implementation
        )
        found = [offset for columns in fetched for offset in columns.offset]
        assert fetched.next_offset == 11
        one_by_one = FetchedRecords(
            data, aborted=aborted, fetch_offset=fetch_offset, implementation=implementation
        )
        pieces = iter(lambda: one_by_one.read(max_records=1), None)
        assert [offset for columns in pieces for offset in columns.offset] == found
        return found

    assert offsets([]) == [0, 1, 2, 4, 5, 8, 10]
    assert offsets([(1, 0)]) == [1, 2, 4, 5, 8, 10]
    assert offsets([(1, 8), (1, 0)]) == [1, 2, 4, 5, 10]
    assert offsets([(1, 0), (1, 8), (1, 10)]) == [1, 2, 4, 5]
    # From the middle: the marker at 3 is before what is asked for, and ends the transaction nevertheless.
    assert offsets([(1, 0)], 5) == [5, 8, 10]
    assert offsets([(1, 0), (1, 8)], 9) == [10]


def test_a_control_batch_that_says_nothing_is_told(implementation: Implementation) -> None:
    record = codec.Record(1, 5, b"\0", b"")
    control = encode_batch(
        [record], base_offset=1, producer_id=1, producer_epoch=0, is_transactional=True, is_control=True
    )
    fetched = FetchedRecords(control, aborted=[(1, 0)], implementation=implementation)
    with pytest.raises(CorruptRecordsError, match="control record"):
        fetched.read()
    ignored = FetchedRecords(control, implementation=implementation)
    assert ignored.read() is None
    assert ignored.next_offset == 2


def test_records_do_not_keep_the_batch(implementation: Implementation) -> None:
    data = bytearray(one_batch(b"a" * 50))
    columns = FetchedRecords(data, implementation=implementation).read()
    data.clear()  # would raise BufferError if anything still pointed into it
    assert [row.value for row in rows(columns)] == [b"a" * 50]


def test_a_buffer_that_changes_underneath_does_no_harm(implementation: Implementation) -> None:
    """Large batches are decoded while other threads run."""
    chance = random.Random(3)
    data = bytearray(one_batch(*(b"x" * 90 for _ in range(5000))))
    is_over = threading.Event()

    def change() -> None:
        while not is_over.is_set():
            data[chance.randrange(61, len(data))] = chance.randrange(256)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(30):
            with suppress(CorruptRecordsError):
                for columns in FetchedRecords(data, check_crcs=False, implementation=implementation):
                    assert len(columns) <= 5000
    finally:
        is_over.set()
        thread.join()


def test_noise_is_refused_or_read_and_nothing_else(implementation: Implementation) -> None:
    """Bytes changed at random, with no CRC that would notice."""
    chance = random.Random(7)
    original = one_batch(b"a" * 40, None, b"", b"b" * 300) + one_batch(b"c", codec=1, base=4)
    for _ in range(2000):
        data = bytearray(original)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        fetched = FetchedRecords(data, check_crcs=False, implementation=implementation)
        with suppress(CorruptRecordsError):
            for columns in fetched:
                list(columns.records())
