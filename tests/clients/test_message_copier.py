"""Kafka's TransactionalMessageCopier (version 2 of transactions) copies each message once, though killed."""

from __future__ import annotations

import contextlib
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.kafka.install import Kafka, KafkaUnavailableError, install
from confluent_kafka import Consumer, Producer, TopicPartition

RELEASE = "4.4.0"
PARTITIONS = 2
TIMEOUT_S = 60


class Copiers:
    """One for each partition: transactions of 50 messages, of which some are aborted at random."""

    def __init__(self, release: Kafka, at: Any, folder: Path, source: str, sink: str, count: int) -> None:
        self._release = release
        self._options = {
            "--broker-list": at.bootstrap,
            "--consumer-group": "copiers",
            "--input-topic": source,
            "--max-messages": str(count // PARTITIONS),
            "--output-topic": sink,
            "--transaction-size": "50",
            "--transaction-timeout": "4000",
        }
        self._log = (folder / "copiers.log").open("wb")
        self.processes = [self._start(number) for number in range(PARTITIONS)]

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        options = {
            **self._options,
            "--input-partition": str(number),
            "--transactional-id": f"{self._options['--input-topic']}-{number}",
        }
        words = [word for option in options.items() for word in option]
        command = self._release.command(
            "org.apache.kafka.tools.TransactionalMessageCopier",
            *words,
            "--enable-random-aborts",
            "--use-group-metadata",
            heap=("-Xmx128M",),
        )
        return subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)

    @property
    def running(self) -> list[int]:
        return [number for number, each in enumerate(self.processes) if each.poll() is None]

    def replace(self, number: int) -> None:
        """Kill one, and start its successor."""
        self._kill(self.processes[number])
        self.processes[number] = self._start(number)

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()

    def close(self) -> None:
        for process in self.processes:
            self._kill(process)
        self._log.close()


@pytest.fixture(scope="module")
def release() -> Kafka:
    try:
        return install(RELEASE).short_lived()
    except KafkaUnavailableError as error:
        pytest.skip(f"Apache Kafka cannot be run here: {error}")


@contextlib.contextmanager
def reading(at: Any, topic: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": at.bootstrap,
            "group.id": "reader",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    try:
        yield consumer
    finally:
        consumer.close()


def committed(at: Any, topic: str) -> list[int]:
    found: list[int] = []
    ends = set()
    with reading(at, topic) as consumer:
        while len(ends) < PARTITIONS:
            message = consumer.poll(TIMEOUT_S)
            assert message is not None
            if message.error():
                ends.add(message.partition())
            else:
                found.append(int(message.value()))
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_message_is_copied_once(release, make_broker, make_topic, tmp_path, request):
    """Kills come at random times; what a killed copier left open is fenced, or times out after 4 seconds."""
    is_full = request.config.getoption("--full")
    count, kills_max = (400_000, 60) if is_full else (10_000, 6)
    at = make_broker(**{"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"})
    source, sink = (make_topic(partitions=PARTITIONS, at=at) for _ in range(2))
    producer = Producer({"bootstrap.servers": at.bootstrap, "enable.idempotence": True})
    for number in range(count):
        while True:
            try:
                producer.produce(source, b"%d" % number, partition=number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(TIMEOUT_S) == 0
    chance = random.Random(11)
    kills = [0, 0]
    copiers = Copiers(release, at, tmp_path, source, sink, count)
    try:
        while running := copiers.running:
            time.sleep(chance.uniform(2, 4))
            if sum(kills) == kills_max:
                continue
            if sum(kills) % 3 == 2:
                at.kill_and_start()
                kills[1] += 1
            else:
                copiers.replace(chance.choice(running))
                kills[0] += 1
        assert [each.returncode for each in copiers.processes] == [0] * PARTITIONS
    finally:
        copiers.close()
    assert min(kills) > 0, "nothing was killed: more messages are needed"
    deadline = time.monotonic() + TIMEOUT_S
    while len(found := committed(at, sink)) < count and time.monotonic() < deadline:
        pass
    assert sorted(found) == list(range(count))
