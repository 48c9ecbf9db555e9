"""An event loop in a thread, and the way into it."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

from ottla.client.errors import ClientClosedError, ClientError, ForkedError

P = ParamSpec("P")
T = TypeVar("T")

_GRACE_S: Final = 5.0
"""How long a client may take to be over at the process's end."""


class _LoopThread:
    """The loop, its thread, and what is to be done before it ends. Its thread keeps it."""

    def __init__(self) -> None:
        self.process_id = os.getpid()
        self.loop = _new_loop()
        self.at_end: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.is_closed = False
        self.tasks: dict[asyncio.Task[None], None] = {}
        self.thread = threading.Thread(target=self._run, name="ottla-client", daemon=True)
        self.thread.start()
        _LIVE.add(self)

    @property
    def is_usable(self) -> bool:
        return not self.is_closed and os.getpid() == self.process_id

    def soon(self, function: Callable[[], object]) -> None:
        """Have a function called in the thread; nobody waits for it. Once closed it is not called."""
        if self.is_usable:
            with contextlib.suppress(RuntimeError):  # closed in this very moment
                self.loop.call_soon_threadsafe(function)

    def spawn(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have a coroutine run, for nobody."""

        def begin() -> None:
            task = self.loop.create_task(_quietly(make))
            self.tasks[task] = None
            task.add_done_callback(self.tasks.pop)

        self.soon(begin)

    def close(self, timeout_s: float | None) -> None:
        if not self.is_usable:
            return
        try:
            if self.at_end is not None:
                asyncio.run_coroutine_threadsafe(self.at_end(), self.loop).result(timeout_s)
        finally:
            self._end()
            self.thread.join(_GRACE_S)

    def close_soon(self) -> None:
        """As `close`, without waiting: for the garbage collector, which may run in any thread."""

        async def end() -> None:
            try:
                if self.at_end is not None:
                    await self.at_end()
            finally:
                self._end()

        self.spawn(end)

    def _end(self) -> None:
        self.is_closed = True
        self.loop.call_soon_threadsafe(self.loop.stop)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            tasks = sorted(asyncio.all_tasks(self.loop), key=asyncio.Task.get_name)
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.loop.close()


class Portal:
    """Runs coroutines and functions in a loop's thread for other threads, which wait. Ctrl-C in the main
    thread cancels what it waits for. When nobody has the portal any more, the loop ends.
    """

    def __init__(self) -> None:
        self._inside = _LoopThread()
        weakref.finalize(self, self._inside.close_soon).atexit = False  # `_close_all` waits

    def at_end(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """What is to be done before the loop ends."""
        self._inside.at_end = close

    def call(self, work: Coroutine[Any, Any, T], undo: Callable[[T], object] | None = None) -> T:
        """Its result or exception. `undo` is called, in the loop's thread, with a result that came and that
        nobody was told of because of an interrupt.
        """
        self._check(work)
        results: list[T] = []

        async def kept() -> T:
            results.append(await work)
            return results[0]

        waiting = asyncio.run_coroutine_threadsafe(work if undo is None else kept(), self._inside.loop)
        try:
            return waiting.result()
        except concurrent.futures.CancelledError:
            raise ClientClosedError("the client was closed") from None
        except BaseException:
            if not waiting.done():  # KeyboardInterrupt, or what else a signal raised here
                waiting.cancel()
            if undo is not None:
                # Called after the cancellation: there is a result by then, or never.
                self.soon(lambda: [undo(each) for each in results])
            raise

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of a function that must run in the loop's thread."""

        async def work() -> T:
            return function(*args, **kwargs)

        return self.call(work())

    def soon(self, function: Callable[[], object]) -> None:
        """Have a function called in the loop's thread; nobody waits for it. Once closed it is not called."""
        self._inside.soon(function)

    @property
    def abandon(self) -> Callable[[Callable[[], Coroutine[Any, Any, None]]], None]:
        """Has something closed whose owner is garbage; keeps no portal alive."""
        return self._inside.spawn

    def close(self, timeout_s: float | None = None) -> None:
        """Do what is to be done at the end, and end the loop. Nothing in a fork."""
        self._inside.close(timeout_s)

    def _check(self, work: Coroutine[Any, Any, object]) -> None:
        inside = self._inside
        problem: ClientError | None = None
        if os.getpid() != inside.process_id:
            problem = ForkedError("this client was made before a fork; make a new one in each process")
        elif inside.is_closed:
            problem = ClientClosedError("the client is closed")
        elif threading.current_thread() is inside.thread:
            problem = ClientError("a callback, such as a rebalance listener's, must not call the client")
        if problem is not None:
            work.close()
            raise problem


async def in_thread(work: Callable[[], T]) -> T:
    """What a function gives that may wait for this loop; what it raises is raised here."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(told: Callable[[], None]) -> None:
        if not done.done():  # somebody still waits
            told()

    def run() -> None:
        try:
            told = partial(done.set_result, work())
        except BaseException as error:  # noqa: BLE001 - whoever waits raises it
            told = partial(done.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, told)

    try:
        threading.Thread(target=run, name="ottla-callback", daemon=True).start()
    except RuntimeError:  # at the interpreter's end there are no more threads
        run()
    return await done


_LIVE: Final[weakref.WeakSet[_LoopThread]] = weakref.WeakSet()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


async def _quietly(make: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with contextlib.suppress(ClientError):
        await make()


@atexit.register
def _close_all() -> None:
    for each in list(_LIVE):
        with contextlib.suppress(ClientError, TimeoutError):
            each.close(_GRACE_S)
