"""librdkafka (confluent-kafka) as load."""

from __future__ import annotations

import dataclasses
import itertools
import os
import struct
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.load import TIMEOUT_S, Done, Task, values
from bench.processes import OwnCpu

_LOG_LEVEL = 4  # warnings
_STAMP = struct.Struct(">q")


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
    began, cpu = time.monotonic(), OwnCpu()
    for number, value, partition in zip(range(task.records), pool, partitions, strict=False):
        while True:
            try:
                producer.produce(topic, value, partition=partition)
                break
            except BufferError:
                producer.poll(0.01)
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(TIMEOUT_S):
        raise RuntimeError("records were not delivered")
    return Done(began, time.monotonic(), task.records, cpu.used_s())


def produce_in_transactions(task: Task, ready: Callable[[], object], _left: Any) -> Done:
    """One transaction after the other, each over as many partitions as it can; the first, which is not
    counted, has the producer's partitions known."""
    properties = {**task.properties, "transactional.id": f"{task.topic}-{os.getpid()}"}
    producer = _producer(dataclasses.replace(task, properties=properties))
    producer.init_transactions(TIMEOUT_S)
    pool = itertools.cycle(values(task.record_bytes))
    partitions = itertools.cycle(range(task.partitions))

    def commit() -> None:
        producer.begin_transaction()
        for value, partition in zip(itertools.islice(pool, task.transaction), partitions, strict=False):
            producer.produce(task.topic, value, partition=partition)
        producer.commit_transaction(TIMEOUT_S)

    commit()
    ready()
    began, cpu = time.monotonic(), OwnCpu()
    for _ in range(task.records // task.transaction):
        commit()
    return Done(began, time.monotonic(), task.records, cpu.used_s())


def produce_at_rate(task: Task, ready: Callable[[], object], _left: Any) -> Done:
    """`rate` records a second, a portion each millisecond, stamped with the time they were due."""
    producer, filling = _producer(task), b"x" * (task.record_bytes - _STAMP.size)
    portion, partitions = max(1, task.rate // 1000), itertools.cycle(range(task.partitions))
    ready()
    time.sleep(0.2)
    began, cpu = time.monotonic(), OwnCpu()
    for start in range(0, task.records, portion):
        due = began + start / task.rate
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        value = _STAMP.pack(int(due * 1e9)) + filling
        for _ in range(portion):
            producer.produce(task.topic, value, partition=next(partitions))
        producer.poll(0)
    if producer.flush(TIMEOUT_S):
        raise RuntimeError("records were not delivered")
    return Done(began, time.monotonic(), task.records, cpu.used_s())


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
    began, cpu, seen = time.monotonic(), OwnCpu(), 0
    _assign(consumer, task, 0)
    while seen < task.records:
        records = consumer.consume(min(5_000, task.records - seen), 30)
        _check(records)
        if not records:
            raise RuntimeError(f"only {seen} of {task.records} records came")
        seen += len(records)
    done = Done(began, time.monotonic(), seen, cpu.used_s())
    consumer.close()
    return done


def consume_in_group(task: Task, ready: Callable[[], object], left: Any) -> Done:
    """As a member, until all members together have read all; timed from this member's first record."""
    consumer = _consumer(task)
    ready()
    consumer.subscribe([task.topic])
    deadline, seen, began, ended, cpu = time.monotonic() + 60, 0, 0.0, 0.0, None
    while left.value > 0:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{left.value} records did not come")
        records = consumer.consume(500, 0.02)
        _check(records)
        if records:
            ended = time.monotonic()
            if cpu is None:
                began, cpu = ended, OwnCpu()
            seen += len(records)
            with left.get_lock():
                left.value -= len(records)
    now = time.monotonic()
    done = Done(began, ended, seen, cpu.used_s()) if cpu else Done(now, now, 0)
    consumer.close()
    return done


def consume_stamped(task: Task, ready: Callable[[], object], _left: Any) -> Done:
    """From the end, one record at a time; its latency is from when it was due to when it came."""
    consumer = _consumer(task)
    _assign(consumer, task, -1)
    consumer.poll(1)  # resolve the end offsets before the first record is produced
    latencies: list[float] = []
    ready()
    began, cpu = time.monotonic(), OwnCpu()
    while len(latencies) < task.records:
        record = consumer.poll(30)
        if record is None:
            raise RuntimeError(f"only {len(latencies)} of {task.records} records came")
        _check([record])
        value = record.value()
        assert value is not None
        latencies.append(time.monotonic() * 1e3 - _STAMP.unpack_from(value)[0] / 1e6)
    done = Done(began, time.monotonic(), len(latencies), cpu.used_s(), latencies)
    consumer.close()
    return done


def _check(records: list[Any]) -> None:
    for record in records:
        if (error := record.error()) is not None:
            raise RuntimeError(error.str())
