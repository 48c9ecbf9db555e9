"""What all groups that the coordinator assigns for have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from ottla.coordination.groups.modern.assignors import Partitions
from ottla.coordination.groups.offsets.store import StoredOffset
from ottla.coordination.groups.state import Group
from ottla.coordination.runtime import CoordinatorRecord
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode, KafkaError

INITIAL_EPOCH: Final = 1


class ModernMember(Protocol):
    """A member under its id, in the group epoch that it has come to."""

    @property
    def member_id(self) -> str: ...

    @property
    def epoch(self) -> int: ...


M = TypeVar("M", bound=ModernMember)


class ModernGroup(Group, Generic[M]):
    """Members, the group's epochs, and the target: what every member shall own.

    The group epoch rises with every change of members, subscriptions or topics; a target is computed for it;
    each member then gets there by itself. Only replaying records changes any of this.
    """

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.group_epoch = INITIAL_EPOCH
        self.assignment_epoch = INITIAL_EPOCH
        """The group epoch for which the target was computed."""
        self.assignment_timestamp_ms = 0
        """When the target was computed; 0 lets the next one be computed at once."""
        self.metadata_hash = 0
        """Of the subscribed topics, as of the group epoch."""
        self.members: dict[str, M] = {}
        self.target: dict[str, Partitions] = {}
        self.checked_image: MetadataImage | None = None
        """The image in which the subscribed topics were last found as the metadata hash has them.

        Not part of the state: a reloaded group is checked again.
        """

    @property
    def is_empty(self) -> bool:
        return not self.members

    @property
    def member_count(self) -> int:
        return len(self.members)

    def is_subscribed_to_topic(self, topic: str) -> bool:
        return topic in self.subscribed_topics

    @property
    @abstractmethod
    def subscribed_topics(self) -> frozenset[str]:
        """The names of all members' topics, existing or not."""

    def member(self, member_id: str) -> M:
        """The member, or KafkaError(unknown_member_id)."""
        member = self.members.get(member_id)
        if member is None:
            raise KafkaError(
                ErrorCode.unknown_member_id, f"Member {member_id} is not a member of group {self.group_id}."
            )
        return member

    def validate_offset_delete(self) -> None:
        """Which topics are subscribed to is known, so that there is nothing to refuse."""

    def validate_delete(self) -> None:
        if self.members:
            raise KafkaError(ErrorCode.non_empty_group)

    def offset_expiration_base(self) -> Callable[[StoredOffset], int] | None:
        return lambda offset: offset.commit_timestamp_ms

    # The records that tell of a new target

    @abstractmethod
    def epoch_record(self, epoch: int, metadata_hash: int) -> CoordinatorRecord:
        """The group's epoch, and the state of the topics for which it is."""

    @abstractmethod
    def target_record(self, member_id: str, target: Partitions) -> CoordinatorRecord:
        """What a member shall own."""

    @abstractmethod
    def target_epoch_record(self, epoch: int, timestamp_ms: int) -> CoordinatorRecord:
        """The epoch of the target, written after the target itself."""
