"""What befalls clusters: power, networks and the way to the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from ottla.metadata.image import MetadataImage
from ottla.store.faulty import Lost

if TYPE_CHECKING:
    from tests.simulation.replicated import Replicated

_WHILE_S = 3.0
_Fault = Callable[[Random], Awaitable[None]]


class ClusterFaults:
    """What befalls a cluster: one lane of power, another of networks and the store.

    When what happens is said beforehand, so that each can be left out and the others come as they did.
    """

    def __init__(self, test: Replicated) -> None:
        self._test = test
        self._cluster = test.cluster
        self._world = test.world
        self._later: list[asyncio.Task[None]] = []
        self._behind: dict[int, int] = {}
        """The machines that have lost their power and may lack what others have, and their lives then"""
        every: list[_Fault] = [
            self.cut_one_way,
            self.cut,
            self.isolate,
            self.lose_store,
            self.lose_outcomes,
            self.lose_outcomes,
            self.end_lease,
            self.end_lease,
            self.late_watch,
            self.break_watch,
            self.drop_history,
            self.slow_down,
            self.reset_connections,
            self.kill,
        ]
        random = test.world.random("faults")
        # Each seed has its own few: what always happens together hides what happens alone. What seeds that
        # count must have, most of them have.
        self._some = random.sample(every, random.randrange(3, len(every)))
        for each in (self.strand, self.lose_outcomes):
            if random.random() < 0.9:
                self._some += [each] * 2
        self._powers: list[_Fault] = [
            self.lose_power,
            self.lose_power,
            self.restart,
            self.kill,
        ]
        if test.loses_all:
            self._powers.append(self.lose_all)

    async def run(self, until: float) -> None:
        await asyncio.gather(
            self._lane("power", self._powers, until, 3.0), self._lane("fault", self._some, until, 0.9)
        )

    async def heal(self) -> None:
        """Nothing is wrong any more."""
        await asyncio.gather(*self._later)
        for way in self._cluster.ways.values():
            way.slowness = 1.0
            way.heal()
        for node_id in self._cluster.machines:
            await self._switch_on(node_id)

    async def _lane(self, name: str, faults: Sequence[_Fault], until: float, every_s: float) -> None:
        """One after another, later only where the one before takes longer."""
        loop = self._world.loop
        random = self._world.random(name)
        at, number = loop.time(), 0
        while (at := at + random.expovariate(1 / every_s)) < until:
            number += 1
            fault = random.choice(faults)
            if not self._world.has(f"{name} {number}"):
                continue
            await asyncio.sleep(at - loop.time())
            self._world.trace.note("fault", fault.__name__)
            self._world.stats[f"fault: {fault.__name__}"] += 1
            await fault(self._world.random(f"{name} {number}"))

    def _one(self, random: Random) -> int:
        return random.choice(list(self._cluster.machines))

    def _two(self, random: Random) -> list[int]:
        return random.sample(list(self._cluster.machines), 2)

    # -- power

    async def lose_power(self, random: Random) -> None:
        node_id = self._one(random)
        if self._test.loses_all or self._others_have_all(node_id, await self._cluster.image()):
            self._behind[node_id] = self._cluster.machines[node_id].lives
            self._lose(node_id)
            await asyncio.sleep(random.uniform(0, _WHILE_S))
            await self._switch_on(node_id)

    async def lose_all(self, random: Random) -> None:
        """At about the same time."""
        everyone = list(self._cluster.machines)
        for node_id in random.sample(everyone, random.choice((2, len(everyone), len(everyone)))):
            self._lose(node_id)
            if random.random() < 0.5:
                await asyncio.sleep(random.uniform(0, 1.0))
        await asyncio.sleep(random.uniform(0, _WHILE_S))
        back = random.sample(everyone, len(everyone))
        await asyncio.gather(*map(self._switch_on, back))

    async def kill(self, random: Random) -> None:
        """The broker, not the machine: what it wrote stays."""
        node_id = self._one(random)
        self._cluster.machines[node_id].kill_broker()
        await asyncio.sleep(random.uniform(0, _WHILE_S))
        await self._switch_on(node_id)

    async def restart(self, random: Random) -> None:
        """In order: others lead first."""
        node_id = self._one(random)
        await self._cluster.machines[node_id].switch_off()
        await asyncio.sleep(random.uniform(0, _WHILE_S))
        await self._switch_on(node_id)

    def _lose(self, node_id: int) -> None:
        if self._test.loses_all:
            self._test.history.end_era()
        self._cluster.machines[node_id].lose_power()

    def _others_have_all(self, node_id: int, image: MetadataImage) -> bool:
        """Whether no other machine lacks what it had before its power went: only one at a time may."""
        for each, life in list(self._behind.items()):
            if (
                self._cluster.machines[each].lives > life
                and self._test.knows_epoch(each, image)
                and all(each in state.isr for topic in image.topics.values() for state in topic.partitions)
            ):
                del self._behind[each]
        return not self._behind.keys() - {node_id}

    async def _switch_on(self, node_id: int) -> None:
        machine = self._cluster.machines[node_id]
        while not machine.is_on:
            if machine.disk.is_off:
                machine.repair_disk()
            await machine.switch_on()

    # -- networks

    async def cut_one_way(self, random: Random) -> None:
        one, other = self._two(random)
        self._world.network.cut(f"broker-{one}", f"broker-{other}", random.uniform(0, _WHILE_S))

    async def cut(self, random: Random) -> None:
        one, other = self._two(random)
        self._world.network.stall(f"broker-{one}", f"broker-{other}", random.uniform(0, _WHILE_S))

    async def isolate(self, random: Random) -> None:
        """From the others, and from the store; clients still reach it."""
        node_id, seconds = self._one(random), random.uniform(0, _WHILE_S)
        for other in self._cluster.machines:
            if other != node_id:
                self._world.network.stall(f"broker-{node_id}", f"broker-{other}", seconds)
        await self._cut_store(node_id, seconds)

    async def strand(self, random: Random) -> None:
        """A leader's followers do not hear of what it still takes, and then another one is elected."""
        image = await self._cluster.image()
        leaders = [state.leader for topic in image.topics.values() for state in topic.partitions]
        node_id = random.choice(leaders)
        if node_id not in self._cluster.machines:
            return
        before, after = random.uniform(0.2, 1.0), random.uniform(0.2, _WHILE_S)
        for other in self._cluster.machines:
            if other != node_id:
                self._world.network.stall(f"broker-{node_id}", f"broker-{other}", before + after)
        await asyncio.sleep(before)
        await self._cluster.end_lease(node_id)

    async def reset_connections(self, random: Random) -> None:
        one, other = self._two(random)
        self._world.network.reset(f"broker-{one}", f"broker-{other}")

    async def slow_down(self, random: Random) -> None:
        machine = self._cluster.machines[self._one(random)]
        machine.slowness = 200.0
        await asyncio.sleep(random.uniform(0, _WHILE_S) / 2)
        machine.slowness = 1.0

    # -- the store

    async def lose_store(self, random: Random) -> None:
        await self._cut_store(self._one(random), random.uniform(0, _WHILE_S))

    async def _cut_store(self, node_id: int, seconds: float) -> None:
        way = self._cluster.ways[node_id]
        way.cut()
        await asyncio.sleep(seconds)
        way.heal()

    async def lose_outcomes(self, random: Random) -> None:
        what = random.choice(list(Lost))
        work = self._cluster.lose_later(self._one(random), what, random.uniform(0, _WHILE_S))
        self._later.append(asyncio.ensure_future(work))

    async def end_lease(self, random: Random) -> None:
        await self._cluster.end_lease(self._one(random))

    async def break_watch(self, random: Random) -> None:
        self._cluster.ways[self._one(random)].break_watches()

    async def drop_history(self, random: Random) -> None:
        """Of which a broker whose watch is late has not seen the end, and is told at its next."""
        way = self._cluster.ways[self._one(random)]
        way.slowness = 400.0
        await asyncio.sleep(random.uniform(0, _WHILE_S))
        way.break_watches()
        await self._cluster.store.compact((await self._cluster.store.range("", limit=1)).revision)
        way.slowness = 1.0

    async def late_watch(self, random: Random) -> None:
        way = self._cluster.ways[self._one(random)]
        way.slowness = 400.0
        await asyncio.sleep(random.uniform(0, _WHILE_S))
        way.slowness = 1.0
