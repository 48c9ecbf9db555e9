"""Joins: left topic "in", right topic "in2"; values are text, joined as LEFT+RIGHT, a missing one as
"null"."""

from __future__ import annotations

from ottla.streams import JoinWindows, KTable, Store, StreamsBuilder, Text

from .aggregations import texts
from .stateless import text

WINDOWS = JoinWindows.of("10ms")
WINDOWS_GRACE = JoinWindows.of("10ms", grace="5ms")
ONLY_BEFORE = JoinWindows.of("10ms", grace="5ms", after=0)
ONLY_AFTER = JoinWindows.of("10ms", grace="5ms", before=0)
ASYMMETRIC = JoinWindows.of("10ms", grace="5ms", before="3ms")


def both(left: str | None, right: str | None) -> str:
    return f"{'null' if left is None else left}+{'null' if right is None else right}"


def foreign(value: str) -> str | None:
    """What stands before a dash, or nothing."""
    before, dash, _ = value.partition("-")
    return before if dash else None


def right_table(b: StreamsBuilder, topic: str = "in2") -> KTable[str, str]:
    return b.table(topic)


def left_table(b: StreamsBuilder) -> KTable[str, str]:
    return b.table("in")


def versioned(b: StreamsBuilder) -> KTable[str, str]:
    return b.table(
        "in2",
        key=Text(),
        value=Text(),
        materialized=Store("versions", kind="versioned", history_retention="10s"),
    )


def self_join(b: StreamsBuilder) -> None:
    words = text(b)
    words.join(words, both, windows=WINDOWS).to("out")


def join_table_with_itself(b: StreamsBuilder) -> None:
    words = left_table(b)
    words.join(words.map_values(lambda value: value + "'"), both).to_stream().to("out")


def join_stream_global(b: StreamsBuilder) -> None:
    everywhere = b.global_table("in2")
    text(b).join(everywhere, both, key_mapper=lambda _, value: value).to("out")


def left_join_stream_global(b: StreamsBuilder) -> None:
    everywhere = b.global_table("in2", materialized=Store("everywhere"))
    text(b).left_join(everywhere, both, key_mapper=lambda _, value: value).to("out")


TOPOLOGIES = {
    "join_streams": lambda b: text(b).join(text(b, "in2"), both, windows=WINDOWS).to("out"),
    "join_streams_grace": lambda b: text(b).join(text(b, "in2"), both, windows=WINDOWS_GRACE).to("out"),
    "join_streams_before": lambda b: text(b).join(text(b, "in2"), both, windows=ONLY_BEFORE).to("out"),
    "join_streams_after": lambda b: text(b).join(text(b, "in2"), both, windows=ONLY_AFTER).to("out"),
    "left_join_streams": lambda b: text(b).left_join(text(b, "in2"), both, windows=WINDOWS).to("out"),
    "left_join_streams_grace": lambda b: (
        text(b).left_join(text(b, "in2"), both, windows=WINDOWS_GRACE).to("out")
    ),
    "outer_join_streams": lambda b: text(b).outer_join(text(b, "in2"), both, windows=WINDOWS).to("out"),
    "outer_join_streams_grace": lambda b: (
        text(b).outer_join(text(b, "in2"), both, windows=WINDOWS_GRACE).to("out")
    ),
    "outer_join_streams_asymmetric": lambda b: (
        text(b).outer_join(text(b, "in2"), both, windows=ASYMMETRIC).to("out")
    ),
    "self_join": self_join,
    "join_streams_named": lambda b: (
        text(b).join(text(b, "in2"), both, windows=WINDOWS, store_name="kept").to("out")
    ),
    "join_streams_of_new_keys": lambda b: (
        text(b).select_key(lambda _, value: value[0]).join(text(b, "in2"), both, windows=WINDOWS).to("out")
    ),
    "join_stream_table": lambda b: text(b).join(right_table(b), both).to("out"),
    "left_join_stream_table": lambda b: text(b).left_join(right_table(b), both).to("out"),
    "join_stream_table_of_new_keys": lambda b: (
        text(b).select_key(lambda _, value: value).join(right_table(b), both).to("out")
    ),
    "join_stream_versioned_table": lambda b: text(b).join(versioned(b), both).to("out"),
    "join_stream_table_grace": lambda b: (
        text(b)
        .join(versioned(b), both, key=Text(), value=Text(), other_value=Text(), name="late", grace="5ms")
        .to("out")
    ),
    "join_stream_global": join_stream_global,
    "left_join_stream_global": left_join_stream_global,
    "join_tables": lambda b: left_table(b).join(right_table(b), both).to_stream().to("out"),
    "left_join_tables": lambda b: left_table(b).left_join(right_table(b), both).to_stream().to("out"),
    "outer_join_tables": lambda b: left_table(b).outer_join(right_table(b), both).to_stream().to("out"),
    "join_tables_materialized": lambda b: (
        left_table(b).join(right_table(b), both, materialized=texts("joined")).to_stream().to("out")
    ),
    "left_join_tables_materialized": lambda b: (
        left_table(b).left_join(right_table(b), both, materialized=texts("joined")).to_stream().to("out")
    ),
    "outer_join_tables_materialized": lambda b: (
        left_table(b).outer_join(right_table(b), both, materialized=texts("joined")).to_stream().to("out")
    ),
    "join_three_tables": lambda b: (
        left_table(b).join(right_table(b), both).left_join(right_table(b, "in3"), both).to_stream().to("out")
    ),
    "join_table_with_itself": join_table_with_itself,
    "join_filtered_tables": lambda b: (
        left_table(b)
        .filter(lambda _, value: not value.startswith("x"))
        .outer_join(right_table(b), both)
        .to_stream()
        .to("out")
    ),
    "foreign_key_join": lambda b: (
        left_table(b)
        .join(right_table(b), both, foreign_key=foreign, materialized=texts("joined"))
        .to_stream()
        .to("out")
    ),
    "foreign_key_left_join": lambda b: (
        left_table(b)
        .left_join(right_table(b), both, foreign_key=foreign, materialized=texts("joined"))
        .to_stream()
        .to("out")
    ),
    "foreign_key_join_unnamed": lambda b: (
        left_table(b).join(right_table(b), both, foreign_key=foreign).to_stream().to("out")
    ),
}
