"""Batches of transactions: their coordinator is asked before the first one is written (KIP-890)."""

from __future__ import annotations

import asyncio

import pytest
from tests.raw_client import PRODUCE, connect
from tests.running_broker import Topic, create_topic

from ottla.coordination.runtime import Producer
from ottla.protocol.errors import ErrorCode, KafkaError

from .transactions import Coordinator, batch, broker_with, end, outcome, produce, request

NONE = ErrorCode.none


@pytest.mark.parametrize(("version", "verify_only"), [(3, True), (11, True), (12, False), (13, False)])
async def test_the_first_batch_adds_its_partition_or_has_it_verified(
    monkeypatch: pytest.MonkeyPatch, version: int, verify_only: bool
) -> None:
    coordinator = Coordinator()
    async with broker_with(coordinator, monkeypatch) as client:
        topic = await create_topic(client, partitions=2)
        assert await produce(client, topic, batch(0), version) == [(NONE, 0)]
        assert await produce(client, topic, batch(1), version) == [(NONE, 1)]
        both = {0: batch(2), 1: batch(0)}
        assert await produce(client, topic, both, version) == [(NONE, 2), (NONE, 0)]
        await end(client, topic.name)
        assert await produce(client, topic, both, version) == [(NONE, 2), (NONE, 0)], "repeated"
    asked = [("x", Producer(7, 0), partitions, verify_only) for partitions in ([0], [1], [0])]
    assert coordinator.asked == asked


@pytest.mark.parametrize(("version", "is_asked"), [(11, False), (12, True)])
async def test_only_who_adds_partitions_is_verified_where_that_is_off(
    monkeypatch: pytest.MonkeyPatch, version: int, is_asked: bool
) -> None:
    coordinator = Coordinator()
    settings = {"transaction_partition_verification_enable": "false"}
    async with broker_with(coordinator, monkeypatch, **settings) as client:
        topic = await create_topic(client)
        assert await produce(client, topic, batch(0), version) == [(NONE, 0)]
        assert await produce(client, topic, batch(1), version) == [(NONE, 1)]
    assert len(coordinator.asked) == is_asked


@pytest.mark.parametrize(
    ("said", "v10", "v11", "v12"),
    [
        ("invalid_txn_state", "invalid_txn_state", "invalid_txn_state", "invalid_txn_state"),
        ("transaction_abortable", "invalid_txn_state", "transaction_abortable", "transaction_abortable"),
        ("producer_fenced", "invalid_producer_epoch", "invalid_producer_epoch", "invalid_producer_epoch"),
        ("invalid_producer_id_mapping",) * 4,
        ("not_coordinator", *("not_enough_replicas",) * 3),
        ("coordinator_not_available", *("not_enough_replicas",) * 3),
        ("coordinator_load_in_progress", *("not_enough_replicas",) * 3),
        ("network_exception", *("not_enough_replicas",) * 3),
        ("concurrent_transactions", "not_enough_replicas", "not_enough_replicas", "concurrent_transactions"),
    ],
)
async def test_a_refusal_is_told_in_what_the_client_understands(
    monkeypatch: pytest.MonkeyPatch, said: str, v10: str, v11: str, v12: str
) -> None:
    code = ErrorCode[said]
    coordinator = Coordinator()
    settings = {"add_partitions_to_txn_retry_backoff_max_ms": "0"}
    async with broker_with(coordinator, monkeypatch, **settings) as client:
        topic = await create_topic(client)
        for version, expected in ((10, v10), (11, v11), (12, v12)):
            for answer in (code, KafkaError(code)):
                coordinator.answers = [answer]
                assert await produce(client, topic, batch(), version) == [(ErrorCode[expected], -1)]
        assert await produce(client, topic, batch()) == [(NONE, 0)]


async def test_each_partition_is_refused_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = Coordinator({1: ErrorCode.invalid_txn_state})
    async with broker_with(coordinator, monkeypatch) as client:
        topic = await create_topic(client, partitions=3)
        records = {0: batch(), 1: batch(), 2: b"bad", 9: batch()}
        assert await produce(client, topic, records) == [
            (NONE, 0),
            (ErrorCode.invalid_txn_state, -1),
            (ErrorCode.invalid_record, -1),
            (ErrorCode.unknown_topic_or_partition, -1),
        ]


