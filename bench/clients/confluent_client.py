"""confluent-kafka: librdkafka below, an object for each record."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from bench.clients.events import AVRO, SCHEMA_ID, message_class
from bench.clients.task import PARTITIONS, TIMEOUT_S, Done, Growth, Meter, Task, add
from bench.load import values

_MANY = 5_000
MOST_S = 1.0
"""How long to wait for that many."""


def _consumer(task: Task) -> Consumer:
    settings = {"bootstrap.servers": task.address, "group.id": "bench", "enable.auto.commit": False}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(task.topic, each, 0) for each in range(PARTITIONS)])
    return consumer


def _some(consumer: Consumer, most: int = _MANY) -> list[Any]:
    records = consumer.consume(most, MOST_S) or consumer.consume(1, TIMEOUT_S)
    if not records or records[0].error() is not None:
        raise RuntimeError(f"no records: {records and records[0].error()}")
    return records


def consume_columns(task: Task) -> Done:
    """The tight loop: many at a time, and the value of each."""
    consumer, meter, seen, size = _consumer(task), Meter(), 0, 0
    while seen < task.warm:
        seen += len(_some(consumer))
    meter.start()
    seen = 0
    while seen < task.records:
        records = _some(consumer)
        seen += len(records)
        for record in records:
            size += len(record.value())
    done = meter.done(seen, {"bytes": size // seen})
    consumer.close()
    return done


def consume_records(task: Task) -> Done:
    """`poll` for each."""
    consumer, meter, size = _consumer(task), Meter(), 0
    for _ in range(task.warm):
        consumer.poll(TIMEOUT_S)
    meter.start()
    for _ in range(task.records):
        record = consumer.poll(TIMEOUT_S)
        assert record is not None
        value = record.value()
        assert value is not None
        size += len(value)
    done = meter.done(task.records, {"bytes": size // task.records})
    consumer.close()
    return done


def produce(task: Task) -> Done:
    producer, meter = Producer({"bootstrap.servers": task.address, "linger.ms": 5}), Meter()
    pool = values(task.record_bytes)

    def send(count: int) -> None:
        for at in range(count):
            while True:
                try:
                    producer.produce(task.topic, pool[at % len(pool)])
                    break
                except BufferError:
                    producer.poll(0.01)
            if at % 1000 == 0:
                producer.poll(0)
        if producer.flush(TIMEOUT_S):
            raise RuntimeError("records were not delivered")

    send(task.warm)
    meter.start()
    send(task.records)
    return meter.done(task.records, {})


def _sum_windows(task: Task, decode: Callable[[bytes], Any]) -> Done:
    """`decode` gives what has the fields by their names."""
    consumer, meter, seen, sums = _consumer(task), Meter(), 0, dict[str, int]()
    while seen < task.warm:
        seen += len(_some(consumer))
    for each in range(PARTITIONS):
        consumer.seek(TopicPartition(task.topic, each, 0))
    meter.start()
    seen = 0
    while seen < task.records:
        records = _some(consumer)
        seen += len(records)
        for record in records:
            event = decode(record.value())
            if event["kind"] == "buy":
                add(sums, event["at"], event["amount"])
    done = meter.done(seen, sums if seen == task.records else {})
    consumer.close()
    return done


def sum_json(task: Task) -> Done:
    return _sum_windows(task, json.loads)


def sum_avro(task: Task) -> Done:
    registry = SchemaRegistryClient.new_client({"url": "mock://bench"})
    assert registry.register_schema("events-value", Schema(AVRO, "AVRO")) == SCHEMA_ID
    read, context = AvroDeserializer(registry), SerializationContext(task.topic, MessageField.VALUE)
    return _sum_windows(task, lambda value: read(value, context))


def sum_protobuf(task: Task) -> Done:
    read = ProtobufDeserializer(message_class(), {"use.deprecated.format": False})
    context = SerializationContext(task.topic, MessageField.VALUE)
    return _sum_windows(task, lambda value: _Fields(read(value, context)))


class _Fields:
    """A message's, by their names."""

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        self._message = message

    def __getitem__(self, name: str) -> Any:
        return getattr(self._message, name)


def lag(task: Task) -> Done:
    growth, meter, seen, size = Growth(), Meter(), 0, 0
    consumer = _consumer(task)
    meter.start()
    while seen < task.records:
        records = _some(consumer, 500)
        seen += len(records)
        for record in records:
            size += len(record.value())
        time.sleep(0.05)
    done = meter.done(seen, {"bytes": size // seen}, growth.end_mb())
    consumer.close()
    return done


JOBS: dict[str, Callable[[Task], Done]] = {
    "consume columns": consume_columns,
    "consume records": consume_records,
    "produce columns": produce,
    "produce records": produce,
    **dict.fromkeys(("sum", "sum all", "sum inferred"), sum_json),
    "sum avro": sum_avro,
    "sum protobuf": sum_protobuf,
    "lag": lag,
}
