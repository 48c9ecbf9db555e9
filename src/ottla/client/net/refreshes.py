"""Refreshes of metadata: whoever asks while one is under way shares the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from ottla.client.errors import ClientClosedError, ClientError


class _Round:
    """What one refresh is to ask for, and who waits for it."""

    def __init__(self) -> None:
        self.topics: set[str] | None = set()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def add(self, topics: Iterable[str] | None) -> None:
        self.topics = None if topics is None or self.topics is None else self.topics | set(topics)


class Refreshes:
    """`fetch` does one, of these topics (None: all) and with topics made or not; `delay_s` says how long one
    that nobody waits for is put off.
    """

    def __init__(
        self, fetch: Callable[[frozenset[str] | None, bool], Awaitable[None]], delay_s: Callable[[], float]
    ) -> None:
        self._fetch = fetch
        self._delay_s = delay_s
        self._next: dict[bool, _Round] = {}
        self._running: asyncio.Task[None] | None = None
        self._later: asyncio.TimerHandle | None = None
        self._stale: set[str] = set()

    async def ask(self, topics: Iterable[str] | None, allow_auto_creation: bool) -> None:
        """Returns after a refresh that began now or later; raises what it raised."""
        await asyncio.shield(self._join(topics, allow_auto_creation).done)

    def ask_soon(self, topics: Iterable[str]) -> None:
        """One in the background, whose failure is nobody's: the next request finds out by itself."""
        self._stale.update(topics)
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(self._delay_s(), self._ask_now)

    def stop(self) -> list[asyncio.Task[None]]:
        """No more of them; the task that is still at it."""
        if self._later is not None:
            self._later.cancel()
        for each in self._next.values():
            _fail(each, ClientClosedError("the client was closed"))
        self._next.clear()
        return [] if self._running is None else [self._running]

    def _ask_now(self) -> None:
        self._later = None
        topics, self._stale = self._stale, set()
        self._join(topics, allow_auto_creation=False)

    def _join(self, topics: Iterable[str] | None, allow_auto_creation: bool) -> _Round:
        round_ = self._next.get(allow_auto_creation)
        if round_ is None:
            round_ = self._next[allow_auto_creation] = _Round()
        round_.add(topics)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return round_

    async def _run(self) -> None:
        try:
            while self._next:
                allow_auto_creation, round_ = next(iter(self._next.items()))
                del self._next[allow_auto_creation]
                await self._do(round_, allow_auto_creation)
        finally:
            self._running = None

    async def _do(self, round_: _Round, allow_auto_creation: bool) -> None:
        try:
            await self._fetch(
                None if round_.topics is None else frozenset(round_.topics), allow_auto_creation
            )
        except ClientError as error:
            _fail(round_, error)
        except BaseException:
            for each in (round_, *self._next.values()):
                _fail(each, ClientClosedError("the client was closed"))
            self._next.clear()
            raise
        else:
            if not round_.done.done():
                round_.done.set_result(None)


def _fail(round_: _Round, error: ClientError) -> None:
    if not round_.done.done():
        round_.done.set_exception(error)
        round_.done.exception()  # there may be nobody who waits
