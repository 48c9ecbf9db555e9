"""One poll at a time, which is when the membership may change what the application holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ottla.client.consumer.membership import Gate
from ottla.client.errors import ClientClosedError, ClientError

T = TypeVar("T")


class Polling:
    """`ready` is set when there may be something new. What failed meanwhile is raised by the next poll."""

    def __init__(self, gate: Gate, ready: asyncio.Event, polled: Callable[[], None]) -> None:
        self._gate = gate
        self._ready = ready
        self._polled = polled
        self._failures: list[Exception] = []
        self._end: Exception | None = None
        """The membership is over: nothing is read any more."""
        self._is_in_poll = False
        self._is_closed = False
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Whoever polls gets ClientClosedError."""
        self._is_closed = True
        self._ready.set()

    def renew(self) -> None:
        """Another membership may begin."""
        self._end = None

    def check_open(self) -> None:
        if self._is_closed:
            raise ClientClosedError("the consumer is closed")

    def fail(self, error: Exception, *, is_last: bool = False) -> None:
        """Raised by the next poll; what is the last by every one, until `renew`."""
        if is_last:
            self._end = error
        self._failures.append(error)
        self._ready.set()

    async def next(self, take: Callable[[], T | None], timeout_s: float | None) -> T | None:
        """What `take` gives; None when it gives nothing for so long (None: wait for ever)."""
        self.check_open()
        if self._is_in_poll:
            raise ClientError("another task polls this consumer already")
        self._is_in_poll = True
        self._gate.poll_begins()
        self._polled()
        try:
            await asyncio.sleep(0)  # the loop gets its turn, however much is buffered
            if timeout_s is None:
                return await self._wait(take)
            return await self._wait_until(take, self._loop.time() + timeout_s)
        finally:
            self._is_in_poll = False
            self._gate.poll_ends()
            self._polled()

    async def _wait_until(self, take: Callable[[], T | None], deadline: float) -> T | None:
        result = None if self._gate.is_wanted else self._try(take)
        if result is not None or self._loop.time() >= deadline:
            return result
        try:
            async with asyncio.timeout_at(deadline):
                return await self._wait(take)
        except TimeoutError:
            return None

    async def _wait(self, take: Callable[[], T | None]) -> T:
        while True:
            if self._gate.is_wanted:
                await self._gate.wait_until_free()
            result = self._try(take)
            if result is not None:
                return result
            await self._ready.wait()

    def _try(self, take: Callable[[], T | None]) -> T | None:
        self.check_open()
        if self._failures:
            raise self._failures.pop(0)
        if self._end is not None:
            raise self._end.again() if isinstance(self._end, ClientError) else self._end
        return take()
