"""What `optimize=True` makes of topologies, Kafka Streams makes of them, and they do what they did before."""

from __future__ import annotations

from pathlib import Path

import pytest

from ottla.streams import JoinWindows, KStream, Store, StreamsBuilder, Text

from .topologies import TOPOLOGIES
from .transcript import SCENARIOS, read, replay

WINDOWS = JoinWindows.of("10ms")


def described() -> dict[str, list[str]]:
    """What tests/differential/streams/Optimized.java printed."""
    parts = (Path(__file__).parent / "optimized.txt").read_text().split("# ")[1:]
    return {name: text.split("\n") for name, _, text in (part.partition("\n") for part in parts)}


def keyed(b: StreamsBuilder, topic: str = "in") -> KStream[str, str]:
    return b.stream(topic).select_key(lambda _, value: value)


def last(_: str, value: str) -> str:
    return value


def both(one: str, other: str) -> str:
    return one + other


def repartitions(b: StreamsBuilder) -> None:
    stream = keyed(b)
    stream.group_by_key().count(Store("c1")).to_stream().map_values(str).to("o1")
    stream.filter(lambda *_: True).group_by_key().reduce(last, Store("c2")).to_stream().to("o2")
    stream.map_values(lambda value: value).group_by_key().count().to_stream().map_values(str).to("o3")


def merge(b: StreamsBuilder) -> None:
    merged = keyed(b).merge(keyed(b, "in2"))
    merged.group_by_key().count(Store("m1")).to_stream().map_values(str).to("o1")
    merged.group_by_key().reduce(last, Store("m2")).to_stream().to("o2")


def self_join(b: StreamsBuilder) -> None:
    stream = b.stream("in")
    stream.join(stream, both, windows=WINDOWS).to("o")


def joins(b: StreamsBuilder) -> None:
    stream = keyed(b)
    stream.group_by_key().count(Store("c1")).to_stream().map_values(str).to("o1")
    stream.join(b.table("t"), both).to("o2")
    stream.left_join(b.stream("in2"), both, windows=WINDOWS).to("o3")


OPTIMIZED = {
    "repartitions": repartitions,
    "table": lambda b: b.table("in", materialized=Store("t")).to_stream().to("o"),
    "self": self_join,
    "merge": merge,
    "joins": joins,
}


@pytest.mark.parametrize("name", OPTIMIZED)
def test_a_topology_is_optimized_as_in_java(name: str) -> None:
    b = StreamsBuilder(Text(), Text())
    OPTIMIZED[name](b)
    topology = b.build(optimize=True)
    assert [line.rstrip() for line in topology.describe().split("\n")] == described()[name][:-1]


def test_a_table_is_restored_from_its_topic() -> None:
    b = StreamsBuilder(Text(), Text())
    OPTIMIZED["table"](b)
    topology = b.build(optimize=True)
    assert topology.source_changelogs == {"t": "in"}
    assert topology.changelogs("app") == {}


@pytest.mark.parametrize(
    "name", ["self_join", "two_aggregations", "word_count", "join_streams_of_new_keys", "merge_of_branches"]
)
def test_what_is_optimized_does_the_same(name: str) -> None:
    transcript = read(SCENARIOS / f"{name}.txt")
    for scenario in transcript.scenarios:
        b = StreamsBuilder(Text(), Text())
        TOPOLOGIES[name](b)
        assert replay(transcript, scenario, b.build(optimize=True)) == scenario.lines
