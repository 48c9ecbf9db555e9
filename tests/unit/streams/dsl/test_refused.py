"""What the DSL refuses as it is said, and how."""

from __future__ import annotations

import pytest

from ottla.streams import (
    JoinWindows,
    SessionWindows,
    Store,
    StreamsBuilder,
    Text,
    TimeWindows,
    TopologyError,
    TopologyTest,
    UnlimitedWindows,
)

WINDOWS = JoinWindows.of(10)


def _stream():
    return StreamsBuilder(Text(), Text()).stream("in")


def _table():
    return StreamsBuilder(Text(), Text()).table("in")


def _grouped():
    return _stream().group_by_key()


def both(left, right):
    return f"{left}+{right}"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (lambda: _stream().filter("no function"), "filter takes"),
        (lambda: _stream().map_values({"a": object()}), "know no values of object"),
        (lambda: _stream().repartition("r", partitions=0), "0 partitions"),
        (lambda: StreamsBuilder().stream([]), "reads topics"),
        (lambda: _grouped().emit("on_window_close"), "windowed_by"),
        (lambda: _grouped().windowed_by(UnlimitedWindows.of()).emit("on_window_close"), "never close"),
        (lambda: _grouped().windowed_by(TimeWindows.of(5)).emit("later"), "emit takes"),
        (lambda: _grouped().aggregate(str), "an initializer and an aggregator"),
        (lambda: _grouped().windowed_by(SessionWindows.of(5)).aggregate(str, both), "takes a merger"),
        (
            lambda: _grouped().windowed_by(TimeWindows.of(5)).aggregate(str, both, merger=both),
            "takes a merger",
        ),
        (
            lambda: _grouped().windowed_by(TimeWindows.of(5)).count(Store("s", retention=4)),
            "keeps windows for 4 ms",
        ),
        (lambda: Store("s", kind="versioned"), "goes with a history_retention"),
        (lambda: Store("a b"), "is no name"),
        (lambda: _table().suppress(until="window_closes"), "there are none above"),
        (lambda: _table().suppress(until="time_limit"), "says after which time"),
        (lambda: _table().suppress(until="tomorrow"), "not 'tomorrow'"),
        (
            lambda: (
                _grouped()
                .windowed_by(TimeWindows.of(5))
                .count()
                .suppress(until="window_closes", when_full="emit_early")
            ),
            "cannot be told early",
        ),
        (lambda: _stream().join(_stream(), both), "takes windows="),
        (lambda: _stream().join(_table(), both, windows=WINDOWS), "have no windows"),
        (lambda: _table().join(_table(), both, with_key=True), "is for a foreign_key"),
        (
            lambda: StreamsBuilder().global_table(
                "t", materialized=Store("s", kind="versioned", history_retention=5)
            ),
            "cannot be versioned",
        ),
    ],
)
def test_with_the_reason(said, message: str) -> None:
    with pytest.raises(TopologyError, match=message):
        said()


def test_options_of_joins_are_checked() -> None:
    with pytest.raises(TypeError, match="a join of streams has no option grace"):
        _stream().join(_stream(), both, windows=WINDOWS, grace="5ms")


def test_a_join_that_waits_needs_a_versioned_table() -> None:
    builder = StreamsBuilder(Text(), Text())
    with pytest.raises(TopologyError, match="only a versioned table"):
        builder.stream("in").join(builder.table("t", materialized=Store("t")), both, grace="5ms")
    builder = StreamsBuilder(Text(), Text())
    table = builder.table("t", materialized=Store("t", kind="versioned", history_retention="1ms"))
    builder.stream("in").join(table, both, grace="5ms").to("out")
    with pytest.raises(TopologyError, match="keeps 1 ms, the grace is 5 ms"):
        builder.build()


def test_a_versioned_table_is_not_suppressed() -> None:
    builder = StreamsBuilder(Text(), Text())
    table = builder.table("t", materialized=Store("t", kind="versioned", history_retention="1ms"))
    table.filter(lambda key, value: True).suppress(until="time_limit", after=5).to_stream().to("out")
    with pytest.raises(TopologyError, match="versioned"):
        builder.build()


def test_too_much_that_is_held_back_ends_the_task() -> None:
    builder = StreamsBuilder(Text(), Text())
    suppressed = builder.table("t").suppress(
        until="time_limit", after=100, max_records=1, when_full="shut_down"
    )
    suppressed.to_stream().to("out")
    with TopologyTest(builder.build()) as test:
        test.input("t").pipe("a", "1", ts=0)
        with pytest.raises(Exception, match="KTABLE-SUPPRESS.*holds back 2 updates"):
            test.input("t").pipe("b", "1", ts=0)
