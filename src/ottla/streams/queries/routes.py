"""Who of an application has what, as of the last assignment: what its leader told all members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ottla.client.columns.partitioner import Partitioner
from ottla.streams.queries.errors import StoreUnavailableError

Host = tuple[str, int]
Partition = tuple[str, int]

_KAFKAS: Final = Partitioner("murmur2")


class Place(NamedTuple):
    """Where a partition of a store is (Java: KeyQueryMetadata); `active` is None where that is not known."""

    partition: int
    active: Host | None
    standby: tuple[Host, ...] = ()


@dataclass(frozen=True)
class StoreSources:
    """The topics that the tasks with a store read, and how many of these there are."""

    topics: tuple[str, ...]
    tasks: int


@dataclass(frozen=True)
class Routes:
    """By application.server the partitions that it reads, and those of tasks that it follows."""

    active: Mapping[Host, Sequence[Partition]] = field(default_factory=dict)
    standby: Mapping[Host, Sequence[Partition]] = field(default_factory=dict)
    stores: Mapping[str, StoreSources] = field(default_factory=dict)

    def places(self, store: str) -> list[Place]:
        """All of a store. StoreUnavailableError where nothing is assigned yet."""
        return [self.place(store, partition) for partition in range(self._sources(store).tasks)]

    def place(self, store: str, partition: int) -> Place:
        topics = self._sources(store).topics
        active, standby = (
            [host for host, parts in hosts.items() if any((each, partition) in parts for each in topics)]
            for hosts in (self.active, self.standby)
        )
        return Place(partition, active[0] if active else None, tuple(standby))

    def place_of_key(self, store: str, key: bytes) -> Place:
        """By Kafka's default partitioner: what is partitioned by another has to be looked for everywhere."""
        return self.place(store, _KAFKAS.of_key(key, self._sources(store).tasks))

    def _sources(self, store: str) -> StoreSources:
        found = self.stores.get(store)
        if found is None:
            raise StoreUnavailableError(f"it is not known yet where the store {store} is")
        return found
