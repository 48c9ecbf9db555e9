"""The face of a store, in etcd's terms, so that a cluster can put etcd where a single node has SQLite.

Every transaction that changes something gets the next revision; it writes only if its comparisons hold. Reads
may be at a past revision, and watches begin at one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import NamedTuple, Protocol

from ottla.metadata.transaction import DeletePrefix, Event, KeyValue, Transaction, Write

_PAGE_ENTRIES = 5_000


class StoreError(RuntimeError):
    """The store could not read or write (a full disk, a broken file); nothing of the transaction was done."""


class UnfitStoreError(StoreError):
    """It must not be used; another try would not help."""


class OutcomeUnknownError(RuntimeError):
    """The transaction was done, or will be, or was not: read back before another attempt."""


class CompactedError(LookupError):
    """The history that was asked for has been dropped; read the present state and start from there."""


class LeaseNotFoundError(LookupError):
    """The lease has ended, or never was."""


class Outcome(NamedTuple):
    """Whether the comparisons held, and the store's revision afterwards; what is refused changes nothing."""

    committed: bool
    revision: int


class Page(NamedTuple):
    """Keys in order, as they were at `revision`; `more` says that others follow the last one."""

    revision: int
    entries: list[KeyValue]
    more: bool = False


class Revision(NamedTuple):
    """All that one transaction changed of what is watched, by key.

    Without events it is a mark of progress: nothing up to `number` is still to come.
    """

    number: int
    events: tuple[Event, ...] = ()


class Store(Protocol):
    """Any of its methods raises StoreError.

    Keys begin with a slash, and are ordered by their characters' code points.
    """

    async def open(self) -> None:
        """Before anything else; raises StoreError, and MetadataFormatError for a store of another version."""
        ...

    async def transaction(self, transaction: Transaction) -> Outcome:
        """Durable when it returns.

        Raises LeaseNotFoundError for a Put under an ended lease, and OutcomeUnknownError.
        """
        ...

    async def range(
        self, prefix: str, *, revision: int | None = None, limit: int | None = None, after: str = ""
    ) -> Page:
        """The keys that begin with `prefix` and follow the key `after`, as they are or were at `revision`.

        Raises CompactedError for a revision whose history is gone, ValueError for one that is yet to come.
        """
        ...

    def watch(self, prefix: str, from_revision: int) -> AsyncGenerator[Revision]:
        """The changes under `prefix` from `from_revision` on, whole revisions in order, each once.

        Marks of progress may come at any time. It raises CompactedError when it begins in, or has fallen back
        behind, history that is gone. After any error it is over: watch again from the revision after the last
        one that came.
        """
        ...

    async def grant_lease(self, ttl_ms: int) -> int:
        """A lease that ends, and takes its keys with it, unless it is kept alive within `ttl_ms`.

        The store's clock counts, and it may prolong the time: a lease says who lives, never who may write.
        """
        ...

    async def keep_lease_alive(self, lease_id: int) -> None:
        """Put the lease's end off to its ttl from now; raises LeaseNotFoundError."""
        ...

    async def revoke_lease(self, lease_id: int) -> None:
        """End the lease and delete its keys; raises LeaseNotFoundError."""
        ...

    async def compact(self, revision: int) -> None:
        """Drop the history before `revision`."""
        ...

    async def close(self) -> None:
        """Give back what the store holds, if it was opened; whoever watches it has ended before."""
        ...


async def read_all(store: Store, prefix: str = "", page_entries: int = _PAGE_ENTRIES) -> Page:
    """Everything under `prefix` at one revision, read page by page."""
    page = await store.range(prefix, limit=page_entries)
    entries = page.entries
    while page.more:
        page = await store.range(
            prefix, revision=page.revision, limit=page_entries, after=page.entries[-1].key
        )
        entries.extend(page.entries)
    return Page(page.revision, entries)


async def read_key(store: Store, key: str) -> tuple[int, KeyValue | None]:
    """The store's revision, and one key as it is."""
    page = await store.range(key, limit=1)  # of all keys that begin like this one it is the first
    found = page.entries[0] if page.entries else None
    return page.revision, found if found is not None and found.key == key else None


def page_of(revision: int, entries: list[KeyValue], limit: int | None) -> Page:
    """The first `limit` of entries of which there may be more."""
    if limit is None or len(entries) <= limit:
        return Page(revision, entries)
    return Page(revision, entries[:limit], more=True)


def prefixes_of(writes: Iterable[Write]) -> tuple[str, ...]:
    return tuple(write.prefix for write in writes if isinstance(write, DeletePrefix))


def prefix_end(prefix: str) -> str | None:
    """The first key after all those that begin with `prefix`; None when there is no such bound."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    if following == 0xD800:  # surrogates are no characters: the one after U+D7FF is U+E000
        following = 0xE000
    return stem[:-1] + chr(following)
