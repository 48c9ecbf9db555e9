"""Operators that remember nothing. Values are text, or as said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from ottla.streams import Json, KStream, Long, Store, StreamsBuilder, Text

Row: TypeAlias = Mapping[str, object]


def text(b: StreamsBuilder, topic: str = "in") -> KStream[str, str]:
    return b.stream(topic)


def json(b: StreamsBuilder) -> KStream[str, Row]:
    return b.stream("in", key=Text(), value=Json())


def merge_diamond(b: StreamsBuilder) -> None:
    words = text(b)
    doubled = words.map_values(lambda value: value + value)
    words.filter(lambda _, value: len(value) < 3).merge(doubled).map_values(lambda value: value + "!").to(
        "out"
    )


def merge_of_branches(b: StreamsBuilder) -> None:
    parts = text(b).flat_map_values(lambda value: value.split("-"))
    (
        parts.filter(lambda _, value: value.startswith("x"))
        .map_values(lambda value: "1" + value)
        .merge(
            parts.filter_not(lambda _, value: value.startswith("xx")).map_values(lambda value: "2" + value)
        )
        .to("out")
    )


def branches(b: StreamsBuilder) -> None:
    ways = (
        text(b)
        .split(name="by-")
        .branch(lambda _, value: value.startswith("a"), name="a")
        .branch(lambda _, value: value.startswith("b"))
        .default_branch(name="rest")
    )
    ways["by-a"].to("out-a")
    ways["by-2"].to("out-b")
    ways["by-rest"].to("out-rest")


def branches_without_default(b: StreamsBuilder) -> None:
    ways = (
        text(b)
        .split()
        .branch(lambda _, value: value.startswith("a"))
        .branch(lambda _, value: value.startswith("ab"), name="ab")
        .no_default_branch()
    )
    # The order of Java's hash map.
    for way in reversed(ways.values()):
        way.to("out")


def two_outputs(b: StreamsBuilder) -> None:
    words = text(b)
    words.to("out")
    words.map_values(len).to("out2", value=Long())


def named(b: StreamsBuilder) -> None:
    words: KStream[str, str] = b.stream("in", name="source")
    (
        words.filter(lambda _, value: value is not None, name="present")
        .map_values(lambda value: value + "!", name="loud")
        .to("out", name="sink")
    )


def is_large(value: Row | None) -> bool:
    amount = None if value is None else value.get("amount")
    return isinstance(amount, int | float) and amount > 50


def projected(value: Row) -> Row:
    amount = value["amount"]
    assert isinstance(amount, int)
    return {"double": amount * 2, "user": value["user"]}


TOPOLOGIES = {
    "filter": lambda b: text(b).filter(lambda _, value: value is not None and len(value) > 1).to("out"),
    "filter_not": lambda b: text(b).filter_not(lambda key, _: key == "a").to("out"),
    "map": lambda b: text(b).map(lambda key, value: (value, key)).to("out"),
    "map_values": lambda b: (
        text(b).map_values(lambda value: "none" if value is None else value.upper()).to("out")
    ),
    "map_values_with_key": lambda b: (
        text(b)
        .map_values(lambda key, value: f"{'null' if key is None else key}{value}", with_key=True)
        .to("out")
    ),
    "flat_map": lambda b: text(b).flat_map(lambda key, value: [(key, value), (value, key)]).to("out"),
    "flat_map_values": lambda b: text(b).flat_map_values(lambda value: value.split("-")).to("out"),
    "select_key": lambda b: text(b).select_key(lambda _, value: value).to("out"),
    "merge": lambda b: text(b).merge(text(b, "in2")).to("out"),
    "merge_diamond": merge_diamond,
    "merge_of_branches": merge_of_branches,
    "branches": branches,
    "branches_without_default": branches_without_default,
    "repartition": lambda b: (
        text(b)
        .select_key(lambda _, value: value)
        .repartition(name="by-value", partitions=2)
        .map_values(lambda key, value: f"{key}/{value}", with_key=True)
        .to("out")
    ),
    "repartition_unnamed": lambda b: text(b).repartition().to("out"),
    "to_table": lambda b: text(b).to_table(materialized=Store("latest")).to_stream().to("out"),
    "to_table_of_new_keys": lambda b: (
        text(b).select_key(lambda _, value: value).to_table().to_stream().to("out")
    ),
    "topics_by_record": lambda b: text(b).to(lambda record, _metadata: f"out-{record.key}"),
    "two_outputs": two_outputs,
    "named": named,
    "several_topics": lambda b: b.stream(["in", "in2"]).to("out"),
    "json_filter": lambda b: json(b).filter(lambda _, value: is_large(value)).to("out", value=Json()),
    "json_projection": lambda b: (
        json(b).filter(lambda _, value: value is not None).map_values(projected).to("out", value=Json())
    ),
    "json_select_key": lambda b: json(b).select_key(lambda _, value: value["user"]).to("out", value=Json()),
}
