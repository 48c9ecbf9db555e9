"""Stream threads against a broker in this process."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.client.consumer.errors import CommitFailedError
from ottla.client.core.groups.subscription import encode_assignment
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import BrokerUnreachableError
from ottla.streams.dsl.builder import StreamsBuilder
from ottla.streams.errors import StreamsError
from ottla.streams.processor import Processor
from ottla.streams.records import Record
from ottla.streams.runtime.committing import Committing
from ottla.streams.runtime.metrics import ThreadMetrics
from ottla.streams.runtime.protocol import Assignment, TaskId
from ottla.streams.runtime.protocol import encode_assignment as encode_info
from ottla.streams.runtime.streams import State, Streams
from ottla.streams.runtime.thread import StreamThread
from ottla.streams.runtime.topics import Layout
from ottla.streams.runtime.work import TURN_S, Pace, Phase, Wanted, Work
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


class SlowTask:
    """One that always has more, in runs as long as it may."""

    def __init__(self, clock: list[float], each_s: float) -> None:
        self.done: list[int] = []
        self._clock, self._each_s = clock, each_s

    def is_processable(self) -> bool:
        return True

    def process(self, limit: int) -> int:
        count = min(limit, 10_000)
        self._clock[0] += count * self._each_s
        self.done.append(count)
        return count

    def punctuate_stream_time(self) -> bool:
        return False


def test_slow_records_leave_others_their_turn() -> None:
    clock = [0.0]
    tasks = [SlowTask(clock, 0.001), SlowTask(clock, 0.002)]
    works: Any = [SimpleNamespace(task=task, pace=Pace()) for task in tasks]
    thread = thread_of({}, {})
    thread._turns, thread.metrics = 0, ThreadMetrics()
    thread._active, thread._now_s = lambda: works, lambda: clock[0]
    thread._reading = SimpleNamespace(go_on=lambda active: None)
    turns = []
    for _ in range(40):
        began = clock[0]
        thread._process()
        turns.append(clock[0] - began)

    assert max(turns[20:]) < 2 * TURN_S  # it is seen when the turn is over, by a run that was begun within it
    for task in tasks:
        assert sum(task.done[5:]) > 100
    assert thread.metrics.processed == sum(map(sum, (task.done for task in tasks)))


def poisoned(tasted: list[str]) -> Topology:
    """Fails for the poison, but where it was tasted already: whoever is given its partition then goes on."""

    class Poisoned(Processor[str, str, str, str]):
        def process(self, record: Record[str, str]) -> None:
            if record.value == "poison" and not tasted:
                tasted.append(self.context.task_id)
                raise ValueError("it is poisoned")
            self.context.forward(record)

    topology = Topology(Text(), Text())
    topology.add_source("source", "in")
    topology.add_processor("poisoned", Poisoned, "source")
    topology.add_sink("sink", "out", "poisoned")
    return topology


def test_one_instance_has_all_of_them_end(tmp_path: Path) -> None:
    tasted: list[str] = []
    with run_broker({"group.initial.rebalance.delay.ms": 0}) as broker:
        settings = {
            "application.id": "app",
            "bootstrap.servers": broker.bootstrap_servers,
            "heartbeat.interval.ms": 100,
        }
        with client.connect(broker.bootstrap_servers) as c:
            c.admin.topics.create([NewTopic("in", 2, 1), NewTopic("out", 1, 1)]).check()
            with (
                Streams(
                    poisoned(tasted),
                    settings,
                    state_dir=str(tmp_path / "one"),
                    on_error=lambda _: "shutdown_application",
                ) as one,
                Streams(
                    poisoned(tasted),
                    settings,
                    state_dir=str(tmp_path / "two"),
                    on_error=lambda _: "shutdown_application",
                ) as two,
                c.producer() as producer,
            ):
                while [each.metrics()["app-StreamThread-1"]["active_tasks"] for each in (one, two)] != [1, 1]:
                    one.wait(0.02)
                producer.send("in", b"poison", key=b"k", partition=0)
                producer.flush()
                errors: list[str] = []
                for each in (one, two):
                    with pytest.raises(StreamsError) as raised:
                        each.wait(30)
                    errors.append(str(raised.value))
                    assert each.state is State.ERROR
    told = "an instance asked for the whole application to end"
    assert told in errors
    (other,) = [each for each in errors if each != told]
    assert "it is poisoned" in other


def test_topics_that_a_pattern_matches_are_read_when_they_come(tmp_path: Path) -> None:
    builder = StreamsBuilder(default_key=Text(), default_value=Text())
    builder.stream(re.compile(r"in-.*|.*offsets")).to("out")
    with run_broker() as broker, client.connect(broker.bootstrap_servers) as c, c.producer() as producer:
        c.admin.topics.create([NewTopic("in-a", 1, 1), NewTopic("out", 1, 1)]).check()
        settings = {
            "application.id": "app",
            "bootstrap.servers": broker.bootstrap_servers,
            "state.dir": str(tmp_path),
            "metadata.max.age.ms": 100,
            "heartbeat.interval.ms": 100,
            "commit.interval.ms": 50,
        }
        with Streams(builder.build(), settings) as application:
            application.wait_until_running()
            c.admin.topics.create([NewTopic("in-b", 2, 1)]).check()
            for partition in range(2):
                producer.send("in-b", b"%d" % partition, key=b"k", partition=partition)
            producer.flush()
            while len(c.read("out")) < 2:
                application.wait(0.02)
            # Kafka's own topics match the pattern too, and are not read.
            assert application.metrics()["app-StreamThread-1"]["active_tasks"] == 2


class _Raising(Processor[str, str, str, str]):
    closed: ClassVar[list[str]] = []

    def close(self) -> None:
        self.closed.append(self.context.task_id)
        raise ValueError(f"closing {self.context.task_id}")


def test_all_tasks_are_closed_where_processors_raise(tmp_path: Path) -> None:
    topology = Topology(Text(), Text())
    topology.add_source("source", "in")
    topology.add_processor("raising", _Raising, "source")
    topology.add_processor("raising too", _Raising, "raising")
    _Raising.closed.clear()
    with run_broker() as broker, client.connect(broker.bootstrap_servers) as c:
        c.admin.topics.create([NewTopic("in", 2, 1)]).check()
        settings = {
            "application.id": "app",
            "bootstrap.servers": broker.bootstrap_servers,
            "state.dir": str(tmp_path),
        }
        application = Streams(topology, settings).start()
        application.wait_until_running()
        application.close()
        assert _Raising.closed == ["0_0", "0_0", "0_1", "0_1"]
        with pytest.raises(ValueError, match="closing 0_0"):
            application.wait(1)


def test_what_may_pass_passes_in_time_or_is_an_error() -> None:
    now_ms = 0
    thread: Any = StreamThread.__new__(StreamThread)
    thread.name, thread._fails_since_ms = "thread", None
    thread._settings = SimpleNamespace(task_timeout_ms=100)
    thread._application = SimpleNamespace(now_ms=lambda: now_ms)
    away, moved = BrokerUnreachableError("away"), CommitFailedError("others have it", {})
    for now_ms in (0, 50, 99):  # noqa: B007 # the clock's
        thread._check_timeout(away)
    now_ms = 100
    thread._check_timeout(moved)
    with pytest.raises(StreamsError, match=r"thread has got nowhere for task\.timeout\.ms=100: away"):
        thread._check_timeout(away)
    thread._fails_since_ms = None  # a commit
    thread._check_timeout(away)
