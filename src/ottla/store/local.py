"""A store in this process: watches and leases around an engine that keeps keys and their history."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import groupby
from typing import Protocol, TypeVar

from ottla.metadata.transaction import NO_LEASE, Event, Put, Transaction
from ottla.store.interface import LeaseNotFoundError, Outcome, Page, Revision, StoreError

log = logging.getLogger(__name__)

_RETRY_S = 1.0
"""After a failure to delete the keys of a lease that has ended, as on a full disk."""

_T = TypeVar("_T")


class Engine(Protocol):
    """Keeps keys and their history. It is synchronous; errors are as in `Store`."""

    @property
    def revision(self) -> int:
        """The revision of the last change; it may be read from any thread."""
        ...

    def transaction(self, transaction: Transaction) -> Outcome: ...

    def range(
        self, prefix: str, revision: int | None = None, limit: int | None = None, after: str = ""
    ) -> Page: ...

    def events(self, prefix: str, from_revision: int) -> tuple[int, list[Event]]:
        """The present revision, and the changes from `from_revision` to it, by revision and key."""
        ...

    def delete_leased(self, lease_id: int) -> None:
        """Delete all keys of a lease, as one revision."""
        ...

    def compact(self, revision: int) -> None: ...

    def close(self) -> None: ...


class Run(Protocol):
    """Has work of the engine done: one piece after another, in the order of the calls."""

    def __call__(self, work: Callable[[], _T], /) -> Awaitable[_T]: ...


class LocalStore:
    """A `Store` over an engine. Leases live as long as the process: whoever holds one dies with it."""

    _engine: Engine

    def __init__(self, make_engine: Callable[[], Engine], run: Run, now_ms: Callable[[], int]) -> None:
        """`now_ms` is the leases' clock: a monotonic one."""
        self._make_engine = make_engine
        self._run = run
        self._opening: asyncio.Future[Engine] | None = None
        self._leases = _Leases(now_ms)
        self._expiry: asyncio.Task[None] | None = None
        self._leases_changed = asyncio.Event()
        self._changed = asyncio.Event()  # set with the next change; then another takes its place

    async def open(self) -> None:
        self._opening = asyncio.ensure_future(self._run(self._make_engine))
        self._engine = await asyncio.shield(self._opening)

    async def transaction(self, transaction: Transaction) -> Outcome:
        # Nothing is awaited before `_change`: when a lease ends later, its keys are deleted after this Put.
        for write in transaction.writes:
            if isinstance(write, Put) and write.lease_id != NO_LEASE:
                self._leases.check(write.lease_id)
        return await self._change(lambda: self._engine.transaction(transaction))

    async def range(
        self, prefix: str, *, revision: int | None = None, limit: int | None = None, after: str = ""
    ) -> Page:
        return await self._run(lambda: self._engine.range(prefix, revision, limit, after))

    async def watch(self, prefix: str, from_revision: int) -> AsyncGenerator[Revision]:
        number = from_revision - 1
        while True:
            changed, following = self._changed, number + 1
            if self._engine.revision < following:
                await changed.wait()
                continue
            present, events = await self._run(lambda: self._engine.events(prefix, following))  # noqa: B023
            for number, changes in groupby(events, key=lambda event: event.revision):
                yield Revision(number, tuple(changes))
            if number < present:
                number = present
                yield Revision(present)

    async def grant_lease(self, ttl_ms: int) -> int:
        lease_id = self._leases.grant(ttl_ms)
        self._leases_changed.set()
        if self._expiry is None:
            self._expiry = asyncio.create_task(self._expire_leases())
        return lease_id

    async def keep_lease_alive(self, lease_id: int) -> None:
        self._leases.keep_alive(lease_id)

    async def revoke_lease(self, lease_id: int) -> None:
        self._leases.end(lease_id)
        self._leases_changed.set()  # should it fail here, it is tried again there
        await self._delete_leased(lease_id)

    async def compact(self, revision: int) -> None:
        await self._run(lambda: self._engine.compact(revision))

    async def close(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._expiry
        opening, self._opening = self._opening, None
        if opening is None:
            return
        await asyncio.wait([opening])  # whoever opened it may have gone away
        if not opening.cancelled() and opening.exception() is None:
            await self._run(opening.result().close)

    async def _change(self, work: Callable[[], _T]) -> _T:
        """Have it done and watches told, even if who asked for it goes away."""
        change = asyncio.ensure_future(self._run(work))
        change.add_done_callback(self._wake_watches)
        return await asyncio.shield(change)

    def _wake_watches(self, _change: asyncio.Future[_T]) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _delete_leased(self, lease_id: int) -> None:
        await self._change(lambda: self._engine.delete_leased(lease_id))
        self._leases.forget(lease_id)

    async def _expire_leases(self) -> None:
        while True:
            self._leases_changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._leases.seconds_left()):
                    await self._leases_changed.wait()
            for lease_id in self._leases.ended():
                try:
                    await self._delete_leased(lease_id)
                except StoreError as error:
                    log.error("cannot delete the keys of lease %d: %s", lease_id, error)
                    await asyncio.sleep(_RETRY_S)


class _Leases:
    """All leases with their ttl and deadline; one that has ended stays until its keys are gone."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._leases: dict[int, tuple[int, int]] = {}
        self._last_id = NO_LEASE

    def grant(self, ttl_ms: int) -> int:
        if ttl_ms <= 0:
            raise ValueError(f"a lease needs a positive ttl, not {ttl_ms}")
        self._last_id += 1
        self._leases[self._last_id] = ttl_ms, self._now_ms() + ttl_ms
        return self._last_id

    def check(self, lease_id: int) -> int:
        """Its ttl; raises LeaseNotFoundError."""
        ttl_ms, deadline_ms = self._leases.get(lease_id, (0, None))
        if deadline_ms is None or deadline_ms <= self._now_ms():
            raise LeaseNotFoundError(f"lease {lease_id} does not exist")
        return ttl_ms

    def keep_alive(self, lease_id: int) -> None:
        ttl_ms = self.check(lease_id)
        self._leases[lease_id] = ttl_ms, self._now_ms() + ttl_ms

    def end(self, lease_id: int) -> None:
        self._leases[lease_id] = self.check(lease_id), self._now_ms()

    def forget(self, lease_id: int) -> None:
        self._leases.pop(lease_id, None)

    def ended(self) -> list[int]:
        now_ms = self._now_ms()
        return [lease_id for lease_id, (_, deadline_ms) in self._leases.items() if deadline_ms <= now_ms]

    def seconds_left(self) -> float | None:
        """Until the next one ends; None when there is none."""
        deadlines = [deadline_ms for _, deadline_ms in self._leases.values()]
        return max(min(deadlines) - self._now_ms(), 0) / 1000 if deadlines else None
