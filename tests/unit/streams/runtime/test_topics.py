"""What a topology means for topics and tasks."""

from __future__ import annotations

import re

import pytest

from ottla.streams.errors import TopologyError
from ottla.streams.processor import Processor
from ottla.streams.runtime.protocol import TaskId
from ottla.streams.runtime.topics import MissingSourceTopicsError, plan
from ottla.streams.serdes import Long, Text
from ottla.streams.state.builders import key_value_store, window_store
from ottla.streams.topology.nodes import InternalTopic
from ottla.streams.topology.topology import Topology


def counting(partitions: int | None = None) -> Topology:
    """in -> words-repartition -> a counter with two stores -> out."""
    topology = Topology(Text(), Text())
    topology.add_internal_topic(InternalTopic("words-repartition", partitions, {"retention.ms": "5"}))
    topology.add_source("source", "in")
    topology.add_sink("words", "words-repartition", "source")
    topology.add_source("words-source", "words-repartition")
    windows = window_store("windows", Text(), Long(), retention=10, window_size=10)
    counts = key_value_store("counts", Text(), Long())
    topology.add_processor("count", Processor, "words-source", stores=[counts, windows])
    topology.add_sink("out", "out", "count")
    return topology


def test_tasks_and_internal_topics_follow_from_the_topics_partitions() -> None:
    layout = plan(counting(), "app", {"in": 3})
    assert list(layout.tasks) == [TaskId(group, number) for group in (0, 1) for number in range(3)]
    assert layout.tasks[TaskId(1, 2)] == (("app-words-repartition", 2),)
    topics = {topic.name: (topic.partitions, topic.config) for topic in layout.internal}
    assert topics == {
        "app-words-repartition": (
            3,
            {"cleanup.policy": "delete", "segment.bytes": "52428800", "retention.ms": "5"},
        ),
        "app-counts-changelog": (3, {"cleanup.policy": "compact"}),
        "app-windows-changelog": (3, {"cleanup.policy": "compact,delete", "retention.ms": "86400010"}),
    }
    assert layout.changelog_partitions(TaskId(1, 2)) == {
        "counts": ("app-counts-changelog", 2),
        "windows": ("app-windows-changelog", 2),
    }
    assert layout.changelog_partitions(TaskId(0, 0)) == {}


def test_a_number_that_was_given_holds() -> None:
    layout = plan(counting(partitions=7), "app", {"in": 3})
    assert len(layout.tasks) == 3 + 7
    assert {topic.partitions for topic in layout.internal} == {7}


def test_the_topics_configuration_is_that_of_the_store_before_that_of_all() -> None:
    layout = plan(counting(), "app", {"in": 1}, {"min.insync.replicas": "2", "retention.ms": "9"})
    configs = {topic.name: topic.config for topic in layout.internal}
    assert configs["app-counts-changelog"]["min.insync.replicas"] == "2"
    assert configs["app-windows-changelog"]["retention.ms"] == "86400010"


def test_topics_that_are_not_there_are_named() -> None:
    with pytest.raises(MissingSourceTopicsError, match="in"):
        plan(counting(), "app", {})


def test_patterns_match_what_there_is() -> None:
    topology = Topology(Text(), Text())
    topology.add_source("source", re.compile("in-.*"))
    topology.add_sink("out", "out", "source")
    layout = plan(topology, "app", {"in-a": 1, "in-b": 2, "other": 9})
    assert layout.tasks == {
        TaskId(0, 0): (("in-a", 0), ("in-b", 0)),
        TaskId(0, 1): (("in-b", 1),),
    }


def joined(*, repartitioned: bool) -> Topology:
    topology = Topology(Text(), Text())
    topology.add_source("left", "a")
    second = "b"
    if repartitioned:
        topology.add_internal_topic(InternalTopic("b-repartition"))
        topology.add_source("b", "b")
        topology.add_sink("b-sink", "b-repartition", "b")
        second = "b-repartition"
    topology.add_source("right", second)
    topology.add_processor("join", Processor, "left", "right")
    topology.copartition(["left", "right"])
    return topology


def test_topics_that_are_joined_need_as_many_partitions() -> None:
    with pytest.raises(TopologyError, match="a: 2, b: 3"):
        plan(joined(repartitioned=False), "app", {"a": 2, "b": 3})
    layout = plan(joined(repartitioned=False), "app", {"a": 3, "b": 3})
    assert len(layout.tasks) == 3


def test_a_repartition_topic_takes_the_number_of_what_it_is_joined_with() -> None:
    layout = plan(joined(repartitioned=True), "app", {"a": 5, "b": 3})
    assert {topic.name: topic.partitions for topic in layout.internal} == {"app-b-repartition": 5}
