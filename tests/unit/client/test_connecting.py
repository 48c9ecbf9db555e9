"""The client for asyncio: what closing it does, and where broken values go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ottla.client import json
from ottla.client.columns.columns import Record
from ottla.client.connecting import AsyncClient, client_settings
from ottla.client.consumer import AsyncConsumer, Batch, RebalanceListener
from ottla.client.consumer.errors import DeadLetterError
from ottla.client.core.metadata import TopicPartition
from ottla.client.dead_letters import DeadLetterOffice
from ottla.client.errors import ClientError
from ottla.client.values.interface import BrokenValue, DeadLetterTopic
from ottla.testing import run_broker_async


@pytest.fixture
async def c() -> AsyncIterator[AsyncClient]:
    async with run_broker_async() as broker:
        made = AsyncClient(client_settings(broker.bootstrap_servers, {}, {}))
        await made.start()
        yield made
        await made.close()


async def test_all_are_closed_whichever_fails(c: AsyncClient) -> None:
    class Refuses(RebalanceListener):
        def on_revoked(self, partitions: list[TopicPartition]) -> None:
            raise ZeroDivisionError

    async with c.producer() as producer:
        await (await producer.send("t", b"v"))
    first = c.consumer(["t"], group="g", listener=Refuses(), auto_offset_reset="earliest")
    assert await first.poll(timeout_s=20) is not None
    second = c.consumer(["t"], group="h", auto_offset_reset="earliest")
    assert await second.poll(timeout_s=20) is not None
    with pytest.raises(ZeroDivisionError):
        await c.close()
    with pytest.raises(ClientError, match="closed"):
        await second.poll()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("ottla-consumer")]


async def test_dead_letters_are_told_of_once_and_not_kept(c: AsyncClient) -> None:
    office = DeadLetterOffice(lambda: c.producer(max_request_size=1024))
    letters = []
    for offset, size in enumerate((1, 5000, 1)):
        record = Record("t", 0, offset, -1, -1, None, b"x" * size)
        letters.append(BrokenValue("t", 0, offset, b"x" * size, "why", record))
    office(DeadLetterTopic("d"), letters[:1])
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        while office._sending:  # nobody asks
            await asyncio.sleep(0.01)
    for each in letters:
        office(DeadLetterTopic("d"), [each])
    both = await asyncio.gather(office.delivered(), office.delivered(), return_exceptions=True)
    assert sum(isinstance(each, ClientError) for each in both) == 1
    await office.delivered()
    assert not office._sending


JSON = {"value": json(errors=DeadLetterTopic("dead")), "auto_offset_reset": "earliest"}


async def _write(c: AsyncClient, *values: bytes) -> None:
    async with c.producer() as producer:
        for each in values:
            await (await producer.send("t", each))


def _consumer(c: AsyncClient, group: str, **more: object) -> AsyncConsumer:
    return c.consumer(["t"], group=group, **(JSON | more))  # type: ignore[arg-type]


async def _batch(consumer: AsyncConsumer) -> Batch:
    batch = await consumer.poll(timeout_s=20)
    assert batch is not None
    return batch


PLACE = TopicPartition("t", 0)


async def test_commit_waits_for_dead_letters(c: AsyncClient) -> None:
    await _write(c, b"1", b"{")
    consumer = _consumer(c, "g", enable_auto_commit=False)
    producer = c._letters_producer = c.producer(linger_ms=60_000)
    batch = await _batch(consumer)
    batch.to_arrow()
    commit = asyncio.create_task(batch.commit())
    await asyncio.sleep(0.5)
    assert not commit.done()
    assert await consumer.committed([PLACE]) == {PLACE: None}
    await producer.flush()
    await commit
    committed = (await consumer.committed([PLACE]))[PLACE]
    assert committed is not None
    assert committed.offset == batch.offsets[PLACE].offset


async def test_nothing_is_committed_whose_dead_letter_is_lost(c: AsyncClient) -> None:
    await _write(c, b"{" * 5000)
    c._letters_producer = c.producer(max_request_size=1024)
    by_hand = _consumer(c, "g", enable_auto_commit=False)
    batch = await _batch(by_hand)
    batch.to_arrow()
    with pytest.raises(DeadLetterError, match="not committed"):
        await batch.commit()
    assert await by_hand.committed([PLACE]) == {PLACE: None}

    by_itself = _consumer(c, "h", auto_commit_interval_ms=1)
    (await _batch(by_itself)).to_arrow()
    with pytest.raises(DeadLetterError, match="not committed"):
        await by_itself.poll(timeout_s=20)
    await by_itself.close(commit=False)
    assert await _consumer(c, "h").committed([PLACE]) == {PLACE: None}


async def test_offsets_of_a_transaction_wait_for_dead_letters(c: AsyncClient) -> None:
    await _write(c, b"1", b"{")
    letters = c._letters_producer = c.producer(linger_ms=60_000)
    consumer = _consumer(c, "g", enable_auto_commit=False)
    batch = await _batch(consumer)
    batch.to_arrow()
    async with c.producer(transactional_id="x") as producer, producer.transaction() as tx:
        sending = asyncio.create_task(tx.send_offsets(batch))
        await asyncio.sleep(0.5)
        assert not sending.done()
        await letters.flush()
        await sending
    assert (await consumer.committed([PLACE]))[PLACE] is not None


async def test_offsets_of_a_lost_dead_letter_are_not_sent(c: AsyncClient) -> None:
    await _write(c, b"{" * 5000)
    c._letters_producer = c.producer(max_request_size=1024)
    consumer = _consumer(c, "g", enable_auto_commit=False)
    batch = await _batch(consumer)
    batch.to_arrow()
    async with c.producer(transactional_id="x") as producer:
        with pytest.raises(DeadLetterError):
            async with producer.transaction() as tx:
                await tx.send_offsets(batch)
        await producer.begin_transaction()
        await producer.commit_transaction()
    assert await consumer.committed([PLACE]) == {PLACE: None}


async def test_dead_letters_are_the_records_as_they_were(c: AsyncClient) -> None:
    async with c.producer() as producer:
        await producer.send("t", b"{", key=b"k", headers={"h": b"v", "n": None}, timestamp=1234567890123)
    consumer = _consumer(c, "g")
    (await _batch(consumer)).to_arrow()
    async with c.consumer(auto_offset_reset="earliest") as reader:
        reader.assign([("dead", 0)])
        letter = next((await _batch(reader)).records())
    assert (letter.key, letter.value, letter.timestamp) == (b"k", b"{", 1234567890123)
    assert letter.headers[:2] == (("h", b"v"), ("n", None))
    reasons = dict(letter.headers[2:])
    assert reasons["__connect.errors.topic"] == b"t"
    assert reasons["__connect.errors.offset"] == b"0"


async def test_records_do_not_ignore_formats(c: AsyncClient) -> None:
    await _write(c, b"1")
    consumer = _consumer(c, "g")
    with pytest.raises(ClientError, match="take batches"):
        async for _ in consumer:
            pass
    batch = await _batch(consumer)
    assert next(batch.records()).value == b"1"


async def test_stream_hands_out_a_batch_when_its_dead_letters_are_delivered(c: AsyncClient) -> None:
    await _write(c, b"1", b"{")
    producer = c._letters_producer = c.producer(linger_ms=60_000)
    batches = c.stream("t", value=json(errors=DeadLetterTopic("dead")))
    first = asyncio.ensure_future(anext(batches))
    await asyncio.sleep(0.5)
    assert not first.done()
    await producer.flush()
    assert (await first).num_rows == 1
    assert (await c.read("dead")).num_rows == 1
