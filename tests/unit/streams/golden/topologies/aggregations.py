"""Aggregations of streams without windows."""

from __future__ import annotations

from ottla.streams import Json, KGroupedStream, KTable, Long, Store, StreamsBuilder, Text

from .stateless import Row, is_large, json, text
from .tables import out, stored


def texts(name: str) -> Store[str, str]:
    return Store(name, key=Text(), value=Text())


def out_text(table: KTable[str, str]) -> None:
    table.to_stream().to("out")


def numbers(b: StreamsBuilder) -> KGroupedStream[str, int, str]:
    return b.stream("in", key=Text(), value=Long()).group_by_key(key=Text(), value=Long())


def joined(_key: str, value: str, log: str) -> str:
    return log + value


def added(_key: str, value: Row, row: Row) -> Row:
    amount, n, total = value["amount"], row["n"], row["total"]
    assert isinstance(amount, int)
    assert isinstance(n, int)
    assert isinstance(total, int)
    return {"n": n + 1, "total": total + amount}


def nothing() -> Row:
    return {"n": 0, "total": 0}


def by_user(b: StreamsBuilder) -> KGroupedStream[str, Row, str]:
    return (
        json(b)
        .filter(lambda _, value: is_large(value))
        .group_by(lambda _, value: str(value["user"]), key=Text(), value=Json())
    )


def cogroup(b: StreamsBuilder) -> None:
    one = text(b).group_by_key()
    two = b.stream("in2", key=Text(), value=Long()).group_by_key(key=Text(), value=Long())
    out_text(
        one.cogroup(joined)
        .cogroup(two, lambda _, value, log: f"{log}#{value}")
        .aggregate(lambda: "", materialized=texts("logs"))
    )


def two_aggregations(b: StreamsBuilder) -> None:
    grouped = text(b).group_by(lambda _, value: value)
    out(grouped.count(materialized=stored("counts")))
    grouped.reduce(lambda one, other: one + other, materialized=texts("joined")).to_stream().to("out2")


TOPOLOGIES = {
    "count": lambda b: out(text(b).group_by_key().count(materialized=stored("counts"))),
    "count_unnamed": lambda b: out(text(b).group_by_key().count()),
    "count_by_value": lambda b: out(
        text(b).group_by(lambda _, value: value).count(materialized=stored("counts"))
    ),
    "word_count": lambda b: out(
        text(b)
        .flat_map_values(lambda value: value.split("-"))
        .group_by(lambda _, value: value, name="words")
        .count(materialized=stored("counts"))
    ),
    "reduce": lambda b: out(
        numbers(b).reduce(lambda total, value: total + value, materialized=stored("sums"))
    ),
    "reduce_to_null": lambda b: out(
        numbers(b).reduce(lambda total, value: total + value or None, materialized=stored("sums"))
    ),
    "aggregate": lambda b: out_text(
        text(b).group_by_key().aggregate(lambda: "", joined, materialized=texts("logs"))
    ),
    "aggregate_to_null": lambda b: out_text(
        text(b)
        .group_by_key()
        .aggregate(
            lambda: "",
            lambda _, value, log: None if value == "reset" else ("null" if log is None else log) + value,
            materialized=texts("logs"),
        )
    ),
    "cogroup": cogroup,
    "two_aggregations": two_aggregations,
    "count_then_filter": lambda b: out(
        text(b).group_by_key().count(materialized=stored("counts")).filter(lambda _, count: count > 1)
    ),
    "count_of_counts": lambda b: out(
        text(b)
        .group_by_key()
        .count(materialized=stored("counts"))
        .group_by(lambda _, count: (str(count), count), key=Text(), value=Long())
        .count(materialized=stored("of-counts"))
    ),
    "json_totals": lambda b: (
        by_user(b)
        .aggregate(nothing, added, materialized=Store("totals", key=Text(), value=Json()))
        .to_stream()
        .to("out", key=Text(), value=Json())
    ),
}
