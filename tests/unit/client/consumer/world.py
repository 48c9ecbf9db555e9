"""A broker in this event loop, what is in its topics, and consumers of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from ottla.client.consumer import AsyncConsumer, Batch, ConsumerSettings, RebalanceListener
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import is_retriable
from ottla.client.net.cluster import Cluster
from ottla.client.settings import ClientSettings, parse
from ottla.protocol.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
)
from ottla.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from ottla.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicState
from ottla.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from ottla.records.codec import Record, encode_batch
from ottla.testing.in_process import run_broker_async


class World:
    def __init__(self, bootstrap_servers: str, cluster: Cluster) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.cluster = cluster
        self._stack = contextlib.AsyncExitStack()

    async def create(self, topic: str, partitions: int = 1, *, retention_ms: int = -1) -> None:
        """By default its records stay, however old `produce` makes them: a broker looks for what is too old
        half a minute after its start, whatever is tested then.
        """
        kept = CreatableTopicConfig(name="retention.ms", value=str(retention_ms))
        wanted = CreatableTopic(name=topic, num_partitions=partitions, replication_factor=1, configs=[kept])
        request = CreateTopicsRequest(topics=[wanted], timeout_ms=5000)
        response = await self.cluster.send(request, CreateTopicsResponse)
        assert response.topics[0].error_code == 0, response
        await self.cluster.refresh([topic])

    async def add_partitions(self, topic: str, count: int) -> None:
        """The topic has `count` partitions then, and the consumers' cluster knows."""
        wanted = [CreatePartitionsTopic(name=topic, count=count)]
        await self.cluster.send(
            CreatePartitionsRequest(topics=wanted, timeout_ms=5000), CreatePartitionsResponse
        )
        async with asyncio.timeout(30):
            while len((await self.cluster.refresh([topic])).partitions_of(topic)) < count:
                await asyncio.sleep(0.05)

    async def delete(self, topic: str) -> None:
        request = DeleteTopicsRequest(
            topics=[DeleteTopicState(name=topic)], topic_names=[topic], timeout_ms=5000
        )
        response = await self.cluster.send(request, DeleteTopicsResponse, max_version=5)
        assert response.responses[0].error_code == 0, response

    async def produce(
        self, topic: str, partition: int, values: Sequence[bytes], *, codec: int = 0, start_ms: int = 1000
    ) -> None:
        """One batch; a record's timestamp is `start_ms` and its place in it."""
        records = [
            Record(offset=i, timestamp=start_ms + i, key=b"k%d" % i, value=value)
            for i, value in enumerate(values)
        ]
        data = PartitionProduceData(index=partition, records=encode_batch(records, codec=codec))
        request = ProduceRequest(
            acks=-1, timeout_ms=5000, topic_data=[TopicProduceData(name=topic, partition_data=[data])]
        )

        async def is_written() -> bool:
            response = await self.cluster.send(request, ProduceResponse, max_version=12)
            code = response.responses[0].partition_responses[0].error_code
            assert code == 0 or is_retriable(code), response
            return code == 0  # Kafka's topics take a moment to be led

        await until(is_written, "the records are written")

    async def consumer(self, **settings: Any) -> AsyncConsumer:
        """Of a group `g` unless told otherwise; closed at the end."""
        assignors = settings.pop("assignors", {})
        given = {
            "group_id": "g",
            "auto_offset_reset": "earliest",
            "allow_auto_create_topics": False,
            **settings,
        }
        consumer = AsyncConsumer(self.cluster, parse(ConsumerSettings, given), assignors=assignors)
        return await self._stack.enter_async_context(consumer)

    async def close_consumers(self) -> None:
        await self._stack.aclose()

    async def close(self) -> None:
        await self.close_consumers()
        await self.cluster.close()


@contextlib.asynccontextmanager
async def cluster_of(bootstrap_servers: str, **settings: Any) -> AsyncIterator[Cluster]:
    cluster = Cluster(parse(ClientSettings, {"bootstrap.servers": bootstrap_servers, **settings}))
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.close()


@contextlib.asynccontextmanager
async def run_world(**settings: object) -> AsyncIterator[World]:
    async with (
        run_broker_async(settings) as broker,
        cluster_of(broker.bootstrap_servers) as cluster,
    ):
        world = World(broker.bootstrap_servers, cluster)
        try:
            yield world
        finally:
            await world.close()


async def values_of(consumer: AsyncConsumer, count: int, max_records: int = 100) -> list[bytes | None]:
    """The next `count` values."""
    values: list[bytes | None] = []
    while len(values) < count:
        batch = await consumer.poll(min(max_records, count - len(values)), timeout_s=20)
        assert batch is not None, f"only {len(values)} of {count} came"
        values += batch.columns.value
    return values


async def batch_of(consumer: AsyncConsumer, max_records: int = 100) -> Batch:
    batch = await consumer.poll(max_records, timeout_s=20)
    assert batch is not None
    return batch


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for what happens in the background."""
    async with asyncio.timeout(30):
        while True:
            result = condition()
            if result if isinstance(result, bool) else await result:
                return
            await asyncio.sleep(0.02)


def partitions(topic: str, count: int) -> list[TopicPartition]:
    return [TopicPartition(topic, each) for each in range(count)]


class Listener(RebalanceListener):
    def __init__(self) -> None:
        self.told: list[tuple[str, list[TopicPartition]]] = []

    def on_assigned(self, partitions: list[TopicPartition]) -> None:
        self.told.append(("assigned", sorted(partitions)))

    def on_revoked(self, partitions: list[TopicPartition]) -> None:
        self.told.append(("revoked", sorted(partitions)))

    def on_lost(self, partitions: list[TopicPartition]) -> None:
        self.told.append(("lost", sorted(partitions)))


async def poll_together(consumers: list[AsyncConsumer], sizes: list[int]) -> None:
    """Until they have so many partitions each."""
    async with asyncio.timeout(30):
        while sorted(len(each.assignment()) for each in consumers) != sorted(sizes):
            await asyncio.gather(*(each.poll(timeout_s=0.05) for each in consumers))
    held = [part for each in consumers for part in each.assignment()]
    assert len(set(held)) == len(held)
