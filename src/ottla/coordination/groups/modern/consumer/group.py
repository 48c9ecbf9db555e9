"""The state of one consumer group. Only replaying its records changes it; its siblings decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from ottla.coordination.groups.modern.assignors import Partitions
from ottla.coordination.groups.modern.consumer import records
from ottla.coordination.groups.modern.consumer.member import (
    ConsumerGroupMember,
    MemberMetadata,
    cancel_timers,
)
from ottla.coordination.groups.modern.group import ModernGroup
from ottla.coordination.groups.modern.reconcile import CurrentAssignment, PartitionEpochs
from ottla.coordination.groups.state import GroupType, PartitionCheck
from ottla.coordination.runtime import CancelTimer, CoordinatorRecord, SetTimer
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode, KafkaError

CONSUMER_PROTOCOL_TYPE = "consumer"
_FIRST_COMMIT_WITH_MEMBER_EPOCH = 9


class ConsumerGroupState(StrEnum):
    """Named as ConsumerGroupDescribe shows them."""

    EMPTY = "Empty"
    ASSIGNING = "Assigning"
    RECONCILING = "Reconciling"
    STABLE = "Stable"
    DEAD = "Dead"


@dataclass(frozen=True, slots=True)
class ResolvedRegex:
    """The topics that a pattern matched, and when."""

    topics: frozenset[str]
    timestamp_ms: int


class ConsumerGroup(ModernGroup[ConsumerGroupMember]):
    """A group of the consumer protocol (KIP-848)."""

    type = GroupType.CONSUMER

    def __init__(self, group_id: str) -> None:
        super().__init__(group_id)
        self.static_members: dict[str, str] = {}
        self.resolved_regexes: dict[str, ResolvedRegex] = {}
        self.regexes_checked_image: MetadataImage | None = None
        """The image in which the patterns were last found to match what is resolved; no state either."""
        self.regexes_checked_ms: int | None = None
        self.has_partition_metadata = False
        """A record of before Kafka 4.1 that is still to be deleted."""
        self.awaited_joins: set[str] = set()
        """Classic members that were told to rejoin, and whose timer is running."""
        self.unconfirmed: set[str] = set()
        """Members that were told a new assignment, and have not reported that it is theirs."""
        self._owners: dict[UUID, dict[int, str]] = {}
        self._subscribed_topics: frozenset[str] | None = None

    # What every group answers

    @property
    def protocol_type(self) -> str:
        return CONSUMER_PROTOCOL_TYPE

    @property
    def state(self) -> ConsumerGroupState:
        if not self.members:
            return ConsumerGroupState.EMPTY
        if self.group_epoch > self.assignment_epoch:
            return ConsumerGroupState.ASSIGNING
        if all(m.current.is_reconciled_to(self.assignment_epoch) for m in self.members.values()):
            return ConsumerGroupState.STABLE
        return ConsumerGroupState.RECONCILING

    @property
    def state_name(self) -> str:
        return self.state.value

    def validate_offset_commit(
        self,
        member_id: str,
        group_instance_id: str | None,
        generation_or_epoch: int,
        *,
        api_version: int,
        is_transactional: bool,
    ) -> PartitionCheck | None:
        if generation_or_epoch < 0 and not self.members:
            return None
        is_anonymous = generation_or_epoch == -1 and not member_id and group_instance_id is None
        if is_transactional and is_anonymous:
            return None  # a producer of before KIP-447
        member = self.member(member_id)
        is_too_old = api_version < _FIRST_COMMIT_WITH_MEMBER_EPOCH and not member.uses_classic_protocol
        if is_too_old and not is_transactional:
            raise KafkaError(
                ErrorCode.unsupported_version,
                "OffsetCommit version 9 or above must be used by members using the consumer group protocol",
            )
        if generation_or_epoch == member.epoch:
            return None
        if generation_or_epoch > member.epoch:
            raise _stale(member, f"Received {generation_or_epoch} is newer than {member.epoch}.")
        return _assigned_since(member, generation_or_epoch)

    def validate_offset_fetch(self, member_id: str | None, member_epoch: int) -> None:
        if member_id is None and member_epoch < 0:
            return  # an administrator, or a client that does not tell
        member = self.member(member_id or "")
        if member.epoch != member_epoch:
            raise _stale(member, f"Received {member_epoch} does not match {member.epoch}.")

    def tombstones(self) -> list[CoordinatorRecord]:
        return records.group_tombstones(self.group_id, list(self.members), list(self.resolved_regexes))

    def cancelled_timers(self) -> list[CancelTimer]:
        return [timer for member_id in self.members for timer in cancel_timers(self.group_id, member_id)]

    def on_offset_commit_timers(self, member_id: str, now_ms: int) -> list[SetTimer]:  # noqa: ARG002
        return []  # only heartbeats keep a member of this protocol alive

    # What decisions ask

    def static_member(self, instance_id: str | None) -> ConsumerGroupMember | None:
        """Who holds the instance id, if anybody."""
        member_id = None if instance_id is None else self.static_members.get(instance_id)
        return None if member_id is None else self.members[member_id]

    def is_owned(self, topic_id: UUID, partition: int) -> bool:
        """Whether a member has the partition, or has not yet confirmed that it gave it back."""
        return partition in self._owners.get(topic_id, ())

    @property
    def subscribed_topics(self) -> frozenset[str]:
        """All members' topics, those of resolved patterns included."""
        if self._subscribed_topics is None:
            metadata = (member.metadata for member in self.members.values())
            self._subscribed_topics = subscribed_topics(metadata, self.resolved_regexes)
        return self._subscribed_topics

    @property
    def classic_members(self) -> list[ConsumerGroupMember]:
        return [member for member in self.members.values() if member.uses_classic_protocol]

    # The records that tell of a new target

    def epoch_record(self, epoch: int, metadata_hash: int) -> CoordinatorRecord:
        return records.epoch_record(self.group_id, epoch, metadata_hash)

    def target_record(self, member_id: str, target: Partitions) -> CoordinatorRecord:
        return records.target_record(self.group_id, member_id, target)

    def target_epoch_record(self, epoch: int, timestamp_ms: int) -> CoordinatorRecord:
        return records.target_epoch_record(self.group_id, epoch, timestamp_ms)

    # What replaying changes

    def put_metadata(self, member_id: str, metadata: MemberMetadata) -> None:
        """A member's own half; a new member starts with this."""
        old = self.members.get(member_id, ConsumerGroupMember(member_id))
        self._drop_instance_id(old)
        if metadata.instance_id is not None:
            self.static_members[metadata.instance_id] = member_id
        self.members[member_id] = ConsumerGroupMember(member_id, metadata, old.current)
        self._subscribed_topics = None

    def put_current(self, member_id: str, current: CurrentAssignment) -> None:
        """The group's half of a member: its epoch and what it owns."""
        old = self.members.get(member_id, ConsumerGroupMember(member_id))
        self._release(member_id, old.current.assigned)
        self._release(member_id, old.current.pending_revocation)
        self._own(member_id, current.assigned)
        self._own(member_id, current.pending_revocation)
        self.members[member_id] = ConsumerGroupMember(member_id, old.metadata, current)

    def remove_member(self, member_id: str) -> None:
        """Forget a member and what it owned."""
        if member_id not in self.members:
            return
        self.put_current(member_id, CurrentAssignment())
        self._drop_instance_id(self.members.pop(member_id))
        self.awaited_joins.discard(member_id)
        self.unconfirmed.discard(member_id)
        self._subscribed_topics = None

    def put_regex(self, pattern: str, resolved: ResolvedRegex | None) -> None:
        """What a pattern matches; None forgets the pattern."""
        if resolved is None:
            self.resolved_regexes.pop(pattern, None)
        else:
            self.resolved_regexes[pattern] = resolved
        self._subscribed_topics = None

    def _drop_instance_id(self, member: ConsumerGroupMember) -> None:
        instance_id = member.metadata.instance_id
        if instance_id is not None and self.static_members.get(instance_id) == member.member_id:
            del self.static_members[instance_id]

    def _own(self, member_id: str, partitions: PartitionEpochs) -> None:
        for topic_id, epochs in partitions.items():
            self._owners.setdefault(topic_id, {}).update(dict.fromkeys(epochs, member_id))

    def _release(self, member_id: str, partitions: PartitionEpochs) -> None:
        """Only what is still this member's: compaction can put the next owner's record before this one."""
        for topic_id, epochs in partitions.items():
            owners = self._owners.get(topic_id, {})
            for partition in epochs:
                if owners.get(partition) == member_id:
                    del owners[partition]
            if not owners:
                self._owners.pop(topic_id, None)


