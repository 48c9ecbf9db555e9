"""Text of this machine through three brokers of which each is killed once: byte for byte the same."""

from __future__ import annotations

import itertools
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from .clients import Clients, eventually, insist
from .faulty_cluster import is_in_sync, run_faulty_cluster
from .load import Load, finish

TOPIC, PARTITIONS = "lines", 3
SHORT, FULL = 30_000, 1_000_000
PATIENCE_S = 60.0


class Reading(Load):
    """A consumer of all partitions from their start on, which has to live through all that happens."""

    def __init__(self, clients: Clients) -> None:
        super().__init__(clients, "reading")
        self.found: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self._consumer = clients.consumer()
        self._consumer.assign([TopicPartition(TOPIC, number, 0) for number in range(PARTITIONS)])

    @property
    def count(self) -> int:
        return sum(map(len, self.found))

    def turn(self) -> None:
        for message in self._consumer.consume(10_000, timeout=0.2):
            if message.error() is None:
                found = self.found[message.partition()]
                assert message.offset() == len(found)
                found.append(message.value())

    def finish(self) -> None:
        self._consumer.close()


class Sending:
    """An idempotent producer: lines to the partitions in turns, waiting while its queue is full."""

    def __init__(self, clients: Clients) -> None:
        self.errors: list[str] = []
        self.acknowledged = 0
        self._sent = 0
        self._producer = clients.producer(enable_idempotence=True, message_timeout_ms=120_000, linger_ms=5)

    def send(self, lines: list[bytes]) -> None:
        for line in lines:
            while True:
                try:
                    at = self._sent % PARTITIONS
                    self._producer.produce(TOPIC, line, partition=at, on_delivery=self._delivered)
                    break
                except BufferError:
                    self._producer.poll(0.1)
            self._sent += 1
            self._producer.poll(0)

    def finish(self) -> None:
        assert self._producer.flush(PATIENCE_S) == 0

    def _delivered(self, error: object, _: object) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self.errors.append(str(error))


@pytest.mark.timeout(1200)
def test_lines_are_the_same_though_each_broker_is_killed(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    count = FULL if pytestconfig.getoption("--full") else SHORT
    lines = list(itertools.islice(lines_of_this_machine(), count))
    assert len(lines) == count
    with run_faulty_cluster(tmp_path) as cluster:
        clients = Clients(cluster.bootstrap)
        clients.create_topic(TOPIC, partitions=PARTITIONS, replicas=3)
        reading, sending = Reading(clients), Sending(clients)
        reading.start()
        began_s = time.monotonic()
        unacknowledged = []
        for number, node in enumerate(cluster.nodes):
            begin, middle, end = (count * n // 6 for n in (2 * number, 2 * number + 1, 2 * number + 2))
            sending.send(lines[begin:middle])
            unacknowledged.append(middle - sending.acknowledged)
            node.kill()
            sending.send(lines[middle:end])
            node.start()
            eventually(lambda: is_in_sync(clients, 3), PATIENCE_S)
        sending.finish()
        took_s = time.monotonic() - began_s
        eventually(lambda: reading.count >= count, PATIENCE_S)
        finish([reading])
        stored = [
            [message.value() for message in insist(clients.read, TOPIC, number)]
            for number in range(PARTITIONS)
        ]
        assert "Traceback" not in cluster.all_logs()
    assert not sending.errors
    sent = [lines[number::PARTITIONS] for number in range(PARTITIONS)]
    assert reading.found == sent
    assert stored == sent
    print(
        f"{count} lines, {sum(map(len, lines))} bytes in {took_s:.1f} s; unacknowledged when each of three"
        f" brokers was killed: {unacknowledged}"
    )


def lines_of_this_machine() -> Iterator[bytes]:
    """Of Python's files, without the ends of lines."""
    for folder in dict.fromkeys(sysconfig.get_path(name) for name in ("stdlib", "purelib")):
        for path in sorted(Path(folder).rglob("*.py")):
            yield from path.read_bytes().split(b"\n")
