"""Produce and consume throughput with librdkafka: 1 KB records, 16 KB batches, 3 partitions, acks=1."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "bench-throughput"
PARTITIONS = 3


def create_topic(address: str, topic: str = TOPIC, partitions: int = PARTITIONS) -> None:
    """Make the topic where the broker knows the API (the prototype does not)."""
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)


def produce(address: str, total_mb: int, record_bytes: int = 1024, **properties: Any) -> float:
    """Produce `total_mb` and wait for all answers; MB/s."""
    producer = Producer(
        {
            "bootstrap.servers": address,
            "acks": 1,
            "batch.size": 16 * 1024,
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 256 * 1024,
            **properties,
        }
    )
    value = bytes(range(256)) * (record_bytes // 256) or b"x" * record_bytes
    count = total_mb * 1_000_000 // record_bytes
    began = time.perf_counter()
    for number in range(count):
        while True:
            try:
                producer.produce(TOPIC, value, partition=number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.01)
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("records were not delivered")
    return count * record_bytes / 1e6 / (time.perf_counter() - began)


def consume(address: str, total_mb: int, record_bytes: int = 1024, **properties: Any) -> float:
    """Read from the start until `total_mb` have come; MB/s."""
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "bench",
            "enable.auto.commit": False,
            "queued.max.messages.kbytes": 262_144,
            "fetch.message.max.bytes": 1_048_576,
            **properties,
        }
    )
    consumer.assign([TopicPartition(TOPIC, index, 0) for index in range(PARTITIONS)])
    count = total_mb * 1_000_000 // record_bytes
    seen = 0
    began = time.perf_counter()
    while seen < count:
        records = consumer.consume(10_000, 5)
        if not records:
            raise RuntimeError(f"only {seen} of {count} records came")
        seen += len(records)
    elapsed = time.perf_counter() - began
    consumer.close()
    return seen * record_bytes / 1e6 / elapsed
