"""kafka-python, all of it in Python."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from bench.clients.task import PARTITIONS, TIMEOUT_S, Done, Growth, Meter, Task, add
from bench.load import values


def _consumer(task: Task) -> Any:
    consumer = KafkaConsumer(
        bootstrap_servers=task.address,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        consumer_timeout_ms=int(TIMEOUT_S * 1000),
    )
    consumer.assign([TopicPartition(task.topic, each) for each in range(PARTITIONS)])
    return consumer


def _polled(consumer: Any, most: int) -> Iterator[Any]:
    while True:
        found = consumer.poll(timeout_ms=int(TIMEOUT_S * 1000), max_records=most)
        for records in found.values():
            yield from records


def consume(task: Task) -> Done:
    consumer, meter, size = _consumer(task), Meter(), 0
    for _ in islice(consumer, task.warm):
        pass
    meter.start()
    for record in islice(consumer, task.records):
        size += len(record.value)
    done = meter.done(task.records, {"bytes": size // task.records})
    consumer.close()
    return done


def produce(task: Task) -> Done:
    producer, meter = KafkaProducer(bootstrap_servers=task.address, linger_ms=5), Meter()
    pool = values(task.record_bytes)

    def send(count: int) -> None:
        for at in range(count):
            producer.send(task.topic, pool[at % len(pool)])
        producer.flush(TIMEOUT_S)

    send(task.warm)
    meter.start()
    send(task.records)
    done = meter.done(task.records, {})
    producer.close()
    return done


def sum_windows(task: Task) -> Done:
    consumer, meter, sums = _consumer(task), Meter(), dict[str, int]()
    for _ in islice(consumer, task.warm):
        pass
    consumer.seek_to_beginning()
    meter.start()
    for record in islice(consumer, task.records):
        event = json.loads(record.value)
        if event["kind"] == "buy":
            add(sums, event["at"], event["amount"])
    done = meter.done(task.records, sums)
    consumer.close()
    return done


def lag(task: Task) -> Done:
    consumer, meter, size = _consumer(task), Meter(), 0
    records = _polled(consumer, 500)
    growth = Growth()
    meter.start()
    for at, record in enumerate(islice(records, task.records)):
        size += len(record.value)
        if at % 500 == 0:
            time.sleep(0.05)
    done = meter.done(task.records, {"bytes": size // task.records}, growth.end_mb())
    consumer.close()
    return done


JOBS: dict[str, Callable[[Task], Done]] = {
    **dict.fromkeys(("consume columns", "consume records"), consume),
    **dict.fromkeys(("produce columns", "produce records"), produce),
    **dict.fromkeys(("sum", "sum all", "sum inferred"), sum_windows),
    "lag": lag,
}
