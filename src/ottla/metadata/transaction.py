"""The store's terms that plans and images speak of: keys as they are, changes of them, and what is to change.

Plans never see a store (`ottla.store`): they read an image and return a `Transaction`.
"""

from __future__ import annotations

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
