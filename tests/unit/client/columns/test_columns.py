"""The container: rows, slices, concatenation, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.columns.columns import Columns, Record
from ottla.client.columns.implementation import Implementation

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
STRINGS = st.binary(max_size=20) | st.none()
NAMES = st.binary(max_size=8).map(lambda name: name.decode("utf-8", "surrogateescape"))
RECORDS = st.lists(
    st.builds(
        Record,
        topic=st.just(""),
        partition=st.integers(0, (1 << 31) - 1),
        offset=INT64,
        timestamp=INT64,
        timestamp_type=st.integers(0, 1),
        key=STRINGS,
        value=STRINGS,
        headers=st.lists(st.tuples(NAMES, STRINGS), max_size=3).map(tuple),
    ),
    max_size=30,
)


def _wide(column: BinaryColumn) -> BinaryColumn:
    offsets = memoryview(array("q", column.offsets))
    return BinaryColumn(offsets, column.data, column.validity, column.start, column.length)


@given(RECORDS)
def test_records_come_back(implementation: Implementation, records: list[Record]) -> None:
    columns = Columns.of(records)
    assert len(columns) == len(records)
    found = list(columns.records(implementation=implementation))
    assert found == records
    assert {type(record) for record in found} <= {Record}
    assert implementation.strings(columns.value[1:].raw) == [record.value for record in records[1:]]
    assert implementation.strings(_wide(columns.key).raw) == [record.key for record in records]
    wide = Columns(*columns.raw[:4], _wide(columns.key), _wide(columns.value), columns.headers)
    assert list(wide[1:].records(implementation=implementation)) == records[1:]


DELIMITERS = st.sampled_from([b"\n", b"ab", b"aab", b"\r\n\0"])


@given(st.binary(max_size=40), DELIMITERS)
def test_text_is_split(implementation: Implementation, data: bytes, delimiter: bytes) -> None:
    data = data.replace(b"\0", b"a").replace(b"\1", delimiter)
    for given_ in (data, memoryview(b"x" + data)[1:]):
        raw, longest = implementation.split(given_, delimiter)
        parts = data.split(delimiter)
        assert (list(BinaryColumn(*raw)), longest) == (parts, max(map(len, parts)))


@given(st.lists(STRINGS), DELIMITERS | st.just(b""), STRINGS.map(lambda null: null or b""))
def test_text_is_joined(
    implementation: Implementation, values: list[bytes | None], delimiter: bytes, null: bytes
) -> None:
    column = BinaryColumn.of([b"before", *values, None])[1:-1]
    parts = [null if each is None else each for each in values]
    inside = sum(each.count(delimiter) for each in parts) if delimiter else 0
    expected = b"".join([each + delimiter for each in parts]), inside
    assert implementation.join(column.raw, delimiter, null) == expected
    assert implementation.join(_wide(column).raw, delimiter, null) == expected


def test_an_empty_delimiter_is_refused(implementation: Implementation) -> None:
    with pytest.raises(ValueError, match="empty separator"):
        implementation.split(b"ab", b"")


@given(RECORDS, st.data())
def test_a_slice_is_the_slice_of_the_rows(records: list[Record], data: st.DataObject) -> None:
    bounds = st.integers(-35, 35) | st.none()
    first, second = (slice(data.draw(bounds), data.draw(bounds)) for _ in range(2))
    columns = Columns.of(records)
    sliced = columns[first][second]
    rows = records[first][second]
    assert list(sliced.records()) == rows
    assert sliced == Columns.of(rows)
    assert [sliced.key[i] for i in range(-len(rows), len(rows))] == [row.key for row in rows] * 2
    assert [len(sliced.headers[i]) for i in range(len(rows))] == [len(row.headers) for row in rows]
    assert sliced.nbytes == Columns.of(rows).nbytes


def test_a_slice_shares_the_buffers() -> None:
    columns = Columns.of([Record("t", 0, i, 0, 0, b"key", b"value") for i in range(10)])
    part = columns[3:5]
    assert part.value.data is columns.value.data
    assert part.value.offsets is columns.value.offsets
    assert part.offset.obj is columns.offset.obj


@given(st.lists(st.tuples(RECORDS, st.booleans()), max_size=4), st.integers(0, 3))
def test_concatenation_is_that_of_the_rows(
    implementation: Implementation, parts: list[tuple[list[Record], bool]], cut: int
) -> None:
    made = []
    for rows, is_wide in parts:
        columns = Columns.of(rows)
        if is_wide:
            columns.key, columns.value = _wide(columns.key), _wide(columns.value)
        made.append(columns[cut:])
    rows = [row for part, _ in parts for row in part[cut:]]
    whole = Columns.concat(made, implementation=implementation)
    assert list(whole.records()) == rows
    assert whole == Columns.of(rows)


def test_what_is_put_together_keeps_nothing_alive(implementation: Implementation) -> None:
    rows = [Record("", 0, i, 0, 0, b"key", None, (("a", b"b"),)) for i in range(100)]
    columns = Columns.of(rows)
    whole = Columns.concat([columns[5:7], columns[90:]], implementation=implementation)
    assert list(whole.records()) == rows[5:7] + rows[90:]
    assert (len(whole.key.data), len(whole.headers.names.data), len(whole.value.data)) == (36, 12, 0)
    assert (whole.key.validity, whole.key.start) == (None, 0)


def test_memory_to_receive_into(implementation: Implementation) -> None:
    for size in (0, 1, 100_000):
        view = implementation.allocate(size)
        assert (len(view), view.format, view.readonly) == (size, "B", False)
        view[:] = b"x" * size
        assert bytes(view) == b"x" * size
    with pytest.raises((ValueError, MemoryError)):
        implementation.allocate(-1)


def test_one_part_is_given_back_as_it_is() -> None:
    columns = Columns.of([])
    assert Columns.concat([columns]) is columns


def test_the_topic_is_in_each_record(implementation: Implementation) -> None:
    columns = Columns.of([Record("", 2, 5, 7, 1, None, b"", (("a", None), ("a", b"1")))])
    assert list(columns.records("orders", implementation=implementation)) == [
        Record("orders", 2, 5, 7, 1, None, b"", (("a", None), ("a", b"1")))
    ]


def test_columns_differ_in_each_of_their_parts() -> None:
    row = Record("", 0, 1, 2, 0, b"k", b"v", (("h", b"x"),))
    columns = Columns.of([row])
    others = (
        {"partition": 1},
        {"offset": 2},
        {"timestamp": 3},
        {"timestamp_type": 1},
        {"key": None},
        {"value": b""},
        {"headers": (("h", None),)},
    )
    for other in others:
        assert columns != Columns.of([row._replace(**other)])
    assert columns == Columns.of([row])
    assert columns != Columns.of([row, row])
    assert columns != [row]


@pytest.mark.parametrize(
    ("offsets", "start", "length"),
    [((0, 1), 0, 2), ((0, 1), 1, 1), ((0,), -1, 1), ((0, 1), 0, -1), ((), 0, 0)],
)
def test_strings_without_offsets_are_refused(offsets: tuple[int, ...], start: int, length: int) -> None:
    with pytest.raises(ValueError, match="do not hold"):
        BinaryColumn(memoryview(array("i", offsets)), b"a", None, start, length)
    empty = BinaryColumn.of([])
    with pytest.raises(ValueError, match="do not hold"):
        HeadersColumn(memoryview(array("i", offsets)), empty, empty, start, length)


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="validity"):
        BinaryColumn(memoryview(array("i", [0] * 10)), b"", b"\xff")
    with pytest.raises(ValueError, match="format"):
        BinaryColumn(memoryview(b"\0\0"), b"")
    with pytest.raises(ValueError, match="2 names of headers and 1 values"):
        HeadersColumn(memoryview(array("i", (0,))), BinaryColumn.of([b"", b""]), BinaryColumn.of([b""]))
    columns = Columns.of([Record("", 0, 0, 0, 0, b"", b"")])
    parts = columns.partition, columns.offset, columns.timestamp, columns.timestamp_type
    with pytest.raises(ValueError, match="lengths"):
        Columns(*parts, columns.key, BinaryColumn.of([]), columns.headers)
    with pytest.raises(ValueError, match="formats"):
        Columns(parts[1], *parts[1:], columns.key, columns.value, columns.headers)
    with pytest.raises(ValueError, match="without a step"):
        columns[::2]
    with pytest.raises(IndexError):
        columns.key[1]


def test_columns_that_lie_are_refused_by_compiled_code(implementation: Implementation) -> None:
    row = Record("", 0, 0, 0, 0, b"key", b"value", (("name", b"held"),))
    columns = Columns.of([row] * 3)
    columns.key.offsets = memoryview(array("i", [0, 3, 100, 9]))
    if implementation.NAME == "plain":  # slices come out short there, which does no harm
        return
    records = columns.records(implementation=implementation)
    assert next(records) == row
    for _ in range(2):
        with pytest.raises(ValueError, match="outside of its data"):
            next(records)
    for offsets in ([0, -1, 3, 9], [0, 9, 3, 9]):
        columns.key.offsets = memoryview(array("q", offsets))
        with pytest.raises(ValueError, match="outside of its data"):
            list(columns.records(implementation=implementation))
    columns = Columns.of([row] * 3)
    columns.headers.offsets = memoryview(array("i", [0, 4, 4, 4]))
    with pytest.raises(ValueError, match="outside of its data"):
        list(columns.records(implementation=implementation))
    for name in ("key", "value", "headers"):
        columns = Columns.of([row] * 3)
        getattr(columns, name).length = 4
        with pytest.raises(ValueError, match="do not hold"):
            columns.records(implementation=implementation)
        getattr(columns, name).length = 2
        with pytest.raises(ValueError, match="differ in length"):
            columns.records(implementation=implementation)


def test_no_pyarrow_is_imported() -> None:
    program = (
        "import sys, ottla.client.columns.decode; "
        "assert not {'pyarrow', 'numpy', 'polars', 'pandas', 'asyncio'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
