"""A fetch that waits for data: woken by the partitions it reads, or by its deadline; it never polls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ottla.replica.partition import Waiter


class Source(Protocol):
    """What a fetch waits for: a partition, or all those of a session."""

    def add_waiter(self, waiter: Waiter) -> None: ...

    def remove_waiter(self, waiter: Waiter) -> None: ...


class DelayedFetch:
    """Waits until `missing_bytes` have been appended to its partitions together, then completes once.

    Appends of one turn of the loop are answered together: completion is queued behind them.
    """

    __slots__ = ("_complete", "_deadline", "_missing_bytes", "_partitions", "_queued", "future")

    def __init__(
        self,
        partitions: Sequence[Source],
        missing_bytes: int,
        max_wait_ms: int,
        complete: Callable[[], Any],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._partitions = partitions
        self._missing_bytes = missing_bytes
        self._complete = complete
        self._queued = False
        self.future: asyncio.Future[Any] = loop.create_future()
        self._deadline = loop.call_later(max_wait_ms / 1000, self._finish)
        for partition in partitions:
            partition.add_waiter(self)
        self.future.add_done_callback(self._forget)

    def appended(self, size: int) -> None:
        """Called by a partition for each append, and with size 0 when it was moved or deleted."""
        self._missing_bytes -= size
        if not self._queued and (self._missing_bytes <= 0 or size == 0):
            self._queued = True
            asyncio.get_running_loop().call_soon(self._finish)

    def touched(self) -> None:
        """Called by a partition; not what is waited for."""

    def _finish(self) -> None:
        if self.future.done():
            return
        try:
            self.future.set_result(self._complete())
        except Exception as error:  # noqa: BLE001 - it reaches the connection through the future
            self.future.set_exception(error)

    def _forget(self, _future: asyncio.Future[Any]) -> None:
        self._deadline.cancel()
        for partition in self._partitions:
            partition.remove_waiter(self)
