"""Machines of one cluster: a store that all use, each over a way of its own on which things go wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Mapping
from contextvars import copy_context
from random import Random
from typing import Any, TypeVar

from tests.simulation.loop import VirtualLoop
from tests.simulation.machine import Machine
from tests.simulation.world import World

from ottla.metadata.image import MetadataImage, image_at
from ottla.metadata.transaction import Transaction
from ottla.store.faulty import FaultyStore, Lost
from ottla.store.interface import LeaseNotFoundError, Outcome, OutcomeUnknownError, Page, Revision, Store
from ottla.store.memory import MemoryStore

_LATENCY_S = 0.001
"""The mean of each way to the store and back."""

_T = TypeVar("_T")


class _Served:
    """A store that does what it was asked although the one who asked has lost its power meanwhile."""

    def __init__(self, store: Store, loop: VirtualLoop) -> None:
        self._store = store
        self._loop = loop
        self._context = copy_context()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def transaction(self, transaction: Transaction) -> Outcome:
        return await self._serve(self._store.transaction(transaction))

    async def range(
        self, prefix: str, *, revision: int | None = None, limit: int | None = None, after: str = ""
    ) -> Page:
        return await self._serve(self._store.range(prefix, revision=revision, limit=limit, after=after))

    def watch(self, prefix: str, from_revision: int) -> AsyncGenerator[Revision]:
        return self._store.watch(prefix, from_revision)

    async def grant_lease(self, ttl_ms: int) -> int:
        return await self._serve(self._store.grant_lease(ttl_ms))

    async def keep_lease_alive(self, lease_id: int) -> None:
        await self._serve(self._store.keep_lease_alive(lease_id))

    async def revoke_lease(self, lease_id: int) -> None:
        await self._serve(self._store.revoke_lease(lease_id))

    async def compact(self, revision: int) -> None:
        await self._serve(self._store.compact(revision))

    def _serve(self, work: Coroutine[Any, Any, _T]) -> Awaitable[_T]:
        task = self._loop.create_task(work, context=self._context)
        task.add_done_callback(_look_at, context=self._context)
        return asyncio.shield(task)


def _look_at(task: asyncio.Task[Any]) -> None:
    """Whoever asked may not be there any more."""
    if not task.cancelled():
        task.exception()


class StoreWay(FaultyStore):
    """A machine's way to the store."""

    def __init__(self, world: World, store: Store, random: Random) -> None:
        super().__init__(_Served(store, world.loop), self._take_time)
        self._stats = world.stats
        self._random = random
        self.slowness = 1.0
        """How many times as long everything takes, watches too"""

    async def transaction(self, transaction: Transaction) -> Outcome:
        try:
            outcome = await super().transaction(transaction)
        except OutcomeUnknownError:
            self._stats["unknown outcomes"] += 1
            raise
        await self._take_time()
        return outcome

    async def _take_time(self) -> None:
        await asyncio.sleep(self._random.expovariate(1 / _LATENCY_S) * self.slowness)


class Cluster:
    """Its machines are named `broker-1` and so on, by their ids."""

    def __init__(self, world: World, size: int, settings: Mapping[str, str]) -> None:
        self.world = world
        self.store = MemoryStore(lambda: int(world.loop.time() * 1000))
        self._image = image_at(0, ())
        self.machines: dict[int, Machine] = {}
        self.ways: dict[int, StoreWay] = {}
        for node_id in range(1, size + 1):
            way = StoreWay(world, self.store, world.random(f"store of broker-{node_id}"))
            self.ways[node_id] = way
            self.machines[node_id] = world.machine(f"broker-{node_id}", settings, way)

    async def start(self) -> None:
        """Switch all on at once."""
        await self.store.open()
        await asyncio.gather(*(machine.switch_on() for machine in self.machines.values()))

    async def stop(self) -> None:
        """Stop all in order, and the store."""
        for machine in self.machines.values():
            if machine.is_on:
                await machine.switch_off()
        await self.store.close()

    async def image(self) -> MetadataImage:
        """What the cluster knows, by the store itself."""
        revision = (await self.store.range("", limit=1)).revision
        if revision != self._image.revision:
            page = await self.store.range("")
            self._image = image_at(page.revision, page.entries)
        return self._image

    async def end_lease(self, node_id: int) -> None:
        """Though its holder believes in it."""
        for entry in (await self.store.range("/brokers/")).entries:
            if entry.key == f"/brokers/{node_id}" and entry.lease_id:
                try:
                    await self.store.revoke_lease(entry.lease_id)
                except LeaseNotFoundError:
                    continue
                self.world.stats["leases ended"] += 1

    async def lose_later(self, node_id: int, what: Lost, seconds: float) -> None:
        """Have the machine not be told of its next transaction; what is delayed is done after a while."""
        self.ways[node_id].lose(what)
        await asyncio.sleep(seconds)
        with contextlib.suppress(LeaseNotFoundError):  # it came too late
            await self.ways[node_id].deliver()
