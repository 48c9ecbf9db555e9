"""A real client that sends and reads without end, held to its quota, and another one beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from ottla.client import connect

RATE = 400_000
"""Bytes a second"""
VALUE = bytes(range(256)) * 32
MEASURED_S, FULL_S = 4.0, 30.0
SHORT_WINDOW = {"quota.window.num": "3"}
"""Of which two seconds may be taken at once, so that the rate is seen soon"""


@pytest.fixture
def limited(make_broker: Callable[..., Any]) -> Any:
    """A broker where the client `noisy` may produce and consume at RATE."""
    broker = make_broker(**SHORT_WINDOW)
    with connect(broker.bootstrap) as client:
        quotas = {"producer_byte_rate": float(RATE), "consumer_byte_rate": float(RATE)}
        client.admin.quotas.alter({frozenset({("client-id", "noisy")}): quotas}).check()
    return broker


class Noisy:
    """Counts what it gets through, in a thread, until it is stopped."""

    def __init__(self, work: Iterator[int]) -> None:
        self.taken = 0
        self._work = work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for size in self._work:
            self.taken += size
            if self._stop.is_set():
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def producing(bootstrap: str, topic: str) -> Iterator[int]:
    settings = {"bootstrap.servers": bootstrap, "client.id": "noisy", "queue.buffering.max.messages": 100}
    producer = Producer({**settings, "linger.ms": 5, "batch.num.messages": 8})
    delivered = [0]

    def count(_error: object, message: Any) -> None:
        delivered[0] += len(message.value())

    while True:
        try:
            producer.produce(topic, VALUE, on_delivery=count)
        except BufferError:
            producer.poll(0.01)
        producer.poll(0)
        sent, delivered[0] = delivered[0], 0
        yield sent


def consuming(bootstrap: str, topic: str) -> Iterator[int]:
    settings = {"bootstrap.servers": bootstrap, "client.id": "noisy", "group.id": "unused"}
    consumer = Consumer({**settings, "fetch.message.max.bytes": 100_000, "queued.min.messages": 1})
    try:
        while True:
            consumer.assign([TopicPartition(topic, 0, 0)])
            for _ in range(200):
                message = consumer.poll(0.05)
                yield 0 if message is None or message.error() else len(message.value())
    finally:
        consumer.close()


def rate_of(noisy: Noisy, seconds: float) -> float:
    """Bytes a second, once it has taken what it may take at once."""
    time.sleep(3)
    before, began_s = noisy.taken, time.monotonic()
    time.sleep(seconds)
    return (noisy.taken - before) / (time.monotonic() - began_s)


def test_a_noisy_producer_is_held_to_its_rate(
    limited: Any, make_topic: Callable[..., str], request: pytest.FixtureRequest
) -> None:
    topic, quiet = make_topic(at=limited), make_topic(at=limited)
    is_full = request.config.getoption("--full")
    with Noisy(producing(limited.bootstrap, topic)) as noisy, connect(limited.bootstrap) as client:
        rate = rate_of(noisy, FULL_S if is_full else MEASURED_S)
        # Another one is served meanwhile.
        with client.producer() as producer:
            assert [producer.send(quiet, b"v").result().offset for _ in range(20)] == list(range(20))
    assert rate < 1.1 * RATE
    # A machine that is busy with other things may give less in the short form.
    assert rate > (0.9 if is_full else 0.5) * RATE


def test_a_noisy_consumer_is_held_to_its_rate(
    limited: Any, make_topic: Callable[..., str], request: pytest.FixtureRequest
) -> None:
    topic = make_topic(at=limited)
    with connect(limited.bootstrap) as client, client.producer() as producer:
        for _ in range(200):
            producer.send(topic, VALUE)
    is_full = request.config.getoption("--full")
    with Noisy(consuming(limited.bootstrap, topic)) as noisy:
        rate = rate_of(noisy, FULL_S if is_full else MEASURED_S)
    assert 0 < rate < 1.1 * RATE
