"""Clients over a restart of their broker: what was acknowledged is there, and they go on by themselves."""

import gc
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import ConfigResource
from kafka import KafkaConsumer, KafkaProducer

# kafka-python leaves the sockets of refused connections to the garbage collector, which then warns of them.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

RESTARTS = ["restart", "kill_and_start"]
CLASSIC = {"partition_assignment_strategy": "range"}
CONSUMER = {"group_protocol": "consumer"}


@pytest.fixture(autouse=True)
def _collect_sockets(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.CRITICAL + 1, logger="kafka")  # its log records hold on to the sockets
    yield
    gc.collect()


@pytest.fixture
def own(make_broker) -> Any:
    return make_broker()


@pytest.fixture
def clients(own, confluent_at) -> Any:
    return confluent_at(own)


def numbered(start: int, stop: int) -> list[dict[str, Any]]:
    return [{"value": b"%d" % n} for n in range(start, stop)]


@pytest.mark.parametrize("restart", RESTARTS)
@pytest.mark.parametrize("settings", [CLASSIC, CONSUMER], ids=["classic", "consumer"])
def test_confluent_goes_on_after_a_restart(own, clients, make_topic, settings, restart):
    topic = make_topic(at=own, config={"retention.ms": "7777777"})
    producer = clients.producer(enable_idempotence=True, reconnect_backoff_max_ms=200)
    consumer = clients.consumer("group", reconnect_backoff_max_ms=200, **settings)
    consumer.subscribe([topic])
    clients.produce(producer, topic, numbered(0, 100))
    assert [int(m.value()) for m in clients.read(consumer, 100)] == list(range(100))
    consumer.commit(asynchronous=False)
    getattr(own, restart)()
    clients.produce(producer, topic, numbered(100, 200))
    assert [int(m.value()) for m in clients.read(consumer, 100)] == list(range(100, 200))
    consumer.close()
    (committed,) = clients.consumer("group").committed([TopicPartition(topic, 0)], timeout=20)
    assert committed.offset == 100
    assert [int(m.value()) for m in clients.read_from(topic, 200)] == list(range(200))
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    admin = clients.admin()
    assert admin.describe_configs([resource])[resource].result(20)["retention.ms"].value == "7777777"


@pytest.mark.parametrize("restart", RESTARTS)
async def test_aiokafka_finds_its_place_after_a_restart(own, make_topic, restart):
    topic = make_topic(at=own)
    settings = {"bootstrap_servers": own.bootstrap, "group_id": "group", "auto_offset_reset": "earliest"}
    async with AIOKafkaProducer(bootstrap_servers=own.bootstrap, acks="all") as producer:
        for n in range(20):
            await producer.send_and_wait(topic, b"%d" % n)
        async with AIOKafkaConsumer(topic, enable_auto_commit=False, **settings) as consumer:
            for _ in range(10):
                await consumer.getone()
            await consumer.commit()
        getattr(own, restart)()
        for n in range(20, 30):
            await producer.send_and_wait(topic, b"%d" % n)
    async with AIOKafkaConsumer(topic, **settings) as consumer:
        assert [int((await consumer.getone()).value) for _ in range(20)] == list(range(10, 30))


@pytest.mark.parametrize("restart", RESTARTS)
def test_kafka_python_finds_its_place_after_a_restart(own, make_topic, restart):
    topic = make_topic(at=own)
    settings = {"bootstrap_servers": own.bootstrap, "group_id": "group", "auto_offset_reset": "earliest"}
    with KafkaProducer(bootstrap_servers=own.bootstrap, acks="all") as producer:
        for n in range(20):
            producer.send(topic, b"%d" % n).get(30)
        with KafkaConsumer(topic, enable_auto_commit=False, max_poll_records=10, **settings) as consumer:
            assert [int(next(consumer).value) for _ in range(10)] == list(range(10))
            consumer.commit()
        getattr(own, restart)()
        for n in range(20, 30):
            producer.send(topic, b"%d" % n).get(30)
    with KafkaConsumer(topic, **settings) as consumer:
        assert [int(next(consumer).value) for _ in range(20)] == list(range(10, 30))


def test_an_idempotent_producer_keeps_its_order_over_kills(own, clients, make_topic):
    topic = make_topic(at=own)
    producer = clients.producer(enable_idempotence=True, reconnect_backoff_max_ms=100, linger_ms=1)
    for round_ in range(3):
        for record in numbered(round_ * 1000, round_ * 1000 + 1000):
            producer.produce(topic, **record)
        producer.poll(0.01)
        own.kill_and_start()
    assert producer.flush(60) == 0
    values = [int(m.value()) for m in clients.read_from(topic, 3000)]
    assert values == list(range(3000))
