"""What goes wrong with a machine, and comes right again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from tests.simulation.machine import Machine
from tests.simulation.world import World

_STEPS_BEFORE_POWER_LOSS = 40
_WHILE_S = 1.5
_SOON_S = 0.1
"""The mean."""


class Faults:
    """One fault after another befalls a machine."""

    def __init__(
        self, world: World, machine: Machine, clients: Iterable[str], *, ends_lives: bool = False
    ) -> None:
        """`clients` are the names of those that talk to it; with `ends_lives` one of the faults does."""
        self._world = world
        self._machine = machine
        self._clients = list(clients)
        self._random = world.random(f"faults of {machine.name}")
        every: list[Callable[[], Awaitable[None]]] = [
            self.lose_power,
            self.lose_power,
            self.kill,
            self.restart,
            self.fill_disk,
            self.fail_to_sync,
            self.slow_down,
            self.stall_network,
            self.reset_connections,
        ]
        # Each seed has its own few: what always happens together hides what happens alone.
        self.some = self._random.sample(every, self._random.randrange(1, len(every)))
        if ends_lives:
            self.some.append(self.lose_power_while_slow)

    async def run(self, until: float, pause_s: float) -> None:
        """Have them happen; in the end all is well, and the machine on."""
        loop = self._world.loop
        while loop.time() < until:
            await asyncio.sleep(self._random.expovariate(1 / pause_s))
            fault = self._random.choice(self.some)
            self._machine.note("fault", fault.__name__)
            self._world.stats[f"fault: {fault.__name__}"] += 1
            await fault()
            await self._switch_on()

    async def lose_power(self) -> None:
        """In the middle of what it does with its disk, if that comes soon."""
        machine = self._machine
        machine.disk.power_loss_at = machine.disk.steps + self._random.randrange(_STEPS_BEFORE_POWER_LOSS)
        await asyncio.sleep(self._random.uniform(0, _WHILE_S))
        machine.lose_power()
        await asyncio.sleep(self._random.uniform(0, _WHILE_S))

    async def lose_power_while_slow(self) -> None:
        """With much on its way to the disk."""
        self._machine.slowness = 50.0
        await asyncio.sleep(self._random.uniform(0, _WHILE_S))
        self._machine.lose_power()
        self._machine.slowness = 1.0

    async def kill(self) -> None:
        """The next broker finds what this one did not sync; mostly the power goes before much is added."""
        machine = self._machine
        machine.slowness = 200.0
        await asyncio.sleep(self._random.uniform(0, _WHILE_S))
        machine.kill_broker()
        machine.slowness = 1.0
        await self._switch_on()
        if self._random.random() < 0.7:
            await asyncio.sleep(self._random.expovariate(1 / _SOON_S))
            machine.lose_power()

    async def restart(self) -> None:
        """In order."""
        await self._machine.switch_off()

    async def fill_disk(self) -> None:
        disk = self._machine.disk
        disk.capacity = disk.used + self._random.randrange(300)
        await asyncio.sleep(self._random.uniform(0, _WHILE_S))
        disk.capacity = None

    async def fail_to_sync(self) -> None:
        """What a log could not sync it does not serve any more, until somebody restarts the machine."""
        self._machine.disk.fails_to_sync = True
        await asyncio.sleep(self._random.uniform(0, _WHILE_S))
        self._machine.lose_power()
        self._machine.disk.fails_to_sync = False

    async def slow_down(self) -> None:
        self._machine.slowness = 200.0
        await asyncio.sleep(self._random.uniform(0, _WHILE_S))
        self._machine.slowness = 1.0

    async def stall_network(self) -> None:
        for client in self._clients:
            if self._random.random() < 0.5:
                seconds = self._random.uniform(0, 2 * _WHILE_S)
                self._world.network.stall(client, self._machine.name, seconds)
        await asyncio.sleep(self._random.uniform(0, _WHILE_S))

    async def reset_connections(self) -> None:
        for client in self._clients:
            if self._random.random() < 0.5:
                self._world.network.reset(client, self._machine.name)

    async def _switch_on(self) -> None:
        """It may lose its power while it starts."""
        machine = self._machine
        while not machine.is_on:
            if machine.disk.is_off:
                machine.disk.restart()
                if self._random.random() < 0.2:
                    machine.disk.power_loss_at = machine.disk.steps + self._random.randrange(20)
            await machine.switch_on()
        machine.disk.power_loss_at = None
