"""What chunks are spared: values that nobody looks at are handed on as bytes, rows are not taken apart."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ottla.client.columns.columns import Columns
from ottla.client.columns.columns import Record as Row
from ottla.streams import Bytes, Json, Long, Record, StreamsBuilder, Text, TopologyTest, col, concat, key
from ottla.streams.columnar.chunk import Chunk
from ottla.streams.columnar.column import Column
from ottla.streams.columnar.json_text import json_text
from ottla.streams.columnar.objects import array_of, objects_of
from ottla.streams.expressions.errors import NotColumnar


def _chunk(*values: bytes | None) -> Chunk:
    rows = [
        Row("in", 0, at, 1000 + at, 0, b"k%d" % at, value, (("h", b"1"),)) for at, value in enumerate(values)
    ]
    return Chunk.read("in", Columns.of(rows), Text(), Json(), -1)


def test_rows_that_are_kept_keep_their_bytes() -> None:
    chunk = _chunk(b'{"n":1}', b'{"n" : 2}', None, b'{"n":3}')

    kept = chunk.where(pa.array([False, True, True, True])).slice(0, 2)

    written = kept.encode("out", Text(), Json())
    assert list(written.key) == [b"k1", b"k2"]
    assert list(written.value) == [b'{"n" : 2}', None]
    assert list(written.timestamp) == [1001, 1002]
    assert [record.headers for record in written.records()] == [(("h", b"1"),)] * 2
    assert [(raw.offset, time, row.value) for raw, time, row in kept.rows()] == [
        (1, 1001, {"n": 2}),
        (2, 1002, None),
    ]


def test_json_that_is_null_is_written_as_the_tombstone_it_was_read_as() -> None:
    chunk = _chunk(b"null", b'{"n":1}')

    assert list(chunk.encode("out", Text(), Json()).value) == [None, b'{"n":1}']


@pytest.mark.parametrize("values", [[1, 1.5], [1, True], ["a", 1], [[1]], [{"a": 1}], [1 << 64], [b"a", "a"]])
def test_values_of_several_types_are_no_column(values: list[Any]) -> None:
    with pytest.raises(NotColumnar):
        array_of(values)


@pytest.mark.parametrize(
    "values",
    [
        [1, None, -5],
        [1.5, None],
        ["é", None, ""],
        [b"\xff", None],
        [True, None],
        [None, None],
        [],
        [{"a": 1}],
    ],
)
def test_objects_of_columns(values: list[Any]) -> None:
    array = pa.array(values)

    assert objects_of(array) == array.to_pylist()
    assert objects_of(pa.concat_arrays([array, array]).slice(1)) == (values + values)[1:]


def test_json_is_what_the_serde_writes() -> None:
    rows = [
        {"a": 1, 'é"': "x", "b": True, "n": None, "in": {"s": ""}},
        {"a": None, 'é"': None, "b": None, "n": None, "in": {"s": None}},
    ]
    array = pa.array(
        rows,
        pa.struct(
            [
                ("a", pa.int64()),
                ('é"', pa.string()),
                ("b", pa.bool_()),
                ("n", pa.null()),
                ("in", pa.struct([("s", pa.string())])),
            ]
        ),
    )

    text = json_text(array)
    assert text is not None
    assert text.to_pylist() == [Json().serialize("", row).decode() for row in rows]  # type: ignore[union-attr]


@pytest.mark.parametrize("value", ['q"', "a\\", "\n", "\x1f", 1.5, [1]])
def test_json_that_has_to_be_written_by_itself(value: object) -> None:
    array = pa.array([{"a": value}])

    assert json_text(array) is None
    assert list(Column.of_array(array).encode(Json(), "")) == [Json().serialize("", {"a": value})]


def test_batches() -> None:
    def doubled(table: pa.Table) -> pa.Table:
        calls.append(table.num_rows)
        return table.set_column(1, "value", pc.multiply(table["value"], 2)).set_column(
            2, "timestamp", pc.add(table["timestamp"], 1)
        )

    builder = StreamsBuilder()
    stream = builder.stream("in", Text(), Json()).map_values(col("n")).map_batches(doubled)
    stream.to("out", Text(), Json())
    for size, expected in ((0, [1, 1, 1]), (100, [3])):
        calls: list[int] = []
        with TopologyTest(builder.build(), {"columnar_max_records": size}) as test:
            test.input("in").pipe_batch([Record("k", {"n": n}, n) for n in range(3)])
            assert test.output("out").read() == [Record("k", 2 * n, n + 1) for n in range(3)]
        assert calls == expected


def test_values_nobody_reads_need_no_serde() -> None:
    builder = StreamsBuilder()
    builder.stream("in", Text(), Bytes()).select_key(concat(key(), "!")).to("out", Text(), Bytes())
    with TopologyTest(builder.build(), {"columnar_max_records": 10}) as test:
        test.input("in").pipe_batch([Record("a", b"\xff", 0), Record(None, None, 1)])
        assert test.output("out").read() == [Record("a!", b"\xff", 0), Record(None, None, 1)]


def test_no_row_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    taken_apart: list[int] = []
    rows = Chunk.rows
    monkeypatch.setattr(Chunk, "rows", lambda chunk: taken_apart.append(len(chunk)) or rows(chunk))
    builder = StreamsBuilder()
    stream = builder.stream("in", Text(), Json()).filter(col("n") > 0)
    kept = stream.map_values({"n": col("n") * 2, "k": key()}).filter(lambda key, value: value["n"] > 2)
    kept.select_key(col("k")).to("out", Text(), Json())
    stream.map_values(lambda value: value["n"]).to("numbers", Text(), Long())
    values = [Record("k", {"n": n}, n) for n in range(5)]

    with TopologyTest(builder.build(), {"columnar_max_records": 2}) as test:
        test.input("in").pipe_batch(values)
        assert [record.value["n"] for record in test.output("out").read()] == [4, 6, 8]
        assert [record.value for record in test.output("numbers").read()] == [1, 2, 3, 4]
    assert taken_apart == []

    stream.merge(kept).to("both", Text(), Json())
    with TopologyTest(builder.build(), {"columnar_max_records": 2}) as test:
        test.input("in").pipe_batch(values)
        assert [record.value["n"] for record in test.output("both").read()] == [1, 4, 2, 6, 3, 8, 4]
    assert taken_apart
