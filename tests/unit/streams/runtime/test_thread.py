"""Stream threads against a broker in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.client.consumer.errors import CommitFailedError
from ottla.client.core.groups.subscription import encode_assignment
from ottla.client.core.metadata import TopicPartition
from ottla.streams.dsl.builder import StreamsBuilder
from ottla.streams.errors import StreamsError
from ottla.streams.processor import Processor
from ottla.streams.runtime.committing import Committing
from ottla.streams.runtime.metrics import ThreadMetrics
from ottla.streams.runtime.protocol import Assignment, TaskId
from ottla.streams.runtime.protocol import encode_assignment as encode_info
from ottla.streams.runtime.streams import State, Streams
from ottla.streams.runtime.thread import StreamThread
from ottla.streams.runtime.topics import Layout
from ottla.streams.runtime.work import Phase, Wanted, Work
from ottla.streams.serdes import Long, Text
from ottla.streams.topology.topology import Topology
from ottla.testing import run_broker


def through() -> Topology:
    topology = Topology(Text(), Text())
    topology.add_source("source", "in")
    topology.add_processor("through", Processor, "source")
    topology.add_sink("sink", "out", "through")
    return topology


def test_a_thread_that_begins_anew_has_no_tasks_before_it_is_in_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generations: list[int] = []
    failures: list[int] = []
    new_work, commit = StreamThread._new_work, Committing.commit

    def noted(thread: StreamThread, task_id: TaskId, layout: Layout) -> Work:
        generations.append(thread._member.generation)
        return new_work(thread, task_id, layout)

    async def failing_once(committing: Committing, works: Collection[Work]) -> None:
        if works and not failures:
            failures.append(len(works))
            raise CommitFailedError("the group has gone on", {})
        await commit(committing, works)

    monkeypatch.setattr(StreamThread, "_new_work", noted)
    monkeypatch.setattr(Committing, "commit", failing_once)
    with run_broker() as broker, client.connect(broker.bootstrap_servers) as c:
        c.admin.topics.create([NewTopic("in", 1, 1), NewTopic("out", 1, 1)]).check()
        settings = {
            "application.id": "app",
            "bootstrap.servers": broker.bootstrap_servers,
            "state.dir": str(tmp_path),
            "commit.interval.ms": 50,
        }
        with Streams(through(), settings) as application:
            while len(generations) < 2:
                application.wait(0.02)
    assert failures == [1]
    assert min(generations) >= 0


def test_an_application_ends_where_its_global_tables_are_not_followed_any_more(tmp_path: Path) -> None:
    builder = StreamsBuilder(default_key=Text(), default_value=Text())
    builder.global_table("table", key=Text(), value=Long())
    builder.stream("in").to("out")
    with run_broker() as broker, client.connect(broker.bootstrap_servers) as c:
        c.admin.topics.create([NewTopic(name, 1, 1) for name in ("table", "in", "out")]).check()
        settings = {
            "application.id": "app",
            "bootstrap.servers": broker.bootstrap_servers,
            "state.dir": str(tmp_path),
        }
        with Streams(builder.build(), settings) as application, c.producer() as producer:
            producer.send("table", b"no long", key=b"k")
            producer.flush()
            with pytest.raises(StreamsError, match="table"):
                application.wait(30)
            assert application.state is State.ERROR


def thread_of(works: Mapping[TaskId, Work], wanted: Mapping[TaskId, Wanted]) -> Any:
    """One that has begun `works` of what is `wanted`."""
    thread: Any = StreamThread.__new__(StreamThread)
    thread._works, thread._wanted = dict(works), dict(wanted)
    return thread


def test_what_is_assigned_is_owned_before_it_is_begun_and_until_it_is_given_up() -> None:
    first, second, third = (TopicPartition("in", number) for number in range(3))
    begun: Any = SimpleNamespace(phase=Phase.running, partitions=(first,))
    follows: Any = SimpleNamespace(phase=Phase.standby, partitions=(third,))
    wanted = {
        TaskId(0, 0): (Phase.running, (first,)),
        TaskId(0, 1): (Phase.running, (second,)),
        TaskId(0, 2): (Phase.standby, ()),
    }
    works = {TaskId(0, 0): begun, TaskId(0, 2): follows}
    assert thread_of(works, wanted)._owned() == [first, second]
    assert thread_of(works, {})._owned() == [first]
    assert thread_of({}, {})._owned() == []


def test_what_is_newly_assigned_is_owned_while_other_tasks_are_still_being_given_up() -> None:
    first, second = (TopicPartition("in", number) for number in range(2))
    given_up: Any = Work.__new__(Work)
    given_up.task_id, given_up.phase, given_up.partitions = TaskId(0, 0), Phase.running, (first,)
    thread = thread_of({TaskId(0, 0): given_up}, {TaskId(0, 0): (Phase.running, (first,))})
    thread.name, thread.metrics = "thread", ThreadMetrics()
    owned: list[list[TopicPartition]] = []
    rejoins: list[str] = []
    thread._member = SimpleNamespace(rejoin=rejoins.append)

    async def close_some(works: list[Work]) -> None:
        owned.append(thread._owned())  # what a join would say that is sent meanwhile
        for work in works:
            del thread._works[work.task_id]

    thread._close_some = close_some
    info = encode_info(Assignment((TaskId(0, 1),)))
    asyncio.run(thread._rebalance(encode_assignment([second], info)))
    assert owned == [[first, second]]
    assert thread._owned() == [second]
    assert rejoins
