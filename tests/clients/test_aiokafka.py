"""aiokafka, which speaks older versions of the protocol: records, offsets and groups."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
)

CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
ASSIGNORS = [RangePartitionAssignor, RoundRobinPartitionAssignor, StickyPartitionAssignor]


@pytest.fixture
async def start(broker) -> AsyncIterator[Callable[..., Any]]:
    """Start a client of aiokafka; it is stopped after the test."""
    clients: list[Any] = []

    async def started(kind: Any, *topics: str, **settings: Any) -> Any:
        client = kind(*topics, bootstrap_servers=broker.bootstrap, **settings)
        clients.append(client)
        await client.start()
        return client

    yield started
    for client in reversed(clients):
        await client.stop()


async def read(consumer: AIOKafkaConsumer, count: int) -> list[Any]:
    async with asyncio.timeout(30):
        return [await consumer.getone() for _ in range(count)]


async def read_topic(
    start: Any, topic: str, count: int, partition: int = 0, offset: int = 0, **settings: Any
) -> list[Any]:
    consumer = await start(AIOKafkaConsumer, fetch_max_wait_ms=50, **settings)
    where = TopicPartition(topic, partition)
    consumer.assign([where])
    consumer.seek(where, offset)
    return await read(consumer, count)


@pytest.mark.parametrize("idempotence", [False, True], ids=["plain", "idempotent"])
@pytest.mark.parametrize("codec", CODECS)
async def test_records_come_back_as_they_were_sent(start, make_topic, codec, idempotence):
    topic = make_topic(partitions=2)
    producer = await start(
        AIOKafkaProducer, compression_type=codec, enable_idempotence=idempotence, linger_ms=20
    )
    sent = [
        {
            "partition": n % 2,
            "key": None if n % 5 == 1 else b"key-%d" % n,
            "value": None if n % 5 == 3 else b"value-%d" % n * (n % 40 + 1),
            "headers": [("n", b"%d" % n), ("n", b"again"), ("none", None)] if n % 3 else [],
            "timestamp_ms": 1_600_000_000_000 + n,
        }
        for n in range(200)
    ]
    reports = await asyncio.gather(*[await producer.send(topic, **record) for record in sent])
    assert [(r.partition, r.offset) for r in reports] == [(n % 2, n // 2) for n in range(200)]
    for partition in range(2):
        records = await read_topic(start, topic, 100, partition)
        assert [
            {
                "partition": r.partition,
                "key": r.key,
                "value": r.value,
                "headers": list(r.headers),
                "timestamp_ms": r.timestamp,
            }
            for r in records
        ] == sent[partition::2]


@pytest.mark.parametrize("codec", CODECS)
async def test_records_from_one_byte_to_900_kb(start, make_topic, codec):
    topic = make_topic()
    noise = random.Random(codec)
    values = [noise.randbytes(size) for size in (1, 100, 10_000, 900_000)]
    producer = await start(AIOKafkaProducer, compression_type=codec)
    for value in values:
        await producer.send_and_wait(topic, value)
    assert [record.value for record in await read_topic(start, topic, len(values))] == values


@pytest.mark.parametrize("acks", [0, 1, "all"])
async def test_every_level_of_acknowledgement(start, make_topic, acks):
    topic = make_topic()
    producer = await start(AIOKafkaProducer, acks=acks)
    for _ in range(5):
        await producer.send_and_wait(topic, b"v")
    assert len(await read_topic(start, topic, 5)) == 5


async def test_a_batch_larger_than_the_topic_allows_is_refused(start, make_topic):
    topic = make_topic(config={"max.message.bytes": "1000"})
    producer = await start(AIOKafkaProducer)
    with pytest.raises(MessageSizeTooLargeError):
        await producer.send_and_wait(topic, bytes(5_000))


async def test_reading_starts_in_the_middle_of_a_batch(start, make_topic):
    topic = make_topic()
    producer = await start(AIOKafkaProducer)
    batch = producer.create_batch()
    for n in range(100):
        batch.append(key=None, value=b"%d" % n, timestamp=None)
    await (await producer.send_batch(batch, topic, partition=0))
    for offset in (1, 57, 99):
        records = await read_topic(start, topic, 100 - offset, offset=offset)
        assert [(r.offset, int(r.value)) for r in records] == [(n, n) for n in range(offset, 100)]


async def test_seeking_and_the_ends_of_a_partition(start, make_topic):
    topic = make_topic()
    producer = await start(AIOKafkaProducer)
    for n in range(20):
        await producer.send_and_wait(topic, b"%d" % n)
    where = TopicPartition(topic, 0)
    consumer = await start(AIOKafkaConsumer)
    consumer.assign([where])
    assert await consumer.beginning_offsets([where]) == {where: 0}
    assert await consumer.end_offsets([where]) == {where: 20}
    await consumer.seek_to_beginning(where)
    assert [r.offset for r in await read(consumer, 20)] == list(range(20))
    consumer.seek(where, 12)
    assert (await read(consumer, 1))[0].offset == 12
    await consumer.seek_to_end(where)
    assert await consumer.position(where) == 20
    await producer.send_and_wait(topic, b"new")
    assert (await read(consumer, 1))[0].value == b"new"
    assert consumer.highwater(where) == 21


async def test_offsets_for_times(start, make_topic):
    topic = make_topic()
    producer = await start(AIOKafkaProducer)
    for n in range(10):
        await producer.send_and_wait(topic, b"v", timestamp_ms=1_000 + n * 10)
    consumer = await start(AIOKafkaConsumer)
    where = TopicPartition(topic, 0)

    async def lookup(timestamp: int) -> Any:
        return (await consumer.offsets_for_times({where: timestamp}))[where]

    assert [(await lookup(t)).offset for t in (0, 1_000, 1_001, 1_090)] == [0, 0, 1, 9]
    assert (await lookup(1_001)).timestamp == 1_010
    assert await lookup(1_091) is None


async def test_the_brokers_clock_when_the_topic_says_so(start, make_topic):
    topic = make_topic(config={"message.timestamp.type": "LogAppendTime"})
    producer = await start(AIOKafkaProducer)
    before = time.time_ns() // 1_000_000
    report = await producer.send_and_wait(topic, b"v", timestamp_ms=5)
    (record,) = await read_topic(start, topic, 1)
    assert (record.timestamp_type, report.timestamp_type) == (1, 1)
    assert record.timestamp >= before


async def test_reading_outside_of_the_log(start, make_topic):
    with pytest.raises(OffsetOutOfRangeError):
        await read_topic(start, make_topic(), 1, offset=100, auto_offset_reset="none")


async def test_a_topic_springs_up_when_it_is_first_produced_to(start, new_name):
    topic = new_name("sprung")
    producer = await start(AIOKafkaProducer)
    await producer.send_and_wait(topic, b"first")
    assert (await read_topic(start, topic, 1))[0].value == b"first"


async def test_partitions_of_a_topic_are_known(start, make_topic):
    topic = make_topic(partitions=3)
    producer = await start(AIOKafkaProducer)
    assert await producer.partitions_for(topic) == {0, 1, 2}
    consumer = await start(AIOKafkaConsumer)
    assert topic in await consumer.topics()


class Rebalances(ConsumerRebalanceListener):
    """Counts them."""

    def __init__(self) -> None:
        self.count = 0

    async def on_partitions_revoked(self, revoked: Any) -> None: ...

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self.count += 1


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("assignor", ASSIGNORS, ids=lambda assignor: assignor.name)
async def test_every_record_is_read_while_members_come_and_go(broker, start, make_topic, new_name, assignor):
    topic, group = make_topic(partitions=4), new_name("group")
    settings = {
        "group_id": group,
        "auto_offset_reset": "earliest",
        "auto_commit_interval_ms": 50,
        "heartbeat_interval_ms": 100,
        "session_timeout_ms": broker.session_timeout_ms,
        "partition_assignment_strategy": (assignor,),
    }
    seen: set[int] = set()

    async def read_on(consumer: AIOKafkaConsumer) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=50)).values():
                seen.update(int(record.value) for record in records)

    def shares() -> list[int]:
        return sorted(len(member.assignment()) for member in members)

    members = [await start(AIOKafkaConsumer, topic, **settings) for _ in range(2)]
    readers = [asyncio.create_task(read_on(member)) for member in members]
    producer = await start(AIOKafkaProducer)
    await asyncio.gather(*[await producer.send(topic, b"%d" % n, partition=n % 4) for n in range(200)])
    await until(lambda: shares() == [2, 2] and seen == set(range(200)))
    members.append(await start(AIOKafkaConsumer, topic, **settings))
    readers.append(asyncio.create_task(read_on(members[2])))
    await until(lambda: shares() == [1, 1, 2])
    readers.pop(0).cancel()
    await members.pop(0).stop()
    await until(lambda: shares() == [2, 2])
    await asyncio.gather(*[await producer.send(topic, b"%d" % n, partition=n % 4) for n in range(200, 400)])
    await until(lambda: seen == set(range(400)))
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)


async def test_a_static_member_comes_back_without_a_rebalance(start, make_topic, new_name):
    topic, group = make_topic(partitions=2), new_name("group")
    listener = Rebalances()
    stays = await start(
        AIOKafkaConsumer, group_id=group, group_instance_id="stays", heartbeat_interval_ms=100
    )
    stays.subscribe([topic], listener=listener)
    await until(lambda: listener.count == 1)
    settings = {"group_id": group, "group_instance_id": "returns", "heartbeat_interval_ms": 100}
    returns = await start(AIOKafkaConsumer, topic, **settings)
    await until(lambda: listener.count == 2 and len(stays.assignment()) == len(returns.assignment()) == 1)
    before = returns.assignment()
    await returns.stop()
    returned = await start(AIOKafkaConsumer, topic, **settings)
    await until(lambda: returned.assignment() == before)
    assert listener.count == 2


async def test_commits_keep_offset_and_metadata(start, make_topic, new_name):
    topic, group = make_topic(), new_name("group")
    producer = await start(AIOKafkaProducer)
    for n in range(10):
        await producer.send_and_wait(topic, b"%d" % n)
    settings = {"group_id": group, "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    where = TopicPartition(topic, 0)
    consumer = await start(AIOKafkaConsumer, topic, **settings)
    await read(consumer, 10)
    assert await consumer.committed(where) is None
    await consumer.commit({where: (4, "why")})
    assert await consumer.committed(where) == 4
    await consumer.stop()
    again = await start(AIOKafkaConsumer, topic, **settings)
    assert [int(r.value) for r in await read(again, 6)] == [4, 5, 6, 7, 8, 9]


async def test_a_stranger_may_not_commit_for_a_living_group(start, make_topic, new_name):
    topic, group = make_topic(), new_name("group")
    where = TopicPartition(topic, 0)
    stranger = await start(AIOKafkaConsumer, group_id=group, enable_auto_commit=False)
    stranger.assign([where])
    await stranger.commit({where: 3})
    member = await start(AIOKafkaConsumer, topic, group_id=group)
    await until(lambda: bool(member.assignment()))
    with pytest.raises(CommitFailedError):
        await stranger.commit({where: 5})
