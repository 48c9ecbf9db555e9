"""librdkafka (confluent-kafka) as load: every client in a process of its own, all let go at once."""

from __future__ import annotations

import itertools
import multiprocessing
import queue
import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

_SPAWN = multiprocessing.get_context("spawn")
_TIMEOUT_S = 240
_LOG_LEVEL = 4  # warnings
_STAMP = struct.Struct(">q")


@dataclass(frozen=True, slots=True)
class Task:
    """What one client does."""

    address: str
    topic: str
    partitions: int
    records: int
    record_bytes: int = 1024
    properties: dict[str, Any] = field(default_factory=dict)
    rate: int = 0
    """Records a second; 0 is as fast as it goes."""
    group: str = ""
    """Consume as a member of this group; empty is all partitions by assignment."""


@dataclass(frozen=True, slots=True)
class Done:
    """What one client did; times are of the machine's monotonic clock."""

    began_s: float
    ended_s: float
    records: int
    cpu_s: float
    latencies_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Load:
    """What all clients did together."""

    elapsed_s: float
    records: int
    client_cores: float
    """Cores that the clients kept busy."""
    latencies_ms: list[float]


def values(record_bytes: int) -> list[bytes]:
    """The payloads of every client: random capital letters, the same in every run, about 1 MB in all."""
    letters = random.Random(3)
    count = max(16, min(1000, 1_000_000 // record_bytes))
    return [bytes(letters.choices(range(65, 91), k=record_bytes)) for _ in range(count)]


def together(*jobs: tuple[Callable[..., Done], Task]) -> Load:
    """Run every job in a process, started together once all are connected."""
    barrier, results = _SPAWN.Barrier(len(jobs)), _SPAWN.Queue()
    left = _SPAWN.Value("q", sum(task.records for _, task in jobs if task.group))
    processes = [
        _SPAWN.Process(target=_client, args=(job, task, barrier, left, results), daemon=True)
        for job, task in jobs
    ]
    for process in processes:
        process.start()
    try:
        done: list[Done] = []
        for _ in jobs:
            result = results.get(timeout=_TIMEOUT_S)
            if isinstance(result, str):
                raise RuntimeError(result)
            done.append(result)
    except queue.Empty:
        raise RuntimeError(f"a client did not end within {_TIMEOUT_S} s") from None
    finally:
        for process in processes:
            process.join(5)
            process.kill()
    elapsed = max(each.ended_s for each in done) - min(each.began_s for each in done)
    return Load(
        elapsed,
        sum(each.records for each in done),
        sum(each.cpu_s for each in done) / elapsed,
        list(itertools.chain.from_iterable(each.latencies_ms for each in done)),
    )


def _client(job: Callable[..., Done], task: Task, barrier: Any, left: Any, results: Any) -> None:
    try:
        results.put(job(task, lambda: barrier.wait(60), left))
    except (RuntimeError, KafkaException, OSError, BufferError) as error:
        barrier.abort()
        results.put(f"{job.__name__}: {error!r}")


def _producer(task: Task) -> Producer:
    producer = Producer(
        {
            "bootstrap.servers": task.address,
            "log_level": _LOG_LEVEL,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 128 * 1024,
            **task.properties,
        }
    )
    producer.list_topics(task.topic, 30)
    return producer


def produce(task: Task, ready: Callable[[], object], _left: Any) -> Done:
    """As fast as it goes, partitions in turn; ends once everything is acknowledged."""
    producer, pool = _producer(task), itertools.cycle(values(task.record_bytes))
    partitions, topic = itertools.cycle(range(task.partitions)), task.topic
    ready()
    began, cpu = time.monotonic(), time.process_time()
    for number, value, partition in zip(range(task.records), pool, partitions, strict=False):
        while True:
            try:
                producer.produce(topic, value, partition=partition)
                break
            except BufferError:
                producer.poll(0.01)
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(_TIMEOUT_S):
        raise RuntimeError("records were not delivered")
    return Done(began, time.monotonic(), task.records, time.process_time() - cpu)


def produce_at_rate(task: Task, ready: Callable[[], object], _left: Any) -> Done:
    """`rate` records a second, a portion each millisecond, stamped with the time they were due."""
    producer, filling = _producer(task), b"x" * (task.record_bytes - _STAMP.size)
    portion, partitions = max(1, task.rate // 1000), itertools.cycle(range(task.partitions))
    ready()
    time.sleep(0.2)
    began, cpu = time.monotonic(), time.process_time()
    for start in range(0, task.records, portion):
        due = began + start / task.rate
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        value = _STAMP.pack(int(due * 1e9)) + filling
        for _ in range(portion):
            producer.produce(task.topic, value, partition=next(partitions))
        producer.poll(0)
    if producer.flush(_TIMEOUT_S):
        raise RuntimeError("records were not delivered")
    return Done(began, time.monotonic(), task.records, time.process_time() - cpu)


def _consumer(task: Task) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": task.address,
            "log_level": _LOG_LEVEL,
            "group.id": task.group or "bench",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            # A full local queue stops fetching for a second by default, which would be all that a row shows.
            "queued.min.messages": 1_000_000,
            "queued.max.messages.kbytes": 256 * 1024,
            "fetch.queue.backoff.ms": 5,
            **task.properties,
        }
    )


def _assign(consumer: Consumer, task: Task, offset: int) -> None:
    consumer.assign([TopicPartition(task.topic, index, offset) for index in range(task.partitions)])


def consume(task: Task, ready: Callable[[], object], _left: Any) -> Done:
    """All partitions from their start, until as many records have come as the task names."""
    consumer = _consumer(task)
    consumer.list_topics(task.topic, 30)
    ready()
    began, cpu, seen = time.monotonic(), time.process_time(), 0
    _assign(consumer, task, 0)
    while seen < task.records:
        records = consumer.consume(min(5_000, task.records - seen), 30)
        _check(records)
        if not records:
            raise RuntimeError(f"only {seen} of {task.records} records came")
        seen += len(records)
    done = Done(began, time.monotonic(), seen, time.process_time() - cpu)
    consumer.close()
    return done


def consume_in_group(task: Task, ready: Callable[[], object], left: Any) -> Done:
    """As a member, until all members together have read all; timed from this member's first record."""
    consumer = _consumer(task)
    ready()
    consumer.subscribe([task.topic])
    deadline, seen, began, ended, cpu = time.monotonic() + 60, 0, 0.0, 0.0, 0.0
    while left.value > 0:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{left.value} records did not come")
        records = consumer.consume(500, 0.02)
        _check(records)
        if records:
            ended = time.monotonic()
            if not began:
                began, cpu = ended, time.process_time()
            seen += len(records)
            with left.get_lock():
                left.value -= len(records)
    now = time.monotonic()
    done = Done(began or now, ended or now, seen, time.process_time() - cpu if began else 0.0)
    consumer.close()
    return done


def consume_stamped(task: Task, ready: Callable[[], object], _left: Any) -> Done:
    """From the end, one record at a time; its latency is from when it was due to when it came."""
    consumer = _consumer(task)
    _assign(consumer, task, -1)
    consumer.poll(1)  # resolve the end offsets before the first record is produced
    latencies: list[float] = []
    ready()
    began, cpu = time.monotonic(), time.process_time()
    while len(latencies) < task.records:
        record = consumer.poll(30)
        if record is None:
            raise RuntimeError(f"only {len(latencies)} of {task.records} records came")
        _check([record])
        value = record.value()
        assert value is not None
        latencies.append(time.monotonic() * 1e3 - _STAMP.unpack_from(value)[0] / 1e6)
    done = Done(began, time.monotonic(), len(latencies), time.process_time() - cpu, latencies)
    consumer.close()
    return done


def _check(records: list[Any]) -> None:
    for record in records:
        if (error := record.error()) is not None:
            raise RuntimeError(error.str())
