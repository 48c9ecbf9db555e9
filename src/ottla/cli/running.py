"""Our client inside a command that works for long: an event loop, signals, and calls that may block."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar, cast

import click

from ottla.cli.output import printable
from ottla.cli.progress import Progress
from ottla.cli.signals import TerminatedError
from ottla.client.connecting import AsyncClient
from ottla.client.net.cluster import Cluster
from ottla.client.settings import ClientSettings

T = TypeVar("T")

_TICK_S: Final = 0.25
_OUTAGE_S: Final = 0.4
"""A cluster that answers again by then was not away."""


def run_with_client(settings: ClientSettings, work: Callable[[AsyncClient], Awaitable[T]]) -> T:
    """What `work` gives. Ctrl-C and SIGTERM cancel it, once each time they come, so that it may end well, and
    another one ends that; KeyboardInterrupt or TerminatedError then.
    """

    async def connected() -> T:
        async with AsyncClient(settings) as client:
            return await work(client)

    with _told_of_the_client():
        return _run(connected())


def _run(work: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.new_event_loop()
    ended_by: list[BaseException] = []
    task = loop.create_task(work)

    def end(reason: type[BaseException]) -> None:
        ended_by.append(reason())
        task.cancel()

    try:
        for number, reason in ((signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, TerminatedError)):
            with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread
                loop.add_signal_handler(number, end, reason)
        result = loop.run_until_complete(task)
    except asyncio.CancelledError:
        raise ended_by[0] if ended_by else KeyboardInterrupt from None
    finally:
        loop.run_until_complete(_cancel_the_rest())
        loop.close()
    if ended_by:
        raise ended_by[0]
    return result


async def _cancel_the_rest() -> None:
    left = sorted(asyncio.all_tasks(), key=asyncio.Task.get_name)
    left.remove(cast("asyncio.Task[Any]", asyncio.current_task()))
    for each in left:
        each.cancel()
    if left:
        await asyncio.wait(left)
    await asyncio.get_running_loop().shutdown_asyncgens()


class LogLines(logging.Handler):
    """What is logged, a line each."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"ottla: {printable(record.getMessage())}", err=True)


@contextlib.contextmanager
def _told_of_the_client() -> Any:
    log, lines = logging.getLogger("ottla.client"), LogLines(logging.WARNING)
    log.addHandler(lines)
    try:
        yield
    finally:
        log.removeHandler(lines)


class Worker:
    """A thread for calls that may block, one after the other. The process does not wait for it at its end:
    what hangs in a pipe that nobody reads shall not keep it.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[[], T]) -> T:
        """Its result. Cancelled, the call goes on, but nobody hears of it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="ottla-cli", daemon=True)
            self._thread.start()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put((function, done))
        return await done

    def _work(self) -> None:
        while True:
            function, done = self._calls.get()
            try:
                result, error = function(), None
            except BaseException as caught:  # noqa: BLE001 - for who waits
                result, error = None, caught
            with contextlib.suppress(RuntimeError):  # the loop is closed
                done.get_loop().call_soon_threadsafe(_settle, done, result, error)


def _settle(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)


@contextlib.asynccontextmanager
async def watched(
    cluster: Cluster, shown: Progress, how_far: Callable[[], tuple[int, int]], is_waiting: Callable[[], bool]
) -> AsyncIterator[None]:
    """Tells `how_far` (records and bytes) it is, and once of each outage of the cluster while it `is_waiting`
    for it.
    """

    async def watch() -> None:
        away_s = 0.0
        while True:
            await asyncio.sleep(_TICK_S)
            shown.at(*how_far())
            before_s = away_s
            away_s = 0.0 if cluster.is_connected or not is_waiting() else away_s + _TICK_S
            if before_s < _OUTAGE_S <= away_s:
                click.echo("ottla: the cluster does not answer, trying again", err=True)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
