"""Operators that remember nothing, the names that they get, and what the topology says."""

from __future__ import annotations

import re

import pytest

from ottla.streams import (
    Json,
    Long,
    Processor,
    Record,
    StreamsBuilder,
    Text,
    TopologyError,
    TopologyTest,
    col,
    key,
)


def _text(builder: StreamsBuilder, topic="in"):
    return builder.stream(topic, Text(), Text())


def _outputs(builder: StreamsBuilder, *pairs, topic="in", out="out") -> list[tuple]:
    with TopologyTest(builder.build()) as test:
        for number, (key, value) in enumerate(pairs):
            test.input(topic).pipe(key, value, ts=number)
        return [(record.key, record.value, record.timestamp) for record in test.output(out).read()]


def test_filter_and_map() -> None:
    builder = StreamsBuilder()
    stream = (
        _text(builder).filter(lambda key, value: value is not None).filter_not(lambda key, value: key == "x")
    )
    stream.map(lambda key, value: (value, key)).to("out", Text(), Text())
    assert _outputs(builder, ("a", "1"), ("x", "2"), ("b", None), ("c", "3")) == [
        ("1", "a", 0),
        ("3", "c", 3),
    ]


def test_values() -> None:
    builder = StreamsBuilder()
    stream = _text(builder).flat_map_values(lambda value: value.split("-"))
    stream.map_values(lambda key, value: key + value, with_key=True).to("out", value=Text())
    assert _outputs(builder, ("a", "1-2")) == [("a", "a1", 0), ("a", "a2", 0)]


def test_each_record_goes_down_before_the_next() -> None:
    builder = StreamsBuilder()
    seen: list[str] = []
    stream = _text(builder).flat_map(lambda key, value: [(key, value + "1"), (key, value + "2")])
    stream.peek(lambda key, value: seen.append("left " + value)).for_each(lambda key, value: None)
    stream.for_each(lambda key, value: seen.append("right " + value))
    with TopologyTest(builder.build()) as test:
        test.input("in").pipe("k", "v", ts=0)
    assert seen == ["left v1", "right v1", "left v2", "right v2"]


def test_branches() -> None:
    builder = StreamsBuilder()
    branches = (
        _text(builder)
        .split(name="by-")
        .branch(lambda key, value: value.startswith("a"), name="a")
        .branch(lambda key, value: value.startswith("b"))
        .default_branch(name="rest")
    )
    assert list(branches) == ["by-a", "by-2", "by-rest"]
    branches["by-rest"].to("out")
    assert _outputs(builder, ("k", "apple"), ("k", "berry"), ("k", "cherry")) == [("k", "cherry", 2)]


def test_a_repartition_goes_through_a_topic() -> None:
    builder = StreamsBuilder()
    _text(builder).select_key(lambda key, value: value).repartition("again", Text(), Text()).to("out")
    topology = builder.build()
    with TopologyTest(topology, {"application_id": "app"}) as test:
        test.input("in").pipe("k", "v", ts=7, headers=(("h", b"1"),))
        assert test.output("app-again-repartition").read() == [Record("v", "v", 7, (("h", b"1"),))]
        assert test.output("out").read() == [Record("v", "v", 7, (("h", b"1"),))]


def test_a_topic_for_each_record() -> None:
    builder = StreamsBuilder()
    _text(builder).to(lambda record, metadata: f"out-{record.key}-{metadata.offset}", Text(), Text())
    with TopologyTest(builder.build()) as test:
        test.input("in").pipe_batch([Record("a", "1", 0), Record("b", "2", 1)])
        assert test.produced == ["out-a-0", "out-b-1"]


def test_topics_by_pattern() -> None:
    builder = StreamsBuilder()
    _text(builder, re.compile("in-.*")).to("out")
    with TopologyTest(builder.build()) as test:
        test.input("in-1").pipe("a", "1", ts=5)
        test.input("in-2").pipe("b", "2", ts=3)
        assert [record.key for record in test.output("out").read()] == ["a", "b"]


