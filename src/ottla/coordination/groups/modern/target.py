"""The group epoch and the target assignment: what every member shall own in that epoch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ottla.coordination.groups.modern.assignors import ASSIGNORS, Assignment, MemberSpec, Partitions
from ottla.coordination.groups.modern.group import ModernGroup
from ottla.coordination.groups.modern.topics import metadata_hash, partition_counts
from ottla.coordination.runtime import CoordinatorRecord
from ottla.metadata.image import MetadataImage


def next_group_epoch(
    group: ModernGroup[Any], image: MetadataImage, names: Collection[str], *, changed: bool
) -> tuple[int, list[CoordinatorRecord]]:
    """The epoch, raised where something changed or the subscribed topics turn out to have, and its record."""
    new_hash = metadata_hash(image, names)
    if not changed and new_hash == group.metadata_hash:
        group.checked_image = image
        return group.group_epoch, []
    epoch = group.group_epoch + 1
    return epoch, [group.epoch_record(epoch, new_hash)]


def is_target_due(group: ModernGroup[Any], group_epoch: int, interval_ms: int, now_ms: int) -> bool:
    """Whether the target is older than the group's epoch, and may be computed.

    Targets are computed at most once in an interval (KIP-1263), so that a group whose members all start at
    once is not assigned once for each of them; until then members get what the last target has for them.
    A last target of a time to come holds nobody up: the time of day was set back since.
    """
    age_ms = now_ms - group.assignment_timestamp_ms
    return group.assignment_epoch < group_epoch and not 0 <= age_ms < interval_ms


def compute_target(assignor: str, image: MetadataImage, members: Mapping[str, MemberSpec]) -> Assignment:
    """The next target for these members, every one of them included."""
    topic_ids = frozenset().union(*(spec.topic_ids for spec in members.values()))
    return ASSIGNORS[assignor](members, partition_counts(image, topic_ids))


def target_records(
    group: ModernGroup[Any], target: Assignment, written: Mapping[str, Partitions], epoch: int, now_ms: int
) -> list[CoordinatorRecord]:
    """What makes the target the group's, where `written` is what its log has of the last one."""
    changed = [
        group.target_record(member_id, partitions)
        for member_id, partitions in target.items()
        if member_id not in written or partitions != written[member_id]
    ]
    return [*changed, group.target_epoch_record(epoch, now_ms)]
