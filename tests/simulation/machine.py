"""A machine with a broker on it: power, disk, threads, store and clock, all of them virtual."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Executor, Future
from contextvars import copy_context
from random import Random
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from tests.simulation.client import Client
from tests.simulation.loop import POWER, START_S, Power, Trace, VirtualLoop
from tests.simulation.network import Network
from tests.unit.storage.simulated_disk import PowerLossError, SimulatedDisk

from ottla.broker.assembly import Broker, BrokerSettings
from ottla.broker.host import Host
from ottla.clock import Clock
from ottla.config.layers import BrokerLayers
from ottla.config.load import Sources, load_settings
from ottla.config.store import StoreConfig
from ottla.store.interface import Store
from ottla.store.local import LocalStore
from ottla.store.memory import MemoryEngine

PORT = 9092
FOLDER = "/data"
EPOCH_MS = 1_800_000_000_000
"""The wall clock's time when a simulation begins."""

_WORK_S = 0.0005
"""The mean of the time before a thread has done a piece of work, and again until that is noticed."""
_NOTICE_S = 1.5
"""Within this, others notice that a machine has lost its power."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Machine:
    """Goes through several lives; what its disk has synced, and its store, last."""

    def __init__(
        self,
        name: str,
        node_id: int,
        settings: Mapping[str, str],
        *,
        loop: VirtualLoop,
        trace: Trace,
        network: Network,
        random: Random,
        store: Store | None = None,
    ) -> None:
        """`store` is its way to that of a cluster; without it the machine has one of its own."""
        self.name = name
        self.address = name, PORT
        self.node_id = node_id
        self._store = store
        self._settings = settings
        self._loop = loop
        self._trace = trace
        self._network = network
        self._random = random
        self.disk = _Disk(self, random.getrandbits(32))
        self.slowness = 1.0
        """How many times as long its threads take."""
        self.lives = 0
        """How often it was switched on, or a broker begun on it"""
        self._boots = 1
        self._engine = MemoryEngine()
        self._power = Power()
        self._power.is_on = False
        self._ended: asyncio.Future[None] = loop.create_future()
        self._former: list[Power] = []
        self._broker: Broker | None = None
        self.running: Broker | None = None
        """The same, while it starts and stops, too"""

    @property
    def is_on(self) -> bool:
        return self._power.is_on

    @property
    def era(self) -> int:
        """For those who have but this broker."""
        return self.lives

    def client(self, name: str) -> Client:
        """Of its broker."""
        return Client(self._network, name, self.address)

    # -- power

    async def switch_on(self) -> None:
        """Start a broker with what is left; returns when it serves, or when the power is gone again.

        Raises what the broker raises.
        """
        self.lives += 1
        self._power, self._ended = Power(), self._loop.create_future()
        self.note("on", self.lives)
        self._context = copy_context()
        self._context.run(POWER.set, self._power)
        await self._while_powered(self._start())

    async def switch_off(self) -> None:
        """Stop the broker in order, if it serves."""
        power = self._power
        broker, self._broker = self._broker, None
        if broker is None:
            return
        await self._while_powered(broker.stop())
        if power.is_on:  # it was not killed meanwhile, and may run again by now
            self.running = None
            power.is_on = False
            self.note("off")

    def lose_power(self) -> None:
        """Nothing goes on, not even to its end; the disk forgets what it was not made to keep."""
        if self._power.is_on:
            self.note("loses power")
            self._end_life()
            self._network.unplug(self.name, _NOTICE_S)
        elif self.disk.is_off:
            return
        self._boots += 1
        self.disk.lose_power()

    def kill_broker(self) -> None:
        """It does not go on; what it wrote is there, and those that it was connected to notice at once."""
        if self._power.is_on:
            self.note("is killed")
            self._end_life()
            self.disk.kill()
            self._network.unplug(self.name, 0)

    def _end_life(self) -> None:
        self._broker = self.running = None
        self._power.lose()
        self._former.append(self._power)
        if not self._ended.done():
            self._ended.set_result(None)

    def repair_disk(self) -> None:
        """After a power loss, and before the machine is switched on again."""
        self.disk.restart()

    async def bury(self) -> None:
        """At the very end: see the lives off that ended in the middle of something."""
        for power in self._former:
            await power.bury()
        self._former.clear()

    async def _start(self) -> None:
        loaded = load_settings(
            Sources(
                options={
                    name: (text, "simulation")
                    for name, text in {
                        **self._settings,
                        "node.id": str(self.node_id),
                        "log.dirs": FOLDER,
                        "listeners": f"PLAINTEXT://{self.name}:{PORT}",
                    }.items()
                }
            )
        )
        broker = Broker(BrokerSettings(loaded.config, BrokerLayers(static=loaded.static)), self._host())
        self.running = broker
        await broker.start()
        self._broker = broker

    async def _while_powered(self, work: Coroutine[Any, Any, None]) -> None:
        power = self._power
        task = self._loop.create_task(work, context=self._context)
        await asyncio.wait([task, self._ended], return_when=asyncio.FIRST_COMPLETED)
        if task.done() and not task.cancelled():
            error = task.exception()
            if error is not None and power.is_on:
                raise error

    # -- what its broker is given

    def _host(self) -> Host:
        return Host(
            clock=_VirtualClock(self._loop),
            random=self._random,
            new_uuid=self._new_uuid,
            make_executor=self._make_executor,
            open_fs=lambda _files: self.disk.mount(),
            make_store=self._make_store,
            bind=self._network.binder(self.name),
            connect=self._network.connector(self.name),
            addresses_of=self._network.addresses_of,
            name=lambda: self.name,
            shares_store=self._store is not None,
            boot_id=f"{self.name}, boot {self._boots}",
        )

    def now_ms(self) -> int:
        return _wall_ms(self._loop)

    def work_time(self) -> float:
        """Seconds that half a piece of work takes a thread."""
        return self._random.expovariate(1 / _WORK_S) * self.slowness

    def note(self, what: str, *details: object) -> None:
        """It happened on this machine, after so many steps of its disk."""
        self._trace.note(self.name, what, *details, f"({self.disk.steps})")

    def _new_uuid(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def _make_executor(self, threads: int, name: str) -> Executor:
        return _VirtualThreads(self, self._loop, threads, name)

    def _make_store(self, _folder: str, _config: StoreConfig) -> Store:
        if self._store is not None:
            return self._store
        thread = self._make_executor(1, "store")

        def run(work: Callable[[], _T], /) -> Awaitable[_T]:
            return self._loop.run_in_executor(thread, work)

        return LocalStore(lambda: self._engine, run, lambda: int(self._loop.time() * 1000))


def _wall_ms(loop: VirtualLoop) -> int:
    return EPOCH_MS + int((loop.time() - START_S) * 1000)


class _VirtualClock(Clock):
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now_ms(self) -> int:
        return _wall_ms(self._loop)

    def monotonic_s(self) -> float:
        return self._loop.time()


class _Disk(SimulatedDisk):
    """Takes its machine with it when the power goes in the middle of something."""

    def __init__(self, machine: Machine, seed: int) -> None:
        self._machine: Machine | None = None
        super().__init__(seed, (FOLDER,))
        self._machine = machine

    @property
    def is_off(self) -> bool:
        return self._is_off

    @property
    def used(self) -> int:
        """Bytes of all files."""
        return self._used()

    def step(self) -> None:
        machine = self._machine
        if machine is not None:
            self.now_ms = machine.now_ms()
        try:
            super().step()
        except PowerLossError:
            if machine is not None:
                machine.lose_power()
            raise


class _VirtualThreads(Executor):
    """So many pieces of work are under way at once. Each is done in one moment, some time after it began, and
    noticed some time later.
    """

    def __init__(self, machine: Machine, loop: VirtualLoop, threads: int, name: str) -> None:
        self._machine = machine
        self._loop = loop
        self._idle = threads
        self._name = name
        self._waiting: deque[Callable[[], None]] = deque()

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        future: Future[_T] = Future()
        self._waiting.append(lambda: self._begin(future, lambda: fn(*args, **kwargs)))
        self._next()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """A broker that stops has waited for all work before."""

    def _next(self) -> None:
        if self._idle and self._waiting:
            self._idle -= 1
            self._waiting.popleft()()

    def _begin(self, future: Future[_T], work: Callable[[], _T]) -> None:
        if future.set_running_or_notify_cancel():
            self._loop.call_later(self._machine.work_time(), self._do, future, work)
        else:
            self._ended()

    def _do(self, future: Future[_T], work: Callable[[], _T]) -> None:
        self._machine.note("works", self._name)
        try:
            result = work()
        except PowerLossError:
            return
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            self._loop.call_later(self._machine.work_time(), future.set_exception, error)
        else:
            self._loop.call_later(self._machine.work_time(), future.set_result, result)
        self._ended()

    def _ended(self) -> None:
        self._idle += 1
        self._next()
