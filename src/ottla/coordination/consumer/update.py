"""A member's request on its way through the group: from a changed subscription to the member's next step.

The stages are the same whichever protocol the member speaks. Each may write records and leaves what the
group will be afterwards to the next stage, for nothing of it is in the group before the records are
replayed:

1. `write_metadata`: the member told something new of itself.
2. `resolve_regexes`: its pattern is new, or the topics that patterns match may have changed.
3. `raise_group_epoch`: subscriptions or topics changed.
4. `update_target`: the target is older than the group's epoch.
5. `reconcile_member`: the member takes its next step towards its target.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ottla.coordination.consumer import records, timers
from ottla.coordination.consumer.assignors import Partitions
from ottla.coordination.consumer.config import assignment_interval_ms
from ottla.coordination.consumer.group import ConsumerGroup, ResolvedRegex, subscribed_topics
from ottla.coordination.consumer.member import ConsumerGroupMember, MemberState
from ottla.coordination.consumer.reconcile import Goal, reconcile
from ottla.coordination.consumer.target import compute_target, preferred_assignor
from ottla.coordination.consumer.topics import matching_topics, metadata_hash, subscribed_topic_ids
from ottla.coordination.effects import CancelTimer, Effects, SetTimer
from ottla.coordination.state import ShardState
from ottla.protocol.errors import KafkaError

_log = logging.getLogger(__name__)

REGEX_MIN_REFRESH_INTERVAL_MS = 10_000
"""New topics reach patterns at most this late; Kafka's bound on how often all names are matched."""


@dataclass(slots=True)
class MemberUpdate:
    """One request being decided. `member` is what the group (or `effects`) has of the member already."""

    state: ShardState
    group: ConsumerGroup
    now_ms: int
    member: ConsumerGroupMember
    updated: ConsumerGroupMember
    replaced_id: str | None = None
    """The static member whose place this one takes."""
    effects: Effects = field(default_factory=Effects)
    group_epoch: int = field(init=False)
    resolved: Mapping[str, ResolvedRegex] = field(init=False)

    def __post_init__(self) -> None:
        self.group_epoch = self.group.group_epoch
        self.resolved = self.group.resolved_regexes

    @property
    def group_id(self) -> str:
        return self.group.group_id

    @property
    def members_after(self) -> dict[str, ConsumerGroupMember]:
        """All members as they will be."""
        members = {**self.group.members, self.updated.member_id: self.updated}
        if self.replaced_id is not None and self.replaced_id != self.updated.member_id:
            members.pop(self.replaced_id, None)
        return members

    @property
    def last_target(self) -> Partitions:
        """The last target of the member, or of the one whose place it takes."""
        return self.group.target.get(self.replaced_id or self.updated.member_id, {})


def write_metadata(update: MemberUpdate) -> bool:
    """Write the member where it changed; whether its topic names did."""
    updated = update.updated
    is_known = update.replaced_id is not None or updated.member_id in update.group.members
    if is_known and updated.metadata == update.member.metadata:
        return False
    update.effects.records.append(
        records.metadata_record(update.group_id, updated.member_id, updated.metadata)
    )
    return updated.metadata.subscribed_topic_names != update.member.metadata.subscribed_topic_names


def resolve_regexes(update: MemberUpdate) -> bool:
    """Match what has to be matched; whether the member's pattern, or any pattern's topics, changed.

    Raises KafkaError(invalid_regular_expression) for a new pattern. Where Kafka matches in the background and
    assigns later, the answer to this request has the topics already.
    """
    old = update.member.metadata.subscribed_topic_regex
    new = update.updated.metadata.subscribed_topic_regex
    if not new and not old and not update.resolved:
        return False
    changed = old != new
    if changed and old and _is_only_subscriber(update, old):
        update.effects.records.append(records.regex_tombstone(update.group_id, old))
        update.resolved = {pattern: r for pattern, r in update.resolved.items() if pattern != old}
    if new and new not in update.resolved:
        _put_regex(update, new, matching_topics(update.state.image, new))
        changed = True
    return _refresh_regexes(update) or changed


def _is_only_subscriber(update: MemberUpdate, pattern: str) -> bool:
    return all(m.metadata.subscribed_topic_regex != pattern for m in update.members_after.values())


def _put_regex(update: MemberUpdate, pattern: str, topics: frozenset[str]) -> None:
    update.resolved = {**update.resolved, pattern: ResolvedRegex(topics, update.now_ms)}
    update.effects.records.append(records.regex_record(update.group_id, pattern, topics, update.now_ms))


