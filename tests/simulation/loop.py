"""Virtual time: asyncio's own event loop, whose clock jumps to the next timer when nothing is ready."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Collection, Coroutine, Mapping
from concurrent.futures import Executor
from contextvars import Context, ContextVar, copy_context
from functools import partial
from hashlib import sha256
from typing import Any
from weakref import WeakSet

START_S = 1_000.0
"""What the loop's clock shows in the beginning."""
_MOST_TURNS = 100_000
"""Of the loop in one moment"""


class Power:
    """What keeps one life of a machine going. Once it is off, nothing that the machine began goes on: its
    tasks stop where they are, and no `finally` runs.
    """

    def __init__(self) -> None:
        self.is_on = True
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._stopped: list[asyncio.Task[Any]] = []
        self._held: list[Callable[[], object]] = []

    def call(self, callback: Callable[..., object], *args: object) -> None:
        if self.is_on:
            callback(*args)
        else:
            self._held.append(partial(callback, *args))

    def lose(self) -> None:
        """Stop everything."""
        self.is_on = False
        self._stopped = [task for task in self.tasks if not task.done()]

    async def bury(self) -> None:
        """When all is over: let what was stopped come to an end, or each task would complain that it was
        forgotten.
        """
        self.is_on = True
        for callback in self._held:
            asyncio.get_running_loop().call_soon(callback)
        self._held.clear()
        stopped: Collection[asyncio.Task[Any]] = self._stopped
        while stopped:  # what is cancelled may meet the lost disk instead, and go on
            for task in stopped:
                task.cancel()
            stopped = (await asyncio.wait(stopped, timeout=1))[1]
        self._stopped.clear()


POWER: ContextVar[Power | None] = ContextVar("POWER", default=None)
"""The machine that the running code is on; None for what is outside of the simulated world."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs the callbacks of machines whose power is on."""

    def __init__(self) -> None:
        self._selector_of_time = _TimeSelector()
        super().__init__(self._selector_of_time)
        self.failures: list[Mapping[str, Any]] = []
        """What asyncio would have logged: exceptions that nobody waits for."""
        self.set_exception_handler(lambda _loop, context: self.failures.append(context))
        self.set_task_factory(_make_task)

    def time(self) -> float:
        return self._selector_of_time.now

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        context, callback, args = _powered(context, callback, args)
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context, callback, args = _powered(context, callback, args)
        return super().call_at(when, callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)  # there are no other threads

    def run_in_executor(
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        assert executor is not None, "somebody takes a thread that was not handed in"
        return super().run_in_executor(executor, func, *args)


def _powered(
    context: Context | None, callback: Callable[..., object], args: tuple[Any, ...]
) -> tuple[Context, Callable[..., object], tuple[Any, ...]]:
    if context is None:  # an empty one is false
        context = copy_context()
    power = context.get(POWER)
    return (context, callback, args) if power is None else (context, power.call, (callback, *args))


def _make_task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **how: Any
) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, **how)
    context = how.get("context")
    power = POWER.get() if context is None else context.get(POWER)
    if power is not None:
        power.tasks.add(task)
    return task


class _TimeSelector(selectors.BaseSelector):
    """Waits for nothing but time, and that not really."""

    def __init__(self) -> None:
        self.now = START_S
        self._turns = 0  # of the loop, at this time
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and nothing is going to happen")
        self._turns = 0 if timeout > 0 else self._turns + 1
        if self._turns > _MOST_TURNS:
            raise RuntimeError("it goes round in circles, and no time passes")
        self.now += max(timeout, 0)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        assert not self._keys, "somebody waits for a real file or socket"  # the first is the loop's own
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, fileobj, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class Trace:
    """What happened, as one hash: two runs are the same if theirs are."""

    def __init__(self, loop: VirtualLoop, show: Callable[[str], None] | None = None) -> None:
        """`show` is given each event as a line."""
        self._loop = loop
        self._show = show
        self._hash = sha256()
        self.events = 0

    def note(self, who: str, what: str, *details: object) -> None:
        """Details must read the same in every process: no sets, no addresses."""
        self.events += 1
        line = " ".join((f"{self._loop.time() - START_S:10.6f} {who:9} {what}", *map(str, details)))
        self._hash.update(line.encode() + b"\n")
        if self._show is not None:
            self._show(line)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()[:16]
