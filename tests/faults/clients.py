"""confluent-kafka clients with the few calls that the fault tests make over and over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
)

Result = TypeVar("Result")

QUICK_TO_RETURN = {
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 100,
    "retry.backoff.ms": 20,
    "retry.backoff.max.ms": 100,
    # To bootstrap anew when all brokers are away takes librdkafka a second longer.
    "metadata.recovery.strategy": "none",
}
ADMIN_TIMEOUT_S = 5


def eventually(condition: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """Wait until a condition holds, and return what it says."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.02)
    return answer


def insist(call: Callable[..., Result], *arguments: Any) -> Result:
    """Call until it works: over restarts of the broker, and for a topic that was created just now."""
    while True:
        try:
            return call(*arguments)
        except KafkaException:
            time.sleep(0.02)


class Clients:
    """Clients of the broker at one address."""

    def __init__(self, bootstrap: str, security: Mapping[str, Any] = MappingProxyType({})) -> None:
        """`security` are librdkafka's settings of who they are."""
        self._settings: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "log_level": 0,
            "topic.metadata.refresh.fast.interval.ms": 50,
            **QUICK_TO_RETURN,
            **security,
        }
        self.admin = AdminClient(self._settings)

    def producer(self, **settings: Any) -> Producer:
        chosen = {name.replace("_", "."): value for name, value in settings.items()}
        return Producer({**self._settings, "linger.ms": 0, **chosen})

    def consumer(self, group: str = "unused", **settings: Any) -> Consumer:
        chosen = {name.replace("_", "."): value for name, value in settings.items()}
        defaults = {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        return Consumer({**self._settings, "fetch.wait.max.ms": 50, **defaults, **chosen})

    def create_topic(
        self,
        name: str,
        config: Mapping[str, str] | None = None,
        *,
        partitions: int = 1,
        replicas: int = 1,
    ) -> str:
        new = NewTopic(
            name, num_partitions=partitions, replication_factor=replicas, config=dict(config or {})
        )
        self.admin.create_topics([new], request_timeout=ADMIN_TIMEOUT_S)[name].result(20)
        return name

    def delete_topic(self, name: str) -> None:
        self.admin.delete_topics([name], request_timeout=ADMIN_TIMEOUT_S)[name].result(20)

    def topics(self) -> set[str]:
        return {name for name in self.admin.list_topics(timeout=20).topics if not name.startswith("__")}

    def configure(self, topic: str, **config: str) -> None:
        """Set topic configs, `_` for `.`."""
        entries = [
            ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for name, value in config.items()
        ]
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
        self.admin.incremental_alter_configs([resource])[resource].result(20)

    def broker_config(self) -> dict[str, str]:
        """The configuration of node 1."""
        resource = ConfigResource(ConfigResource.Type.BROKER, "1")
        entries = self.admin.describe_configs([resource])[resource].result(20)
        return {name: entry.value for name, entry in entries.items()}

    @staticmethod
    def start_of(topic: str, partition: int = 0) -> TopicPartition:
        return TopicPartition(topic, partition, 0)

    def produce(
        self,
        topic: str,
        records: Iterable[tuple[bytes | None, bytes | None]],
        *,
        partition: int = 0,
        **settings: Any,
    ) -> None:
        """Produce (key, value) records and wait; raises KafkaException for the first that fails."""
        errors: list[Any] = []
        producer = self.producer(**settings)
        for key, value in records:
            while True:
                try:
                    producer.produce(
                        topic,
                        value,
                        key,
                        partition=partition,
                        on_delivery=lambda error, _: errors.append(error) if error else None,
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(60) == 0
        if errors:
            raise KafkaException(errors[0])

    def offsets(self, topic: str, partition: int = 0) -> tuple[int, int]:
        """(log start offset, high watermark)"""
        consumer = self.consumer()
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
        finally:
            consumer.close()

    def read(self, topic: str, partition: int = 0, timeout_s: float = 60.0) -> list[Message]:
        """Everything from the partition's start to its end."""
        low, high = self.offsets(topic, partition)
        consumer = self.consumer(enable_partition_eof=True)
        messages: list[Message] = []
        deadline = time.monotonic() + timeout_s
        try:
            consumer.assign([TopicPartition(topic, partition, low)])
            position = low
            while position < high:
                for message in consumer.consume(min(high - position, 10_000), timeout=0.5):
                    if message.error() is None:
                        messages.append(message)
                    elif message.error().name() != "_PARTITION_EOF":
                        raise KafkaException(message.error())
                # Compaction may have removed the last records: the position goes past them all the same.
                position = max(position, consumer.position([TopicPartition(topic, partition)])[0].offset)
                if messages:
                    position = max(position, messages[-1].offset() + 1)
                assert time.monotonic() < deadline, f"{topic} reads to {position} of {high} only"
        finally:
            consumer.close()
        return messages
