"""What a workload is, and what it may use while it runs."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from confluent_kafka.admin import AdminClient, NewTopic

from bench import rdkafka, wire
from bench.brokers import Running
from bench.kafka.install import Kafka

Row = dict[str, float]
"""Metric name (see `bench.results.METRICS`) to its value in one round."""

LIBRDKAFKA = "librdkafka"
_WARMING_SCALE = 0.2
_numbers = itertools.count()


class Start(Protocol):
    """Starts a broker; used by workloads that need one of their own."""

    def __call__(
        self, *, data: str | None = None, settings: tuple[str, ...] = ()
    ) -> contextlib.AbstractContextManager[Running]: ...


@dataclass(slots=True)
class Context:
    """One broker under measurement, running for the whole of `compare`, and how much load to put on it."""

    broker: Running
    start: Start
    scale: float
    release: Kafka | None
    """Apache Kafka's jars, for its own clients."""
    _files: dict[int, Path] = field(default_factory=dict)
    _filled: dict[int, tuple[str, int]] = field(default_factory=dict)

    def scaled(self, number: int) -> int:
        """`number` of the default form, in this run's form; at least 1."""
        return max(1, int(number * self.scale))

    @property
    def kafka(self) -> Kafka:
        """The jars. Only workloads marked `java` may ask."""
        assert self.release is not None
        return self.release

    def for_warming(self) -> Context:
        """The same broker under small load, with topics of its own."""
        return Context(self.broker, self.start, _WARMING_SCALE, self.release)

    @contextlib.contextmanager
    def topic(self, partitions: int) -> Iterator[str]:
        """A new topic whose partitions answer; deleted afterwards."""
        name = f"bench-{next(_numbers)}"
        admin = admin_of(self.broker)
        create_topics(admin, [NewTopic(name, partitions, 1)])
        wire.wait_topic(self.broker.address, name, partitions)
        try:
            yield name
        finally:
            admin.delete_topics([name])[name].result(60)

    def filled(self, record_bytes: int, megabytes: int, partitions: int) -> tuple[str, int]:
        """A topic with records to read, made once for each record size, and how many there are."""
        if record_bytes not in self._filled:
            records = self.scaled(megabytes * 1_000_000) // record_bytes
            admin = admin_of(self.broker)
            name = f"bench-filled-{next(_numbers)}"
            create_topics(admin, [NewTopic(name, partitions, 1)])
            wire.wait_topic(self.broker.address, name, partitions)
            properties = {"acks": 1, "batch.size": 16 * 1024}
            task = rdkafka.Task(
                self.broker.address, name, partitions, records, record_bytes, properties=properties
            )
            rdkafka.together((rdkafka.produce, task))
            self._filled[record_bytes] = name, records
        return self._filled[record_bytes]

    def payload_file(self, record_bytes: int) -> Path:
        """The payloads of `rdkafka.values`, a line each."""
        if record_bytes not in self._files:
            with tempfile.NamedTemporaryFile(prefix="bench-payloads-", delete=False) as file:
                file.write(b"\n".join(rdkafka.values(record_bytes)))
            self._files[record_bytes] = Path(file.name)
        return self._files[record_bytes]

    def close(self) -> None:
        """Remove what was written for the tools."""
        for path in self._files.values():
            path.unlink()
        self._files.clear()


@dataclass(frozen=True, slots=True)
class Workload:
    """One line of work, measured on every broker in turn, round after round."""

    name: str
    subject: str
    client: str
    run: Callable[[Context], Row]
    quick: bool = False
    """Part of the short form."""
    java: bool = False
    """Needs Apache Kafka's jars."""
    max_rounds: int = 99
    """For work that takes minutes."""
    floor: Callable[[float], float] | None = None
    """Takes the scale; MB/s of the floor for the same bytes."""


def admin_of(broker: Running) -> AdminClient:
    """A client that does not complain when its broker ends before it."""
    return AdminClient({"bootstrap.servers": broker.address, "log_level": 2})


def create_topics(admin: AdminClient, topics: list[NewTopic]) -> None:
    """Make the topics and wait for all answers."""
    for future in admin.create_topics(topics, operation_timeout=120, request_timeout=120).values():
        future.result(150)


def throughput(context: Context, megabytes: float, seconds: float, cpu_before_s: float) -> Row:
    """The metrics of every row that moves bytes."""
    cpu_s = context.broker.cpu_s() - cpu_before_s
    return {"MB/s": megabytes / seconds, "CPU s/GB": cpu_s / megabytes * 1000}
