"""Topologies put together node by node, and what is refused."""

from __future__ import annotations

import re

import pytest

from ottla.streams import (
    Processor,
    Record,
    Store,
    StreamsBuilder,
    Text,
    Topology,
    TopologyError,
    TopologyTest,
)
from ottla.streams.state.builders import key_value_store
from ottla.streams.topology.java_order import java_hash, java_hash_order


class Shouting(Processor):
    def process(self, record):
        self.context.forward(record.with_value(record.value.upper()))


def small() -> Topology:
    topology = Topology(Text(), Text())
    topology.add_source("source", "in").add_processor("shout", Shouting, "source")
    return topology.add_sink("sink", "out", "shout")


def test_nodes_one_by_one() -> None:
    with TopologyTest(small()) as test:
        test.input("in").pipe("k", "v", ts=1)
        assert test.output("out").read() == [Record("k", "V", 1)]


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (lambda t: t.add_source("source", "other"), "two nodes of the name source"),
        (lambda t: t.add_source("s2", "in"), "topic in is read by another source"),
        (lambda t: t.add_source("s2", re.compile("i.*")), "the pattern i.* matches topic in"),
        (lambda t: t.add_source("s2", ()), "reads no topic"),
        (lambda t: t.add_processor("p", Shouting), "has no parents"),
        (lambda t: t.add_processor("p", Shouting, "nobody"), "the parent nobody, which is not there"),
        (lambda t: t.add_processor("p", Shouting, "sink"), "the parent sink, which is a sink"),
        (lambda t: t.add_processor("p", "class", "source"), "is no supplier"),
        (lambda t: t.add_processor("p", Shouting, "source", stores=["s"]), "the store s, which is not there"),
        (lambda t: t.connect("source", "s"), "is no processor"),
        (lambda t: t.add_sink("sink", "o", "shout"), "two nodes of the name sink"),
    ],
)
def test_what_is_refused(add, message: str) -> None:
    with pytest.raises(TopologyError, match=re.escape(message)):
        add(small())


def test_a_pattern_refuses_the_topics_that_it_matches() -> None:
    topology = Topology().add_source("all", re.compile("in-.*"))
    with pytest.raises(TopologyError, match="topic in-1 matches the pattern"):
        topology.add_source("one", "in-1")


def test_two_stores_of_a_name() -> None:
    topology = small()
    store = key_value_store("s", Text(), Text())
    topology.add_state_store(store, "shout").add_state_store(store)
    with pytest.raises(TopologyError, match="two different stores of the name s"):
        topology.add_state_store(key_value_store("s", Text(), Text()))


def test_who_shares_a_store_is_one_sub_topology() -> None:
    topology = small()
    topology.add_source("s2", "in2").add_processor("p2", Shouting, "s2")
    assert len(topology.node_groups()) == 2
    topology.add_state_store(key_value_store("s", Text(), Text()), "shout", "p2")
    assert len(topology.node_groups()) == 1


def test_missing_serdes_are_said_before_anything_runs() -> None:
    topology = Topology().add_source("source", "in", key=Text())
    with pytest.raises(TopologyError, match="source has no serde for its values"):
        TopologyTest(topology)


def test_topics_that_are_joined_have_as_many_partitions() -> None:
    builder = StreamsBuilder(Text(), Text())
    one = builder.stream("a").repartition("one", partitions=2).to_table()
    two = builder.stream("b").repartition("two", partitions=3).to_table()
    one.join(two, lambda left, right: left + right).to_stream().to("out")
    with pytest.raises(TopologyError, match=r"one-repartition: 2, two-repartition: 3"):
        builder.build()


class Keeping(Processor):
    def init(self, context):
        super().init(context)
        self.kept = context.store("everywhere")

    def process(self, record):
        self.kept.put(record.key, record.value)


class Looking(Processor):
    def process(self, record):
        self.context.forward(record.with_value(self.context.store("everywhere").get(record.key)))


def test_global_stores_are_everybody_s_to_read() -> None:
    builder = StreamsBuilder(Text(), Text())
    builder.add_global_store(Store("everywhere"), "facts", Keeping)
    builder.stream("in").process(Looking).to("out")
    topology = builder.build()
    assert "for global store (will not generate tasks)" in topology.describe()
    with TopologyTest(topology) as test:
        test.input("facts").pipe("k", "fact", ts=0)
        test.input("in").pipe("k", "?", ts=0)
        assert test.output("out").read() == [Record("k", "fact", 0)]


class Strange(Processor):
    def process(self, record):
        self.context.store("s")


def test_stores_are_only_for_those_that_name_them() -> None:
    builder = StreamsBuilder(Text(), Text())
    builder.add_state_store(Store("s"))
    builder.stream("in").process(Shouting, "s").to("out")
    builder.stream("in2").process(Strange)
    with (
        TopologyTest(builder.build()) as test,
        pytest.raises(Exception, match="has no access to the store s"),
    ):
        test.input("in2").pipe("k", "v", ts=0)


def test_a_supplier_may_bring_its_stores() -> None:
    class Supplier:
        stores = (Store("own"),)

        def __call__(self):
            return Own()

    class Own(Processor):
        def process(self, record):
            self.context.store("own").put(record.key, record.value)

    builder = StreamsBuilder(Text(), Text())
    builder.stream("in").process(Supplier())
    with TopologyTest(builder.build()) as test:
        test.input("in").pipe("k", "v", ts=0)
        assert test.store("own").get("k") == "v"


def test_the_picture_has_topics_nodes_and_stores() -> None:
    builder = StreamsBuilder(Text(), Text())
    builder.stream("in").group_by_key().count(Store("counts")).to_stream().map_values(str).to("out")
    picture = builder.build().picture()
    assert picture.startswith("flowchart TD\n")
    assert '(["in"])' in picture
    assert '[("counts")]' in picture
    assert picture.count("subgraph") == picture.count("\n  end\n") == 1


def test_java_s_hashes() -> None:
    assert java_hash("") == 0
    assert java_hash("Aa") == java_hash("BB") == 2112
    assert java_hash("hello") == 99162322
    assert java_hash_order(["b", "a", "b"]) == ["a", "b"]
    assert java_hash_order(["BB", "Aa"]) == ["BB", "Aa"]
