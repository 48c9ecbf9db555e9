"""Copiers in transactions, one for each client library, between a producer and a reader: what fault tests run
while brokers and copiers are killed, and what all of them have seen in the end.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, TopicPartition
from tests.checker import History, Kind, Outcome, Partition, Transform, judge

from .broker_process import clean_environment
from .clients import Clients, eventually, insist
from .copier import GROUP, INPUT, LIBRARIES, OUTPUT, TRANSACTION_TIMEOUT_MS
from .load import Load, finish

ROOT = Path(__file__).parent.parent.parent
SETTINGS = {
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "transaction.state.log.num.partitions": "3",
}
STALL_S = 15.0
"""A copier that did nothing for so long, far longer than any fault lasts, is followed by another life:
kafka-python's has been seen to wait for more than half a minute after brokers restarted in turn.
"""


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
        self.stalls = 0
        """Lives that did nothing any more, with input there"""
        self.name = f"worker {partition}"
        self.library = library
        self._bootstrap = bootstrap
        self._partition = partition
        self._folder = folder
        self.lives = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    def begin_life(self) -> None:
        self.lives += 1
        path = self._history
        path.touch()
        command = [sys.executable, str(ROOT / "tests/faults/copier.py"), self.library, self._bootstrap]
        command += [self.name, str(self.lives - 1), str(self._partition), str(path)]
        environment = {**clean_environment(), "PYTHONPATH": str(ROOT)}
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
            )

    def keep_alive(self) -> None:
        if not self._processes or self._processes[-1].poll() is not None:
            self.begin_life()
        elif time.time() - self._history.stat().st_mtime > STALL_S:
            self.stalls += 1
            self.kill()
            self.begin_life()

    @property
    def _history(self) -> Path:
        """Of its last life"""
        return self._folder / f"{self.name}.{self.lives - 1}.jsonl"

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
        offset = committed(clients, number)
        operation.read_offset(GROUP, Partition(INPUT, number), offset if offset >= 0 else None)
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
        found: tuple[int, int] = insist(
            lambda: consumer.get_watermark_offsets(TopicPartition(*at), timeout=20)
        )
        return found[1]
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


class Copying:
    """All of them at work on a topic each of input and output."""

    def __init__(self, clients: Clients, bootstrap: str, folder: Path, *, replicas: int = 1) -> None:
        self._clients = clients
        self._folder = folder
        for topic in (INPUT, OUTPUT):
            clients.create_topic(
                topic, {"internal.segment.bytes": "100000"}, partitions=len(LIBRARIES), replicas=replicas
            )
        self.workers = [Worker(name, bootstrap, n, folder) for n, name in enumerate(LIBRARIES)]
        self._loads = [Feeder(clients, len(self.workers)), Watcher(clients, len(self.workers))]
        for load in self._loads:
            load.start()
        self.keep_alive()

    def keep_alive(self) -> None:
        """Begin the next lives of copiers that have ended."""
        for worker in self.workers:
            worker.keep_alive()

    def lives(self) -> str:
        return ", ".join(
            f"{each.library} had {each.lives} lives, {each.stalls} stalled" for each in self.workers
        )

    def disturb(self, chosen: random.Random) -> str:
        """Do a copier harm; says what."""
        worker = chosen.choice(self.workers)
        if chosen.random() < 0.5:
            worker.stop_for_a_while()
            return "zombie"
        worker.kill()
        return "copier killed"

    def end(self) -> None:
        """Kill what is left of it."""
        for worker in self.workers:
            worker.end()

    def finish(self, within_s: float) -> Counter[tuple[str, str]]:
        """Let all be copied, and judge; how many operations of each kind ended how."""
        feeder = self._loads[0]
        feeder.stopping.set()
        feeder.join(within_s)

        def is_all_copied() -> bool:
            self.keep_alive()
            return not self._behind()

        try:
            eventually(is_all_copied, within_s)
        except AssertionError:
            raise AssertionError(f"not all is copied: {self._behind()}, {self._folder}") from None
        self.end()
        finish(self._loads)
        histories = [*(load.history for load in self._loads), drain(self._clients, len(self.workers))]
        for number, history in enumerate(histories):
            history.save(self._folder / f"{number}.jsonl")
        history = History.load(*self._folder.glob("*.jsonl"))
        history.save(self._folder / "all.jsonl")
        found = judge(history, [Transform(GROUP, INPUT, OUTPUT, source)])
        assert not found, [*map(str, found[:10]), self._folder]
        return Counter((each.kind.value, each.outcome.value) for each in history.operations)

    def _behind(self) -> dict[str, tuple[int, int]]:
        """How far which libraries' copiers are, and should be."""
        found = {
            worker.library: (committed(self._clients, n), self._clients.offsets(INPUT, n)[1])
            for n, worker in enumerate(self.workers)
        }
        return {library: each for library, each in found.items() if max(each[0], 0) != each[1]}
