"""One member's next step from what it owns to what it shall own (KIP-848, "Member Reconciliation").

A member first gives back what is no longer in its target, and says so by reporting what it owns; only
then does it enter the target's epoch and get what is free. What another member still owns is given to it
later, as it is released. So no partition has two owners, and no member waits for another to enter the
epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final, TypeAlias
from uuid import UUID

from ottla.coordination.groups.modern.assignors import Partitions
from ottla.protocol.errors import ErrorCode, KafkaError

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
class Goal:
    """Where the member shall get, and what stands in the way."""

    epoch: int
    target: Partitions
    subscribed_topic_ids: AbstractSet[UUID]
    subscription_changed: bool
    is_owned: Callable[[UUID, int], bool]
    """Whether any member, this one included, owns a partition or has not confirmed that it gave it back."""
    reported: Partitions | None
    """What the member says it owns in this request; None where it did not say."""


def reconcile(current: CurrentAssignment, goal: Goal) -> CurrentAssignment:
    """The member's next state, which may be the same. Raises KafkaError(fenced_member_epoch)."""
    match current.state:
        case MemberState.STABLE:
            if current.member_epoch != goal.epoch:
                return _advance(current, goal, current.member_epoch)
            return _drop_unsubscribed(current, goal) if goal.subscription_changed else current
        case MemberState.UNREVOKED_PARTITIONS:
            if not _still_holds(goal.reported, current.pending_revocation):
                return _advance(current, goal, current.member_epoch)
            return _drop_unsubscribed(current, goal) if goal.subscription_changed else current
        case MemberState.UNRELEASED_PARTITIONS:
            return _advance(current, goal, current.member_epoch)
        case MemberState.UNKNOWN:
            if goal.reported is None or goal.reported:
                raise KafkaError(
                    ErrorCode.fenced_member_epoch,
                    "The consumer group member is in a unknown state. "
                    "The member must abandon all its partitions and rejoin.",
                )
            return _advance(current, goal, goal.epoch)


def _still_holds(reported: Partitions | None, partitions: PartitionEpochs) -> bool:
    if reported is None:
        return True
    return any(
        not partitions[topic_id].keys().isdisjoint(numbers)
        for topic_id, numbers in reported.items()
        if topic_id in partitions
    )


def _step(current: CurrentAssignment, member_epoch: int) -> CurrentAssignment:
    """The same in another epoch. An unchanged epoch counts too: a retry is then told from a lost answer."""
    return replace(current, member_epoch=member_epoch, previous_member_epoch=current.member_epoch)


def _drop_unsubscribed(current: CurrentAssignment, goal: Goal) -> CurrentAssignment:
    """Take back what the member has unsubscribed from, without waiting for a new target."""
    dropped = {t: p for t, p in current.assigned.items() if t not in goal.subscribed_topic_ids}
    if not dropped:
        return current
    assigned = {t: p for t, p in current.assigned.items() if t in goal.subscribed_topic_ids}
    revoked = dict(current.pending_revocation)
    for topic_id, partitions in dropped.items():
        revoked[topic_id] = {**revoked.get(topic_id, {}), **partitions}
    following = replace(_step(current, current.member_epoch), assigned=assigned)
    if _still_holds(goal.reported, revoked):
        return replace(following, state=MemberState.UNREVOKED_PARTITIONS, pending_revocation=revoked)
    return following


def _advance(current: CurrentAssignment, goal: Goal, held_epoch: int) -> CurrentAssignment:
    """Towards the target: revoke, or take what is free and enter the target's epoch."""
    kept: dict[UUID, dict[int, int]] = {}
    revoked: dict[UUID, dict[int, int]] = {}
    for topic_id, partitions in current.assigned.items():
        wanted = _wanted(goal, topic_id)
        for partition, epoch in partitions.items():
            side = kept if partition in wanted else revoked
            side.setdefault(topic_id, {})[partition] = epoch
    if revoked and _still_holds(goal.reported, revoked):
        return replace(
            _step(current, held_epoch),
            state=MemberState.UNREVOKED_PARTITIONS,
            assigned=kept,
            pending_revocation=revoked,
        )

    unreleased = False
    for topic_id in goal.target:
        mine = kept.get(topic_id, {})
        given_back = current.pending_revocation.get(topic_id, {})
        for partition in sorted(_wanted(goal, topic_id) - mine.keys()):
            if goal.is_owned(topic_id, partition) and partition not in given_back:
                unreleased = True
            else:
                kept.setdefault(topic_id, {})[partition] = goal.epoch
    return replace(
        _step(current, goal.epoch),
        state=MemberState.UNRELEASED_PARTITIONS if unreleased else MemberState.STABLE,
        assigned=kept,
        pending_revocation={},
    )


def _wanted(goal: Goal, topic_id: UUID) -> AbstractSet[int]:
    if topic_id not in goal.subscribed_topic_ids:
        return frozenset()
    return goal.target.get(topic_id, frozenset())


def with_epoch(partitions: Partitions, epoch: int) -> PartitionEpochs:
    """The partitions as got in this epoch."""
    return {topic_id: dict.fromkeys(sorted(numbers), epoch) for topic_id, numbers in partitions.items()}


def contains(assigned: PartitionEpochs, partitions: Partitions) -> bool:
    """Whether every one of the partitions is among the assigned."""
    return all(numbers <= assigned.get(topic_id, {}).keys() for topic_id, numbers in partitions.items())
