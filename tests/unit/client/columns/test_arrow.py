"""Columns as Arrow tables and back, and what Polars, pandas and DuckDB make of them."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.client.columns.test_columns import RECORDS

from ottla.client.columns.binary import BinaryColumn
from ottla.client.columns.columns import Columns, Record
from ottla.client.columns.from_arrow import columns_from_arrow

ROWS = [
    Record("", 1, 2, 1_700_000_000_123, 0, b"k", None, (("a", b"b"), ("a", None))),
    Record("", 1, 3, -1, 1, None, b"\xff\0", ()),
    Record("", 2, 4, 5, 1, b"", b"v", (("\udcff", b""),)),
]


def whole(data: object) -> Columns:
    return Columns.concat(list(columns_from_arrow(data)))


@settings(deadline=None)
@given(RECORDS, st.integers(0, 3))
def test_what_becomes_a_table_comes_back(records: list[Record], cut: int) -> None:
    columns = Columns.of(records)[cut:]
    batch = columns.to_arrow()
    batch.validate(full=True)
    assert whole(batch) == columns
    assert whole(columns) == columns
    assert whole(pa.table(columns)) == columns


def test_the_table_has_kafkas_names_and_types() -> None:
    batch = Columns.of(ROWS).to_arrow()
    headers = pa.list_(pa.struct([("name", pa.binary()), ("value", pa.binary())]))
    assert batch.schema == pa.schema(
        {
            "partition": pa.int32(),
            "offset": pa.int64(),
            "timestamp": pa.timestamp("ms", "UTC"),
            "timestamp_type": pa.int8(),
            "key": pa.binary(),
            "value": pa.binary(),
            "headers": headers,
        }
    )
    assert Columns.of([]).to_arrow().schema == batch.schema
    assert batch.to_pylist()[:2] == [
        {
            "partition": 1,
            "offset": 2,
            "timestamp": datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC),
            "timestamp_type": 0,
            "key": b"k",
            "value": None,
            "headers": [{"name": b"a", "value": b"b"}, {"name": b"a", "value": None}],
        },
        {
            "partition": 1,
            "offset": 3,
            "timestamp": None,
            "timestamp_type": 1,
            "key": None,
            "value": b"\xff\0",
            "headers": [],
        },
    ]


def _addresses(columns: Columns) -> list[int]:
    views = columns.offset, columns.timestamp, columns.value.data, columns.value.offsets
    return [pa.py_buffer(view).address for view in views]


def test_nothing_is_copied() -> None:
    columns = Columns.of(ROWS[2:] * 10)
    batch = columns.to_arrow()
    buffers = (
        batch["offset"].buffers()[1],
        batch["timestamp"].buffers()[1],
        batch["value"].buffers()[2],
        batch["value"].buffers()[1],
    )
    assert [buffer.address for buffer in buffers] == _addresses(columns)
    (back,) = columns_from_arrow(batch)
    assert _addresses(back) == _addresses(columns)


def to_polars(columns: Columns) -> pl.DataFrame:
    return pl.DataFrame(columns)


def to_pandas(columns: Columns) -> pd.DataFrame:
    return (
        pd.DataFrame.from_arrow(columns)
        if hasattr(pd.DataFrame, "from_arrow")
        else pa.table(columns).to_pandas()
    )


def to_duckdb(columns: Columns) -> Any:
    return duckdb.from_arrow(pa.table(columns))


@pytest.mark.parametrize("there", [to_polars, to_pandas, to_duckdb])
@pytest.mark.parametrize("rows", [slice(None), slice(1, None), slice(0, 0)])
def test_through_other_tables_and_back(there: Any, rows: slice) -> None:
    columns = Columns.of(ROWS * 3)[rows]
    table = there(columns)
    assert whole(table) == columns


def test_duckdb_queries_columns_by_their_name() -> None:
    columns = Columns.of(ROWS)
    assert columns  # it is named in the query
    found = duckdb.sql("select partition, count(*), max(len(headers)) from columns group by 1 order by 1")
    assert found.fetchall() == [(1, 2, 2), (2, 1, 1)]


STRUCT = pa.struct([("name", pa.string()), ("value", pa.binary())])


@pytest.mark.parametrize(
    "headers",
    [
        pa.array([[("a", b"b")], [], None], pa.map_(pa.string(), pa.binary())),
        pa.array([[{"name": "a", "value": b"b"}], None, []], pa.large_list(STRUCT)),
        pa.array([[{"name": "a", "value": b"b"}], [], None], pa.list_view(STRUCT)),
        pa.array([None, [{"name": "a", "value": b"b"}], []], pa.list_(STRUCT))[1:],
        # A null that stands for an entry all the same.
        pa.ListArray.from_arrays(
            [0, 1, 2, 2],
            pa.array([{"name": "a", "value": b"b"}, {"name": "hidden", "value": b"c"}], STRUCT),
            mask=pa.array([False, True, False]),
        ),
    ],
    ids=["map", "large_list", "list_view", "sliced", "null with an entry"],
)
def test_headers_of_many_types(headers: pa.Array) -> None:
    (columns,) = columns_from_arrow(pa.record_batch({"headers": headers}))
    assert list(columns.headers) == [((b"a", b"b"),), (), ()][: len(headers)]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)
def test_strings_of_many_types(kind: pa.DataType) -> None:
    array = pa.array(["x", "a\N{EURO SIGN}", None, ""]).cast(kind)[1:]
    (columns,) = columns_from_arrow(pa.record_batch({"value": array}))
    assert list(columns.value) == ["a\N{EURO SIGN}".encode(), None, b""]
    assert list(columns.key) == [None] * 3
    assert list(columns.timestamp) == [-1] * 3
    assert list(columns.headers) == [()] * 3


def test_bytes_of_one_size() -> None:
    (columns,) = columns_from_arrow(pa.record_batch({"key": pa.array([b"ab", None], pa.binary(2))}))
    assert list(columns.key) == [b"ab", None]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1_500, None], pa.timestamp("us")), [1, -1]),
        (pa.array([1, None], pa.timestamp("s", "Europe/Ljubljana")), [1000, -1]),
        (pa.array([7, None], pa.int64()), [7, -1]),
        (pa.array([7, 8], pa.uint16()), [7, 8]),
        (pa.nulls(2), [-1, -1]),
    ],
    ids=str,
)
def test_timestamps_of_many_types(array: pa.Array, expected: list[int]) -> None:
    (columns,) = columns_from_arrow(pa.record_batch({"timestamp": array}))
    assert list(columns.timestamp) == expected


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"value": pa.array([1])}, "value is of int64: only bytes and text"),
        ({"timestamp": pa.array(["now"])}, "timestamp is of string"),
        ({"partition": pa.array([1.5])}, "partition is of double"),
        ({"headers": pa.array([["a"]])}, "headers is of list"),
        ({"headers": pa.array([[{"name": "a"}]])}, "struct<name, value>"),
        ({"headers": pa.array([[None]], pa.list_(STRUCT))}, "a header is null"),
        ({"headers": pa.array([[{"name": None, "value": b""}]], pa.list_(STRUCT))}, "no name"),
        ({"partition": pa.array([1 << 40])}, "1099511627776"),
    ],
)
def test_what_does_not_serve_is_refused(table: dict[str, pa.Array], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        whole(pa.record_batch(table))


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(TypeError, match="list is no table"):
        whole([1, 2])
    doubled = pa.RecordBatch.from_arrays([pa.array([b""]), pa.array([b""])], names=["key", "key"])
    with pytest.raises(ValueError, match="more than one column key"):
        whole(doubled)


def test_wide_offsets_are_a_large_column() -> None:
    columns = Columns.of(ROWS)
    wide = BinaryColumn(
        memoryview(b"".join(each.to_bytes(8, sys.byteorder) for each in columns.value.offsets)).cast("q"),
        *columns.value.raw[1:],
    )
    batch = Columns(*columns.raw[:4], columns.key, wide, columns.headers).to_arrow()
    batch.validate(full=True)
    assert batch.schema.field("value").type == pa.large_binary()
    assert whole(batch) == columns


def test_without_pyarrow_a_table_is_refused_and_all_else_works() -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from ottla.client.columns.columns import Columns\n"
        "columns = Columns.of([])\n"
        "try:\n    columns.to_arrow()\nexcept ImportError as error:\n    print(error)"
    )
    assert "ottla[arrow]" in subprocess.check_output([sys.executable, "-c", program], text=True)
