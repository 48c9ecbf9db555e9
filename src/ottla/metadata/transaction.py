"""The store's terms that plans and images speak of: keys as they are, changes of them, and what is to change.

Plans never see a store (`ottla.store`): they read an image and return a `Transaction`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

NO_LEASE = 0


class MetadataFormatError(ValueError):
    """Stored metadata that this version cannot read."""


class KeyValue(NamedTuple):
    """One key as it is at some revision."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease_id: int = NO_LEASE


class Event(NamedTuple):
    """One change of one key; `value` is None when it was deleted."""

    revision: int
    key: str
    value: bytes | None


class Compare(NamedTuple):
    """Holds when the key was last changed at `mod_revision`; 0 for a key that does not exist."""

    key: str
    mod_revision: int

    @classmethod
    def absent(cls, key: str) -> Compare:
        return cls(key, 0)

    @classmethod
    def unchanged(cls, key: str, mod_revision: int) -> Compare:
        """The key is as it was when it was read at `mod_revision`; 0 says it did not exist."""
        return cls(key, mod_revision)


class Put(NamedTuple):
    key: str
    value: bytes
    lease_id: int = NO_LEASE


class Delete(NamedTuple):
    """Deleting a key that does not exist changes nothing."""

    key: str


class DeletePrefix(NamedTuple):
    """Delete all keys that begin so."""

    prefix: str


Write: TypeAlias = Put | Delete | DeletePrefix

OPERATIONS_MAX = 128
"""Of a transaction's comparisons, and of its writes: etcd's `--max-txn-ops`"""
BYTES_MAX = 1_000_000
"""Of a transaction's keys and values: what etcd takes in one request, less what is around them"""


@dataclass(frozen=True, slots=True)
class Transaction:
    """All of `writes`, if all of `compares` hold; no key may be written twice."""

    compares: tuple[Compare, ...] = ()
    writes: tuple[Write, ...] = ()

    def __post_init__(self) -> None:
        keys = [write.key for write in self.writes if not isinstance(write, DeletePrefix)]
        prefixes = tuple(write.prefix for write in self.writes if isinstance(write, DeletePrefix))
        if len(set(keys)) != len(keys) or (prefixes and any(key.startswith(prefixes) for key in keys)):
            raise ValueError("a transaction may write a key once only")
        if max(len(self.compares), len(self.writes)) > OPERATIONS_MAX:
            raise ValueError(f"a transaction takes {OPERATIONS_MAX} comparisons and writes")
        if size_of(self.writes) > BYTES_MAX:
            raise ValueError(f"a transaction takes {BYTES_MAX} bytes")


def size_of(writes: Iterable[Write]) -> int:
    """The bytes of keys and values."""
    return sum(
        len(write.prefix)
        if isinstance(write, DeletePrefix)
        else len(write.key) + (len(write.value) if isinstance(write, Put) else 0)
        for write in writes
    )
