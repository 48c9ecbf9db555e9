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
from uuid import UUID

from ottla.coordination.groups.modern.assignors import MemberSpec, Partitions
from ottla.coordination.groups.modern.consumer import records
from ottla.coordination.groups.modern.consumer.group import (
    ConsumerGroup,
    ResolvedRegex,
    preferred_assignor,
    subscribed_topics,
)
from ottla.coordination.groups.modern.consumer.member import REBALANCE_TIMER, ConsumerGroupMember, timer_key
from ottla.coordination.groups.modern.reconcile import Goal, MemberState, reconcile
from ottla.coordination.groups.modern.target import (
    compute_target,
    is_target_due,
    next_group_epoch,
    target_records,
)
from ottla.coordination.groups.modern.topics import matching_topics, topic_ids
from ottla.coordination.groups.state import ShardState
from ottla.coordination.runtime import CancelTimer, Effects, SetTimer
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
    group, image, now_ms = update.group, update.state.image, update.now_ms
    checked_ms = group.regexes_checked_ms
    if checked_ms is not None:
        may_differ = group.regexes_checked_image is not image
        interval_ms = update.state.config.group_consumer_regex_refresh_interval_ms
        # A time to come holds nothing up: the time of day was set back since.
        if 0 <= now_ms - checked_ms < (REGEX_MIN_REFRESH_INTERVAL_MS if may_differ else interval_ms):
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
        group.regexes_checked_image, group.regexes_checked_ms = image, now_ms
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
    if not changed and group.checked_image is image:
        return
    names = subscribed_topics((m.metadata for m in update.members_after.values()), update.resolved)
    update.group_epoch, written = next_group_epoch(group, image, names, changed=changed)
    update.effects.records += written
    if group.has_partition_metadata:
        update.effects.records.append(records.partition_metadata_tombstone(update.group_id))


def update_target(update: MemberUpdate) -> tuple[int, Partitions]:
    """The target's epoch and the member's part of it, computed anew where that is due."""
    group, state, member_id = update.group, update.state, update.updated.member_id
    interval_ms = state.consumer_assignment_interval_ms(group.group_id)
    if not is_target_due(group, update.group_epoch, interval_ms, update.now_ms):
        return group.assignment_epoch, update.last_target
    members = update.members_after
    written = group.target
    if update.replaced_id is not None:  # its target was written with the replacement
        written = {**written, member_id: update.last_target}
    assignor = preferred_assignor(members.values(), state.config.group_consumer_assignors)
    target = compute_target(assignor, state.image, _specs(update, members))
    update.effects.records += target_records(group, target, written, update.group_epoch, update.now_ms)
    return update.group_epoch, target[member_id]


def _specs(update: MemberUpdate, members: Mapping[str, ConsumerGroupMember]) -> dict[str, MemberSpec]:
    """The members as an assignor sees them; members with the same subscription share their topics."""
    last_target = {**update.group.target, update.updated.member_id: update.last_target}
    known: dict[tuple[frozenset[str], str], frozenset[UUID]] = {}
    specs: dict[str, MemberSpec] = {}
    for member_id, member in members.items():
        metadata = member.metadata
        subscription = (metadata.subscribed_topic_names, metadata.subscribed_topic_regex)
        topics = known.get(subscription)
        if topics is None:
            names = subscribed_topics((metadata,), update.resolved)
            topics = known[subscription] = topic_ids(update.state.image, names)
        specs[member_id] = MemberSpec(topics, last_target.get(member_id, {}), metadata.instance_id)
    return specs


def reconcile_member(
    update: MemberUpdate, target_epoch: int, target: Partitions, reported: Partitions | None, *, changed: bool
) -> ConsumerGroupMember:
    """The member's next step, written where there is one. A classic member's timeouts run by its requests."""
    member = update.updated
    if not changed and member.current.is_reconciled_to(target_epoch):
        return member
    subscribed = topic_ids(update.state.image, subscribed_topics((member.metadata,), update.resolved))
    goal = Goal(target_epoch, target, subscribed, changed, update.group.is_owned, reported)
    current = reconcile(member.current, goal)
    if current == member.current:
        return member
    update.effects.records.append(records.current_record(update.group_id, member.member_id, current))
    if not member.uses_classic_protocol:
        key = timer_key(REBALANCE_TIMER, update.group_id, member.member_id)
        if current.state is MemberState.UNREVOKED_PARTITIONS:
            timer = SetTimer(key, update.now_ms + member.metadata.rebalance_timeout_ms)
            update.effects.timers.append(timer)
        else:
            update.effects.timers.append(CancelTimer(key))
    return replace(member, current=current)
