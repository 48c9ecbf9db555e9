"""What a stream processor asks of the client: states restored from logs that are being written to, and inputs
that are given up once they are used.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import pytest

from ottla.client.admin.results import Results
from ottla.client.admin.topics import NewTopic
from ottla.client.connecting import AsyncClient, client_settings
from ottla.client.consumer import AsyncConsumer, NoOffsetError
from ottla.client.consumer.logs import list_offsets
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.positions import EARLIEST_TIMESTAMP, LATEST_TIMESTAMP
from ottla.client.errors import BrokerError
from ottla.protocol.errors import ErrorCode
from ottla.testing import run_broker_async

K = TypeVar("K")

LOG = [TopicPartition("changelog", number) for number in range(2)]
RESTORING: dict[str, Any] = {
    "isolation_level": "read_committed",
    "auto_offset_reset": "none",
    "enable_auto_commit": False,
}
TRANSACTIONS = {"transaction.state.log.num.partitions": "1"}


@pytest.fixture
async def c() -> AsyncIterator[AsyncClient]:
    async with (
        run_broker_async(TRANSACTIONS) as broker,
        AsyncClient(client_settings(broker.bootstrap_servers, {}, {})) as made,
    ):
        yield made


async def create(c: AsyncClient, topic: str, **configs: str) -> None:
    (await c.admin.topics.create([NewTopic(topic, partitions=2, configs=configs)])).check()
    async with asyncio.timeout(30):  # Kafka's topics take a moment to be led
        while len((await c.cluster.refresh([topic])).partitions_of(topic)) < 2:
            await asyncio.sleep(0.05)


def refusal(results: Results[K, object], of: K) -> ErrorCode:
    error = results.errors[of]
    assert isinstance(error, BrokerError)
    return error.code


async def end(c: AsyncClient, partition: TopicPartition, isolation_level: int) -> int:
    found = await list_offsets(c.cluster, {partition: LATEST_TIMESTAMP}, isolation_level=isolation_level)
    return found[partition].offset


async def read_up_to(consumer: AsyncConsumer, partition: TopicPartition, offset: int) -> list[bytes | None]:
    """All values until the position is there, whatever the log has at its end."""
    values: list[bytes | None] = []
    async with asyncio.timeout(30):
        while await consumer.position(partition) < offset:
            batch = await consumer.poll(timeout_s=0.05)
            if batch is not None:
                values += [
                    value
                    for number, value in zip(batch.columns.partition, batch.columns.value, strict=True)
                    if number == partition.partition
                ]
    return values


async def test_state_is_restored_up_to_what_is_committed(c: AsyncClient) -> None:
    await create(c, "changelog", **{"cleanup.policy": "compact"})
    async with c.producer(transactional_id="task") as writer, c.consumer(**RESTORING) as reader:
        for value in (b"1", b"2"):
            async with writer.transaction() as tx:
                await tx.send("changelog", value, key=b"k", partition=0)
        await writer.begin_transaction()
        await (await writer.send("changelog", b"aborted", key=b"k", partition=0))
        await writer.abort_transaction()
        await writer.begin_transaction()
        await (await writer.send("changelog", b"open", key=b"k", partition=0))

        async with asyncio.timeout(30):  # markers come behind the answer
            while await end(c, LOG[0], 1) < 6:
                await asyncio.sleep(0.05)
        assert (await end(c, LOG[0], 1), await end(c, LOG[0], 0)) == (6, 7)
        reader.assign([LOG[0]])
        reader.seek(LOG[0], 0)
        assert await read_up_to(reader, LOG[0], 6) == [b"1", b"2"]
        assert await reader.poll(timeout_s=0.3) is None
        assert await reader.position(LOG[0]) == 6
        await writer.commit_transaction()
        assert await read_up_to(reader, LOG[0], 7) == [b"open"]


async def test_partitions_come_and_go_while_others_are_restored(c: AsyncClient) -> None:
    await create(c, "changelog")
    async with c.producer() as writer, c.consumer(**RESTORING) as reader:
        for number in range(10):
            for partition in LOG:
                await writer.send("changelog", b"%d" % number, partition=partition.partition)
        await writer.flush()
        reader.assign([LOG[0]])
        reader.seek(LOG[0], 4)
        assert await read_up_to(reader, LOG[0], 10) == [b"%d" % number for number in range(4, 10)]
        reader.pause([LOG[0]])
        await (await writer.send("changelog", b"later", partition=0))
        reader.assign(LOG)
        reader.seek(LOG[1], 7)
        assert reader.paused() == [LOG[0]]
        assert await read_up_to(reader, LOG[1], 10) == [b"7", b"8", b"9"]
        assert await reader.position(LOG[0]) == 10
        reader.assign([LOG[0]])
        reader.resume([LOG[0]])
        assert await read_up_to(reader, LOG[0], 11) == [b"later"]


async def test_what_was_used_of_an_inner_topic_is_deleted(c: AsyncClient) -> None:
    await create(c, "inner")
    inner = TopicPartition("inner", 0)
    async with c.producer() as writer, c.consumer(**RESTORING) as reader:
        for number in range(6):
            await writer.send("inner", b"%d" % number, partition=0)
        await writer.flush()
        assert (await c.admin.records.delete({inner: 4}))[inner] == 4
        found = await list_offsets(c.cluster, {inner: EARLIEST_TIMESTAMP})
        assert found[inner].offset == 4
        reader.assign([inner])
        reader.seek(inner, 2)
        with pytest.raises(NoOffsetError, match="offset 2 is out of range"):
            await reader.poll(timeout_s=10)
        reader.seek_to_beginning([inner])
        assert await read_up_to(reader, inner, 6) == [b"4", b"5"]
        deleted = await c.admin.records.delete({inner: 99, TopicPartition("inner", 1): -1})
        assert deleted[TopicPartition("inner", 1)] == 0
        assert refusal(deleted, inner) is ErrorCode.offset_out_of_range


async def test_inner_topics_are_made_by_whoever_comes_first(c: AsyncClient) -> None:
    await create(c, "inner", **{"cleanup.policy": "compact,delete", "retention.ms": "1000"})
    again = await c.admin.topics.create([NewTopic("inner", partitions=3), NewTopic("other", partitions=3)])
    assert refusal(again, "inner") is ErrorCode.topic_already_exists
    async with asyncio.timeout(30):
        while not {"inner", "other"} <= {each.name for each in await c.admin.topics.list()}:
            await asyncio.sleep(0.05)
    described = await c.admin.topics.describe(["inner", "other", "neither"])
    assert [len(described[each].partitions) for each in ("inner", "other")] == [2, 3]
    assert refusal(described, "neither") is ErrorCode.unknown_topic_or_partition
