"""The `range` assignor: consecutive partitions of every topic, in member order.

Members are ordered, static ones first by instance id and then dynamic ones by member id, and each topic's
partitions are cut into that many consecutive ranges. Topics with equally many partitions and the same
subscribers are therefore co-partitioned: a member gets the same partition numbers of each, which joins rely
on. Ordering by instance id keeps a static member's ranges over its restarts (KIP-345), where its member id
changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from ottla.coordination.consumer.assignors.spec import Assignment, MemberSpec, Partitions


@dataclass(slots=True)
class _Cuts:
    """One topic on its way round the members."""

    partitions: int
    quota: int
    extras: int
    next_partition: int = 0

    def take(self) -> range:
        size = self.quota + (1 if self.extras > 0 else 0)
        self.extras -= 1
        start = self.next_partition
        self.next_partition = min(start + size, self.partitions)
        return range(start, self.next_partition)


def _order(item: tuple[str, MemberSpec]) -> tuple[bool, str]:
    member_id, spec = item
    return (False, spec.instance_id) if spec.instance_id is not None else (True, member_id)


def assign_range(members: Mapping[str, MemberSpec], partition_counts: Mapping[UUID, int]) -> Assignment:
    """Cut every topic into one range for each of its subscribers; see the module."""
    subscribers = Counter(topic_id for spec in members.values() for topic_id in spec.topic_ids)
    cuts: dict[UUID, _Cuts] = {}
    for topic_id, member_count in subscribers.items():
        quota, extras = divmod(partition_counts[topic_id], member_count)
        cuts[topic_id] = _Cuts(partition_counts[topic_id], quota, extras)

    assignment: Assignment = {}
    for member_id, spec in sorted(members.items(), key=_order):
        ranges: dict[UUID, range] = {topic_id: cuts[topic_id].take() for topic_id in spec.topic_ids}
        partitions: Partitions = {topic_id: frozenset(cut) for topic_id, cut in ranges.items() if cut}
        assignment[member_id] = partitions
    return assignment
