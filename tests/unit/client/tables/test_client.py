"""Tables from the client's own faces, as notebooks use them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

import duckdb
import polars as pl
import pytest

from ottla import client
from ottla.client.errors import ConfigurationError
from ottla.client.sync.client import Client
from ottla.client.tables.progress import ProgressLine, reporter
from ottla.client.tables.scan import Progress
from ottla.testing import run_broker


@pytest.fixture(scope="module")
def c() -> Iterator[Client]:
    with run_broker() as broker, client.connect(broker.bootstrap_servers) as made:
        with made.producer() as producer:
            for each in range(100):
                producer.send("orders", b'{"n": %d}' % each, key=b"k%d" % (each % 10))
        yield made


def test_read(c: Client) -> None:
    table = c.read("orders", start=90, key=client.text(), value=client.json())
    assert [each["n"] for each in table["value"].to_pylist()] == list(range(90, 100))
    assert duckdb.from_arrow(table).aggregate("sum(value.n)").fetchall() == [(sum(range(90, 100)),)]
    assert len(c.read("orders", keys=["k3"])) == 10
    assert len(c.read("orders", start="-1h")) == 100
    with pytest.raises(ConfigurationError, match="no place"):
        c.read("orders", start="whenever")


def test_stream(c: Client) -> None:
    assert sum(len(batch) for batch in c.stream("orders", end=50)) == 50
    for batch in c.stream("orders"):
        assert len(batch)
        break
    assert len(c.read("orders")) == 100


def test_latest(c: Client) -> None:
    table = c.latest("orders", key=client.text(), value=client.json())
    assert table["key"].to_pylist() == [f"k{each}" for each in range(10)]
    assert [each["n"] for each in table["value"].to_pylist()] == list(range(90, 100))


def test_batches_with_values(c: Client) -> None:
    with c.consumer("orders", group="g", value=client.json(), auto_offset_reset="earliest") as reader:
        seen = 0
        for batch in reader.batches(max_records=40, timeout_s=30):
            frame = pl.DataFrame(batch)
            assert frame["value"].struct.field("n").to_list() == list(range(seen, seen + len(batch)))
            seen += len(batch)
            batch.commit()
            if seen == 100:
                break
    assert seen == 100


async def test_long_reads_show_their_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    line = ProgressLine(out)
    line(Progress("t", 10, 1_000_000, 10, 100))
    assert out.getvalue() == ""
    monkeypatch.setattr(line, "_began", asyncio.get_running_loop().time() - 10)
    monkeypatch.setattr(line, "_told", 0.0)
    line(Progress("t", 25, 1_500_000, 25, 100))
    assert "t: 25%, 25 records, 1.5 MB, 30 s left" in out.getvalue()
    line(Progress("t", 26, 1_500_000, 26, 100))
    assert "26%" not in out.getvalue()
    line(Progress("t", 100, 6_000_000, 100, 100))
    assert out.getvalue().endswith("t: 100%, 100 records, 6.0 MB\n")


async def test_progress_is_shown_where_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reporter(None) is None
    assert reporter(False) is None
    assert isinstance(reporter(True), ProgressLine)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert isinstance(reporter(None), ProgressLine)
    told: list[Progress] = []
    assert reporter(told.append) == told.append
