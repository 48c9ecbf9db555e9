"""A member of a consumer group: what it asked for, and how far it has come towards its target.

The two halves are the two records that Kafka keeps of a member, and each changes only with its record.
Both are immutable: a decision makes new ones, replaying the record puts them in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias
from uuid import UUID

from ottla.coordination.consumer.assignors import Partitions

PartitionEpochs: TypeAlias = Mapping[UUID, Mapping[int, int]]
"""Topic id -> partition -> the member epoch in which the member got it (KIP-1251). No topic is empty."""

JOIN_GROUP_EPOCH: Final = 0
LEAVE_GROUP_EPOCH: Final = -1
LEAVE_GROUP_STATIC_EPOCH: Final = -2
"""The member epoch of a static member that is away and keeps its place (KIP-848, "Static Membership")."""


class MemberState(IntEnum):
    """Where a member stands in its reconciliation; the numbers are those of the record."""

    STABLE = 0
    """It has everything that its epoch gives it."""
    UNREVOKED_PARTITIONS = 1
    """It must give partitions back before it may have the next epoch."""
    UNRELEASED_PARTITIONS = 2
    """It is in its epoch, but waits for partitions that others still hold."""
    UNKNOWN = 127
    """Written by a newer version: the member has to start over."""

    @classmethod
    def of(cls, value: int) -> MemberState:
        """The state of a record's number."""
        return cls(value) if value in cls._value2member_map_ else cls.UNKNOWN


@dataclass(frozen=True, slots=True)
class ClassicMetadata:
    """What only a member that uses the classic protocol has: its session timeout and its protocols."""

    session_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]
    """Name and metadata, in the member's order of preference; never empty."""


@dataclass(frozen=True, slots=True)
class MemberMetadata:
    """What a member has told of itself. Empty and None of `subscribed_topic_regex` mean the same: none."""

    instance_id: str | None = None
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    subscribed_topic_names: frozenset[str] = frozenset()
    subscribed_topic_regex: str = ""
    rebalance_timeout_ms: int = -1
    server_assignor: str | None = None
    classic: ClassicMetadata | None = None


@dataclass(frozen=True, slots=True)
class CurrentAssignment:
    """What a member owns, as far as the group knows.

    `assigned` is the member's; `pending_revocation` it had and has been told to give back. Until it says
    that it did, nobody else gets those.
    """

    member_epoch: int = JOIN_GROUP_EPOCH
    previous_member_epoch: int = -1
    state: MemberState = MemberState.STABLE
    assigned: PartitionEpochs = field(default_factory=dict)
    pending_revocation: PartitionEpochs = field(default_factory=dict)

    def is_reconciled_to(self, target_epoch: int) -> bool:
        """Whether there is nothing left to do for this target."""
        return self.state is MemberState.STABLE and self.member_epoch == target_epoch

    def assignment_epoch(self, topic_id: UUID, partition: int) -> int | None:
        """In which epoch the member got a partition that it has not given back; None where it has it not."""
        epoch = self.assigned.get(topic_id, {}).get(partition)
        return self.pending_revocation.get(topic_id, {}).get(partition) if epoch is None else epoch


@dataclass(frozen=True, slots=True)
class ConsumerGroupMember:
    """A member under its id."""

    member_id: str
    metadata: MemberMetadata = MemberMetadata()
    current: CurrentAssignment = CurrentAssignment()

    @property
    def uses_classic_protocol(self) -> bool:
        return self.metadata.classic is not None

    @property
    def epoch(self) -> int:
        return self.current.member_epoch


def with_epoch(partitions: Partitions, epoch: int) -> PartitionEpochs:
    """The partitions as got in this epoch."""
    return {topic_id: dict.fromkeys(sorted(numbers), epoch) for topic_id, numbers in partitions.items()}


def contains(assigned: PartitionEpochs, partitions: Partitions) -> bool:
    """Whether every one of the partitions is among the assigned."""
    return all(numbers <= assigned.get(topic_id, {}).keys() for topic_id, numbers in partitions.items())