def _refresh_regexes(update: MemberUpdate) -> bool:
    freshness, image, now_ms = update.group.freshness, update.state.image, update.now_ms
    checked_ms = freshness.regex_checked_ms
    if checked_ms is not None:
        may_differ = freshness.regex_image is not image
        interval_ms = update.state.config.group_consumer_regex_refresh_interval_ms
        if now_ms < checked_ms + (REGEX_MIN_REFRESH_INTERVAL_MS if may_differ else interval_ms):
            return False
    changed = False
    for pattern in sorted({m.metadata.subscribed_topic_regex for m in update.members_after.values()} - {""}):
        known = update.resolved.get(pattern)
        try:
            topics = matching_topics(image, pattern)
        except KafkaError as error:  # from the log of a broker with another engine: it matches nothing
            _log.warning("group %s: %s", update.group_id, error)
            topics = frozenset()
        if known is None or known.topics != topics:
            _put_regex(update, pattern, topics)
            changed = True
    if not changed:
        # Only now: were it noted before the records are written, a failed write would leave them unresolved.
        freshness.regex_image, freshness.regex_checked_ms = image, now_ms
    return changed


def has_preferred_assignor_changed(update: MemberUpdate) -> bool:
    """Whether the member's wish makes another assignor the group's."""
    if update.updated.metadata.server_assignor == update.member.metadata.server_assignor:
        return False
    supported = update.state.config.group_consumer_assignors
    before = preferred_assignor(update.group.members.values(), supported)
    return before != preferred_assignor(update.members_after.values(), supported)


def raise_group_epoch(update: MemberUpdate, *, changed: bool) -> None:
    """Raise the epoch where something changed, or where the subscribed topics turn out to have."""
    group, image = update.group, update.state.image
    if not changed and group.freshness.metadata_image is image:
        return
    names = subscribed_topics((m.metadata for m in update.members_after.values()), update.resolved)
    new_hash = metadata_hash(image, names)
    if changed or new_hash != group.metadata_hash:
        update.group_epoch += 1
        update.effects.records.append(records.epoch_record(update.group_id, update.group_epoch, new_hash))
    else:
        group.freshness.metadata_image = image
    if group.has_partition_metadata:
        update.effects.records.append(records.partition_metadata_tombstone(update.group_id))


def update_target(update: MemberUpdate) -> tuple[int, Partitions]:
    """The target's epoch and the member's part of it, computed anew where it is older than the group's epoch.

    Targets are computed at most once in an interval (KIP-1263), so that a group whose members all start
    at once is not assigned once for each of them; until then members get what the last target has for
    them.
    """
    group, state = update.group, update.state
    last_ms = group.assignment_timestamp_ms
    is_due = not last_ms or update.now_ms >= last_ms + assignment_interval_ms(state, group.group_id)
    if group.assignment_epoch >= update.group_epoch or not is_due:
        return group.assignment_epoch, update.last_target
    members = update.members_after
    last_target = {**group.target, update.updated.member_id: update.last_target}
    assignor = preferred_assignor(members.values(), state.config.group_consumer_assignors)
    target = compute_target(assignor, state.image, members, last_target, update.resolved)
    for member_id, partitions in target.items():
        # The target of a replaced static member was written with the replacement.
        is_replacement = update.replaced_id is not None and member_id == update.updated.member_id
        is_written = member_id in group.target or is_replacement
        if not is_written or partitions != last_target[member_id]:
            update.effects.records.append(records.target_record(group.group_id, member_id, partitions))
    update.effects.records.append(
        records.target_epoch_record(group.group_id, update.group_epoch, update.now_ms)
    )
    return update.group_epoch, target[update.updated.member_id]


def reconcile_member(
    update: MemberUpdate, target_epoch: int, target: Partitions, reported: Partitions | None, *, changed: bool
) -> ConsumerGroupMember:
    """The member's next step, written where there is one. A classic member's timeouts run by its requests."""
    member = update.updated
    if not changed and member.current.is_reconciled_to(target_epoch):
        return member
    subscribed = subscribed_topic_ids(update.state.image, member.metadata, update.resolved)
    goal = Goal(target_epoch, target, subscribed, changed, update.group.is_owned, reported)
    current = reconcile(member.current, goal)
    if current == member.current:
        return member
    update.effects.records.append(records.current_record(update.group_id, member.member_id, current))
    if not member.uses_classic_protocol:
        key = timers.key(timers.REBALANCE, update.group_id, member.member_id)
        if current.state is MemberState.UNREVOKED_PARTITIONS:
            timer = SetTimer(key, update.now_ms + member.metadata.rebalance_timeout_ms)
            update.effects.timers.append(timer)
        else:
            update.effects.timers.append(CancelTimer(key))
    return replace(member, current=current)
