"""Where metadata lives: the face of a small store in etcd's terms.

Every transaction that changes something gets the next revision; reads may be at a past revision, watches
begin at one, and a transaction writes only if its comparisons hold. Cores never see a store: they read an
image and return a `Transaction`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

NO_LEASE = 0


class CompactedError(LookupError):
    """The history that was asked for has been dropped; read the present state and start from there."""


class LeaseNotFoundError(LookupError):
    """The lease has ended, or never was."""


class StoreError(RuntimeError):
    """The store could not read or write (a full disk, a broken file); nothing of the transaction was done."""


class MetadataFormatError(ValueError):
    """Stored metadata that this version cannot read."""


class KeyValue(NamedTuple):
    """One key as it is at some revision. `version` counts its writes since it was created."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease_id: int = NO_LEASE


class Event(NamedTuple):
    """One change of one key; `value` is None when it was deleted."""

    revision: int
    key: str
    value: bytes | None


class Field(enum.Enum):
    MOD_REVISION = "mod_revision"
    VERSION = "version"


class Compare(NamedTuple):
    """Holds when the key's field equals `expected`; a key that does not exist has 0 in each field."""

    key: str
    field: Field
    expected: int

    @classmethod
    def absent(cls, key: str) -> Compare:
        return cls(key, Field.VERSION, 0)

    @classmethod
    def unchanged(cls, key: str, mod_revision: int) -> Compare:
        """The key is as it was when it was read at `mod_revision`; 0 says it did not exist."""
        return cls(key, Field.MOD_REVISION, mod_revision)


class Put(NamedTuple):
    key: str
    value: bytes
    lease_id: int = NO_LEASE


class Delete(NamedTuple):
    """Deleting a key that does not exist changes nothing."""

    key: str


Write: TypeAlias = Put | Delete


@dataclass(frozen=True, slots=True)
class Transaction:
    """All of `writes`, if all of `compares` hold; no key may be written twice."""

    compares: tuple[Compare, ...] = ()
    writes: tuple[Write, ...] = ()

    def __post_init__(self) -> None:
        keys = {write.key for write in self.writes}
        if len(keys) != len(self.writes):
            raise ValueError("a transaction may write a key once only")


class Committed(NamedTuple):
    """Whether the comparisons held, and the store's revision afterwards."""

    succeeded: bool
    revision: int


class Snapshot(NamedTuple):
    """The keys under a prefix in order, and the revision at which they were so."""

    revision: int
    entries: list[KeyValue]


class Store(Protocol):
    """One owner calls it; it is not for several threads at once."""

    @property
    def revision(self) -> int:
        """The revision of the last change."""
        ...

    def get_prefix(self, prefix: str, revision: int | None = None) -> Snapshot:
        """What is, or at `revision` was, under `prefix`.

        Raises CompactedError for a revision whose history is gone, ValueError for one that is yet to come.
        """
        ...

    def transaction(self, transaction: Transaction) -> Committed:
        """Durable when it returns. Raises LeaseNotFoundError for a Put under an ended lease."""
        ...

    def events(self, prefix: str, from_revision: int) -> list[Event]:
        """The changes under `prefix` from `from_revision` on, by revision and key; raises CompactedError."""
        ...

    def watch(self, prefix: str, from_revision: int, wake: Callable[[], None] | None = None) -> Watch: ...

    def lease_grant(self, ttl_ms: int, now_ms: int) -> int:
        """A lease that ends `ttl_ms` after `now_ms`, by a monotonic clock, unless it is kept alive."""
        ...

    def lease_keepalive(self, lease_id: int, now_ms: int) -> None:
        """Put the lease's end off to its ttl after `now_ms`; raises LeaseNotFoundError."""
        ...

    def lease_revoke(self, lease_id: int) -> None:
        """End the lease and delete its keys; raises LeaseNotFoundError."""
        ...

    def expire_leases(self, now_ms: int) -> list[int]:
        """Revoke the leases that have ended by `now_ms`, and name them."""
        ...

    def compact(self, revision: int) -> None:
        """Drop the history before `revision`."""
        ...

    def close(self) -> None: ...


class Watch:
    """The changes under a prefix from a revision on, pulled in order and each once.

    `wake` is called after a change somewhere in the store: it says that a poll may be worth while, no more.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        from_revision: int,
        cancel: Callable[[Watch], None],
        wake: Callable[[], None] | None,
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._next_revision = from_revision
        self._cancel = cancel
        self._wake = wake

    def poll(self) -> list[Event]:
        """What happened since the last poll; raises CompactedError when it polled too seldom."""
        revision = self._store.revision
        if revision < self._next_revision:
            return []
        events = self._store.events(self._prefix, self._next_revision)
        self._next_revision = revision + 1
        return events

    def cancel(self) -> None:
        self._cancel(self)

    def notify(self) -> None:
        if self._wake is not None:
            self._wake()


def prefix_end(prefix: str) -> str | None:
    """The first key after all those that begin with `prefix`; None when there is no such bound."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    if following == 0xD800:  # surrogates are no characters: the one after U+D7FF is U+E000
        following = 0xE000
    return stem[:-1] + chr(following)


class Leases:
    """The leases of a store in this process: who holds which keys until when."""

    def __init__(self) -> None:
        self._ttl_ms: dict[int, int] = {}
        self._deadline_ms: dict[int, int] = {}
        self._last_id = NO_LEASE

    def grant(self, ttl_ms: int, now_ms: int) -> int:
        if ttl_ms <= 0:
            raise ValueError(f"a lease needs a positive ttl, not {ttl_ms}")
        self._last_id += 1
        self._ttl_ms[self._last_id] = ttl_ms
        self._deadline_ms[self._last_id] = now_ms + ttl_ms
        return self._last_id

    def keepalive(self, lease_id: int, now_ms: int) -> None:
        self.check(lease_id)
        self._deadline_ms[lease_id] = now_ms + self._ttl_ms[lease_id]

    def end(self, lease_id: int) -> None:
        self.check(lease_id)
        del self._ttl_ms[lease_id], self._deadline_ms[lease_id]

    def ended_by(self, now_ms: int) -> list[int]:
        return [lease_id for lease_id, deadline_ms in self._deadline_ms.items() if deadline_ms <= now_ms]

    def check(self, lease_id: int) -> None:
        if lease_id not in self._ttl_ms:
            raise LeaseNotFoundError(f"lease {lease_id} does not exist")

    def check_writes(self, writes: Iterable[Write]) -> None:
        for write in writes:
            if isinstance(write, Put) and write.lease_id != NO_LEASE:
                self.check(write.lease_id)


def field_of(entry: KeyValue | None, field: Field) -> int:
    """What a comparison sees; a missing key counts as 0."""
    if entry is None:
        return 0
    return entry.mod_revision if field is Field.MOD_REVISION else entry.version
