"""What is fetched goes through a stream thread as columns, and comes out as it does record by record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.streams import (
    Json,
    Store,
    Streams,
    StreamsBuilder,
    Text,
    TimeWindowedSerde,
    TimeWindows,
    col,
    count,
)
from ottla.streams.columnar.chunk import Chunk
from ottla.testing import run_broker

COUNT = 400


def totals() -> StreamsBuilder:
    """Windowed sums, whose keys say the partition without their windows."""
    b = StreamsBuilder(Text(), Json())
    table = (
        b.stream("in")
        .filter(col("n") % 4 != 0)
        .group_by_key()
        .windowed_by(TimeWindows.of(50, grace=10_000))
        .aggregate({"n": count(), "total": col("n").sum()}, materialized=Store("totals"))
    )
    table.to_stream().to("out", TimeWindowedSerde(Text(), 50), Json())
    return b


Told = dict[tuple[int, str], list[tuple[int, Any, int]]]
"""By partition and key, whose order is told: the start of a window, its totals, and their time."""


def told(broker: str, state: Path, application: str, cache: int, together: int) -> tuple[Told, Told]:
    """What the output and the changelog have got, by partition."""
    with client.connect(broker) as c:
        c.admin.topics.create([NewTopic("out", 3, 1)]).check()
        settings = {
            "application.id": application,
            "bootstrap.servers": broker,
            "state.dir": str(state),
            "linger.ms": 0,
            "statestore.cache.max.bytes": cache,
            "ottla.streams.columnar.records": together,
        }
        with Streams(totals().build(), settings) as app:
            while sum(each["processed"] for each in app.metrics().values()) < COUNT:
                app.wait(0.02)
        found = read(c, "out"), read(c, f"{application}-totals-changelog")
        c.admin.topics.delete(["out"]).check()
        return found


def read(c: Any, topic: str) -> Told:
    found: Told = {}
    serde = TimeWindowedSerde(Text(), 50)
    batch = c.read(topic)
    times = batch["timestamp"].cast("int64").to_pylist()
    columns = (batch[name].to_pylist() for name in ("partition", "key", "value"))
    for partition, data, value, at in zip(*columns, times, strict=True):
        windowed = serde.deserialize(topic, data if topic == "out" else data[:-4])
        assert windowed is not None
        update = (windowed.window.start, json.loads(value), at)
        found.setdefault((partition, windowed.key), []).append(update)
    return found


def last(told_of: Told) -> dict[tuple[int, str, int], tuple[Any, int]]:
    return {(*place, start): rest for place, rows in told_of.items() for start, *rest in rows}  # type: ignore[misc]


def test_a_thread_processes_and_produces_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    rows = Chunk.rows
    monkeypatch.setattr(Chunk, "rows", lambda chunk: taken.append(len(chunk)) or rows(chunk))
    with run_broker() as broker, client.connect(broker.bootstrap_servers) as c:
        c.admin.topics.create([NewTopic("in", 2, 1)]).check()
        with c.producer() as producer:
            for n in range(COUNT):
                at = 1_000_000 + n * 3 - (n % 7) * 20
                value = json.dumps({"n": n}).encode()
                producer.send("in", value, key=b"k%d" % (n % 9), timestamp=at, partition=n % 9 % 2)
        servers = broker.bootstrap_servers
        expected = told(servers, tmp_path / "one", "one", 0, 0)
        assert told(servers, tmp_path / "many", "many", 0, 1000) == expected
        assert taken == []
        cached = told(servers, tmp_path / "cached", "cached", 1_000_000, 1000)
        assert list(map(last, cached)) == list(map(last, expected))
        assert sum(map(len, cached[0].values())) < sum(map(len, expected[0].values()))
