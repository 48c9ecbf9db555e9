"""What a workload is, and what it may use while it runs."""

from __future__ import annotations

import contextlib
import functools
import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from confluent_kafka.admin import AdminClient, NewTopic

from bench import load, requests, wire
from bench.brokers import Running
from bench.kafka.install import Kafka

Row = dict[str, float]
"""Metric name (see `bench.results.METRICS`) to its value in one round."""

LIBRDKAFKA = "librdkafka"
RAW = "raw connections"
_WARMING_SCALE = 0.1
_numbers = itertools.count()
_REMOVED_AT_ONCE = {"file.delete.delay.ms": "0"}
"""Instead of after a minute: the pages of one measurement are then those of the next."""


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
    """Load in relation to the full form's."""
    release: Kafka | None
    """Apache Kafka's jars, for its own clients."""
    _files: dict[int, Path] = field(default_factory=dict)
    topics: dict[int, tuple[str, int]] = field(default_factory=dict)
    """What `filled` made, by the size of records."""

    def scaled(self, number: int) -> int:
        """`number` of the full form, in this run's form; at least 1."""
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
        name = new_topic(self.broker, partitions)
        try:
            yield name
        finally:
            delete_topics(self.broker, [name])

    def filled(self, record_bytes: int, megabytes: int, partitions: int) -> tuple[str, int]:
        """A topic with records to read, made once for each record size, and how many there are."""
        if record_bytes not in self.topics:
            total = self.scaled(megabytes * 1_000_000)
            self.topics[record_bytes] = filled(self.broker, partitions, total, record_bytes)
        return self.topics[record_bytes]

    def drop_filled(self) -> None:
        """Delete what `filled` made, and give its memory back to the page cache."""
        delete_topics(self.broker, [name for name, _ in self.topics.values()])
        self.topics.clear()

    def payload_file(self, record_bytes: int) -> Path:
        """The payloads of `bench.load.values`, a line each."""
        if record_bytes not in self._files:
            with tempfile.NamedTemporaryFile(prefix="bench-payloads-", delete=False) as file:
                file.write(b"\n".join(load.values(record_bytes)))
            self._files[record_bytes] = Path(file.name)
        return self._files[record_bytes]

    def close(self) -> None:
        """Remove what was written for the tools."""
        for path in self._files.values():
            path.unlink()
        self._files.clear()


Measure = Callable[[], Row]
"""One round on one broker."""
Prepare = Callable[[Context], contextlib.AbstractContextManager[Measure]]
"""Makes what all rounds on one broker need, and removes it after the last."""


Floor = Callable[[int], Row]
"""The rate of the floor for the same bytes; takes the number of the round."""


def each_round(run: Callable[[Context], Row]) -> Prepare:
    """For what needs no preparation."""
    return lambda context: contextlib.nullcontext(functools.partial(run, context))


@dataclass(frozen=True, slots=True)
class Workload:
    """One line of work, measured on every broker in turn, round after round."""

    name: str
    subject: str
    client: str
    prepare: Prepare
    seconds: float
    """Of a round of both brokers in the full form on 2 cores, about, with its part of the preparation."""
    quick: bool = False
    """Part of the short form."""
    java: bool = False
    """Needs Apache Kafka's jars."""
    alone: bool = False
    """Says something of Ottla only; Kafka is left out."""
    floor: Floor | None = None


def admin_of(broker: Running) -> AdminClient:
    """A client that does not complain when its broker ends before it."""
    return AdminClient({"bootstrap.servers": broker.address, "log_level": 2})


def create_topics(admin: AdminClient, topics: list[NewTopic]) -> None:
    """Make the topics and wait for all answers."""
    for future in admin.create_topics(topics, operation_timeout=120, request_timeout=120).values():
        future.result(150)


def delete_topics(broker: Running, topics: list[str]) -> None:
    """Delete them and wait for all answers."""
    if topics:
        admin = admin_of(broker)
        for future in admin.delete_topics(topics).values():
            future.result(60)


def new_topic(broker: Running, partitions: int) -> str:
    """The name of a new topic whose partitions answer."""
    name = f"bench-{next(_numbers)}"
    create_topics(admin_of(broker), [NewTopic(name, partitions, 1, config=_REMOVED_AT_ONCE)])
    wire.wait_topic(broker.address, name, partitions)
    return name


def filled(broker: Running, partitions: int, total_bytes: int, record_bytes: int) -> tuple[str, int]:
    """A new topic with records in batches of 16 KB, and how many there are."""
    name = new_topic(broker, partitions)
    records = requests.fill(broker.address, name, partitions, total_bytes, record_bytes)
    verify(broker, name, partitions, records)
    return name, records


def verify(broker: Running, topic: str, partitions: int, records: int) -> None:
    """Raises RuntimeError unless the log holds exactly these many records."""
    with wire.Connection(broker.address) as connection:
        stored = sum(wire.end_offsets(connection, topic, partitions))
    if stored != records:
        raise RuntimeError(f"{stored} of {records} records are in the log")


def throughput(broker: Running, megabytes: float, seconds: float, cpu_before_s: float) -> Row:
    """The metrics of every row that moves bytes."""
    cpu_s = broker.cpu_s() - cpu_before_s
    return {
        "MB/s": megabytes / seconds,
        "CPU s/GB": cpu_s / megabytes * 1000,
        "broker cores": cpu_s / seconds,
    }
