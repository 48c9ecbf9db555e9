"""Windowed aggregations."""

from __future__ import annotations

from ottla.streams import (
    Json,
    KGroupedStream,
    KTable,
    Long,
    SessionWindowedSerde,
    SessionWindows,
    SlidingWindows,
    Store,
    StreamsBuilder,
    Text,
    TimeWindowedSerde,
    TimeWindows,
    UnlimitedWindows,
    Windowed,
)

from .aggregations import added, by_user, joined, nothing, texts
from .stateless import text
from .tables import stored

TUMBLING = TimeWindows.of("10ms")
TUMBLING_GRACE = TimeWindows.of("10ms", grace="5ms")
HOPPING = TimeWindows.of("10ms", advance="4ms", grace="5ms")
SLIDING = SlidingWindows.of("10ms", grace="5ms")
SESSIONS = SessionWindows.of("5ms", grace="3ms")


def keyed(b: StreamsBuilder) -> KGroupedStream[str, str, str]:
    return text(b).group_by_key()


def timed(table: KTable[Windowed[str], int]) -> None:
    table.to_stream().to("out", key=TimeWindowedSerde(Text(), 10), value=Long())


def timed_text(table: KTable[Windowed[str], str]) -> None:
    table.to_stream().to("out", key=TimeWindowedSerde(Text(), 10), value=Text())


def sessions(table: KTable[Windowed[str], int]) -> None:
    table.to_stream().to("out", key=SessionWindowedSerde(Text()), value=Long())


def session_texts(table: KTable[Windowed[str], str]) -> None:
    table.to_stream().to("out", key=SessionWindowedSerde(Text()), value=Text())


def json_totals(b: StreamsBuilder) -> KTable[Windowed[str], object]:
    return (
        by_user(b)
        .windowed_by(TUMBLING_GRACE)
        .aggregate(nothing, added, materialized=Store("totals", key=Text(), value=Json()))
    )


def timed_json(table: KTable[Windowed[str], object]) -> None:
    table.to_stream().to("out", key=TimeWindowedSerde(Text(), 10), value=Json())


COUNTS = stored("counts")

TOPOLOGIES = {
    "tumbling_count": lambda b: timed(keyed(b).windowed_by(TUMBLING).count(materialized=COUNTS)),
    "tumbling_count_unnamed": lambda b: timed(keyed(b).windowed_by(TUMBLING_GRACE).count()),
    "tumbling_grace": lambda b: timed(keyed(b).windowed_by(TUMBLING_GRACE).count(materialized=COUNTS)),
    "tumbling_reduce": lambda b: timed_text(
        keyed(b)
        .windowed_by(TUMBLING_GRACE)
        .reduce(lambda one, other: one + other, materialized=texts("logs"))
    ),
    "tumbling_aggregate": lambda b: timed_text(
        keyed(b).windowed_by(TUMBLING_GRACE).aggregate(lambda: "", joined, materialized=texts("logs"))
    ),
    "tumbling_by_value": lambda b: timed(
        text(b).group_by(lambda _, value: value).windowed_by(TUMBLING_GRACE).count(materialized=COUNTS)
    ),
    "hopping_count": lambda b: timed(keyed(b).windowed_by(HOPPING).count(materialized=COUNTS)),
    "hopping_aggregate": lambda b: timed_text(
        keyed(b).windowed_by(HOPPING).aggregate(lambda: "", joined, materialized=texts("logs"))
    ),
    "unlimited_count": lambda b: (
        keyed(b)
        .windowed_by(UnlimitedWindows.of(start=10))
        .count(materialized=COUNTS)
        .to_stream(lambda windowed, _: windowed.key)
        .to("out", key=Text(), value=Long())
    ),
    "sliding_count": lambda b: timed(keyed(b).windowed_by(SLIDING).count(materialized=COUNTS)),
    "sliding_aggregate": lambda b: timed_text(
        keyed(b).windowed_by(SLIDING).aggregate(lambda: "", joined, materialized=texts("logs"))
    ),
    "session_count": lambda b: sessions(keyed(b).windowed_by(SESSIONS).count(materialized=COUNTS)),
    "session_reduce": lambda b: session_texts(
        keyed(b).windowed_by(SESSIONS).reduce(lambda one, other: one + other, materialized=texts("logs"))
    ),
    "session_aggregate": lambda b: session_texts(
        keyed(b)
        .windowed_by(SESSIONS)
        .aggregate(
            lambda: "",
            joined,
            merger=lambda _, one, other: f"{one}|{other}",
            materialized=texts("logs"),
        )
    ),
    "cogroup_tumbling": lambda b: timed_text(
        keyed(b)
        .cogroup(joined)
        .cogroup(text(b, "in2").group_by_key(), lambda _, value, log: f"{log}#{value}")
        .windowed_by(TUMBLING_GRACE)
        .aggregate(lambda: "", materialized=texts("logs"))
    ),
    "emit_on_close_tumbling": lambda b: timed(
        keyed(b).windowed_by(TUMBLING_GRACE).emit("on_window_close").count(materialized=COUNTS)
    ),
    "emit_on_close_hopping": lambda b: timed(
        keyed(b).windowed_by(HOPPING).emit("on_window_close").count(materialized=COUNTS)
    ),
    "emit_on_close_sliding": lambda b: timed(
        keyed(b).windowed_by(SLIDING).emit("on_window_close").count(materialized=COUNTS)
    ),
    "emit_on_close_session": lambda b: sessions(
        keyed(b).windowed_by(SESSIONS).emit("on_window_close").count(materialized=COUNTS)
    ),
    "suppress_tumbling": lambda b: timed(
        keyed(b).windowed_by(TUMBLING_GRACE).count(materialized=COUNTS).suppress(until="window_closes")
    ),
    "suppress_hopping": lambda b: timed(
        keyed(b).windowed_by(HOPPING).count(materialized=COUNTS).suppress(until="window_closes")
    ),
    "suppress_session": lambda b: sessions(
        keyed(b).windowed_by(SESSIONS).count(materialized=COUNTS).suppress(until="window_closes")
    ),
    "suppress_time_limit": lambda b: (
        b.table("in", key=Text(), value=Long())
        .suppress(until="time_limit", after="10ms")
        .to_stream()
        .to("out", key=Text(), value=Long())
    ),
    "suppress_records": lambda b: (
        b.table("in", key=Text(), value=Long())
        .suppress(until="time_limit", after="100ms", max_records=2, when_full="emit_early")
        .to_stream()
        .to("out", key=Text(), value=Long())
    ),
    "windowed_then_filtered": lambda b: timed(
        keyed(b).windowed_by(TUMBLING_GRACE).count(materialized=COUNTS).filter(lambda _, count: count > 1)
    ),
    "windowed_to_text": lambda b: (
        keyed(b)
        .windowed_by(TUMBLING_GRACE)
        .count(materialized=COUNTS)
        .to_stream(lambda windowed, _: f"{windowed.key}/{windowed.window.start}")
        .to("out", key=Text(), value=Long())
    ),
    "json_windowed_totals": lambda b: timed_json(json_totals(b)),
    "json_suppressed_totals": lambda b: timed_json(json_totals(b).suppress(until="window_closes")),
}