async def test_the_end_of_the_last_transaction_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = Coordinator(ErrorCode.concurrent_transactions, ErrorCode.concurrent_transactions)
    settings = {
        "add_partitions_to_txn_retry_backoff_ms": "17",
        "add_partitions_to_txn_retry_backoff_max_ms": "60000",
    }
    async with broker_with(coordinator, monkeypatch, **settings) as client:
        topic = await create_topic(client)
        assert await produce(client, topic, batch()) == [(NONE, 0)]
    assert len(coordinator.asked) == 3
    assert coordinator.waits == [("x", 17)] * 2


async def test_what_has_no_transactional_id_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = Coordinator()
    async with broker_with(coordinator, monkeypatch) as client:
        topic = await create_topic(client, partitions=2)
        plain = batch(-1, producer_id=-1, producer_epoch=-1, is_transactional=False)
        refused = (ErrorCode.transactional_id_authorization_failed, -1)
        assert await produce(client, topic, batch(), transactional_id=None) == [refused]
        both = {0: plain, 1: batch()}
        assert await produce(client, topic, both, transactional_id=None) == [refused, refused]
        assert await produce(client, topic, plain) == [(NONE, 0)], "in a transaction, but not of it"
    assert coordinator.asked == []


async def test_batches_of_two_producers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = Coordinator()
    async with broker_with(coordinator, monkeypatch) as client:
        topic = await create_topic(client, partitions=2)
        refused = (ErrorCode.invalid_producer_id_mapping, -1)
        for other in (batch(producer_id=8), batch(producer_epoch=1)):
            assert await produce(client, topic, {0: batch(), 1: other}) == [refused, refused]
    assert coordinator.asked == []


async def test_nothing_of_the_connection_overtakes_what_waits_for_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    coordinator = Coordinator()
    coordinator.gate = asyncio.Event()
    async with broker_with(coordinator, monkeypatch) as client:
        topic = await create_topic(client)
        plain = batch(-1, producer_id=-1, producer_epoch=-1, is_transactional=False)
        for records, name in ((batch(0), "x"), (batch(1), "x"), (plain, None), (batch(2), "x")):
            client.send(PRODUCE, 13, request(topic, {0: records}, transactional_id=name))
        await coordinator.is_asked()
        async with connect(*coordinator.address) as other:
            assert (await Topic(other, topic.name, topic.topic_id).fetch())["high_watermark"] == 0
        assert coordinator.memory.used_bytes == len(batch(0)), "kept meanwhile"
        coordinator.gate.set()
        answers = [outcome(await client.receive(PRODUCE, 13)) for _ in range(4)]
    assert answers == [[(NONE, offset)] for offset in range(4)]
    assert coordinator.memory.used_bytes == 0
    assert len(coordinator.asked) == 1


async def test_a_transaction_that_ends_meanwhile_takes_no_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = Coordinator()
    coordinator.gate = asyncio.Event()
    async with broker_with(coordinator, monkeypatch) as client:
        topic = await create_topic(client)
        client.send(PRODUCE, 11, request(topic, {0: batch()}))
        await coordinator.is_asked()
        async with connect(*coordinator.address) as other:
            assert await end(other, topic.name, committed=False) == [NONE]
        coordinator.gate.set()
        refused = outcome(await client.receive(PRODUCE, 11))
        assert refused == [(ErrorCode.invalid_txn_state, -1)]
        assert await produce(client, topic, batch(), 11) == [(NONE, 1)]


async def test_with_acks_0_a_refusal_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = Coordinator(NONE, ErrorCode.producer_fenced)
    async with broker_with(coordinator, monkeypatch) as client:
        topic = await create_topic(client, partitions=2)
        client.send(PRODUCE, 13, request(topic, {0: batch()}, acks=0))
        assert await produce(client, topic, batch(1)) == [(NONE, 1)]
        client.send(PRODUCE, 13, request(topic, {1: batch()}, acks=0))
        with pytest.raises(asyncio.IncompleteReadError):
            await client.receive_frame()
