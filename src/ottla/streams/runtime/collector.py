"""The way out of a thread's tasks: records wait here for the producer, which may have to wait itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ottla.client.columns.columns import Columns
from ottla.client.core.metadata import ClusterMetadata, TopicPartition
from ottla.client.errors import ClientError
from ottla.client.net.cluster import Cluster
from ottla.client.producer.delivery import Delivery, WriteDelivery
from ottla.client.producer.producer import AsyncProducer
from ottla.streams.errors import StreamsError
from ottla.streams.records import Headers


class Outgoing(NamedTuple):
    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: Headers


class ThreadCollector:
    """`send` takes records at any time; `drain` has them sent, in a transaction where that is wanted."""

    def __init__(
        self, cluster: Cluster, producer: AsyncProducer, topics: Sequence[str], *, is_transactional: bool
    ) -> None:
        """`topics` are those that are written to by name."""
        self._cluster = cluster
        self._topics = topics
        cluster.follow(self)
        self._producer = producer
        self._is_transactional = is_transactional
        self._waiting: list[Outgoing | tuple[str, Columns]] = []
        self._last: dict[TopicPartition, Delivery | WriteDelivery] = {}
        self._failure: ClientError | None = None
        self.sent = 0

    def send(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Headers,
    ) -> None:
        self._waiting.append(Outgoing(topic, partition, key, value, timestamp, headers))

    def send_columns(self, topic: str, columns: Columns) -> None:
        self._waiting.append((topic, columns))

    async def find_topics(self) -> None:
        """Know their partitions, before a partitioner asks. Raises ClientError."""
        await self._cluster.refresh(self._topics)

    def topics_wanted(self) -> Sequence[str]:
        return self._topics

    def metadata_changed(self, metadata: ClusterMetadata) -> None:
        """It is asked when it is needed."""

    def partitions(self, topic: str) -> int:
        count = (
            len(self._cluster.metadata.partitions_of(topic)) if topic in self._cluster.metadata.topics else 0
        )
        if not count:
            raise StreamsError(
                f"the topic {topic} is not there, or not known yet: its partitions cannot be told"
            )
        return count

    async def drain(self) -> None:
        """Raises ClientError where the producer cannot go on."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        producer = self._producer
        if self._is_transactional and not producer.has_open_transaction:
            await producer.begin_transaction()
        for each in waiting:
            if not isinstance(each, Outgoing):
                await self._write(*each)
                continue
            topic, partition, key, value, timestamp, headers = each
            delivery = await producer.send(
                topic, value, key=key, headers=headers, timestamp=timestamp, partition=partition
            )
            if delivery.begins_batch:
                delivery.on_batch(self._over)
            if partition is not None:
                self._last[TopicPartition(topic, partition)] = delivery
            self.sent += 1

    async def _write(self, topic: str, columns: Columns) -> None:
        if not len(columns):
            return
        is_placed = columns.partition[0] >= 0
        delivery = await self._producer.write(
            topic, columns, partition=columns.partition if is_placed else None
        )
        delivery.on_batch(self._over)
        if is_placed:
            for partition in dict.fromkeys(columns.partition.tolist()):
                self._last[TopicPartition(topic, partition)] = delivery
        self.sent += len(columns)

    def check(self) -> None:
        """After a flush: raise what was not delivered."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def ends(self) -> dict[TopicPartition, int]:
        """After a flush: the offset behind the last record of each partition that was named since then."""
        last, self._last = self._last, {}
        return {partition: _end(delivery, partition) for partition, delivery in last.items()}

    def forget(self) -> None:
        """What waits is not sent: what it came from will be processed again."""
        self._waiting = []
        self._last = {}
        self._failure = None

    def _over(self, records: int, error: ClientError | None) -> None:  # noqa: ARG002
        if error is not None and self._failure is None:
            self._failure = error


def _end(delivery: Delivery | WriteDelivery, partition: TopicPartition) -> int:
    """The offset behind what was written."""
    if isinstance(delivery, Delivery):
        return delivery.result().offset + 1
    return delivery.result().offsets[partition.partition][1] + 1
