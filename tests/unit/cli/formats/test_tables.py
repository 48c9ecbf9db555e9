import io
import json
import tempfile

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottla.cli.formats.interface import Defaults, InputError
from ottla.cli.formats.tables import TableDecoder, TableEncoder
from ottla.client.columns.columns import Record

from .roundtrip import Sent, record, sent, sent_of, written

DEFAULTS = Defaults()
KINDS = ["parquet", "arrow", "arrow-stream"]
TIMES = st.integers(-1, 2**62 // 10**6)  # that a timestamp of Arrow may have in any unit


def read(kind, data, defaults=DEFAULTS, **options):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        return list(sent(TableDecoder(kind, defaults, **options).read(file)))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(batches=st.lists(st.lists(record(timestamp=TIMES), max_size=5), max_size=3))
def test_tables_carry_every_record(kind, batches):
    rows = [row for batch in batches for row in batch]
    assert read(kind, written(TableEncoder(kind), batches)) == list(map(sent_of, rows))


def test_an_arrow_file_may_be_a_stream():
    assert read("arrow", written(TableEncoder("arrow-stream"), [])) == []


def test_others_read_them():
    rows = [
        [Record("t", 1, n, 5 + n, 0, b"k%d" % n, None if n else b"\xff", (("a", b"1"),)) for n in range(3)]
    ]
    frames = [
        pl.read_parquet(io.BytesIO(written(TableEncoder("parquet"), rows))),
        pl.read_ipc(io.BytesIO(written(TableEncoder("arrow"), rows))),
        pl.read_ipc_stream(io.BytesIO(written(TableEncoder("arrow-stream"), rows))),
    ]
    for frame in frames:
        assert frame["topic"].to_list() == ["t"] * 3
        assert frame["key"].to_list() == [b"k0", b"k1", b"k2"]
        assert frame["value"].to_list() == [b"\xff", None, None]
        assert frame["headers"].to_list() == [[{"name": b"a", "value": b"1"}]] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_any_table_becomes_json(kind):
    table = pa.table({"user": ["a", None], "amount": [1, 2]})
    out = io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, out)
    else:
        new = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with new(out, table.schema) as writer:
            writer.write_table(table)
    data = out.getvalue()
    assert [(row.key, json.loads(row.value)) for row in read(kind, data, key_column="user")] == [
        (b"a", {"amount": 1}),
        (None, {"amount": 2}),
    ]
    assert [json.loads(row.value)["user"] for row in read(kind, data)] == ["a", None]
    with pytest.raises(InputError, match="after row 0: there is no column 'x': user, amount"):
        read(kind, data, key_column="x")


def test_what_columns_do_not_say():
    out = io.BytesIO()
    pq.write_table(pa.table({"value": ["a", None], "partition": [None, 2]}), out)
    assert read("parquet", out.getvalue(), Defaults([(b"h", b"1")])) == [
        Sent(None, b"a", ((b"h", b"1"),)),
        Sent(None, None, ((b"h", b"1"),), partition=2),
    ]


def test_a_column_of_nulls_says_no_partition():
    out = io.BytesIO()
    pq.write_table(pa.table({"value": ["a"], "partition": [None]}), out)
    assert read("parquet", out.getvalue()) == [Sent(None, b"a")]


def test_a_partition_of_another_table_is_a_column_as_others_are():
    out = io.BytesIO()
    pq.write_table(pa.table({"disk": ["a", "b"], "partition": [None, 2]}), out)
    rows = read("parquet", out.getvalue())
    assert [json.loads(row.value)["partition"] for row in rows] == [None, 2]
    assert [row.partition for row in rows] == [-1, -1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_table(kind):
    with pytest.raises(InputError, match=f"no {kind}: "):
        read(kind, b"key,value\n1,2\n")


def test_a_record_that_is_too_large_is_named():
    out = io.BytesIO()
    pq.write_table(pa.table({"value": ["a", "b" * 11]}), out)
    with pytest.raises(InputError, match="row 2: a record of 11 bytes is too large"):
        read("parquet", out.getvalue(), Defaults(record_max_bytes=10))
