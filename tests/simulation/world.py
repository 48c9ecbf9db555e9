"""All that one seed brings about: machines, their network, clients, and what is found wrong."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, NamedTuple

from tests.checker import History as Operations
from tests.simulation.client import Client
from tests.simulation.history import History
from tests.simulation.loop import Trace, VirtualLoop
from tests.simulation.machine import Machine
from tests.simulation.network import Network
from tests.unit.storage.simulated_disk import PowerLossError

from ottla.protocol.errors import KafkaError
from ottla.store.interface import Store, StoreError

_LIMIT_S = 150
"""A scenario that takes longer waits for what does not come."""


class World:
    """What a scenario is given."""

    def __init__(
        self,
        seed: int,
        loop: VirtualLoop,
        show: Callable[[str], None] | None = None,
        only: Collection[str] | None = None,
    ) -> None:
        self.seed = seed
        self.parts: list[str] = []
        """What the scenario can do without"""
        self._only = only
        self.loop = loop
        self.trace = Trace(loop, show)
        self.network = Network(loop, self.trace, self.random("network"))
        self.machines: list[Machine] = []
        self.history = History(loop.time)
        self.operations = Operations(loop.time)
        """For `tests.checker`."""
        self.stats: Counter[str] = Counter()
        """What happened how often, for people."""
        self.logged: Counter[str] = Counter()
        """How often brokers logged what, by the message before anything is filled in."""

    def random(self, what: str) -> Random:
        """Chance of its own for each purpose, so that one does not change with what another takes."""
        return Random(f"{self.seed}/{what}")

    def has(self, part: str) -> bool:
        """Whether something is to be there, to happen: one that fails is looked for with few of them.

        What a part does it takes its chance for from a `random` of its own.
        """
        self.parts.append(part)
        return self._only is None or part in self._only

    def machine(self, name: str, settings: Mapping[str, str], store: Store | None = None) -> Machine:
        """A new one, which is off; `store` is its way to that of a cluster."""
        made = Machine(
            name,
            len(self.machines) + 1,
            settings,
            loop=self.loop,
            trace=self.trace,
            network=self.network,
            random=self.random(name),
            store=store,
        )
        self.machines.append(made)
        return made

    def client(self, name: str, machine: Machine) -> Client:
        """Of the broker on a machine."""
        return machine.client(name)


class Outcome(NamedTuple):
    """What came of a seed."""

    seed: int
    digest: str
    """Of all that happened."""
    events: int
    seconds: float
    """Virtual ones."""
    stats: Mapping[str, int]
    violations: list[str]
    """What must not be."""
    operations: Operations
    parts: Sequence[str]
    """What the scenario can do without."""


Scenario = Callable[[World], Coroutine[Any, Any, None]]


def simulate(
    seed: int,
    scenario: Scenario,
    show: Callable[[str], None] | None = None,
    only: Collection[str] | None = None,
) -> Outcome:
    """Run a scenario in a world of its own, with `only` these of its parts; `show` is given each event as a
    line.
    """
    loop = VirtualLoop()
    began = loop.time()
    world = World(seed, loop, show, only)
    with asyncio.Runner(loop_factory=lambda: loop) as runner, _log_of_brokers(world) as complaints:
        try:
            runner.run(_to_its_end(world, scenario))
        finally:
            seconds = loop.time() - began
            digest, events = world.trace.digest, world.trace.events
            complaints += map(_describe, loop.failures)
            runner.run(_clear_away(world))
    violations = [*world.history.violations, *complaints]
    return Outcome(seed, digest, events, seconds, world.stats, violations, world.operations, world.parts)


async def _to_its_end(world: World, scenario: Scenario) -> None:
    try:
        async with asyncio.timeout(_LIMIT_S):
            await scenario(world)
    except TimeoutError:
        world.history.forbid(f"it goes on after {_LIMIT_S} seconds")
    except (OSError, StoreError, KafkaError) as error:
        world.history.forbid(f"a broker fails: {error!r}")


async def _clear_away(world: World) -> None:
    for machine in world.machines:
        if machine.is_on:
            await machine.switch_off()
    for machine in world.machines:
        await machine.bury()


def _describe(failure: Mapping[str, Any]) -> str:
    return f"nobody took care of: {failure.get('exception') or failure.get('message')!r}"


@contextmanager
def _log_of_brokers(world: World) -> Iterator[list[str]]:
    """Show what brokers log; they must never log a traceback, but for lost power."""
    complaints: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and not isinstance(record.exc_info[1], PowerLossError):
                complaints.append(f"a traceback in the log: {record.getMessage()}: {record.exc_info[1]!r}")
            world.logged[str(record.msg)] += 1
            world.trace.note("log", record.levelname.lower(), record.getMessage())

    logger = logging.getLogger("ottla")
    handler, level, propagates = Handler(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield complaints
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
