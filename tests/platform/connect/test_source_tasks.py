"""A source's delivery on a broker, without the worker around it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence

import pytest
from tests.platform.connect.task_bench import Bench, Worker

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.connect.errors import ConnectError
from ottla.connect.process.source import AtLeastOnce, SourceRunner
from ottla.connect.process.transactions import ExactlyOnce, Transactions
from ottla.connect.records import SourceRecord
from ottla.connect.sdk import Config, Offset, Produced, SourceTask
from ottla.testing import InProcessBroker


class Told(SourceTask):
    """Fails wherever it is told that something is kept."""

    def __init__(self, *records: SourceRecord) -> None:
        self.told: list[int] = []
        self.left_out: list[int] = []
        self.kept: list[object] = []
        self._records = list(records)

    def version(self) -> str:
        return "1"

    def start(self, config: Config) -> None: ...

    def stop(self) -> None: ...

    def poll(self) -> Sequence[SourceRecord] | None:
        return [self._records.pop(0)] if self._records else None

    def commit_record(self, record: SourceRecord, produced: Produced | None) -> None:
        told = self.left_out if produced is None else self.told
        told.append(int(str(record.source_offset["n"])))
        raise ValueError("not interested")

    def commit_offsets(self, offsets: Sequence[tuple[Offset, Offset]]) -> None:
        self.kept += [offset["n"] for _, offset in offsets]
        raise ValueError("not interested")

    def commit(self) -> None:
        raise ValueError("not interested")


def _record(number: int, topic: str = "paused") -> SourceRecord:
    return SourceRecord({"p": "0"}, {"n": number}, topic, value=f"v{number}")


@pytest.mark.timeout(60)
def test_transaction_of_a_task_that_is_paused_goes_on(broker: InProcessBroker) -> None:
    own = {"transactional.id": "paused-0", "enable.idempotence": "true"}
    task = Told()
    with (
        contextlib.closing(Bench(broker, own)) as bench,
        client.connect(broker.bootstrap_servers) as connected,
    ):
        ways = Transactions("connector", 60_000, "paused-offsets")
        once = ExactlyOnce(task, bench.kafka, bench.sender, ways, bench.tolerance, "paused")
        connected.admin.topics.create([NewTopic("paused", 1), NewTopic("paused-offsets", 1)])
        once.prepare()
        once.start()
        once.send([_record(0)])
        once.rest()
        assert once.boundaries is not None
        once.boundaries.commit_transaction()
        once.send([_record(1)])
        read = connected.read("paused", isolation="read_committed").column("value").to_pylist()
        assert read == [b"v0", b"v1"]
        offsets = connected.read("paused-offsets", isolation="read_committed").column("value").to_pylist()
        assert offsets == [b'{"n":1}']
        assert task.told == [0, 1]
        assert task.kept == [1]


NO_TOPIC = {"allow.auto.create.topics": "false", "max.block.ms": "1000"}


@pytest.mark.timeout(60)
def test_a_topic_that_is_not_there_fails_the_task_and_what_was_before_counts(
    broker: InProcessBroker, caplog: pytest.LogCaptureFixture
) -> None:
    task = Told(_record(0, "is-there"), _record(1, "is-not"), _record(2, "is-there"))
    with (
        contextlib.closing(Worker()) as worker,
        contextlib.closing(Bench(broker, NO_TOPIC)) as bench,
        client.connect(broker.bootstrap_servers) as connected,
        caplog.at_level(logging.WARNING, "ottla.connect"),
    ):
        connected.admin.topics.create([NewTopic("is-there", 1)])
        once = AtLeastOnce(task, worker.parent, bench.kafka, bench.sender, bench.tolerance, 60_000)
        once.prepare()
        with pytest.raises(ConnectError, match="topic is-not: unknown_topic_or_partition"):
            SourceRunner(task, bench.lifecycle, once, lambda _: None).run()
        assert connected.read("is-there").column("value").to_pylist() == [b"v0"]
    assert "records for topic is-not yet: unknown_topic_or_partition" in caplog.text
    assert worker.committed == task.kept == task.told == [0]
    assert task.left_out == []


@pytest.mark.timeout(60)
def test_what_a_topic_does_not_take_is_left_out_where_errors_are_tolerated(broker: InProcessBroker) -> None:
    task = Told()
    with (
        contextlib.closing(Worker()) as worker,
        contextlib.closing(Bench(broker, NO_TOPIC, tolerates=True)) as bench,
        client.connect(broker.bootstrap_servers) as connected,
    ):
        connected.admin.topics.create([NewTopic("takes", 1)])
        once = AtLeastOnce(task, worker.parent, bench.kafka, bench.sender, bench.tolerance, 60_000)
        once.prepare()
        once.send([_record(0, "takes"), _record(1, "takes-not"), _record(2, "takes")])
        once.commit(is_last=True)
    assert worker.committed == [2]
    assert (task.told, task.left_out) == ([0, 2], [1])


@pytest.mark.timeout(60)
def test_a_transaction_fails_with_what_the_producer_said(broker: InProcessBroker) -> None:
    task = Told(_record(0, "not-there"))
    with contextlib.closing(Bench(broker, NO_TOPIC | {"transactional.id": "nowhere-0"})) as bench:
        ways = Transactions("interval", 60_000, "nowhere-offsets")
        once = ExactlyOnce(task, bench.kafka, bench.sender, ways, bench.tolerance, "nowhere")
        once.prepare()
        with pytest.raises(ConnectError, match="topic not-there: unknown_topic_or_partition"):
            SourceRunner(task, bench.lifecycle, once, lambda _: None).run()
