"""Brokers of one cluster in a test: each with its folder, all on one store."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from ottla.broker.assembly import Broker, BrokerSettings
from ottla.broker.host import this_host
from ottla.config.broker import broker_config
from ottla.config.layers import BrokerLayers
from ottla.protocol.structs import Struct
from ottla.store.faulty import FaultyStore
from ottla.store.memory import MemoryStore

R = TypeVar("R", bound=Struct)


class Cluster:
    """Brokers by their ids. What is given as `settings` holds for all of them."""

    def __init__(self, folder: Path, store: MemoryStore, settings: Mapping[str, str]) -> None:
        self._folder = folder
        self.store = store
        self._settings = settings
        self.brokers: dict[int, Broker] = {}
        self.ways: dict[int, FaultyStore] = {}
        """Those of brokers to the store"""

    async def start(self, node_id: int, **settings: str) -> Broker:
        """Settings have underscores for dots."""
        way = self.ways.setdefault(node_id, FaultyStore(self.store))
        static = {
            "node.id": str(node_id),
            "listeners": "PLAINTEXT://127.0.0.1:0",
            "log.dirs": str(self._folder / str(node_id)),
            "broker.rack": f"rack-{node_id}",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.num.partitions": "1",
            **self._settings,
            **{name.replace("_", "."): value for name, value in settings.items()},
        }
        layers = BrokerLayers(static=static)
        host = this_host()._replace(make_store=lambda _folder, _config: way, shares_store=True)
        broker = Broker(BrokerSettings(broker_config(layers), layers), host)
        await asyncio.wait_for(broker.start(), 30)
        self.brokers[node_id] = broker
        return broker

    async def stop(self, node_id: int) -> None:
        await asyncio.wait_for(self.brokers.pop(node_id).stop(), 30)

    async def agree(self) -> None:
        """Until all brokers know of all that was changed so far."""
        revision = (await self.store.range("", limit=1)).revision
        for broker in self.brokers.values():
            await broker.metadata.reach(revision)


@contextlib.asynccontextmanager
async def run_cluster(folder: Path, size: int = 3, **settings: str) -> AsyncIterator[Cluster]:
    """`size` brokers, with ids from 1 on; settings have underscores for dots."""
    store = MemoryStore(lambda: time.monotonic_ns() // 1_000_000)
    await store.open()
    texts = {name.replace("_", "."): value for name, value in settings.items()}
    cluster = Cluster(folder, store, texts)
    try:
        for node_id in range(1, size + 1):
            await cluster.start(node_id)
        await cluster.agree()
        yield cluster
    finally:
        for node_id in list(cluster.brokers):
            await cluster.stop(node_id)
        await store.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so that has to become so soon."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def ask_peer(asker: Broker, node_id: int, request: Struct, response_class: type[R]) -> R:
    """What one broker answers to another."""
    channel = asker.peers.channel(node_id, "test")
    try:
        return await channel.send(request, response_class, 60)
    finally:
        channel.close()
