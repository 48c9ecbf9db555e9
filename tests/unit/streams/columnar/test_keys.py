"""Keys that others wrote in another spelling than ours: one value is one key, in chunks as one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ottla.streams import (
    Bytes,
    Json,
    Long,
    Record,
    Store,
    StreamsBuilder,
    TimeWindowedSerde,
    TimeWindows,
    TopologyTest,
)

SPELLINGS = [b'"caf\\u00e9"', '"café"'.encode(), ' "café" '.encode(), b'"b"']
ROWS = [Record(key, b'{"n": %d}' % at, at) for at, key in enumerate(SPELLINGS * 2)]


def passed_on(b: StreamsBuilder) -> None:
    b.stream("in").to("out", Json(), Json())


def repartitioned(b: StreamsBuilder) -> None:
    b.stream("in").repartition("again", Json(), Json()).to("out", Json(), Json())


def counts(b: StreamsBuilder) -> None:
    b.stream("in").group_by_key().count(materialized=Store("store")).to_stream().to("out", Json(), Long())


def windows(b: StreamsBuilder) -> None:
    grouped = b.stream("in").group_by_key().windowed_by(TimeWindows.of(4))
    grouped.count(materialized=Store("store")).to_stream().to("out", TimeWindowedSerde(Json(), 4), Long())


def table(b: StreamsBuilder) -> None:
    b.table("in", materialized=Store("store")).to_stream().to("out", Json(), Json())


def keys_of(build: Callable[[StreamsBuilder], None], size: int) -> dict[str, Any]:
    """By topic and store the keys, as bytes."""
    b = StreamsBuilder(Json(), Json())
    build(b)
    with TopologyTest(b.build(), {"columnar_max_records": size}) as test:
        test.input("in", Bytes(), Bytes()).pipe_batch(ROWS)
        found: dict[str, Any] = {
            topic: [each.key for each in test.output(topic).read_raw()] for topic in test.produced
        }
        if any(topic.endswith("changelog") for topic in test.produced):
            store: Any = test.store("store")
            found["store"] = list(store.all()) if build is not table else [store.get("café"), store.get("b")]
        return found


@pytest.mark.parametrize("build", [passed_on, repartitioned, counts, windows, table])
def test_one_value_is_one_key(build: Callable[[StreamsBuilder], None]) -> None:
    expected = keys_of(build, 0)

    assert expected["out"]
    for size in (1, 100):
        assert keys_of(build, size) == expected
