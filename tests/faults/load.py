"""Clients that keep a broker busy while it is killed, and what each of them must find afterwards."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, Message, Producer, TopicPartition

from .clients import Clients, insist

KEYS = 20
OUTSTANDING_MAX = 200
_BATCHES_PER_S = 40


@dataclass
class Verdict:
    """What the checks found; everything but the counts of good things must stay empty."""

    records_acked: int = 0
    commits_acked: int = 0
    topics_churned: int = 0
    transactions_ended: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.duplicated or self.disordered or self.wrong)


class Load(threading.Thread):
    """A client in a thread that works until it is told to stop."""

    def __init__(self, clients: Clients, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.clients = clients
        self.stopping = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self.turn()
            self.finish()
        except BaseException as failure:  # noqa: BLE001 - the thread that waits raises it
            self.failure = failure

    def turn(self) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """What is left to do once no more turns follow."""

    def check(self, verdict: Verdict) -> None:
        """Look at what the broker has now."""
        raise NotImplementedError


class Writer(Load):
    """An idempotent producer that numbers its records in each partition: `<name>:<number>:...`."""

    def __init__(self, clients: Clients, name: str, topic: str, partitions: int) -> None:
        super().__init__(clients, name)
        self.topic = topic
        self.partitions = partitions
        self.sent = Counter[int]()
        self.acked: list[tuple[int, int, int]] = []  # (partition, number, offset or a negative number)
        self.failed: list[str] = []
        self._producer: Producer = clients.producer(
            enable_idempotence=True, batch_size=15_000, message_timeout_ms=120_000
        )

    def turn(self) -> None:
        partition = random.randrange(self.partitions)
        for _ in range(random.randrange(1, 20)):
            number = self.sent[partition]
            self.sent[partition] += 1
            self._producer.produce(
                self.topic,
                self.value(number),
                self.key(number),
                partition=partition,
                on_delivery=lambda error, message, number=number: self._report(error, message, number),
            )
        self._producer.poll(0)
        time.sleep(1 / _BATCHES_PER_S)
        while len(self._producer) > OUTSTANDING_MAX and not self.stopping.is_set():
            self._producer.poll(0.05)

    def value(self, number: int) -> bytes:
        return b"%s:%d:" % (self.name.encode(), number) + b"x" * random.randrange(300)

    def key(self, number: int) -> bytes | None:
        return None

    def _report(self, error: object, message: Message, number: int) -> None:
        if error is not None:
            self.failed.append(f"{self.topic}-{message.partition()} {number}: {error}")
            return
        offset = message.offset()
        self.acked.append((message.partition(), number, -1 if offset is None else offset))

    def finish(self) -> None:
        assert self._producer.flush(60) == 0

    def check(self, verdict: Verdict) -> None:
        verdict.records_acked += len(self.acked)
        verdict.wrong += self.failed
        for partition in range(self.partitions):
            messages = [m for m in self.clients.read(self.topic, partition) if number_of(m, self.name) >= 0]
            low = self.clients.offsets(self.topic, partition)[0]
            acked = [(number, offset) for where, number, offset in self.acked if where == partition]
            self.check_partition(verdict, f"{self.topic}-{partition}", low, messages, acked)

    def check_partition(
        self, verdict: Verdict, where: str, low: int, messages: list[Message], acked: list[tuple[int, int]]
    ) -> None:
        numbers = [number_of(message, self.name) for message in messages]
        counts = Counter(numbers)
        verdict.duplicated += [f"{where} {self.name}:{n}" for n, count in counts.items() if count > 1]
        if numbers != sorted(numbers):
            verdict.disordered.append(f"{where} {self.name}")
        offsets = {number_of(message, self.name): message.offset() for message in messages}
        for number, offset in acked:
            if number not in offsets:
                # What retention has removed is not lost.
                if low == 0 or offset >= low:
                    verdict.lost.append(f"{where} {self.name}:{number} at {offset}")
            elif offset >= 0 and offsets[number] != offset:
                verdict.wrong.append(f"{where} {self.name}:{number} is at {offsets[number]}, not at {offset}")


class KeyedWriter(Writer):
    """Writes a few keys of its own to a compacted topic: of each the last acknowledged value must stay."""

    def key(self, number: int) -> bytes:
        return b"%s-%d" % (self.name.encode(), number % KEYS)

    def check_partition(
        self, verdict: Verdict, where: str, low: int, messages: list[Message], acked: list[tuple[int, int]]
    ) -> None:
        numbers = [number_of(message, self.name) for message in messages]
        verdict.duplicated += [
            f"{where} {self.name}:{n}" for n, count in Counter(numbers).items() if count > 1
        ]
        if numbers != sorted(numbers):
            verdict.disordered.append(f"{where} {self.name}")
        found = {number % KEYS: number for number in numbers}
        for key, number in {number % KEYS: number for number, _ in sorted(acked)}.items():
            if found.get(key, -1) < number:
                verdict.lost.append(f"{where} {self.name}:{number} of key {key}, found {found.get(key)}")


class Committer(Load):
    """Commits rising offsets for a group; what was acknowledged must not go back."""

    def __init__(self, clients: Clients, name: str, topic: str) -> None:
        super().__init__(clients, name)
        self._topic = topic
        self._consumer = clients.consumer(name)
        self.attempted = 0
        self.acked = 0
        self.commits = 0

    def turn(self) -> None:
        self.attempted += 1
        try:
            self._consumer.commit(
                offsets=[TopicPartition(self._topic, 0, self.attempted)], asynchronous=False
            )
            self.acked = self.attempted
            self.commits += 1
            time.sleep(0.005)
        except KafkaException:
            time.sleep(0.02)

    def finish(self) -> None:
        self._consumer.close()

    def check(self, verdict: Verdict) -> None:
        verdict.commits_acked += self.commits
        consumer = self.clients.consumer(self.name)
        (committed,) = consumer.committed([TopicPartition(self._topic, 0)], timeout=20)
        consumer.close()
        if committed.offset < self.acked:
            verdict.lost.append(f"commit {self.acked} of {self.name}, found {committed.offset}")
        if committed.offset > self.attempted:
            verdict.wrong.append(f"{self.name} committed {committed.offset} but only sent {self.attempted}")


class TopicChurn(Load):
    """Creates a topic, writes to it, moves its start, deletes it, and again under the same name."""

    def __init__(self, clients: Clients, name: str) -> None:
        super().__init__(clients, name)
        self._rounds = 0
        self._problems: list[str] = []
        self._is_there = False

    def turn(self) -> None:
        self._insist_on_create()
        if (found := insist(self.clients.offsets, self.name)) != (0, 0):
            self._problems.append(f"{self.name}: new topic has offsets {found}")
        self._write()
        if random.random() < 0.7:
            self._move_start()
        self._insist_on_delete()
        self._rounds += 1

    def _insist_on_create(self) -> None:
        while True:
            with contextlib.suppress(KafkaException):
                self.clients.create_topic(self.name, {"internal.segment.bytes": "5000"})
            if self.name in insist(self.clients.topics):
                return

    def _insist_on_delete(self) -> None:
        while True:
            with contextlib.suppress(KafkaException):
                self.clients.delete_topic(self.name)
            if self.name not in insist(self.clients.topics):
                return

    def _write(self) -> None:
        numbers = range(random.randrange(1, 100))
        expected = [b"%d:%d" % (self._rounds, number) for number in numbers]
        self.clients.produce(
            self.name,
            ((None, value) for value in expected),
            enable_idempotence=True,
            message_timeout_ms=60_000,
        )
        found = [message.value() for message in insist(self.clients.read, self.name)]
        if found != expected:
            self._problems.append(f"{self.name}: wrote {len(expected)} records, found {found}")

    def _move_start(self) -> None:
        with contextlib.suppress(KafkaException):
            where = [TopicPartition(self.name, 0, -1)]
            for moved in self.clients.admin.delete_records(where, request_timeout=10).values():
                moved.result(10)

    def check(self, verdict: Verdict) -> None:
        verdict.topics_churned += self._rounds
        verdict.wrong += self._problems
        if self.name in self.clients.topics():
            verdict.wrong.append(f"{self.name} is there although it was deleted")


def number_of(message: Message, writer: str) -> int:
    """The number of a writer's record; -1 for another writer's."""
    name, number, _ = message.value().split(b":", 2)  # type: ignore[union-attr]
    return int(number) if name == writer.encode() else -1


def finish(loads: Iterable[Load], timeout_s: float = 90.0) -> None:
    """Let every load come to its end; raises what one of them failed with."""
    loads = list(loads)
    for load in loads:
        load.stopping.set()
    for load in loads:
        load.join(timeout_s)
        assert not load.is_alive(), f"{load.name} does not come to its end"
        if load.failure is not None:
            raise load.failure
