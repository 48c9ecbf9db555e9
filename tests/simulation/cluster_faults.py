"""What befalls clusters: power, networks and the way to the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from ottla.metadata.image import MetadataImage
from ottla.store.faulty import Lost

if TYPE_CHECKING:
    from tests.simulation.replicated import Replicated

_WHILE_S = 3.0


class ClusterFaults:
    """What befalls a cluster: one lane of power, another of networks and the store."""

    def __init__(self, test: Replicated) -> None:
        self._test = test
        self._cluster = test.cluster
        self._world = test.world
        self._random = test.world.random("faults")
        self._later: list[asyncio.Task[None]] = []
        every: list[Callable[[], Awaitable[None]]] = [
            self.cut_one_way,
            self.cut,
            self.isolate,
            self.lose_store,
            self.lose_outcomes,
            self.lose_outcomes,
            self.end_lease,
            self.end_lease,
            self.late_watch,
            self.slow_down,
            self.reset_connections,
        ]
        self._some = self._random.sample(every, self._random.randrange(3, len(every)))
        self._powers: list[Callable[[], Awaitable[None]]] = [
            self.lose_power,
            self.lose_power,
            self.restart,
            self.kill,
        ]
        if test.loses_all:
            self._powers.append(self.lose_all)

    async def run(self, until: float) -> None:
        await asyncio.gather(self._lane(self._powers, until, 1.5), self._lane(self._some, until, 0.6))

    async def heal(self) -> None:
        """Nothing is wrong any more."""
        await asyncio.gather(*self._later)
        for way in self._cluster.ways.values():
            way.slowness = 1.0
            way.heal()
        for node_id in self._cluster.machines:
            await self._switch_on(node_id)

    async def _lane(
        self, faults: Sequence[Callable[[], Awaitable[None]]], until: float, pause_s: float
    ) -> None:
        loop = self._world.loop
        while loop.time() < until:
            await asyncio.sleep(self._random.expovariate(1 / pause_s))
            fault = self._random.choice(faults)
            self._world.trace.note("fault", fault.__name__)
            self._world.stats[f"fault: {fault.__name__}"] += 1
            await fault()

    def _one(self) -> int:
        return self._random.choice(list(self._cluster.machines))

    def _while(self) -> float:
        return self._random.uniform(0, _WHILE_S)

    # -- power

    async def lose_power(self) -> None:
        node_id = self._one()
        if self._test.loses_all or self._others_have_all(node_id, await self._cluster.image()):
            self._lose(node_id)
            await asyncio.sleep(self._while())
            await self._switch_on(node_id)

    async def lose_all(self) -> None:
        """At about the same time."""
        for node_id in self._random.sample((1, 2, 3), self._random.choice((2, 3, 3))):
            self._lose(node_id)
            if self._random.random() < 0.5:
                await asyncio.sleep(self._random.uniform(0, 1.0))
        await asyncio.sleep(self._while())
        back = self._random.sample((1, 2, 3), 3)
        await asyncio.gather(*map(self._switch_on, back))

    async def kill(self) -> None:
        """The broker, not the machine: what it wrote stays."""
        node_id = self._one()
        self._cluster.machines[node_id].kill_broker()
        await asyncio.sleep(self._while())
        await self._switch_on(node_id)

    async def restart(self) -> None:
        """In order: others lead first."""
        node_id = self._one()
        await self._cluster.machines[node_id].switch_off()
        await asyncio.sleep(self._while())
        await self._switch_on(node_id)

    def _lose(self, node_id: int) -> None:
        if self._test.loses_all:
            self._test.history.end_era()
        self._cluster.machines[node_id].lose_power()

    def _others_have_all(self, node_id: int, image: MetadataImage) -> bool:
        """Whether what is committed is on another machine, which is on, for each partition."""
        if any(machine.running is None for machine in self._cluster.machines.values()):
            return False
        return all(
            any(
                each != node_id and image.is_active(each) and self._test.knows_epoch(each, image)
                for each in state.isr
            )
            for topic in image.topics.values()
            for state in topic.partitions
        )

    async def _switch_on(self, node_id: int) -> None:
        machine = self._cluster.machines[node_id]
        while not machine.is_on:
            if machine.disk.is_off:
                machine.repair_disk()
            await machine.switch_on()

    # -- networks

    async def cut_one_way(self) -> None:
        one, other = self._random.sample(sorted(self._cluster.machines), 2)
        self._world.network.cut(f"broker-{one}", f"broker-{other}", self._while())

    async def cut(self) -> None:
        one, other = self._random.sample(sorted(self._cluster.machines), 2)
        self._world.network.stall(f"broker-{one}", f"broker-{other}", self._while())

    async def isolate(self) -> None:
        """From the others, and from the store; clients still reach it."""
        node_id, seconds = self._one(), self._while()
        for other in self._cluster.machines:
            if other != node_id:
                self._world.network.stall(f"broker-{node_id}", f"broker-{other}", seconds)
        await self._cut_store(node_id, seconds)

    async def reset_connections(self) -> None:
        one, other = self._random.sample(sorted(self._cluster.machines), 2)
        self._world.network.reset(f"broker-{one}", f"broker-{other}")

    async def slow_down(self) -> None:
        machine = self._cluster.machines[self._one()]
        machine.slowness = 200.0
        await asyncio.sleep(self._while() / 2)
        machine.slowness = 1.0

    # -- the store

    async def lose_store(self) -> None:
        await self._cut_store(self._one(), self._while())

    async def _cut_store(self, node_id: int, seconds: float) -> None:
        way = self._cluster.ways[node_id]
        way.cut()
        await asyncio.sleep(seconds)
        way.heal()

    async def lose_outcomes(self) -> None:
        what = self._random.choice(list(Lost))
        work = self._cluster.lose_later(self._one(), what, self._while())
        self._later.append(asyncio.ensure_future(work))

    async def end_lease(self) -> None:
        await self._cluster.end_lease(self._one())

    async def late_watch(self) -> None:
        way = self._cluster.ways[self._one()]
        way.slowness = 400.0
        await asyncio.sleep(self._while())
        way.slowness = 1.0