def test_defaults_stand_in_for_serdes() -> None:
    builder = StreamsBuilder()
    builder.stream("in").to("out")
    with pytest.raises(
        TopologyError, match=r"KSTREAM-SOURCE-0000000000 has no serde for its keys.*default_key"
    ):
        builder.build()
    builder = StreamsBuilder(Text(), Long())
    builder.stream("in").to("out")
    with TopologyTest(builder.build()) as test:
        test.input("in").pipe("a", 1, ts=0)
        assert test.output("out").read() == [Record("a", 1, 0)]


def test_two_streams_of_a_topic_are_one_source() -> None:
    builder = StreamsBuilder()
    _text(builder).to("out")
    _text(builder).map_values(str.upper).to("out2", value=Text())
    assert builder.build().describe().count("Source:") == 1


def test_topics_that_overlap_are_refused() -> None:
    builder = StreamsBuilder(Text(), Text())
    builder.stream(["a", "b"]).to("out")
    builder.stream("a").to("out2")
    with pytest.raises(TopologyError, match="overlap"):
        builder.build()


@pytest.mark.parametrize("name", ["", "a b", "..", "x" * 250])
def test_names_are_checked(name: str) -> None:
    with pytest.raises(TopologyError, match="is no name"):
        _text(StreamsBuilder()).filter(lambda key, value: True, name=name)


class _Adding(Processor):
    def process(self, record):
        self.context.forward(record.with_value(f"{record.value}@{self.context.stream_time_ms}"))


class _Rekeying(Processor):
    def process(self, record):
        self.context.forward(record.with_key("other"))


def test_processors_of_values_keep_the_key() -> None:
    builder = StreamsBuilder()
    _text(builder).process_values(_Adding).to("out", value=Text())
    assert _outputs(builder, ("a", "x"), ("b", "y")) == [("a", "x@0", 0), ("b", "y@1", 1)]
    builder = StreamsBuilder()
    _text(builder).process_values(_Rekeying).to("out", value=Text())
    with pytest.raises(Exception, match="process_values forwards the key 'other' for 'a'") as raised:
        _outputs(builder, ("a", "x"))
    assert raised.value.node == "KSTREAM-PROCESSVALUES-0000000001"


def test_the_description_is_java_s() -> None:
    builder = StreamsBuilder(Text(), Text())
    stream = _text(builder)
    stream.filter(lambda key, value: True).merge(stream.map_values(str.upper)).to("out")
    assert builder.build().describe() == (
        "Topologies:\n"
        "   Sub-topology: 0\n"
        "    Source: KSTREAM-SOURCE-0000000000 (topics: [in])\n"
        "      --> KSTREAM-FILTER-0000000001, KSTREAM-MAPVALUES-0000000002\n"
        "    Processor: KSTREAM-FILTER-0000000001 (stores: [])\n"
        "      --> KSTREAM-MERGE-0000000003\n"
        "      <-- KSTREAM-SOURCE-0000000000\n"
        "    Processor: KSTREAM-MAPVALUES-0000000002 (stores: [])\n"
        "      --> KSTREAM-MERGE-0000000003\n"
        "      <-- KSTREAM-SOURCE-0000000000\n"
        "    Processor: KSTREAM-MERGE-0000000003 (stores: [])\n"
        "      --> KSTREAM-SINK-0000000004\n"
        "      <-- KSTREAM-FILTER-0000000001, KSTREAM-MAPVALUES-0000000002\n"
        "    Sink: KSTREAM-SINK-0000000004 (topic: out)\n"
        "      <-- KSTREAM-MERGE-0000000003\n\n"
    )


def test_expressions() -> None:
    builder = StreamsBuilder()
    stream = builder.stream("in", Text(), Json()).filter(col("n") > 1)
    stream.map_values({"n": col("n") * 2, "k": key()}).select_key(col("k")).to("out", Text(), Json())
    stream.map_values(col("n")).to("numbers", Text(), Json())
    values = [{"n": 1}, {"n": 2}, {}, None, {"n": 3}]
    assert _outputs(builder, *(("a", value) for value in values)) == [
        ("a", {"n": 4, "k": "a"}, 1),
        ("a", {"n": 6, "k": "a"}, 4),
    ]
