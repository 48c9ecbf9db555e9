"""How many consumers there are, and until when."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from ottla.bridge.bodies import PartitionRef
from ottla.bridge.consumers import Consumers, InstanceId
from ottla.bridge.media import Format
from ottla.client.consumer.consumer import AsyncConsumer
from ottla.client.errors import ClientClosedError, ClientError
from ottla.http.errors import HttpError

ONE, OTHER = InstanceId("", "g", "one"), InstanceId("", "g", "other")


class Consumer:
    """Whose polls and end take as long as the test likes."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.may_go_on = asyncio.Event()
        self.is_closing = False

    def assign(self, _partitions: object) -> None: ...

    async def poll(self, timeout_s: float) -> None:
        await self.may_go_on.wait()
        if self.is_closing:
            raise ClientClosedError("the consumer is closed")

    async def close(self) -> None:
        self.is_closing = True
        await self.may_go_on.wait()
        if self.error is not None:
            raise self.error


class World:
    def __init__(self, most: int = 2) -> None:
        self.now_s = 0.0
        self.consumers = Consumers(most, 10, lambda: self.now_s)

    def add(self, id_: InstanceId, consumer: Consumer) -> None:
        self.consumers.add(id_, lambda: cast("AsyncConsumer", cast("Any", consumer)), Format.JSON, 1)


async def stay() -> None:
    await asyncio.Event().wait()


async def test_there_are_no_more_than_there_may_be_each_of_its_own_name() -> None:
    world = World(most=1)
    world.add(ONE, Consumer())
    for id_, status in ((ONE, 409), (OTHER, 503)):
        with pytest.raises(HttpError) as refused:
            world.add(id_, Consumer())
        assert refused.value.status == status


async def test_the_forgotten_are_closed_together_whatever_one_says(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    forgotten = [Consumer(), Consumer(ClientError("it is\nnot"))]
    for id_, each in zip((InstanceId("", "g\n", "one"), OTHER), forgotten, strict=True):
        world.add(id_, each)
    world.now_s = 11
    closing = asyncio.create_task(world.consumers.close_forgotten(10))
    await asyncio.sleep(0.01)
    assert [each.is_closing for each in forgotten] == [True, True]
    for each in forgotten:
        each.may_go_on.set()
    await closing
    assert len(world.consumers) == 0
    assert "consumer 'one' of group 'g\\n'" in caplog.text


async def test_who_waits_is_not_forgotten() -> None:
    world = World()
    consumer = Consumer()
    world.add(ONE, consumer)
    instance = world.consumers.find(ONE)
    await instance.assign([PartitionRef("t", 0)])
    polling = asyncio.create_task(instance.poll(60, 1000, stay))
    await asyncio.sleep(0.01)
    world.now_s = 11
    await world.consumers.close_forgotten(10)
    consumer.may_go_on.set()
    assert await polling == b"[]"
    world.now_s = 20  # since its answer
    await world.consumers.close_forgotten(10)
    assert not consumer.is_closing
    world.now_s = 22
    await world.consumers.close_forgotten(10)
    assert consumer.is_closing


async def test_who_waits_for_one_that_is_deleted_is_told() -> None:
    world = World()
    consumer = Consumer()
    world.add(ONE, consumer)
    instance = world.consumers.find(ONE)
    await instance.assign([PartitionRef("t", 0)])
    polling = [asyncio.create_task(instance.poll(60, 1000, stay)) for _ in range(2)]
    await asyncio.sleep(0.01)
    removing = asyncio.create_task(world.consumers.remove(ONE))
    await asyncio.sleep(0.01)
    consumer.may_go_on.set()
    await removing
    for each in polling:
        with pytest.raises(HttpError) as refused:
            await each
        assert refused.value.status == 404
