"""The walks over encoded records: they take and tell what the full decoder does, whatever the bytes."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records import structure
from ottla.records.batch import ATTRIBUTES, BODY_HEADER, HEADER_SIZE, PREFIX, TIMESTAMP_TYPE_MASK
from ottla.records.codec import Record, decode_batch, encode_batch
from ottla.records.structure import IRREGULAR, NULL_KEY, check_records, iter_records, rewrite_records
from ottla.records.varint import encode_varint as number

MIB = 1 << 20


def field(content: bytes | None) -> bytes:
    return b"\x01" if content is None else number(len(content)) + content


def record(
    offset: int = 0,
    timestamp: int = 0,
    key: bytes = b"\x01",
    value: bytes = b"\x02v",
    headers: bytes = b"\0",
    attributes: bytes = b"\0",
) -> bytes:
    """A record; `key` and `value` with their lengths, `headers` with their count."""
    body = attributes + number(timestamp) + number(offset) + key + value + headers
    return number(len(body)) + body


def decode(data: bytes, count: int) -> list[Record]:
    """What the full decoder makes of them; it alone looks into every byte and builds the records."""
    # As of log append time, so that timestamps beyond 64 bits, which others judge, are no matter.
    body = BODY_HEADER.pack(TIMESTAMP_TYPE_MASK, count - 1, 0, 0, -1, -1, -1, count) + data
    prefix = PREFIX.pack(0, len(body) + ATTRIBUTES - 12, -1, 2, 0)
    return decode_batch(prefix + body, max_bytes=MIB)


def deltas(data: bytes, count: int) -> list[int]:
    return [delta for delta, _ in iter_records(data, 0, count)]


def assert_refused(data: bytes, count: int) -> None:
    with pytest.raises(KafkaError) as caught:
        check_records(b"before" + data, 6, count)
    assert caught.value.code == ErrorCode.invalid_record


def assert_sound(data: bytes, count: int) -> None:
    """What is taken is what the decoder takes, and what is said of it is so."""
    try:
        records = decode(data, count)
    except KafkaError:
        assert_refused(data, count)
        return
    lowest, highest, seen = check_records(b"before" + data, 6, count)
    assert [has_key for _, has_key in iter_records(data, 0, count)] == [
        record.key is not None for record in records
    ]
    assert (lowest, highest) == (min(deltas(data, count)), max(deltas(data, count)))
    assert (seen & NULL_KEY != 0) == any(record.key is None for record in records)
    is_numbered = [record.offset for record in records] == list(range(count))
    rewritten = rewrite_records(data, 0, count)
    assert check_records(rewritten, 0, count) == (lowest, highest, seen & NULL_KEY)
    assert decode(rewritten, count) == [each._replace(offset=index) for index, each in enumerate(records)]
    assert is_numbered or seen & IRREGULAR
    # Walked record by record as well: runs of one shape are a shorter way to the same answer.
    assert structure._walk(data, 0, 0, count) == (len(data), lowest, highest, seen)
    assert structure._walk_runs(data, 0, count) == (len(data), lowest, highest, seen)


contents = st.none() | st.binary(max_size=20) | st.sampled_from((63, 64, 8191, 8192)).map(bytes)
records_of_any_kind = st.lists(
    st.builds(
        Record,
        st.just(0),
        st.sampled_from((0, 1, 63, 64, -64, -65, 8191, 8192, -8192, 2**63 - 1, -(2**63)))
        | st.integers(-(2**63), 2**63 - 1),
        contents,
        contents,
        st.lists(st.tuples(st.text(max_size=70), contents), max_size=2).map(tuple)
        | st.just((("", None),) * 70),
    ),
    min_size=1,
    max_size=9,
)


def encode(records: list[Record]) -> bytes:
    """Their bytes; timestamps are deltas here."""
    numbered = [each._replace(offset=index) for index, each in enumerate(records)]
    payload = encode_batch([Record(0, 0, None, None), *numbered], max_timestamp=0, last_offset=0)
    return payload[HEADER_SIZE + len(record(value=b"\x01")) :]


@given(records_of_any_kind)
def test_records_are_taken_and_measured(records: list[Record]) -> None:
    data = encode(records)
    count = len(records)
    assert_sound(data, count)
    seen = NULL_KEY if any(each.key is None for each in records) else 0
    timestamps = [each.timestamp for each in records]
    assert check_records(data, 0, count) == (min(timestamps), max(timestamps), seen)
    assert rewrite_records(data, 0, count) == data


@given(
    records_of_any_kind,
    st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=3),
    st.integers(-1, 1),
)
@settings(max_examples=300)
def test_damaged_records_are_taken_as_the_decoder_takes_them(
    records: list[Record], edits: list[tuple[int, int]], more: int
) -> None:
    data = bytearray(encode(records))
    for at, byte in edits:
        data[at % len(data)] = byte
    assert_sound(bytes(data), max(1, len(records) + more))


@given(st.binary(max_size=80), st.integers(1, 9))
def test_any_bytes_at_all(data: bytes, count: int) -> None:
    assert_sound(data, count)


shapes = st.builds(
    lambda key, size, headers: (key, size, headers),
    st.none() | st.integers(0, 70),
    st.none() | st.integers(0, 130),
    st.integers(0, 2),
)


def run_of(
    shape: tuple[int | None, int | None, int], count: int, timestamps: list[int], first: int = 0
) -> bytes:
    """Records of one shape, numbered from `first` on, whose bytes say which they are."""
    key, size, header_count = shape
    headers = number(header_count) + (field(b"name") + field(b"value")) * header_count
    return b"".join(
        record(
            index,
            timestamp,
            field(None if key is None else (b"%d" % index).zfill(key)[:key]),
            field(None if size is None else (b"%d" % index).zfill(size)[:size]),
            headers,
        )
        for index, timestamp in zip(range(first, first + count), itertools.cycle(timestamps), strict=False)
    )


@given(
    shapes,
    st.integers(1, 150),
    st.lists(st.integers(-70, 70) | st.integers(0, 9000), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=2),
)
@settings(max_examples=300)
@example((None, 100, 0), 64, [0], [])
@example((8, 100, 1), 65, [63], [(0, 0xFF)])
@example((None, 8200, 0), 9, [64], [])
def test_runs_of_records_of_one_shape(
    shape: tuple[int | None, int | None, int],
    count: int,
    timestamps: list[int],
    edits: list[tuple[int, int]],
) -> None:
    data = bytearray(run_of(shape, count, timestamps))
    assert_sound(bytes(data), count)
    for at, byte in edits:
        data[at % len(data)] = byte
    assert_sound(bytes(data), count)


@pytest.mark.parametrize("shape", [(None, None, 0), (None, 70, 0), (9, 0, 0), (70, 8000, 0), (0, 64, 2)])
@pytest.mark.parametrize("timestamps", [[0], [3, -64, 63, 7], [64], [8191, 64, 129], [128, 8000, 192]])
@pytest.mark.parametrize("first", [0, 59, 64, 8187, 8192, 16_379, 16_384, (1 << 20) - 5])
def test_runs_are_found(shape: tuple[int | None, int | None, int], timestamps: list[int], first: int) -> None:
    data = run_of(shape, 5, timestamps, first) + b"more"
    used = (timestamps * 5)[:5]
    expected = (first + 5, len(data) - 4, min(used), max(used), NULL_KEY if shape[0] is None else 0)
    for last in (first + 5, first + 6, first + 10_000):
        assert structure._pass_run(data, 0, first, last)[:2] in (expected[:2], (first, 0))
    assert structure._pass_run(data, 0, first, first + 5) == expected
    assert structure._pass_run(b"before" + data, 6, first, first + 5) == (
        expected[0],
        expected[1] + 6,
        *expected[2:],
    )
    assert structure._pass_run(data, 0, first, first + 4)[0] == first


OTHER_RECORDS = {
    "a longer value": record(20, 7, field(b"key"), field(bytes(101))),
    "a key that is longer by what the value is shorter": record(20, 7, field(b"key!"), field(bytes(99))),
    "no key": record(20, 7, b"\x01", field(bytes(103))),
    "no value": record(20, 7, field(bytes(104)), b"\x01"),
    "a header": record(20, 7, field(b"key"), field(bytes(95)), b"\x02\x02n\x02v"),
    "a timestamp of two bytes": record(20, 64, field(b"key"), field(bytes(99))),
}


@pytest.mark.parametrize("other", OTHER_RECORDS.values(), ids=OTHER_RECORDS)
def test_runs_end_where_records_differ(other: bytes) -> None:
    alike = run_of((3, 100, 0), 20, [7, 9])
    after = run_of((3, 100, 0), 9, [7], 21)
    assert structure._pass_run(alike + other + after, 0, 0, 30) == (20, len(alike), 7, 9, 0)
    assert structure._walk_runs(alike + other + after, 0, 30) == structure._walk(
        alike + other + after, 0, 0, 30
    )


@pytest.mark.parametrize(("before", "after"), [(5, 64), (64, 5), (-64, 8191)])
def test_runs_end_where_timestamps_take_other_sizes(before: int, after: int) -> None:
    """Even if the records are as long as each other, as these are not sound."""
    data = bytearray(run_of((None, 9, 0), 20, [before]))
    size = len(data) // 20
    data[12 * size + 2 : 12 * size + 4] = run_of((None, 9, 0), 1, [after])[2:4]
    assert structure._pass_run(bytes(data), 0, 0, 20)[0] in (12, 0)


def test_records_of_one_shape_are_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    if structure._IS_COMPILED:
        pytest.skip("compiled, all records are walked")
    data = run_of((None, 9, 0), 20_000, [1, 2])
    monkeypatch.setattr(structure, "_walk", None)
    assert check_records(data, 0, 20_000) == (1, 2, NULL_KEY)


def test_looking_for_runs_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where there are none nor where they are as short as can be."""
    if structure._IS_COMPILED:
        pytest.skip("compiled, all records are walked")
    looked: list[int] = []
    pass_run = structure._pass_run

    def counted(data: bytes, start: int, first: int, last: int) -> tuple[int, int, int, int, int]:
        looked.append(last - first)
        return pass_run(data, start, first, last)

    monkeypatch.setattr(structure, "_pass_run", counted)
    for alike, looks in ((1, 10), (5, 200)):
        looked.clear()
        data = b"".join(record(i, value=field(bytes(i // alike % 2))) for i in range(1000))
        assert check_records(data, 0, 1000) == (0, 0, NULL_KEY)
        assert len(looked) <= looks
        assert max(looked) <= 64


@pytest.mark.parametrize("shape", [(None, 12, 0), (3, 0, 1)])
@pytest.mark.parametrize("timestamps", [[0, 1, 2], [64, 65], [8000, 70, 8191]])
def test_every_byte_of_a_run_counts(shape: tuple[int, int, int], timestamps: list[int]) -> None:
    count = 67
    data = run_of(shape, count, timestamps)
    ends = [len(run_of(shape, count, timestamps)) for count in (1, 2, 63, 64, 65, 67)]
    for start in (0, *ends[:-1]):
        for at in range(start, start + 12):
            for byte in (data[at] ^ 1, data[at] ^ 2, data[at] ^ 0x80, 0xFF, 1):
                assert_sound(data[:at] + bytes((byte,)) + data[at + 1 :], count)


def test_offsets_of_every_size() -> None:
    for count in (63, 64, 65, 8191, 8192, 8193, 8200, 16_383, 16_384, 16_389, 25_000):
        data = run_of((None, 3, 0), count, [5, 7])
        assert check_records(data, 0, count) == (5, 7, NULL_KEY)
        assert structure._walk_runs(data, 0, count) == structure._walk(data, 0, 0, count)
    for wrong in (0, 62, 63, 64, 65, 8190, 8191, 8192, 16_383, 16_384, 24_999):
        changed = bytearray(data)
        changed[len(run_of((None, 3, 0), wrong, [0])) + 3] ^= 4
        assert check_records(bytes(changed), 0, count)[2] & IRREGULAR


def test_offsets_of_more_than_three_bytes() -> None:
    count = (1 << 20) + 20
    offsets = (number(index) for index in range(count))
    data = b"".join(number(5 + len(offset)) + b"\0\0" + offset + b"\x01\x01\0" for offset in offsets)
    assert check_records(data, 0, count) == (0, 0, NULL_KEY)


def test_records_that_only_seem_to_be_of_one_shape() -> None:
    """With offsets in more bytes than they take, what follows is not where a run has it."""
    for count in (1, 5, 9):
        data = b"".join(
            number(70) + b"\0\0" + bytes((0x80 | 2 * index, 0)) + b"\x01" + field(b"\x7e" * 63) + b"\0"
            for index in range(count)
        )
        assert_sound(data, count)
        assert check_records(data, 0, count) == (0, 0, NULL_KEY)


@pytest.mark.parametrize("timestamps", [[3, 3, 9, -4, 2], [-1, -64, -64], [63, 62], [64, 8191, 70], [0, 64]])
def test_the_timestamps_of_runs(timestamps: list[int]) -> None:
    for count in (5, 6, 40, 64, 100):
        used = (timestamps * count)[:count]
        expected = (min(used), max(used), NULL_KEY)
        assert check_records(run_of((None, 9, 0), count, timestamps), 0, count) == expected


IRREGULAR_RECORDS = {
    "a key of -2 bytes": record(key=number(-2)),
    "a key of -2**31 bytes": record(key=number(-(2**31))),
    "a value of -3 bytes": record(value=number(-3)),
    "a value of -65 bytes": record(value=number(-65)),
    "a header's value of -2 bytes": record(headers=b"\x02\x02n" + number(-2)),
    "a first offset of 1": record(1),
    "a first offset of -1": record(-1),
    "a first offset of 64": record(64),
    "a first offset of 8192": record(8192),
    "a first offset of 2**31 - 1": record(2**31 - 1),
}


@pytest.mark.parametrize("data", IRREGULAR_RECORDS.values(), ids=IRREGULAR_RECORDS)
def test_what_kafka_takes_is_made_regular(data: bytes) -> None:
    assert check_records(data, 0, 1)[2] & IRREGULAR
    assert_sound(data, 1)
    assert check_records(rewrite_records(data, 0, 1), 0, 1)[2] & IRREGULAR == 0


def test_all_that_is_seen_is_told() -> None:
    """Of one record before another, whichever comes first."""
    keyless, irregular = record(0), record(9, key=field(b"k"))
    assert check_records(keyless + irregular, 0, 2)[2] == NULL_KEY | IRREGULAR
    assert check_records(record(9, key=field(b"k")) + record(1), 0, 2)[2] == NULL_KEY | IRREGULAR


ODD_FIELDS = {
    "a key of -2 bytes": {"key": number(-2)},
    "a key of -65 bytes": {"key": number(-65)},
    "a value of -2 bytes": {"value": number(-2)},
    "a value of -65 bytes": {"value": number(-65)},
    "a null in two bytes": {"key": b"\x81\0"},
    "a header's value of -2 bytes": {"headers": b"\x02\x02n\x03"},
    "a header without a value": {"headers": b"\x02\x02n\x01"},
    "a header without a name": {"headers": b"\x02\x01\x02v"},
    "-1 headers": {"headers": b"\x01"},
    "a header that is not there": {"headers": b"\x02"},
    "a value that is too long": {"value": b"\x04v"},
    "a value that is too short": {"value": b"\0v"},
    "a value of 8192 bytes": {"value": field(bytes(8192))},
    "a key of 8192 bytes": {"key": field(bytes(8192))},
}


@pytest.mark.parametrize("fields", ODD_FIELDS.values(), ids=ODD_FIELDS)
def test_runs_of_odd_records(fields: dict[str, bytes]) -> None:
    """That records are alike makes them no better."""
    for count in (5, 20, 70):
        assert_sound(b"".join(record(index, **fields) for index in range(count)), count)


REGULAR_RECORDS = {
    "a length of 64": record(value=field(bytes(58))),
    "attributes": record(attributes=b"\xff"),
    "a length in more bytes than it takes": record(key=b"\x80\x80\x80\x80\0"),
    "a null in more bytes than it takes": record(value=b"\x81\0"),
    "an offset in more bytes than it takes": b"\x1a\0\0" + b"\x80\x80\x80\x80\0" + b"\x01\x06abc\0",
    "a timestamp in ten bytes": b"\x20\0" + b"\x80" * 9 + b"\0" + b"\0\x01\x02v\0",
    "a record's length in five bytes": b"\x8e\x80\x80\x80\0" + b"\0\0\0\x01\x02v\0",
    "no headers, in two bytes": record(headers=b"\x80\0"),
    "a header with nothing in it": record(headers=b"\x02\0\0"),
    "a header without a value": record(headers=b"\x02\x02n\x01"),
    "a header's value of null in two bytes": record(headers=b"\x02\x02n\x81\0"),
    "a header's name that is no text": record(headers=b"\x02\x02\xff\x01"),
    "a header's name of 8192 bytes": record(headers=b"\x02" + field(bytes(8192)) + b"\x01"),
    "100 headers": record(headers=number(100) + b"\0\0" * 100),
    "a key of 8192 bytes": record(key=field(bytes(8192))),
}


@pytest.mark.parametrize("data", REGULAR_RECORDS.values(), ids=REGULAR_RECORDS)
def test_odd_records_that_are_regular(data: bytes) -> None:
    assert check_records(data, 0, 1)[2] & IRREGULAR == 0
    assert_sound(data, 1)


MALFORMED_RECORDS = {
    "nothing": b"",
    "a key longer than the record": record(key=number(50) + b"k"),
    "a value that reaches into the batch's end": record(value=number(3) + b"v"),
    "a byte left in the record": record(headers=b"\0x"),
    "a byte left in the batch": record() + b"\0",
    "another record": record() + record(1),
    "-1 headers": record(headers=number(-1)),
    "a header that is not there": record(headers=number(1)),
    "2**31 - 1 headers": record(headers=number(2**31 - 1)),
    "a header without a name": record(headers=b"\x02\x01\x02x"),
    "a header's name of -2 bytes": record(headers=b"\x02\x03\x02x"),
    "a header's name of -65 bytes": record(headers=b"\x02" + number(-65) + b"\x02x"),
    "a header's value past the end": record(headers=b"\x02\x02n" + number(9) + b"x"),
    "a length of -7": number(-7) + record()[1:],
    "a length of -65": number(-65) + record()[1:],
    "a length that is too small": b"\x0c" + record()[1:],
    "a length that is too large": b"\x10" + record()[1:],
    "a length of 2**31 - 1": number(2**31 - 1) + record()[1:],
    "a length of six bytes": b"\x8e\x80\x80\x80\x80\0" + record()[1:],
    "a length of 33 bits": b"\x8e\x80\x80\x80\x10" + record()[1:],
    "an offset of six bytes": b"\x18\0\0" + b"\x80\x80\x80\x80\x80\0" + b"\x01\x02v\0",
    "a key's length of 33 bits": record(key=b"\x80\x80\x80\x80\x10"),
    "a timestamp of eleven bytes": b"\x22\0" + b"\x80" * 10 + b"\0" + b"\0\x01\x02v\0",
    "a timestamp of 65 bits": b"\x20\0" + b"\x80" * 9 + b"\x02" + b"\0\x01\x02v\0",
}


@pytest.mark.parametrize("data", MALFORMED_RECORDS.values(), ids=MALFORMED_RECORDS)
@pytest.mark.parametrize("before", [0, 1, 70])
def test_malformed_records(data: bytes, before: int) -> None:
    assert_refused(run_of((None, 1, 0), before, [0]) + data, before + 1)
    assert_sound(data, 1)


def test_counts_may_not_lie() -> None:
    data = run_of((None, 50, 0), 100, [0])
    for count in (1, 5, 63, 64, 99, 101, 200, 2**31 - 1):
        assert_refused(data, count)
    check_records(data, 0, 100)


def test_a_record_may_end_early_for_a_longer_one() -> None:
    """Lengths that are wrong although they add up."""
    for shift in (1, -1):
        first, second = record(), record(1)
        data = bytes((first[0] - 2 * shift,)) + first[1:] + bytes((second[0] + 2 * shift,)) + second[1:]
        assert_refused(data, 2)
