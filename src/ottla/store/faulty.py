"""One node's way to a store that others use too, with what a network does to it: for tests and simulation.

A lease that ends although its holder lives is `revoke_lease` on the store itself.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable

from ottla.metadata.transaction import Transaction
from ottla.store.interface import Outcome, OutcomeUnknownError, Page, Revision, Store, StoreError


class Lost(enum.Enum):
    """What became of a transaction whose answer did not come."""

    ANSWER = "the transaction was done"
    REQUEST = "it was not, and never will be"
    DELAYED = "it is done later, at `deliver`"


class FaultyStore:
    """A `Store` over another. Faults come when asked for: a simulation draws them from its seed."""

    def __init__(self, store: Store, delay: Callable[[], Awaitable[None]] | None = None) -> None:
        """`delay` is awaited before each operation, and before each revision that a watch gives."""
        self._store = store
        self._delay = delay or _no_delay
        self._lost: deque[Lost] = deque()
        self._delayed: deque[Transaction] = deque()
        self._connected = asyncio.Event()
        self._connected.set()
        self._breaks = 0  # how often watches were broken

    # -- faults

    def lose(self, what: Lost) -> None:
        """Have the next transaction for which nothing else is foreseen end with OutcomeUnknownError."""
        self._lost.append(what)

    async def deliver(self) -> list[Outcome]:
        """Have the delayed transactions done, as late as now."""
        outcomes = []
        while self._delayed:
            outcomes.append(await self._store.transaction(self._delayed.popleft()))
        return outcomes

    def cut(self) -> None:
        """From now on watches are silent, and operations fail; of transactions the outcome is unknown."""
        self._connected.clear()

    def heal(self) -> None:
        """End `cut`; watches go on where they were."""
        self._connected.set()

    def break_watches(self) -> None:
        """Those that are open end with StoreError instead of their next revision."""
        self._breaks += 1

    # -- the store

    async def open(self) -> None:
        """The store itself is open already."""

    async def transaction(self, transaction: Transaction) -> Outcome:
        await self._delay()
        if not self._connected.is_set():
            raise OutcomeUnknownError("the store is cut off")
        lost = self._lost.popleft() if self._lost else None
        if lost is None:
            return await self._store.transaction(transaction)
        if lost is Lost.ANSWER:
            await self._store.transaction(transaction)
        elif lost is Lost.DELAYED:
            self._delayed.append(transaction)
        raise OutcomeUnknownError("the answer was lost")

    async def range(
        self, prefix: str, *, revision: int | None = None, limit: int | None = None, after: str = ""
    ) -> Page:
        await self._reach()
        return await self._store.range(prefix, revision=revision, limit=limit, after=after)

    async def watch(self, prefix: str, from_revision: int) -> AsyncGenerator[Revision]:
        breaks = self._breaks
        async for revision in self._store.watch(prefix, from_revision):
            await self._delay()
            await self._connected.wait()
            if breaks != self._breaks:
                raise StoreError("the watch was broken")
            yield revision

    async def grant_lease(self, ttl_ms: int) -> int:
        await self._reach()
        return await self._store.grant_lease(ttl_ms)

    async def keep_lease_alive(self, lease_id: int) -> None:
        await self._reach()
        await self._store.keep_lease_alive(lease_id)

    async def revoke_lease(self, lease_id: int) -> None:
        await self._reach()
        await self._store.revoke_lease(lease_id)

    async def compact(self, revision: int) -> None:
        await self._reach()
        await self._store.compact(revision)

    async def close(self) -> None:
        """The store itself stays open for the others."""

    async def _reach(self) -> None:
        await self._delay()
        if not self._connected.is_set():
            raise StoreError("the store is cut off")


async def _no_delay() -> None:
    pass
