"""The client for asyncio: what closing it does, and where broken values go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ottla.client.connecting import AsyncClient, client_settings
from ottla.client.consumer import RebalanceListener
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
    letters = [BrokenValue("t", 0, each, b"x" * size, "why") for each, size in enumerate((1, 5000, 1))]
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