def subscribed_topics(
    metadata: Iterable[MemberMetadata], resolved: Mapping[str, ResolvedRegex]
) -> frozenset[str]:
    """The names of the topics that these members want, existing or not."""
    names: set[str] = set()
    patterns: set[str] = set()
    for each in metadata:
        names |= each.subscribed_topic_names
        patterns.add(each.subscribed_topic_regex)
    return frozenset(names).union(*(each.topics for pattern, each in resolved.items() if pattern in patterns))


def preferred_assignor(members: Iterable[ConsumerGroupMember], supported: tuple[str, ...]) -> str:
    """What most members ask for; the first supported one where nobody asks, and in a tie the earlier one."""
    wishes = Counter(member.metadata.server_assignor for member in members)
    return max(supported, key=lambda name: wishes[name])


def _stale(member: ConsumerGroupMember, message: str) -> KafkaError:
    """The protocol of the member decides how a wrong epoch is called."""
    code = ErrorCode.illegal_generation if member.uses_classic_protocol else ErrorCode.stale_member_epoch
    return KafkaError(code, message)


def _assigned_since(member: ConsumerGroupMember, epoch: int) -> PartitionCheck:
    """Accept commits of an older epoch for partitions that the member has had since then (KIP-1251)."""

    def check(topic: str, topic_id: UUID, partition: int) -> None:
        assigned_in = member.current.assignment_epoch(topic_id, partition)
        if assigned_in is None:
            raise _stale(member, f"{topic}-{partition} is not assigned or pending revocation for member.")
        if epoch < assigned_in:
            raise _stale(member, f"{topic}-{partition} was assigned in {assigned_in}, after {epoch}.")

    return check
