"""What every kind of group answers, so that offsets and listings need not know which kind it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from ottla.coordination.effects import CancelTimer, CoordinatorRecord, SetTimer
from ottla.coordination.offsets.store import StoredOffset

PartitionCheck: TypeAlias = Callable[[str, UUID, int], None]
"""Topic name, topic id and partition of one commit; raises KafkaError (KIP-1251)."""


class GroupType(StrEnum):
    """The kinds of groups that Ottla serves, as ListGroups spells them."""

    CLASSIC = "classic"
    CONSUMER = "consumer"


class Group(ABC):
    """A group of one shard. `ClassicGroup` and `ConsumerGroup` are the kinds."""

    group_id: str
    type: GroupType

    @property
    @abstractmethod
    def protocol_type(self) -> str:
        """The embedded protocol as listed; empty where there is none."""

    @property
    @abstractmethod
    def state_name(self) -> str:
        """The state as listed and described."""

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Without members, so that it may be deleted or change its kind."""

    @abstractmethod
    def is_subscribed_to_topic(self, topic: str) -> bool:
        """Whether a member wants the topic, so that its offsets are neither deleted nor expired."""

    @abstractmethod
    def validate_offset_commit(
        self,
        member_id: str,
        group_instance_id: str | None,
        generation_or_epoch: int,
        *,
        api_version: int,
        is_transactional: bool,
    ) -> PartitionCheck | None:
        """Refuse a commit that isn't a current member's, with KafkaError; may leave a check of partitions."""

    @abstractmethod
    def validate_offset_fetch(self, member_id: str | None, member_epoch: int) -> None:
        """Refuse a fetch of a fenced member, with KafkaError."""

    @abstractmethod
    def validate_offset_delete(self) -> None:
        """Refuse OffsetDelete where the group can't tell its subscriptions, with KafkaError."""

    @abstractmethod
    def validate_delete(self) -> None:
        """Refuse the deletion of a group with members, with KafkaError."""

    @abstractmethod
    def tombstones(self) -> list[CoordinatorRecord]:
        """The tombstones that remove every record of the group, offsets aside."""

    @abstractmethod
    def cancelled_timers(self) -> list[CancelTimer]:
        """What must be cancelled when the group goes."""

    @abstractmethod
    def offset_expiration_base(self) -> Callable[[StoredOffset], int] | None:
        """From which time retention counts for an offset; None while none may expire (KIP-211)."""

    @abstractmethod
    def on_offset_commit_timers(self, member_id: str, now_ms: int) -> list[SetTimer]:
        """A commit is a sign of life of a classic member."""
