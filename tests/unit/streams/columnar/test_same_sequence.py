"""Any topology gives the same sequence of records, one record at a time and in chunks of any size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ottla.streams import (
    Json,
    KStream,
    Long,
    Record,
    StreamsBuilder,
    StreamsError,
    Text,
    TopologyTest,
    coalesce,
    col,
    concat,
    header,
    key,
    offset,
    timestamp,
    when,
)

Stream = KStream[Any, Any]
Seen = list[tuple[str, Any]]

FILTERS: list[Any] = [
    col("n") > 0,
    (col("n") > 1) | col("b"),
    col("s").like("a%"),
    (col("n") + col("m")) % 2 == 0,
    key() == "a",
    col("in.x").is_not_null(),
    timestamp().epoch_ms() < 6,
    offset() % 2 == 0,
    header("h").is_null(),
    lambda key, value: value is None or len(value) > 1,
    lambda key, value: value["n"] > 0,
]
VALUES: list[Any] = [
    {"n": col("n") * 2, "s": concat(col("s"), "!"), "b": col("n") > 0},
    {"n": coalesce(col("n"), col("m"), 7), "s": col("s").lower(), "in": {"x": col("m")}},
    {"s": when(col("n") > 1, "many").when(col("b"), "b").otherwise(key()), "d": col("n") / col("m")},
    {"n": offset(), "m": timestamp().epoch_ms(), "h": header("h").cast("text")},
    {"n": col("n") // col("m")},
    {"all": col("in")},
    lambda value: {"n": (value or {}).get("m")},
    lambda value: {**value, "new": 1},
]
KEYS: list[Any] = [
    col("s"),
    key(),
    concat(key(), col("s")),
    lambda key, value: value["s"],
    when(col("n") > 1, "k"),
]


@st.composite
def topologies(draw: st.DrawFn) -> Callable[[StreamsBuilder, Seen], None]:
    """Builds a topology; what functions are called with is seen."""
    steps = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), min_size=1, max_size=7))

    def build(builder: StreamsBuilder, seen: Seen) -> None:
        streams: list[Stream] = [builder.stream("in", Text(), Json())]
        for kind, number in steps:
            stream = streams[number % len(streams)]
            streams.append(_step(stream, streams, kind, number, seen))
        for number, stream in enumerate(streams[1:]):
            stream.to(f"out-{number % 3}", Text(), Json())

    return build


def _step(stream: Stream, streams: list[Stream], kind: int, number: int, seen: Seen) -> Stream:
    if kind <= 2:
        return stream.filter(FILTERS[number % len(FILTERS)])
    if kind == 3:
        return stream.filter_not(FILTERS[number % len(FILTERS)])
    if kind <= 5:
        return stream.map_values(VALUES[number % len(VALUES)])
    if kind == 6:
        return stream.select_key(KEYS[number % len(KEYS)])
    if kind == 7:
        return stream.peek(lambda key, value: seen.append((f"peek {number}", (key, value))))
    if kind == 8:
        return stream.merge(streams[-1])
    branches = stream.split(name=f"split-{len(streams)}-").branch(FILTERS[number % len(FILTERS)], name="yes")
    return list(branches.default_branch(name="no").values())[number % 2]


NUMBERS = st.none() | st.integers(-2, 3) | st.sampled_from([1 << 62, 1.5, "text"])
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "n": NUMBERS,
        "m": st.integers(-1, 2) | NUMBERS,
        "s": st.none() | st.sampled_from(["a", "Ab", 'q"', "é", ""]),
        "b": st.none() | st.booleans(),
        "in": st.none() | st.just(3) | st.fixed_dictionaries({}, optional={"x": st.integers(0, 2)}),
    },
)
PLAIN = st.fixed_dictionaries(
    {"n": st.integers(-2, 3), "m": st.integers(1, 2), "s": st.sampled_from("abc"), "b": st.booleans()}
)
INPUT = st.one_of(
    st.lists(
        st.tuples(
            st.none() | st.sampled_from("abc"),
            values,
            st.integers(0, 12),
            st.sampled_from([(), (), (("h", b"1"),), (("h", b"1"), ("h", None))]),
        ),
        max_size=12,
    )
    for values in (PLAIN, st.none() | OBJECTS)
)


def _run(build: Callable[[StreamsBuilder, Seen], None], rows: list[Any], max_records: int) -> object:
    builder = StreamsBuilder()
    seen: Seen = []
    build(builder, seen)
    config = {"columnar_max_records": max_records, "processing_exception_handler": "continue"}
    with TopologyTest(builder.build(), config) as test:
        test.input("in").pipe_batch([Record(*row) for row in rows])
        return seen, {
            name: test.output(name, Text(), Json()).read_raw() for name in ("out-0", "out-1", "out-2")
        }


def test_chunks_of_any_size(request: pytest.FixtureRequest) -> None:
    @settings(
        max_examples=300 if request.config.getoption("--full") else 100,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(topologies(), INPUT)
    def check(build: Callable[[StreamsBuilder, Seen], None], rows: list[Any]) -> None:
        expected = _run(build, rows, 0)
        for size in (1, 3, 10_000):
            assert _run(build, rows, size) == expected, f"in chunks of {size}"

    check()


def _stream(max_records: int, builder: StreamsBuilder, rows: list[Any], *, handler: str = "fail") -> Any:
    test = TopologyTest(
        builder.build(),
        {
            "columnar_max_records": max_records,
            "processing_exception_handler": handler,
            "deserialization_exception_handler": handler,
        },
    )
    with test:
        failure = None
        try:
            test.pipe_raw_batch("in", rows)
        except StreamsError as error:
            failure = str(error)
            test._deliver()  # what was written before
        return failure, test.output("out").read()


@pytest.mark.parametrize("handler", ["fail", "continue"])
@pytest.mark.parametrize("bad", [b'{"n": ', b'{"n": "x"}', b"[1]", b'{"n": 9223372036854775807}'])
def test_what_fails_fails_for_its_record(bad: bytes, handler: str) -> None:
    builder = StreamsBuilder()
    builder.stream("in", Text(), Json()).map_values({"n": col("n") + 1}).to("out", Text(), Json())
    rows = [(b"k", b'{"n": 1}', 0, ()), (b"k", bad, 1, ()), (b"k", b'{"n": 3}', 2, ())]

    expected = _stream(0, builder, rows, handler=handler)

    assert ("in-0 at offset 1" in str(expected[0])) is (handler == "fail")
    for size in (1, 2, 100):
        found = _stream(size, builder, rows, handler=handler)
        assert found[0] == expected[0]
        if handler == "fail" and bad == b'{"n": ':
            # It is read as soon as it comes next, by itself even before the one in front of it is processed.
            assert len(found[1]) == (1 if size == 1 else 0)
        else:
            assert found[1] == expected[1]


def test_a_function_that_fails_is_called_in_order() -> None:
    builder = StreamsBuilder()
    builder.stream("in", Text(), Json()).map_values(lambda value: 6 // value).to("out", Text(), Long())
    rows = [(b"k", data, number, ()) for number, data in enumerate([b"1", b"2", b"0", b"3"])]

    for handler in ("fail", "continue"):
        assert _stream(100, builder, rows, handler=handler) == _stream(0, builder, rows, handler=handler)


def test_partitions_interleave_by_time() -> None:
    def run(max_records: int) -> list[Any]:
        builder = StreamsBuilder()
        streams = [builder.stream(name, Text(), Json()).filter(col("n") >= 0) for name in ("a", "b", "c")]
        streams[0].merge(streams[1]).merge(streams[2]).to("out", Text(), Json())
        with TopologyTest(builder.build(), {"columnar_max_records": max_records}) as test:
            # Nothing of a topic is processed before all are there.
            for topic, times in {"a": [1, 5, 5, 2, 9], "b": [5, 5, 1], "c": [5, 0, 7, 5]}.items():
                test._enqueue_all(topic, [_raw(topic, number, at) for number, at in enumerate(times)])
            test._run()
            return [(record.key, record.value) for record in test.output("out").read()]

    expected = run(0)
    assert len(expected) == 12
    assert run(1) == run(2) == run(100) == expected


def _raw(topic: str, number: int, at: int) -> Any:
    from ottla.streams.task.input import RawRecord

    return RawRecord(topic, 0, -1, at, topic.encode(), b'{"n": %d}' % number)
