"""A source's delivery on a broker, without the worker around it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence

import pytest

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.connect.plugins import Plugins
from ottla.connect.process.kafka import ClientConfig, Kafka
from ottla.connect.process.lifecycle import Lifecycle, now_ms
from ottla.connect.process.pipeline import SourcePipeline, make_converters, make_steps
from ottla.connect.process.source import Sender
from ottla.connect.process.tolerance import Policy, Tolerance
from ottla.connect.process.topics import Topics
from ottla.connect.process.transactions import ExactlyOnce, Transactions
from ottla.connect.records import SourceRecord
from ottla.connect.sdk import Config, Produced, SourceTask
from ottla.testing import InProcessBroker

STRING = "org.apache.kafka.connect.storage.StringConverter"
CONVERTERS = {
    "key.converter": STRING,
    "value.converter": STRING,
    "header.converter": "org.apache.kafka.connect.storage.SimpleHeaderConverter",
}


class Told(SourceTask):
    """Fails wherever it is told that something is kept."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def version(self) -> str:
        return "1"

    def start(self, config: Config) -> None: ...

    def stop(self) -> None: ...

    def poll(self) -> Sequence[SourceRecord] | None:
        return None

    def commit_record(self, record: SourceRecord, produced: Produced | None) -> None:
        self.told.append(int(str(record.source_offset["n"])))
        raise ValueError("not interested")

    def commit(self) -> None:
        raise ValueError("not interested")


def _record(number: int) -> SourceRecord:
    return SourceRecord({"p": "0"}, {"n": number}, "paused", value=f"v{number}")


@pytest.mark.timeout(60)
def test_transaction_of_a_task_that_is_paused_goes_on(broker: InProcessBroker) -> None:
    own = {"bootstrap.servers": broker.bootstrap_servers}
    writing = {"transactional.id": "paused-0", "enable.idempotence": "true"}
    kafka = Kafka({"producer": ClientConfig(own, writing), "admin": ClientConfig(own, {})})
    task, plugins = Told(), Plugins()
    policy = Policy(0, 60_000, False, False, False)
    tolerance = Tolerance(policy, "paused-0", now_ms, Lifecycle().wait_ms, random.random, lambda _: None)
    pipeline = SourcePipeline(make_converters(plugins, {}, CONVERTERS), make_steps(plugins, {}), tolerance)
    once = ExactlyOnce(
        task,
        kafka,
        lambda producer: Sender(kafka, producer, pipeline, Topics(kafka, []), None),
        Transactions("connector", 60_000, "paused-offsets"),
        tolerance,
        "paused",
    )
    with contextlib.closing(pipeline), client.connect(broker.bootstrap_servers) as connected:
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
    kafka.close(5)
