"""The committed offsets of one shard, and those that wait for the end of their transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias
from uuid import UUID

TopicPartition: TypeAlias = tuple[str, int]


class StoredOffset(NamedTuple):
    """A committed offset as it was replayed."""

    offset: int
    leader_epoch: int
    """-1 where the client gave none."""
    metadata: str
    commit_timestamp_ms: int
    expire_timestamp_ms: int
    """An explicit expiry (OffsetCommit up to version 4), or -1: the broker's retention decides."""
    topic_id: UUID | None
    """None in records older than Kafka 4.1."""
    record_offset: int
    """Where the record is in the log: the later of two commits wins when a transaction ends."""


class GroupOffsets(NamedTuple):
    """One group's committed offsets, and how many members it has."""

    group_id: str
    member_count: int
    committed: Mapping[TopicPartition, StoredOffset]


Offsets: TypeAlias = dict[str, dict[TopicPartition, StoredOffset]]


class OffsetStore:
    """Offsets by group, topic and partition. Only `replay` and `end_transaction` change it."""

    __slots__ = ("_committed", "_open", "_pending")

    def __init__(self) -> None:
        self._committed: Offsets = {}
        self._pending: dict[int, Offsets] = {}
        self._open: dict[str, dict[TopicPartition, set[int]]] = {}

    def get(self, group_id: str, topic: str, partition: int) -> StoredOffset | None:
        """The committed offset, or None."""
        offsets = self._committed.get(group_id)
        return offsets.get((topic, partition)) if offsets else None

    def of_group(self, group_id: str) -> dict[TopicPartition, StoredOffset]:
        """The group's committed offsets; not to be changed."""
        return self._committed.get(group_id, {})

    def groups(self) -> list[str]:
        """Those that have committed something."""
        return list(self._committed)

    def partitions_of_group(self, group_id: str) -> list[TopicPartition]:
        """Every partition with a committed offset or one in an open transaction."""
        pending = self._open.get(group_id, {})
        return [*self.of_group(group_id), *(p for p in pending if p not in self.of_group(group_id))]

    def __iter__(self) -> Iterator[tuple[str, TopicPartition, StoredOffset]]:
        """Whatever was committed, by group and partition, also what waits for the end of its transaction."""
        for by_group in (self._committed, *self._pending.values()):
            for group_id, offsets in by_group.items():
                for partition, offset in offsets.items():
                    yield group_id, partition, offset

    def has_open_transaction(self, group_id: str, topic: str, partition: int) -> bool:
        """Whether a commit of this partition waits for the end of a transaction."""
        return (topic, partition) in self._open.get(group_id, {})

    def is_known(self, group_id: str, topic: str, partition: int) -> bool:
        """Whether there is anything that a tombstone would remove."""
        committed = self.get(group_id, topic, partition) is not None
        return committed or self.has_open_transaction(group_id, topic, partition)

    def has_open_transactions(self, group_id: str) -> bool:
        """Whether any commit of the group waits for the end of a transaction."""
        return group_id in self._open

    def replay(
        self,
        group_id: str,
        partition: TopicPartition,
        offset: StoredOffset | None,
        producer_id: int = -1,
    ) -> None:
        """Take in one record; None is a tombstone, which drops pending offsets too, as in Kafka."""
        if offset is None:
            _discard(self._committed, group_id, partition)
            for pending_id in self._open.get(group_id, {}).get(partition, ()):
                _discard(self._pending.get(pending_id, {}), group_id, partition)
            self._close(group_id, partition)
        elif producer_id < 0:
            self._committed.setdefault(group_id, {})[partition] = offset
        else:
            self._pending.setdefault(producer_id, {}).setdefault(group_id, {})[partition] = offset
            self._open.setdefault(group_id, {}).setdefault(partition, set()).add(producer_id)

    def end_transaction(self, producer_id: int, *, committed: bool) -> None:
        """Materialise or drop what the producer's transaction committed (KIP-98)."""
        for group_id, offsets in self._pending.pop(producer_id, {}).items():
            for partition, offset in offsets.items():
                self._close(group_id, partition, producer_id)
                existing = self.get(group_id, *partition)
                if committed and (existing is None or offset.record_offset > existing.record_offset):
                    self._committed.setdefault(group_id, {})[partition] = offset

    def _close(self, group_id: str, partition: TopicPartition, producer_id: int | None = None) -> None:
        partitions = self._open.get(group_id, {})
        producers = partitions.get(partition, set())
        producers.discard(producer_id) if producer_id is not None else producers.clear()
        if not producers:
            partitions.pop(partition, None)
        if not partitions:
            self._open.pop(group_id, None)


def _discard(offsets: Offsets, group_id: str, partition: TopicPartition) -> None:
    of_group = offsets.get(group_id)
    if of_group is not None:
        of_group.pop(partition, None)
        if not of_group:
            del offsets[group_id]
