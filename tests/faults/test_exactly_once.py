"""Copiers in transactions, in four client libraries, while brokers and copiers are killed: all once."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition
from tests.checker import History, Kind, Outcome, Partition, Transform, judge

from .broker_process import BrokerProcess, clean_environment
from .clients import Clients, eventually, insist
from .copier import GROUP, INPUT, LIBRARIES, OUTPUT, TRANSACTION_TIMEOUT_MS
from .load import Load, finish

SHORT_ROUNDS, FULL_ROUNDS = 6, 200
ROOT = Path(__file__).parent.parent.parent
SETTINGS = {
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "transaction.state.log.num.partitions": "3",
}
END_S = 60.0


def source(value: str) -> str | None:
    return value.split("|", maxsplit=1)[0]


class Feeder(Load):
    """An idempotent producer of the input."""

    def __init__(self, clients: Clients, partitions: int) -> None:
        super().__init__(clients, "feeder")
        self.history = History(time.monotonic)
        self._partitions = partitions
        self._sent = 0
        self._producer = clients.producer(enable_idempotence=True, message_timeout_ms=120_000)

    def turn(self) -> None:
        operation = self.history.begin(Kind.send, self.name)
        at = Partition(INPUT, random.randrange(self._partitions))
        errors: list[object] = []
        for _ in range(random.randrange(1, 10)):
            self._sent += 1
            send = operation.send(at, f"line {self._sent}")

            def delivered(error: object, message: object, send: Any = send) -> None:
                if error is None:
                    send.acknowledge(message.offset())
                else:
                    errors.append(error)

            self._producer.produce(at.topic, send.value.encode(), partition=at.number, on_delivery=delivered)
        self._producer.flush()
        operation.end(Outcome.unknown if errors else Outcome.ok)
        time.sleep(random.uniform(0, 0.05))


class Watcher(Load):
    """A reader of the output, with read_committed, from its start on."""

    def __init__(self, clients: Clients, partitions: int) -> None:
        super().__init__(clients, "watcher")
        self.history = History(time.monotonic)
        at = [Partition(OUTPUT, number) for number in range(partitions)]
        self._consumer = clients.consumer(isolation_level="read_committed")
        self._consumer.assign([TopicPartition(*each, 0) for each in at])
        self.history.note(Kind.assign, self.name, [(each, 0) for each in at])

    def turn(self) -> None:
        operation = self.history.begin(Kind.poll, self.name)
        polled: dict[Partition, list[tuple[int, str]]] = {}
        for message in self._consumer.consume(100, timeout=0.2):
            if message.error() is None:
                at = Partition(message.topic(), message.partition())
                polled.setdefault(at, []).append((message.offset(), message.value().decode()))
        for at, records in polled.items():
            operation.poll(at, records)
        operation.end(Outcome.ok)

    def finish(self) -> None:
        self._consumer.close()


class Worker:
    """A copier, whose lives follow one another."""

    def __init__(self, library: str, bootstrap: str, partition: int, folder: Path) -> None:
        self.name = f"worker {partition}"
        self.library = library
        self._bootstrap = bootstrap
        self._partition = partition
        self._folder = folder
        self.lives = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    def begin_life(self) -> None:
        path = self._folder / f"{self.name}.{self.lives}.jsonl"
        path.touch()
        command = [sys.executable, str(ROOT / "tests/faults/copier.py"), self.library, self._bootstrap]
        command += [self.name, str(self.lives), str(self._partition), str(path)]
        environment = {**clean_environment(), "PYTHONPATH": str(ROOT)}
        self.lives += 1
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
            )

    def keep_alive(self) -> None:
        if not self._processes or self._processes[-1].poll() is not None:
            self.begin_life()

    def kill(self) -> None:
        self._processes[-1].kill()

    def stop_for_a_while(self) -> None:
        """Another life begins, and then this one goes on."""
        former = self._processes[-1]
        former.send_signal(signal.SIGSTOP)
        self.begin_life()
        time.sleep(random.uniform(0.5, 1.5))
        former.send_signal(signal.SIGCONT)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


def committed(clients: Clients, partition: int) -> int:
    consumer = clients.consumer(GROUP, isolation_level="read_committed")
    try:
        return insist(consumer.committed, [TopicPartition(INPUT, partition)])[0].offset
    finally:
        consumer.close()


def drain(clients: Clients, partitions: int) -> History:
    """All that is there in the end, once all transactions are over."""
    history = History(time.monotonic)
    operation = history.begin(Kind.committed, "last")
    for number in range(partitions):
        operation.read_offset(GROUP, Partition(INPUT, number), committed(clients, number))
    operation.end(Outcome.ok)
    for topic in (INPUT, OUTPUT):
        for number in range(partitions):
            at = Partition(topic, number)
            high_watermark = end_of(clients, at, "read_uncommitted")
            deadline = time.monotonic() + 3 * TRANSACTION_TIMEOUT_MS / 1000
            while end_of(clients, at, "read_committed") < high_watermark and time.monotonic() < deadline:
                time.sleep(0.1)
            operation = history.begin(Kind.drain, "last")
            records, end = read(clients, at)
            operation.poll(at, records, end=end, high_watermark=end_of(clients, at, "read_uncommitted"))
            operation.end(Outcome.ok)
    return history


def end_of(clients: Clients, at: Partition, isolation: str) -> int:
    """The last stable offset, or the high watermark."""
    consumer = clients.consumer(isolation_level=isolation)
    try:
        return consumer.get_watermark_offsets(TopicPartition(*at), timeout=20)[1]
    finally:
        consumer.close()


def read(clients: Clients, at: Partition) -> tuple[list[tuple[int, str]], int]:
    """Everything committed, and where that ends."""
    consumer = clients.consumer(isolation_level="read_committed", enable_partition_eof=True)
    records: list[tuple[int, str]] = []
    try:
        consumer.assign([TopicPartition(*at, 0)])
        while True:
            for message in consumer.consume(10_000, timeout=0.5):
                if message.error() is None:
                    records.append((message.offset(), message.value().decode()))
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    return records, message.offset()
    finally:
        consumer.close()


@pytest.mark.timeout(3600)
def test_each_input_makes_one_output(
    start_broker: Callable[..., BrokerProcess],
    clients: Callable[[BrokerProcess], Clients],
    pytestconfig: pytest.Config,
    tmp_path: Path,
) -> None:
    rounds = FULL_ROUNDS if pytestconfig.getoption("--full") else SHORT_ROUNDS
    broker = start_broker(SETTINGS)
    client = clients(broker)
    for topic in (INPUT, OUTPUT):
        client.create_topic(topic, {"internal.segment.bytes": "100000"}, partitions=len(LIBRARIES))
    workers = [Worker(name, broker.bootstrap, n, tmp_path) for n, name in enumerate(LIBRARIES)]
    loads = [Feeder(client, len(workers)), Watcher(client, len(workers))]
    done: Counter[str] = Counter()
    try:
        for load in loads:
            load.start()
        for _ in range(rounds):
            for worker in workers:
                worker.keep_alive()
            time.sleep(random.uniform(0.5, 2.5))
            kind = random.choice(["broker", "worker", "both", "zombie"])
            done[kind] += 1
            worker = random.choice(workers)
            if kind == "zombie":
                worker.stop_for_a_while()
            if kind in {"worker", "both"}:
                worker.kill()
            if kind in {"broker", "both"}:
                broker.kill_and_start()
        for load in loads[:1]:
            load.stopping.set()
            load.join(END_S)

        def is_all_copied() -> bool:
            for worker in workers:
                worker.keep_alive()
            return all(committed(client, n) == client.offsets(INPUT, n)[1] for n in range(len(workers)))

        eventually(is_all_copied, END_S)
    finally:
        for worker in workers:
            worker.end()
    finish(loads)
    histories = [*(load.history for load in loads), drain(client, len(workers))]
    for number, history in enumerate(histories):
        history.save(tmp_path / f"{number}.jsonl")
    history = History.load(*tmp_path.glob("*.jsonl"))
    history.save(tmp_path / "all.jsonl")
    found = judge(history, [Transform(GROUP, INPUT, OUTPUT, source)])
    kinds = Counter((each.kind.value, each.outcome.value) for each in history.operations)
    print(f"exactly once: {dict(done)}, {[worker.lives for worker in workers]} lives, {dict(kinds)}")
    assert not found, [*map(str, found[:10]), tmp_path]
    assert kinds["transaction", "ok"] > rounds
    assert "Traceback" not in broker.all_stderr()
