"""Aggregates over chunks: no record is taken by itself; stores and topics have what they have otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ottla.streams import (
    Json,
    Long,
    Record,
    Store,
    StreamsBuilder,
    Text,
    TimeWindowedSerde,
    TimeWindows,
    TopologyTest,
    UnlimitedWindows,
    col,
    count,
    lit,
)
from ottla.streams.columnar.chunk import Chunk
from ottla.streams.errors import ProcessingError
from ottla.streams.records import ValueAndTimestamp

Build = Callable[[StreamsBuilder], None]
TOTALS = {
    "n": count(),
    "total": col("n").sum(),
    "least": col("n").min(),
    "last": col("s").last(),
    "sum": (col("n") * 1.5).sum(),
}
ROWS = [
    Record(key, {"n": n, "s": f"s{n}"}, at)
    for n, (key, at) in enumerate(
        [
            ("a", 1),
            ("b", 3),
            ("a", 12),
            ("a", 4),
            ("c", 22),
            ("b", 2),
            ("a", 23),
            ("c", 9),
            ("a", 41),
            ("b", 7),
        ]
    )
]


def grouped(b: StreamsBuilder) -> Any:
    return b.stream("in", Text(), Json()).filter(col("n") >= 0).group_by_key()


def totals(b: StreamsBuilder) -> None:
    grouped(b).aggregate(TOTALS, materialized=Store("store")).to_stream().to("out", Text(), Json())


def counts(b: StreamsBuilder) -> None:
    grouped(b).count(materialized=Store("store")).to_stream().to("out", Text(), Long())


def longest(b: StreamsBuilder) -> None:
    grouped(b).aggregate(
        lambda: 0, lambda _, value, so_far: so_far + value["n"], materialized=Store("store", value=Long())
    ).to_stream().to("out", Text(), Long())


def windowed(windows: TimeWindows | UnlimitedWindows, size: int | None) -> Build:
    def build(b: StreamsBuilder) -> None:
        table = grouped(b).windowed_by(windows).aggregate(TOTALS, materialized=Store("store"))
        table.to_stream().to("out", TimeWindowedSerde(Text(), size), Json())

    return build


def filtered_and_mapped(b: StreamsBuilder) -> None:
    table = grouped(b).count(materialized=Store("store")).filter(lambda _, n: n != 2)
    table.map_values(lambda n: n * 10).to_stream().to("out", Text(), Long())


def suppressed(b: StreamsBuilder) -> None:
    table = grouped(b).windowed_by(TimeWindows.of(10, grace=3)).count(materialized=Store("store"))
    closed = table.suppress(until="window_closes").to_stream()
    closed.to("out", TimeWindowedSerde(Text(), 10), Long())


TAKEN_WHOLE: dict[str, Build] = {
    "totals": totals,
    "counts": counts,
    "sums by a function": longest,
    "tumbling": windowed(TimeWindows.of(10, grace=5), 10),
    "hopping": windowed(TimeWindows.of(10, advance=4, grace=5), 10),
    "unlimited": windowed(UnlimitedWindows.of(4), None),
    "filtered and mapped": filtered_and_mapped,
    "suppressed": suppressed,
}


def run(build: Build, rows: list[Record[Any, Any]], size: int, *, cache: int = 0) -> Any:
    builder = StreamsBuilder(Text(), Json())
    build(builder)
    config = {"columnar_max_records": size, "statestore_cache_max_bytes": cache}
    with TopologyTest(builder.build(), config) as test:
        test.input("in").pipe_batch(rows)
        assert test._task is not None
        return (
            # What is held back is written to its changelog with each commit, after a record or a chunk.
            {topic: test.output(topic).read_raw() for topic in test.produced if "SUPPRESS" not in topic},
            [(key, value.value, value.timestamp) for key, value in test.store("store").all()],
            test._task.context.dropped,
        )


@pytest.mark.parametrize("name", TAKEN_WHOLE)
def test_no_record_is_taken_by_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build = TAKEN_WHOLE[name]
    expected = run(build, ROWS, 0)
    assert expected[0]["out"]
    taken: list[int] = []
    rows = Chunk.rows
    monkeypatch.setattr(Chunk, "rows", lambda chunk: taken.append(len(chunk)) or rows(chunk))

    for size in (1, 2, 3, 100):
        assert run(build, ROWS, size) == expected
    assert taken == []


@pytest.mark.parametrize("name", TAKEN_WHOLE)
def test_a_cache_tells_the_last_of_each_chunk(name: str) -> None:
    (one, stored, dropped), (many, *rest) = (
        run(TAKEN_WHOLE[name], ROWS, size, cache=1_000_000) for size in (0, 100)
    )
    assert rest == [stored, dropped]
    for topic, records in many.items():
        told = [each._replace(offset=-1) for each in one[topic]]
        rest_of = iter(told)
        assert all(each in rest_of for each in records), topic
        last = {each.key: each for each in told}
        left_out = [each for each in last.values() if each not in records]
        # What came and went within a chunk was nothing to anybody.
        assert all(each.value is None for each in left_out), topic


@pytest.mark.parametrize(
    "values",
    [
        [(1 << 62), (1 << 62), 1],
        [1, "text", 2],
        [1.5, 2, None],
        [None, None],
        [True, 1],
        [1e308, 1e308, -1e308],
        [0.1, 0.2, 0.3],
        [[1], [2]],
    ],
)
def test_what_is_no_column_or_fails_goes_one_by_one(values: list[Any]) -> None:
    def build(b: StreamsBuilder) -> None:
        aggregates = {
            "sum": col("n").sum(),
            "last": col("n").last(),
            "mean": col("n").mean(),
            "one": lit(1).sum(),
        }
        table = (
            b.stream("in", Text(), Json()).group_by_key().aggregate(aggregates, materialized=Store("store"))
        )
        table.to_stream().to("out", Text(), Json())

    def answer(size: int) -> Any:
        builder = StreamsBuilder()
        build(builder)
        config = {"columnar_max_records": size, "processing_exception_handler": "continue"}
        with TopologyTest(builder.build(), config) as test:
            test.input("in").pipe_batch(
                [Record("ab"[at % 2], {"n": value}, at) for at, value in enumerate(values * 2)]
            )
            return {topic: test.output(topic, Text(), Json()).read_raw() for topic in test.produced}

    expected = answer(0)
    assert answer(2) == expected
    assert answer(100) == expected


@pytest.mark.parametrize(
    ("left", "fails"), [({"other": 1}, True), (7, True), ({"last": {"x": 1}, "mean": None}, False)]
)
def test_states_that_another_program_left_are_told_of_with_the_record(left: Any, fails: bool) -> None:
    def answer(size: int, handler: str) -> Any:
        b = StreamsBuilder(Text(), Json())
        aggregates = {"last": col("n").last(), "mean": col("n").mean()}
        table = b.stream("in").group_by_key().aggregate(aggregates, materialized=Store("store"))
        table.to_stream().to("out")
        config = {"columnar_max_records": size, "processing_exception_handler": handler}
        with TopologyTest(b.build(), config) as test:
            store: Any = test.store("store")
            store.put("a", ValueAndTimestamp(left, 0))
            test.input("in").pipe_batch([Record(key, {"n": None}, at) for at, key in enumerate("ba")])
            return test.output("out").read()

    assert answer(100, "continue") == answer(0, "continue")
    if fails:
        for size in (0, 100):
            with pytest.raises(ProcessingError, match=r"AGGREGATE.*in-0 at offset 1"):
                answer(size, "fail")


def test_a_store_that_is_read_below_has_what_it_had_at_each_record() -> None:
    def build(b: StreamsBuilder) -> None:
        stream = b.stream("in", Text(), Json())
        table = stream.group_by_key().count(materialized=Store("store"))
        table.to_stream().join(table, lambda new, stored: new * 100 + stored).to("out", Text(), Long())

    expected = run(build, ROWS, 0)
    assert [record.value for record in expected[0]["out"]][-1] == (303).to_bytes(8)
    assert run(build, ROWS, 100) == expected


def test_late_records_are_judged_by_those_before_them() -> None:
    rows = [Record("k", {"n": 1, "s": ""}, at) for at in (1, 30, 2, 29, 31)]
    build = windowed(TimeWindows.of(10), 10)
    expected = run(build, rows, 0)
    assert expected[2] == 2
    assert run(build, rows, 100) == expected


def test_a_store_ahead_of_its_processor_refuses_what_it_refuses_by_itself() -> None:
    """As after a restart, when the processor has not seen the times that the store has."""

    def answer(size: int) -> Any:
        builder = StreamsBuilder()
        windowed(TimeWindows.of(10, grace=0), 10)(builder)
        with TopologyTest(builder.build(), {"columnar_max_records": size}) as test:
            store = test.store("store")
            store.put("x", None, 1_000_000_000)
            test.input("in").pipe_batch(ROWS)
            assert test._task is not None
            return test.output("out").read_raw(), test._task.context.dropped

    assert answer(100) == answer(0)
