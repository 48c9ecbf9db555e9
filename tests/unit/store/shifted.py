"""A store whose revisions begin at 0, over one that others have used before."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Self

from ottla.metadata.transaction import Compare, Event, KeyValue, Transaction
from ottla.store.interface import Outcome, Page, Revision, Store


class ShiftedStore:
    """So that one contract is held against an etcd that many tests share."""

    def __init__(self, store: Store, base: int) -> None:
        self._store = store
        self._base = base

    @classmethod
    async def over(cls, store: Store) -> Self:
        return cls(store, (await store.range("", limit=1)).revision)

    async def open(self) -> None:
        await self._store.open()

    async def transaction(self, transaction: Transaction) -> Outcome:
        compares = [Compare(key, number and number + self._base) for key, number in transaction.compares]
        committed, revision = await self._store.transaction(Transaction(tuple(compares), transaction.writes))
        return Outcome(committed, revision - self._base)

    async def range(
        self, prefix: str, *, revision: int | None = None, limit: int | None = None, after: str = ""
    ) -> Page:
        at = None if revision is None else revision + self._base
        page = await self._store.range(prefix, revision=at, limit=limit, after=after)
        return Page(page.revision - self._base, [self._entry(each) for each in page.entries], page.more)

    async def watch(self, prefix: str, from_revision: int) -> AsyncGenerator[Revision]:
        async for number, events in self._store.watch(prefix, from_revision + self._base):
            moved = (Event(each.revision - self._base, each.key, each.value) for each in events)
            yield Revision(number - self._base, tuple(moved))

    async def grant_lease(self, ttl_ms: int) -> int:
        return await self._store.grant_lease(ttl_ms)

    async def keep_lease_alive(self, lease_id: int) -> None:
        await self._store.keep_lease_alive(lease_id)

    async def revoke_lease(self, lease_id: int) -> None:
        await self._store.revoke_lease(lease_id)

    async def compact(self, revision: int) -> None:
        await self._store.compact(revision + self._base)

    async def close(self) -> None:
        await self._store.close()

    def _entry(self, entry: KeyValue) -> KeyValue:
        return entry._replace(
            create_revision=entry.create_revision - self._base, mod_revision=entry.mod_revision - self._base
        )
