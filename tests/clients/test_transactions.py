"""Transactions of three clients: commit, abort, fencing, consume-transform-produce, restarts."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import ProducerFenced
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaTopicPartition
from kafka.errors import ProducerFencedError
from kafka.structs import OffsetAndMetadata

TIMEOUT_S = 30
FENCED_CODES = {"_FENCED", "INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED"}


@pytest.fixture
def transactional_id() -> str:
    return f"x-{uuid.uuid4()}"


@pytest.fixture
def producer(broker, transactional_id: str) -> Callable[..., Producer]:
    """A producer of confluent-kafka that has its transactional id."""

    def make(at: Any = broker, **settings: Any) -> Producer:
        made = Producer(
            {
                "bootstrap.servers": at.bootstrap,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": 10_000,
                **settings,
            }
        )
        made.init_transactions(TIMEOUT_S)
        return made

    return make


@contextlib.contextmanager
def reading(at: Any, topic: str, *, isolation: str = "read_committed") -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": at.bootstrap,
            "group.id": f"g-{uuid.uuid4()}",
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        yield consumer
    finally:
        consumer.close()


def values(at: Any, topic: str, *, isolation: str = "read_committed") -> list[bytes]:
    """All that can be read of a topic's only partition."""
    with reading(at, topic, isolation=isolation) as consumer:
        found = []
        while True:
            message = consumer.poll(TIMEOUT_S)
            assert message is not None
            if message.error():
                return found
            found.append(message.value())


def values_until(at: Any, topic: str, count: int) -> list[bytes]:
    """The same once so many can be read: markers are written after the answer to a commit."""
    deadline = time.monotonic() + TIMEOUT_S
    while len(found := values(at, topic)) < count and time.monotonic() < deadline:
        pass
    return found


def transact(producer: Producer, topic: str, *sent: bytes, commit: bool = True) -> None:
    producer.begin_transaction()
    for value in sent:
        producer.produce(topic, value, partition=0)
    producer.flush(TIMEOUT_S)
    if commit:
        producer.commit_transaction(TIMEOUT_S)
    else:
        producer.abort_transaction(TIMEOUT_S)


def test_what_is_committed_is_read_and_what_is_aborted_is_not(broker, make_topic, producer):
    topic = make_topic()
    writing = producer()
    transact(writing, topic, b"a", b"b")
    transact(writing, topic, b"c", commit=False)
    transact(writing, topic, b"d")
    assert values_until(broker, topic, 3) == [b"a", b"b", b"d"]
    assert values(broker, topic, isolation="read_uncommitted") == [b"a", b"b", b"c", b"d"]
    writing.begin_transaction()
    writing.produce(topic, b"open", partition=0)
    writing.flush(TIMEOUT_S)
    assert values(broker, topic) == [b"a", b"b", b"d"]
    assert values(broker, topic, isolation="read_uncommitted")[-1] == b"open"
    writing.abort_transaction(TIMEOUT_S)


def test_a_zombie_can_neither_write_nor_commit(broker, make_topic, producer):
    topic = make_topic()
    zombie = producer()
    zombie.begin_transaction()
    zombie.produce(topic, b"lost", partition=0)
    zombie.flush(TIMEOUT_S)
    successor = producer()
    transact(successor, topic, b"kept")
    with pytest.raises(KafkaException) as refused:
        zombie.commit_transaction(TIMEOUT_S)
    assert refused.value.args[0].name() in FENCED_CODES
    assert refused.value.args[0].fatal()
    assert values_until(broker, topic, 1) == [b"kept"]


def test_offsets_are_committed_with_what_was_made_of_them(broker, make_topic, producer, confluent):
    source, sink, group = make_topic(), make_topic(), f"g-{uuid.uuid4()}"
    clients = confluent
    clients.produce(clients.producer(), source, [{"value": b"%d" % number} for number in range(6)])
    consumer = clients.consumer(group)
    consumer.subscribe([source])
    writing = producer()
    for commit in (True, False, True):
        batch = [message.value() for message in clients.read(consumer, 2)]
        writing.begin_transaction()
        for value in batch:
            writing.produce(sink, b"seen " + value, partition=0)
        positions = consumer.position([TopicPartition(source, 0)])
        writing.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), TIMEOUT_S)
        if commit:
            writing.commit_transaction(TIMEOUT_S)
        else:
            writing.abort_transaction(TIMEOUT_S)
            (committed,) = consumer.committed([TopicPartition(source, 0)], timeout=TIMEOUT_S)
            assert committed.offset == 2
            consumer.seek(TopicPartition(source, 0, committed.offset))
    (committed,) = consumer.committed([TopicPartition(source, 0)], timeout=TIMEOUT_S)
    assert committed.offset == 4
    assert values_until(broker, sink, 4) == [b"seen %d" % number for number in range(4)]


def test_a_transaction_that_takes_too_long_is_aborted(make_broker, make_topic, producer):
    at = make_broker(**{"transaction.abort.timed.out.transaction.cleanup.interval.ms": "100"})
    topic = make_topic(at=at)
    slow = producer(at, **{"transaction.timeout.ms": 1000})
    slow.begin_transaction()
    slow.produce(topic, b"late", partition=0)
    slow.flush(TIMEOUT_S)
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            with reading(at, topic) as consumer:
                (_, stable) = consumer.get_watermark_offsets(TopicPartition(topic, 0), TIMEOUT_S)
            if stable == 2:  # the record and the marker that aborts it
                break
        except KafkaException:
            pass
        time.sleep(0.05)
    with pytest.raises(KafkaException) as refused:
        slow.commit_transaction(TIMEOUT_S)
    assert refused.value.args[0].name() in FENCED_CODES
    assert values(at, topic) == []


