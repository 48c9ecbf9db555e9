"""Producing to a real broker: records, columns, and what happens when it is gone for a while."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import murmur2

from ottla.client.columns.columns import Columns, Record
from ottla.client.core.transactions import TransactionStateError
from ottla.client.errors import (
    BrokerError,
    ClientClosedError,
    ConfigurationError,
    DisconnectedError,
    RequestTimeoutError,
)
from ottla.client.net.cluster import Cluster
from ottla.client.producer.producer import AsyncProducer
from ottla.client.producer.settings import ProducerSettings
from ottla.client.settings import ClientSettings, parse
from ottla.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from ottla.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicState
from ottla.protocol.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from ottla.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from ottla.records import codec
from ottla.records.batch import iter_headers
from ottla.testing import InProcessBroker, run_broker_async

SETTINGS = ClientSettings(
    retry_backoff_ms=5, retry_backoff_max_ms=50, reconnect_backoff_ms=5, reconnect_backoff_max_ms=20
)


@contextlib.asynccontextmanager
async def cluster_of(broker: InProcessBroker) -> AsyncIterator[Cluster]:
    cluster = Cluster(dataclasses.replace(SETTINGS, bootstrap_servers=(broker.bootstrap_servers,)))
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.close()


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with run_broker_async() as broker, cluster_of(broker) as cluster:
        yield cluster


def producer(cluster: Cluster, **settings: Any) -> AsyncProducer:
    chosen = {"retry.backoff.ms": 5, "retry.backoff.max.ms": 50, **settings}
    return AsyncProducer(cluster, parse(ProducerSettings, chosen), "producer")


async def create(cluster: Cluster, name: str, partitions: int = 1, **config: str) -> None:
    configs = [
        CreatableTopicConfig(name=each.replace("_", "."), value=value) for each, value in config.items()
    ]
    topic = CreatableTopic(name=name, num_partitions=partitions, replication_factor=1, configs=configs)
    request = CreateTopicsRequest(topics=[topic], timeout_ms=5000)
    response = await cluster.send(request, CreateTopicsResponse)
    assert response.topics[0].error_code == 0


async def read(cluster: Cluster, topic: str, partition: int = 0) -> list[codec.Record]:
    """All records of a partition."""
    view = await cluster.topic(topic)
    records: list[codec.Record] = []
    while True:
        fetch = FetchRequest(
            max_wait_ms=0,
            topics=[
                FetchTopic(
                    topic=topic,
                    topic_id=view.topic_id,
                    partitions=[
                        FetchPartition(
                            partition=partition, fetch_offset=len(records), partition_max_bytes=1 << 20
                        )
                    ],
                )
            ],
        )
        response = await cluster.send(fetch, FetchResponse, node=view.partitions[partition].leader)
        data = response.responses[0].partitions[0].records or b""
        if not data:
            return records
        for at, header in iter_headers(bytes(data)):
            batch = bytes(data)[at : at + header.batch_length + 12]
            records += [
                each for each in codec.decode_batch(batch, max_bytes=1 << 24) if each.offset >= len(records)
            ]


async def test_records_are_delivered_as_they_are(cluster: Cluster) -> None:
    await create(cluster, "t")
    async with producer(cluster) as made:
        sent = [
            await made.send("t", b"one", key=b"k", headers={"a": b"1", "b": None}, timestamp=5),
            await made.send("t", None, key=b"k", headers=[("a", b"1"), ("a", b"2")], timestamp=6),
            await made.send("t", memoryview(b"three"), timestamp=7),
        ]
        assert [await each for each in sent] == [("t", 0, 0, 5), ("t", 0, 1, 6), ("t", 0, 2, 7)]
        assert sent[0].is_done
        assert sent[0].result().offset == 0
    assert await read(cluster, "t") == [
        (0, 5, b"k", b"one", (("a", b"1"), ("b", None))),
        (1, 6, b"k", None, (("a", b"1"), ("a", b"2"))),
        (2, 7, None, b"three", ()),
    ]


async def test_timestamps_are_now_unless_given(cluster: Cluster) -> None:
    async with producer(cluster) as made:
        before = cluster.host.now_ms()
        delivered = await (await made.send("t", b"v"))
        assert before <= delivered.timestamp <= cluster.host.now_ms()


@pytest.mark.parametrize("codec_name", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("acks", ["all", "1", "0"])
async def test_every_codec_and_acks(cluster: Cluster, codec_name: str, acks: str) -> None:
    settings = {"compression.type": codec_name, "acks": acks, "enable.idempotence": acks == "all"}
    async with producer(cluster, **settings) as made:
        values = [b"value %d" % number for number in range(5000)]
        sent = [await made.send("t", value) for value in values]
        offsets = [(await each).offset for each in sent]
        assert offsets == ([-1] * 5000 if acks == "0" else list(range(5000)))
    async with asyncio.timeout(10):
        while len(records := await read(cluster, "t")) < 5000:
            await asyncio.sleep(0.01)
    assert [record.value for record in records] == values


async def test_keys_say_the_partition_as_in_java(cluster: Cluster) -> None:
    await create(cluster, "t", 7)
    async with producer(cluster) as made:
        keys = [b"", b"a", b"key", "schlüssel".encode(), b"0123456789"]
        partitions = [(await (await made.send("t", b"", key=key))).partition for key in keys]
        assert partitions == [(murmur2(key) & 0x7FFFFFFF) % 7 for key in keys]
        columns = Columns.of(Record("t", 0, 0, -1, 0, key, b"x") for key in keys)
        written = await (await made.write("t", columns))
    assert sorted(written.offsets) == sorted(set(partitions))


async def test_records_without_keys_go_to_all_partitions(cluster: Cluster) -> None:
    await create(cluster, "t", 3)
    async with producer(cluster, **{"batch.size": 200}) as made:
        sent = [await made.send("t", b"x" * 50) for _ in range(200)]
        assert {(await each).partition for each in sent} == {0, 1, 2}


async def test_a_partition_that_is_given_is_taken(cluster: Cluster) -> None:
    await create(cluster, "t", 2)
    async with producer(cluster) as made:
        assert (await (await made.send("t", b"v", partition=1))).partition == 1
        with pytest.raises(BrokerError, match="no partition 2, only 0 to 1"):
            await made.send("t", b"v", partition=2)


async def test_columns_are_written_as_they_are(cluster: Cluster) -> None:
    await create(cluster, "t", 2)
    rows = [
        Record("t", number % 2, 0, number, 0, b"k%d" % number, b"v" * (number % 50), (("h", b"%d" % number),))
        for number in range(20_000)
    ]
    columns = Columns.of(rows)
    async with producer(cluster, **{"compression.type": "zstd"}) as made:
        written = await (await made.write("t", columns, partition=columns.partition))
    assert written == (20_000, {0: (0, 9999), 1: (0, 9999)})
    for partition in (0, 1):
        records = await read(cluster, "t", partition)
        assert [record[1:] for record in records] == [
            (row.timestamp, row.key, row.value, row.headers) for row in rows if row.partition == partition
        ]


async def test_nothing_is_written_of_no_rows(cluster: Cluster) -> None:
    async with producer(cluster) as made:
        assert await (await made.write("t", Columns.of([]))) == (0, {})


async def test_flush_waits_for_all(cluster: Cluster) -> None:
    async with producer(cluster, **{"linger.ms": 60_000, "delivery.timeout.ms": 120_000}) as made:
        sent = [await made.send("t", b"v") for _ in range(10)]
        assert not sent[-1].is_done
        await made.flush()
        assert all(each.is_done for each in sent)


async def test_a_callback_is_called_once(cluster: Cluster) -> None:
    async with producer(cluster) as made:
        seen = []
        sent = await made.send("t", b"v")
        sent.on_done(lambda delivery: seen.append(delivery.result().offset))
        await sent
        sent.on_done(lambda delivery: seen.append(delivery.result().offset))
        assert seen == [0, 0]


async def test_a_callback_that_fails_keeps_nobody_else_waiting(cluster: Cluster) -> None:
    await create(cluster, "t")
    called: list[int] = []
    async with producer(cluster, linger_ms=60_000, delivery_timeout_ms=120_000) as made:
        first, second = await made.send("t", b"1"), await made.send("t", b"2")
        first.on_done(lambda _: called.append(1 // 0))
        second.on_done(lambda each: called.append(each.result().offset))
        async with asyncio.timeout(20):
            await made.flush()
            assert (await first).offset == 0
    assert called == [1]


async def test_flush_does_not_wait_for_what_is_sent_later(cluster: Cluster) -> None:
    await create(cluster, "t")
    async with producer(cluster) as made:

        async def send_on() -> None:
            while True:
                await made.send("t", b"v")
                await asyncio.sleep(0)

        other = asyncio.create_task(send_on())
        await made.send("t", b"mine")
        try:
            async with asyncio.timeout(5):
                await made.flush()
        finally:
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)


async def test_what_a_topic_refuses_is_told_and_the_rest_goes_on(cluster: Cluster) -> None:
    await create(cluster, "t", max_message_bytes="1000")
    async with producer(cluster) as made:
        sent = [await made.send("t", b"x" * size) for size in (100, 500, 3000, 400, 300, 200)]
        await made.flush()
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        assert isinstance(outcomes[2], BrokerError)
        assert "t-0: message_too_large" in str(outcomes[2])
        del outcomes[2]
        assert [each.offset for each in outcomes] == [0, 1, 2, 3, 4]  # type: ignore[union-attr]
    assert [len(record.value or b"") for record in await read(cluster, "t")] == [100, 500, 400, 300, 200]


async def test_a_topic_that_does_not_come_to_be_is_told(cluster: Cluster) -> None:
    async with producer(cluster, **{"allow.auto.create.topics": False, "max.block.ms": 50}) as made:
        with pytest.raises(BrokerError, match="topic t: unknown_topic_or_partition"):
            await made.send("t", b"v")


async def test_a_topic_made_again_is_written_to(cluster: Cluster) -> None:
    await create(cluster, "t", 2)
    async with producer(cluster) as made:
        await (await made.send("t", b"old", partition=1))
        delete = DeleteTopicsRequest(topics=[DeleteTopicState(name="t")], topic_names=["t"], timeout_ms=5000)
        await cluster.send(delete, DeleteTopicsResponse)
        await create(cluster, "t", 2)
        asking = MetadataRequest(topics=[MetadataRequestTopic(name="t")])
        old = cluster.metadata.topics["t"].topic_id
        while (await cluster.send(asking, MetadataResponse)).topics[0].topic_id in (None, old):
            await asyncio.sleep(
                0.01
            )  # the broker has not heard of it yet, and may take records for the old one
        assert cluster.metadata.topics["t"].topic_id == old
        sent = [await made.send("t", b"%d" % number, partition=1) for number in range(3)]
        assert [(await each).offset for each in sent] == [0, 1, 2]
    assert [record.value for record in await read(cluster, "t", 1)] == [b"0", b"1", b"2"]


async def test_memory_is_bounded_and_waited_for(cluster: Cluster) -> None:
    settings = {"buffer.memory": 50_000, "batch.size": 10_000}
    async with producer(cluster, **settings) as made:
        sent = [await made.send("t", b"x" * 1000) for _ in range(500)]
        await made.flush()
        assert {(await each).offset for each in sent} == set(range(500))


async def test_a_broker_that_restarts_loses_nothing(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with run_broker_async(data_dir=tmp_path) as broker:
            cluster = await stack.enter_async_context(cluster_of(broker))
            made = await stack.enter_async_context(producer(cluster))
            sent = [await made.send("t", b"%d" % number) for number in range(100)]
            await sent[-1]
            sent += [await made.send("t", b"%d" % number) for number in range(100, 200)]
            await asyncio.sleep(0)
        sent += [await made.send("t", b"%d" % number) for number in range(200, 300)]
        await asyncio.sleep(0.05)
        listeners = f"PLAINTEXT://127.0.0.1:{broker.port}"
        await stack.enter_async_context(run_broker_async({"listeners": listeners}, data_dir=tmp_path))
        assert [(await each).offset for each in sent] == list(range(300))
        assert [record.value for record in await read(cluster, "t")] == [b"%d" % n for n in range(300)]
        await made.close()


async def test_time_runs_out_without_a_broker() -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with run_broker_async() as broker:
            cluster = await stack.enter_async_context(cluster_of(broker))
            settings = {"delivery.timeout.ms": 200, "request.timeout.ms": 100, "max.block.ms": 50}
            made = await stack.enter_async_context(producer(cluster, **settings, **{"buffer.memory": 20_000}))
            await (await made.send("t", b"v"))
        late = await made.send("t", b"v")
        with pytest.raises(RequestTimeoutError, match=r"buffer.memory was full for max.block.ms=50"):
            await made.send("t", b"x" * 16_384)
        with pytest.raises(RequestTimeoutError, match=r"t-0: 1 records were not delivered .*refused"):
            await late


async def test_after_close_nothing_is_sent(cluster: Cluster) -> None:
    made = producer(cluster)
    sent = await made.send("t", b"v")
    await made.close()
    assert sent.result().offset == 0
    with pytest.raises(ClientClosedError):
        await made.send("t", b"v")
    await made.close()


async def test_what_is_left_when_the_time_to_close_is_over_fails() -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with run_broker_async() as broker:
            cluster = await stack.enter_async_context(cluster_of(broker))
            made = producer(cluster)
            await (await made.send("t", b"v"))
        left = await made.send("t", b"v")
        await made.close(timeout_ms=20)
        with pytest.raises((ClientClosedError, DisconnectedError)):
            await left


async def test_a_transaction_needs_an_id(cluster: Cluster) -> None:
    async with producer(cluster) as made:
        with pytest.raises(TransactionStateError, match="transactional.id"):
            await made.begin_transaction()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"acks": "2"}, "acks='2': must be one of"),
        ({"acks": "1", "enable.idempotence": True}, "acks=1 needs enable.idempotence=false"),
        ({"retries": 0, "enable.idempotence": True}, "retries=0 needs enable.idempotence=false"),
        ({"acks": "1", "transactional.id": "x"}, "transactional.id needs"),
        ({"retries": 0, "transactional.id": "x"}, "transactional.id needs"),
        (
            {"request.timeout.ms": 130_000, "delivery.timeout.ms": 130_000},
            "delivery.timeout.ms must not be less",
        ),
        ({"delivery.timeout.ms": 1}, "delivery.timeout.ms must not be less"),
        ({"max.in.flight.requests.per.connection": 6}, "above 5"),
        ({"transactional.id": "x", "enable.idempotence": False}, "transactional.id needs"),
        ({"compression.type": "brotli"}, "'none', 'gzip', 'snappy', 'lz4', 'zstd'"),
        ({"lingerms": 1}, "did you mean linger.ms?"),
    ],
)
def test_settings_that_do_not_fit(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse(ProducerSettings, given)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("given", "is_idempotent", "delivery_ms"),
    [
        ({}, True, 120_000),
        ({"acks": "all"}, True, 120_000),
        ({"acks": "1"}, False, 120_000),
        ({"acks": "0"}, False, 120_000),
        ({"retries": 0}, False, 120_000),
        ({"acks": "1", "max.in.flight.requests.per.connection": 9}, False, 120_000),
        ({"enable.idempotence": False}, False, 120_000),
        ({"request.timeout.ms": 200_000}, True, 200_005),
        ({"request.timeout.ms": (1 << 31) - 1}, True, (1 << 31) - 1),
        ({"linger.ms": 100_000}, True, 130_000),
        ({"request.timeout.ms": 10, "linger.ms": 5, "delivery.timeout.ms": 15}, True, 15),
    ],
)
def test_settings_that_others_decide(given: dict[str, object], is_idempotent: bool, delivery_ms: int) -> None:
    """As Java's producers have them."""
    settings = parse(ProducerSettings, given)
    assert (settings.enable_idempotence, settings.delivery_timeout_ms) == (is_idempotent, delivery_ms)
