"""One member's next step from what it owns to what it shall own (KIP-848, "Member Reconciliation").

A member first gives back what is no longer in its target, and says so by reporting what it owns; only
then does it enter the target's epoch and get what is free. What another member still owns is given to it
later, as it is released. So no partition has two owners, and no member waits for another to enter the
epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from uuid import UUID

from ottla.coordination.consumer.assignors import Partitions
from ottla.coordination.consumer.member import CurrentAssignment, MemberState, PartitionEpochs
from ottla.protocol.errors import ErrorCode, KafkaError


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