@pytest.mark.parametrize("stop", ["restart", "kill_and_start"])
def test_an_open_transaction_goes_on_after_a_restart(make_broker, make_topic, producer, stop):
    at = make_broker()
    topic = make_topic(at=at)
    writing = producer(at, **{"reconnect.backoff.max.ms": 200, "transaction.timeout.ms": 60_000})
    transact(writing, topic, b"before")
    writing.begin_transaction()
    writing.produce(topic, b"a", partition=0)
    writing.flush(TIMEOUT_S)
    getattr(at, stop)()
    writing.produce(topic, b"b", partition=0)
    writing.flush(TIMEOUT_S)
    writing.commit_transaction(TIMEOUT_S)
    transact(writing, topic, b"aborted", commit=False)
    transact(writing, topic, b"after")
    assert values_until(at, topic, 4) == [b"before", b"a", b"b", b"after"]


def test_what_was_committed_stays_so_though_the_broker_is_killed_at_once(make_broker, make_topic, producer):
    """The answer comes with the decision, before the markers: the next broker writes what is missing."""
    at = make_broker()
    topic = make_topic(at=at)
    writing = producer(at, **{"reconnect.backoff.max.ms": 200, "transaction.timeout.ms": 60_000})
    for number in range(5):
        transact(writing, topic, b"%d" % number)
        at.kill_and_start()
    assert values_until(at, topic, 5) == [b"%d" % number for number in range(5)]


async def test_aiokafka(broker, make_topic, transactional_id):
    source, sink, group = make_topic(), make_topic(), f"g-{uuid.uuid4()}"

    async def start(**settings: Any) -> AIOKafkaProducer:
        made = AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap, transactional_id=transactional_id, **settings
        )
        await made.start()
        return made

    first = await start()
    consumer = AIOKafkaConsumer(
        source,
        bootstrap_servers=broker.bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        async with first.transaction():
            for number in range(3):
                await first.send(source, b"%d" % number, partition=0)
        with contextlib.suppress(ZeroDivisionError):
            async with first.transaction():
                await first.send_and_wait(source, b"aborted", partition=0)
                raise ZeroDivisionError
        offsets = {}
        async with first.transaction():
            for _ in range(3):
                record = await asyncio.wait_for(consumer.getone(), TIMEOUT_S)
                await first.send(sink, b"seen " + record.value, partition=0)
                (assigned,) = consumer.assignment()
                offsets = {assigned: record.offset + 1}
            await first.send_offsets_to_transaction(offsets, group)
        async with asyncio.timeout(TIMEOUT_S):
            while await consumer.committed(assigned) != 3:  # it counts from the marker on
                await asyncio.sleep(0.01)
        await first.begin_transaction()
        await first.send_and_wait(sink, b"zombie", partition=0)
        second = await start()
        try:
            with pytest.raises(ProducerFenced):
                await first.commit_transaction()
            async with second.transaction():
                await second.send(sink, b"kept", partition=0)
        finally:
            await second.stop()
    finally:
        await consumer.stop()
        with contextlib.suppress(ProducerFenced):
            await first.stop()
    assert values_until(broker, sink, 4) == [b"seen 0", b"seen 1", b"seen 2", b"kept"]


def test_kafka_python(broker, make_topic, transactional_id):
    source, sink, group = make_topic(), make_topic(), f"g-{uuid.uuid4()}"

    def start() -> KafkaProducer:
        made = KafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id=transactional_id)
        made.init_transactions()
        return made

    first = start()
    consumer = KafkaConsumer(
        source,
        bootstrap_servers=broker.bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    try:
        for value, commit in ((b"0", True), (b"aborted", False), (b"1", True)):
            first.begin_transaction()
            first.send(source, value, partition=0)
            first.flush()
            first.commit_transaction() if commit else first.abort_transaction()
        read: list[Any] = []
        deadline = time.monotonic() + TIMEOUT_S
        while len(read) < 2 and time.monotonic() < deadline:
            for polled in consumer.poll(500).values():
                read += polled
        assert [record.value for record in read] == [b"0", b"1"]
        first.begin_transaction()
        for record in read:
            first.send(sink, b"seen " + record.value, partition=0)
        partition = KafkaTopicPartition(source, 0)
        offsets = {partition: OffsetAndMetadata(read[-1].offset + 1, "", -1)}
        first.send_offsets_to_transaction(offsets, group)
        first.commit_transaction()
        deadline = time.monotonic() + TIMEOUT_S
        while consumer.committed(partition) != read[-1].offset + 1:  # it counts from the marker on
            assert time.monotonic() < deadline
            time.sleep(0.01)
        first.begin_transaction()
        first.send(sink, b"zombie", partition=0)
        first.flush()
        second = start()
        try:
            with pytest.raises(ProducerFencedError):
                first.commit_transaction()
            second.begin_transaction()
            second.send(sink, b"kept", partition=0)
            second.commit_transaction()
        finally:
            second.close()
    finally:
        consumer.close()
        first.close()
    assert values_until(broker, sink, 3) == [b"seen 0", b"seen 1", b"kept"]
