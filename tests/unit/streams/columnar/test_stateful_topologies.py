"""Any topology with stores gives each topic the same sequence, record by record and in chunks of any size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ottla.streams import (
    JoinWindows,
    Json,
    KStream,
    Long,
    Record,
    SessionWindows,
    SlidingWindows,
    Store,
    StreamsBuilder,
    Text,
    TimeWindows,
    TopologyTest,
    col,
    count,
    key,
)

Stream = KStream[Any, Any]
Build = Callable[[StreamsBuilder], None]
Batches = list[tuple[str, list[Record[Any, Any]]]]
WINDOWS = [
    TimeWindows.of(5, grace=3),
    TimeWindows.of(6, advance=2, grace=1),
    SlidingWindows.of(4, grace=2),
    SessionWindows.of(3, grace=2),
]
AGGREGATES: dict[str, Any] = {
    "n": count(),
    "sum": col("n").sum(),
    "least": col("n").min(),
    "most": col("n").max(),
    "first": col("s").first(),
    "last": col("s").last(),
    "half": (col("n") * 0.5).sum(),
}
MEAN: dict[str, Any] = {"mean": col("n").mean(), "all": col("s").collect_list()}


def text(windowed: Any, _value: Any = None) -> str:
    window = getattr(windowed, "window", None)
    return windowed if window is None else f"{windowed.key}@{window.start}-{window.end}"


def grouped(stream: Stream, number: int) -> Any:
    """Some of these need a repartition topic."""
    if number % 3 == 0:
        return stream.group_by(col("s"), key=Text(), value=Json())
    return stream.group_by_key(key=Text(), value=Json())


def aggregated(group: Any, number: int, store: str) -> Any:
    kind = number % 5
    if kind == 0:
        return group.count(materialized=Store(store, key=Text()))
    if kind == 1:
        return group.reduce(lambda one, other: other, materialized=Store(store, key=Text(), value=Json()))
    named = AGGREGATES if kind < 4 else MEAN
    return group.aggregate(named, materialized=Store(store, key=Text(), value=Json()))


def step(b: StreamsBuilder, stream: Stream, kind: int, number: int, name: str) -> Stream:
    if kind == 0:
        return stream.filter(col("n") > number % 3 - 1)
    if kind == 1:
        return stream.map_values({"n": col("n") + 1, "s": key()})
    if kind == 2:
        table = aggregated(grouped(stream, number), number, name)
        if number % 2:
            table = table.filter(lambda _, value: value is not None and str(value) < "7")
        return rows(table.to_stream())
    if kind <= 4:
        table = aggregated(grouped(stream, number).windowed_by(WINDOWS[number % 4]), number // 4, name)
        if number % 7 == 0 and not isinstance(WINDOWS[number % 4], SlidingWindows):
            table = table.suppress(until="window_closes")
        return rows(table.to_stream(text))
    if kind == 5:
        joined = {"n": col("left.n"), "s": col("right.s"), "m": col("right.n")}
        function: Any = (
            joined if number % 2 else lambda left, right: {"n": left and left["n"], "s": str(right)}
        )
        join = stream.left_join if number % 3 == 0 else stream.join
        return join(b.table(f"table-{name}", Text(), Json()), function, key=Text(), value=Json())
    other = b.stream(f"other-{name}", Text(), Json())
    both = lambda left, right: {"n": left["n"], "s": right["s"]}  # noqa: E731
    return stream.join(other, both, JoinWindows.of(3, grace=2), key=Text(), value=Json(), other_value=Json())


def rows(stream: Any) -> Stream:
    """Something with fields again, but where there is nothing: a cache tells of none that came and went."""

    def row(value: Any) -> Any:
        return None if value is None else {"n": len(str(value)), "s": str(value)[-3:]}

    return stream.map_values(row)  # type: ignore[no-any-return]


@st.composite
def topologies(draw: st.DrawFn) -> tuple[Build, list[str], bool, bool]:
    """What builds one, its topics, and whether a cache may be asked to end in the same values: it tells fewer
    updates, so that what counts those counts fewer, and what came and went is told by no tombstone; and
    whether there is one store alone."""
    steps = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 99)), min_size=1, max_size=4))
    topics = ["in"]
    topics += [
        f"{'table' if kind == 5 else 'other'}-{place}" for place, (kind, _) in enumerate(steps) if kind >= 5
    ]

    def build(b: StreamsBuilder) -> None:
        stream: Stream = b.stream("in", Text(), Json())
        for place, (kind, number) in enumerate(steps):
            stream = step(b, stream, kind, number, str(place))
        stream.to("out", Text(), Json())

    stores = [step for step in steps if step[0] >= 2]
    is_plain = all(kind < 5 and not (number % 2 if kind == 2 else number % 4 == 3) for kind, number in stores)
    return build, topics, is_plain and len(stores) == 1, len(stores) == 1


VALUES = st.one_of(
    st.fixed_dictionaries({"n": st.integers(-2, 5), "s": st.sampled_from("abc")}),
    st.none()
    | st.fixed_dictionaries(
        {}, optional={"n": st.none() | st.integers(0, 3) | st.sampled_from([0.5, "t"]), "s": st.just("a")}
    ),
)
RECORDS = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from("abcd") | st.none(), VALUES, st.integers(0, 5)), max_size=25
)


def run(
    build: Callable[[StreamsBuilder], None],
    batches: list[tuple[str, list[Record[Any, Any]]]],
    size: int,
    cache: int,
) -> dict[str, list[Any]]:
    b = StreamsBuilder(Text(), Json())
    build(b)
    config = {
        "columnar_max_records": size,
        "statestore_cache_max_bytes": cache,
        "processing_exception_handler": "continue",
    }
    with TopologyTest(b.build(), config) as test:
        for topic, records in batches:
            test.input(topic, Text(), Json()).pipe_batch(records)
        # What waits to be told is written to its changelog with each commit: after a chunk or a record.
        topics = [topic for topic in test.produced if "SUPPRESS" not in topic]
        return {topic: test.output(topic, Text(), Long()).read_raw() for topic in topics}


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> int:
    return 3000 if request.config.getoption("--full") else 25


def test_batches_of_one_and_of_many(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(topologies(), RECORDS)
    def check(made: tuple[Build, list[str], bool, bool], drawn: list[Any]) -> None:
        build, topics, may_be_cached, is_single = made
        batches: Batches = []
        time = 0
        for number, record_key, value, later in drawn:
            # Mostly to one topic for a while, and mostly later, as records are.
            topic = topics[max(number - 6, 0) % len(topics)]
            time += later
            record = Record(record_key, value, max(0, time - number))
            if not batches or batches[-1][0] != topic:
                batches.append((topic, []))
            batches[-1][1].append(record)

        expected = run(build, batches, 0, 0)
        for size in (1, 3, 10_000):
            assert run(build, batches, size, 0) == expected, f"in chunks of {size}"
        cached = run(build, batches, 10_000, 1_000_000)
        if may_be_cached:
            assert_ends_alike(cached, expected)
        # What a cache writes through goes on as one by one, but to another cache in fewer steps.
        for cache_bytes in (1_000_000, 1_000) if is_single else ():
            many.setattr("ottla.streams.state.cache._MANY", 1)
            together = run(build, batches, 10_000, cache_bytes)
            many.setattr("ottla.streams.state.cache._MANY", 1 << 62)
            assert together == run(build, batches, 10_000, cache_bytes), f"in a cache of {cache_bytes}"

    with pytest.MonkeyPatch.context() as many:
        check()


def assert_ends_alike(cached: dict[str, list[Any]], expected: dict[str, list[Any]]) -> None:
    """Below a cache there may be less of everything, so that only the last of each key can be told."""
    for topic, records in expected.items():
        last = {each.key: each.value for each in records}
        found = {each.key: each.value for each in cached.get(topic, [])}
        for each, value in last.items():
            assert found.get(each) == value, (topic, each)
