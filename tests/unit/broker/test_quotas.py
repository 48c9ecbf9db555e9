"""Clients are held to their quotas: who takes too much is told how long to wait, and muted meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.raw_client import API_VERSIONS, CREATE_TOPICS, FETCH, METADATA, PRODUCE, RawClient, connect
from tests.running_broker import Topic, create_topic

from ottla.broker.assembly import Broker
from ottla.broker.meter import Meter
from ottla.broker.router import throttle_time_at
from ottla.protocol.errors import ErrorCode
from ottla.records.codec import Record, encode_batch
from ottla.testing import run_broker_async

from .test_settings import client_of, eventually, running

ALTER_CLIENT_QUOTAS, CREATE_PARTITIONS, DELETE_TOPICS = 49, 37, 20
RAW = [{"entity_type": "client-id", "entity_name": "raw"}]
"""The id of test clients"""


def batch(size: int) -> bytes:
    return encode_batch([Record(0, 0, None, bytes(size), ())])


async def limit(client: RawClient, entity: list[dict[str, Any]] = RAW, **quotas: float | None) -> None:
    ops = [{"key": name, "value": value or 0, "remove": value is None} for name, value in quotas.items()]
    answer = await client.call(ALTER_CLIENT_QUOTAS, 1, {"entries": [{"entity": entity, "ops": ops}]})
    assert answer["entries"][0]["error_code"] == 0


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with running(tmp_path, {}) as broker:
        yield broker


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[RawClient]:
    async with client_of(broker) as client:
        yield client


async def limit_of_other(broker: Broker, **quotas: float | None) -> None:
    """Set over another connection, as the first may be muted."""
    async with client_of(broker) as other:
        await limit(other, **quotas)


async def produce(client: RawClient, topic: Topic, size: int, version: int = 8) -> dict[str, Any]:
    named = {"topic_id": topic.topic_id} if version >= 13 else {"name": topic.name}
    data = {**named, "partition_data": [{"index": 0, "records": batch(size)}]}
    return dict(await client.call(PRODUCE, version, {"acks": 1, "timeout_ms": 1000, "topic_data": [data]}))


async def is_muted(client: RawClient, broker: Broker) -> bool:
    """Whether another client, which asks later, is answered first."""
    asked = asyncio.ensure_future(client.call(METADATA, 9, {"topics": []}))
    async with client_of(broker) as other:
        await other.call(METADATA, 9, {"topics": []})
    was_answered = asked.done()
    asked.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asked
    return not was_answered


@pytest.mark.parametrize("version", [3, 8, 9, 13])
async def test_who_produces_too_much_waits(broker: Broker, client: RawClient, version: int) -> None:
    topic = await create_topic(client)
    await limit(client, producer_byte_rate=10_000)
    assert (await produce(client, topic, 50_000, version))["throttle_time_ms"] == 0
    assert not await is_muted(client, broker)
    answer = await produce(client, topic, 100_000, version)
    assert answer["responses"][0]["partition_responses"][0]["error_code"] == 0
    assert 4000 < answer["throttle_time_ms"] < 5100
    assert await is_muted(client, broker)


async def test_a_producer_without_answers_is_muted_too(broker: Broker, client: RawClient) -> None:
    topic = await create_topic(client)
    await limit(client, producer_byte_rate=10_000)
    data = {"name": topic.name, "partition_data": [{"index": 0, "records": batch(200_000)}]}
    client.send(PRODUCE, 8, {"acks": 0, "timeout_ms": 1000, "topic_data": [data]})
    log = broker.partitions.get(topic.name, 0).log
    await eventually(lambda: log.log_end_offset == 1)
    assert await is_muted(client, broker)


async def test_a_mute_ends(broker: Broker, client: RawClient) -> None:
    topic = await create_topic(client)
    await limit(client, producer_byte_rate=100_000)
    answer = await produce(client, topic, 1_010_000 - 100)
    assert 0 < answer["throttle_time_ms"] <= 100
    await client.call(METADATA, 9, {"topics": []})


async def test_who_fetches_too_much_gets_nothing_and_waits(broker: Broker, client: RawClient) -> None:
    topic = await create_topic(client)
    for _ in range(2):
        await produce(client, topic, 60_000)
    await limit(client, consumer_byte_rate=10_000)
    asked = topic.fetch_request(0, partition_max_bytes=60_100, max_bytes=1 << 20)
    first = await client.call(FETCH, 12, {**asked, "session_id": 0, "session_epoch": 0})
    assert first["throttle_time_ms"] == 0
    assert first["session_id"] != 0
    again = topic.fetch_request(1, partition_max_bytes=60_100, max_bytes=1 << 20)
    refused = await client.call(FETCH, 12, {**again, "session_id": first["session_id"], "session_epoch": 1})
    assert 1000 < refused["throttle_time_ms"] < 2100
    assert refused["responses"] == []
    assert refused["session_id"] == first["session_id"]
    assert await is_muted(client, broker)
    # What was not given does not count: the session goes on where it was, once there is room again.
    await limit_of_other(broker, consumer_byte_rate=1_000_000)
    async with client_of(broker) as other:
        asked = {**again, "topics": [], "session_id": first["session_id"], "session_epoch": 2}
        given = await other.call(FETCH, 12, asked)
    assert given["throttle_time_ms"] == 0
    assert len(given["responses"][0]["partitions"][0]["records"]) > 60_000


async def test_no_session_begins_with_an_empty_answer(broker: Broker, client: RawClient) -> None:
    topic = await create_topic(client)
    await produce(client, topic, 50_000)
    await limit(client, consumer_byte_rate=1_000)
    asked = topic.fetch_request(0, max_bytes=1 << 20, session_id=0, session_epoch=0)
    answer = await client.call(FETCH, 12, asked)
    # The first batch is given whole, however large, so it is over the quota by itself.
    assert answer["throttle_time_ms"] > 0
    assert answer["responses"] == []
    assert answer["session_id"] == 0


@pytest.mark.parametrize("version", [5, 6])
async def test_who_changes_too_many_partitions(client: RawClient, version: int) -> None:
    await limit(client, controller_mutation_rate=1)  # a bucket of 11

    async def create(name: str, partitions: int) -> tuple[int, int]:
        asked = [{"name": name, "num_partitions": partitions, "replication_factor": 1}]
        answer = await client.call(CREATE_TOPICS, version, {"topics": asked, "timeout_ms": 1000})
        return answer["topics"][0]["error_code"], answer["throttle_time_ms"]

    assert await create("a", 10) == (0, 0)
    code, wait_ms = await create("b", 2)
    assert code == 0
    assert (wait_ms > 0) == (version < 6)


async def test_strict_clients_are_refused(broker: Broker, client: RawClient) -> None:
    await limit(client, controller_mutation_rate=1)
    asked = [{"name": "large", "num_partitions": 100, "replication_factor": 1}]
    made = await client.call(CREATE_TOPICS, 7, {"topics": asked, "timeout_ms": 1000})
    assert (made["topics"][0]["error_code"], made["throttle_time_ms"]) == (0, 0)
    growth = [{"name": "large", "count": 101, "assignments": None}]
    grown = await client.call(CREATE_PARTITIONS, 3, {"topics": growth, "timeout_ms": 1000})
    assert grown["results"][0]["error_code"] == ErrorCode.throttling_quota_exceeded
    assert 80_000 < grown["throttle_time_ms"] <= 89_000
    assert await is_muted(client, broker)
    async with client_of(broker) as other:
        gone = await other.call(DELETE_TOPICS, 5, {"topic_names": ["large"], "timeout_ms": 1000})
    assert gone["responses"][0]["error_code"] == ErrorCode.throttling_quota_exceeded
    assert "large" in broker.image.topics


async def test_the_time_of_requests(broker: Broker, client: RawClient) -> None:
    topic = await create_topic(client)
    # So little that any request is more than it.
    await limit(client, request_percentage=1e-9)
    for api, version, request in (
        (METADATA, 9, {"topics": None}),  # its answer is encoded already
        (CREATE_TOPICS, 7, {"topics": [], "timeout_ms": 1000}),
        (FETCH, 12, topic.fetch_request()),
        (FETCH, 12, topic.fetch_request(max_wait_ms=20, min_bytes=1)),
        (PRODUCE, 8, {"acks": 1, "timeout_ms": 1000, "topic_data": []}),
    ):
        async with client_of(broker) as other:
            answer = await other.call(api, version, request)
            assert answer["throttle_time_ms"] == 1000, api  # one sample at most
            assert await is_muted(other, broker)


async def test_without_quotas_nothing_is_counted(broker: Broker, client: RawClient) -> None:
    await limit(client, producer_byte_rate=1, consumer_byte_rate=1, request_percentage=1)
    quotas = broker._quotas
    assert quotas.produce is not None
    await limit_of_other(broker, producer_byte_rate=None, consumer_byte_rate=None, request_percentage=None)
    assert (quotas.produce, quotas.fetch, quotas.time, quotas.mutations) == (None, None, None, None)


def ticking() -> Iterator[float]:
    return (float(second) for second in itertools.count())


async def test_only_the_steps_of_a_request_are_counted() -> None:
    clock = ticking()
    meter = Meter(lambda: next(clock))

    async def work() -> str:
        await asyncio.sleep(0)
        with contextlib.suppress(ValueError):
            await failing()
        return "done"

    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("so")

    meter.pause()
    meter.seconds()
    assert await meter.counted(work()) == "done"
    assert meter.seconds() == 3  # steps of one second; the waits between are not counted
    with pytest.raises(ValueError, match="so"):
        await meter.counted(failing())
    task = asyncio.ensure_future(meter.counted(asyncio.sleep(60)))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_where_answers_that_are_encoded_have_their_wait() -> None:
    assert throttle_time_at(METADATA, 9) == 9
    assert throttle_time_at(METADATA, 3) == 8
    assert throttle_time_at(METADATA, 2) is None
    assert throttle_time_at(PRODUCE, 8) is None


async def test_connections_that_come_too_fast(tmp_path: Path) -> None:
    async with running(tmp_path, {}) as broker, client_of(broker) as client:
        address = [{"entity_type": "ip", "entity_name": "127.0.0.1"}]
        await limit(client, address, connection_creation_rate=1)
        async with contextlib.AsyncExitStack() as stack:
            others = [await stack.enter_async_context(client_of(broker)) for _ in range(11)]
            for other in others[:10]:
                await other.call(METADATA, 9, {"topics": []})
            assert await others[10].is_closed()
        await limit(
            client, [{"entity_type": "ip", "entity_name": "127.0.0.1"}], connection_creation_rate=None
        )
        async with client_of(broker) as other:
            await other.call(METADATA, 9, {"topics": []})


async def test_who_has_not_said_who_he_is_spends_nobodys_quota() -> None:
    line = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="pass";'
    settings = {
        "listeners": "SASL_PLAINTEXT://127.0.0.1:0",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": line,
    }
    named = {"client_software_name": "x", "client_software_version": "1"}

    async def say_who(client: RawClient) -> None:
        await client.call(17, 1, {"mechanism": "PLAIN"})
        assert (await client.call(36, 2, {"auth_bytes": b"\0ann\0pass"}))["error_code"] == 0

    async with run_broker_async(settings) as broker, connect(broker.host, broker.port) as client:
        await say_who(client)
        await limit(client, request_percentage=1e-9)
        async with connect(broker.host, broker.port) as other:
            assert (await other.call(API_VERSIONS, 3, named))["throttle_time_ms"] == 0
            await say_who(other)
            assert (await other.call(API_VERSIONS, 3, named))["throttle_time_ms"] > 0
