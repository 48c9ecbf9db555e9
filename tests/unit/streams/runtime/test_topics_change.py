"""What an application does when the topics that it reads change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.client.sync.client import Client
from ottla.streams import Store, Streams, StreamsBuilder, StreamsError, Text, Topology
from ottla.streams.runtime.topics import MissingSourceTopicsError
from ottla.testing import run_broker


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    with run_broker({"group.initial.rebalance.delay.ms": 0}) as broker:
        yield broker.bootstrap_servers


@pytest.fixture
def c(servers: str) -> Iterator[Client]:
    with client.connect(servers) as made:
        yield made


def started(name: str, topology: Topology, servers: str, folder: Path) -> Streams:
    settings: dict[str, object] = {
        "application.id": name,
        "bootstrap.servers": servers,
        "state.dir": str(folder / name),
        "metadata.max.age.ms": 100,
        "heartbeat.interval.ms": 100,
    }
    return Streams(topology, settings).start()


def counted(*topics: str) -> Topology:
    b = StreamsBuilder(default_key=Text(), default_value=Text())
    b.stream(list(topics)).group_by_key().count(Store("counts"))
    return b.build()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_topic_that_vanishes_ends_all_instances(c: Client, servers: str, tmp_path: Path) -> None:
    c.admin.topics.create([NewTopic("left", 1, 1), NewTopic("gone", 1, 1)]).check()
    applications = [started("vanish", counted("left", "gone"), servers, tmp_path / each) for each in "ab"]
    try:
        for each in applications:
            each.wait_until_running()
        c.admin.topics.delete(["gone"]).check()
        for each in applications:
            with pytest.raises(
                MissingSourceTopicsError, match="there are no topics gone, which are to be read"
            ):
                each.wait(60)
    finally:
        for each in applications:
            each.close()


def test_more_partitions_than_the_state_has_end_the_application(
    c: Client, servers: str, tmp_path: Path
) -> None:
    c.admin.topics.create([NewTopic("grows", 2, 1)]).check()
    application = started("grow", counted("grows"), servers, tmp_path)
    try:
        application.wait_until_running()
        c.admin.topics.add_partitions({"grows": 3}).check()
        with pytest.raises(
            StreamsError, match="topic grow-counts-changelog has 2 partitions, not 3: .* Delete"
        ):
            application.wait(60)
    finally:
        application.close()


def test_a_topic_without_state_is_read_on_with_its_new_partitions(
    c: Client, servers: str, tmp_path: Path
) -> None:
    """Also where the leader's own tasks read another topic."""
    c.admin.topics.create([NewTopic("still", 1, 1), NewTopic("wider", 1, 1)]).check()
    b = StreamsBuilder(default_key=Text(), default_value=Text())
    for topic in ("still", "wider"):
        b.stream(topic).to(f"{topic}-out")
    topology = b.build()
    first, second = (started("widen", topology, servers, tmp_path / each) for each in "ab")
    try:
        active = lambda: [  # noqa: E731
            each.metrics()["widen-StreamThread-1"]["active_tasks"] for each in (first, second)
        ]
        until(lambda: active() == [1, 1])
        for topic in ("still", "wider"):
            c.admin.topics.add_partitions({topic: 2}).check()
            wanted = 3 if topic == "still" else 4
            until(lambda: sum(active()) == wanted)  # noqa: B023
    finally:
        first.close()
        second.close()
