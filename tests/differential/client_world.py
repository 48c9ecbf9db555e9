"""The world of the client's tests of consumers, with Apache Kafka in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.unit.client.consumer.world import World

from ottla.client.connecting import AsyncClient, client_settings

from .brokers import Broker


@contextlib.asynccontextmanager
async def kafka_client(kafka: Broker) -> AsyncIterator[AsyncClient]:
    """What is made with it is gone afterwards."""
    host, port = kafka.address
    async with AsyncClient(client_settings(f"{host}:{port}", {}, {})) as client:
        topics, groups = await _names(client)
        try:
            yield client
        finally:
            async with asyncio.timeout(30):
                now = await _names(client)
                (await client.admin.topics.delete(now[0] - topics)).check()
                while (await client.admin.groups.delete(now[1] - groups)).errors:
                    await asyncio.sleep(0.1)
                while (await _names(client))[0] - topics:
                    await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def kafka_world(kafka: Broker, partitions: int) -> AsyncIterator[World]:
    """With a topic `t`."""
    async with kafka_client(kafka) as client:
        world = World(",".join(client.cluster.settings.bootstrap_servers), client.cluster)
        if "t" in (await _names(client))[0]:  # whoever asked for it while it was deleted had it made again
            (await client.admin.topics.delete(["t"])).check()
            while "t" in (await _names(client))[0]:
                await asyncio.sleep(0.1)
        await world.create("t", partitions)
        try:
            yield world
        finally:
            await world.close_consumers()


async def _names(client: AsyncClient) -> tuple[set[str], set[str]]:
    topics = {topic.name for topic in await client.admin.topics.list()}
    groups = (await client.admin.groups.list()).values()
    return topics, {group.group_id for listed in groups for group in listed}
