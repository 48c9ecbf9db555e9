"""The server-side assignors of KIP-848, by the name that a member asks for.

An assignor is a pure function `(members, partition_counts) -> assignment`:

- `members` maps a member id to its `MemberSpec`;
- `partition_counts` has every topic that some member is subscribed to;
- the answer has every member of `members`, those that get nothing included.

The same input gives the same answer, whatever the order of the mappings.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from types import MappingProxyType
from uuid import UUID

Partitions = Mapping[UUID, AbstractSet[int]]
"""Topic id -> partitions. No topic maps to an empty set."""

Assignment = dict[str, Partitions]
"""Member id -> what it shall own."""


@dataclass(frozen=True, slots=True)
class MemberSpec:
    """One member as an assignor sees it.

    `topic_ids` holds existing topics only. `target` is the last assignment computed for the member, which
    a sticky assignor preserves where it can; it may name topics that are gone or no longer subscribed.
    """

    topic_ids: frozenset[UUID]
    target: Partitions = field(default_factory=dict)
    instance_id: str | None = None


Assignor = Callable[[Mapping[str, MemberSpec], Mapping[UUID, int]], Assignment]


def is_homogeneous(members: Mapping[str, MemberSpec]) -> bool:
    """Whether all members are subscribed to the same topics."""
    specs = iter(members.values())
    first = next(specs, None)
    return first is None or all(spec.topic_ids == first.topic_ids for spec in specs)


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
    """The `range` assignor: consecutive partitions of every topic, in member order.

    Members are ordered, static ones first by instance id and then dynamic ones by member id, and each topic's
    partitions are cut into that many consecutive ranges. Topics with equally many partitions and the same
    subscribers are therefore co-partitioned: a member gets the same partition numbers of each, which joins
    rely on. Ordering by instance id keeps a static member's ranges over its restarts (KIP-345), where its
    member id changes.
    """
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


# With overlapping subscriptions a move can open another one. Every round about halves what is left, so this
# many come close enough.
_MAX_BALANCING_ROUNDS = 16

_TopicPartition = tuple[UUID, int]


def assign_uniform(members: Mapping[str, MemberSpec], partition_counts: Mapping[UUID, int]) -> Assignment:
    """The `uniform` assignor: balance first, then as few moves as balance allows.

    Where all members have the same subscription the answer is exact: sizes differ by at most one, and no
    assignment with that property keeps more partitions where they are. Where subscriptions differ it is a
    good one: everything is assigned, and partitions move only from a member to one that had at least two
    fewer.
    """
    if not members:
        return {}
    kept = _kept(members, partition_counts)
    if is_homogeneous(members):
        owned = _assign_homogeneous(members, partition_counts, kept)
    else:
        owned = _assign_heterogeneous(members, partition_counts, kept)
    return {member_id: _by_topic(owned[member_id]) for member_id in members}


def _kept(members: Mapping[str, MemberSpec], counts: Mapping[UUID, int]) -> dict[str, list[_TopicPartition]]:
    """What each member may keep of its last target; a partition that two claim goes to the first."""
    taken: set[_TopicPartition] = set()
    kept: dict[str, list[_TopicPartition]] = {}
    for member_id in sorted(members):
        spec = members[member_id]
        mine = [
            (topic_id, partition)
            for topic_id in sorted(spec.target)
            if topic_id in spec.topic_ids
            for partition in sorted(spec.target[topic_id])
            if partition < counts[topic_id] and (topic_id, partition) not in taken
        ]
        taken.update(mine)
        kept[member_id] = mine
    return kept


def _unassigned(
    topic_ids: Iterable[UUID], counts: Mapping[UUID, int], kept: Mapping[str, list[_TopicPartition]]
) -> list[_TopicPartition]:
    taken = {topic_partition for mine in kept.values() for topic_partition in mine}
    return [
        (topic_id, partition)
        for topic_id in sorted(topic_ids)
        for partition in range(counts[topic_id])
        if (topic_id, partition) not in taken
    ]


def _by_topic(topic_partitions: Iterable[_TopicPartition]) -> dict[UUID, frozenset[int]]:
    grouped: defaultdict[UUID, list[int]] = defaultdict(list)
    for topic_id, partition in topic_partitions:
        grouped[topic_id].append(partition)
    return {topic_id: frozenset(partitions) for topic_id, partitions in grouped.items()}


def _assign_homogeneous(
    members: Mapping[str, MemberSpec], counts: Mapping[UUID, int], kept: dict[str, list[_TopicPartition]]
) -> dict[str, list[_TopicPartition]]:
    topic_ids = next(iter(members.values())).topic_ids
    quota, extras = divmod(sum(counts[topic_id] for topic_id in topic_ids), len(members))
    # Those that hold most get the extra partitions: that is what keeps the number of moves minimal.
    by_size = sorted(kept, key=lambda member_id: (-len(kept[member_id]), member_id))
    quotas = {member_id: quota + (position < extras) for position, member_id in enumerate(by_size)}
    owned = {member_id: mine[: quotas[member_id]] for member_id, mine in kept.items()}
    free = _unassigned(topic_ids, counts, owned)
    position = 0
    for member_id in sorted(owned):
        room = quotas[member_id] - len(owned[member_id])
        owned[member_id] += free[position : position + room]
        position += room
    return owned


def _assign_heterogeneous(
    members: Mapping[str, MemberSpec], counts: Mapping[UUID, int], kept: dict[str, list[_TopicPartition]]
) -> dict[str, list[_TopicPartition]]:
    subscribers: defaultdict[UUID, list[str]] = defaultdict(list)
    for member_id in sorted(members):
        for topic_id in members[member_id].topic_ids:
            subscribers[topic_id].append(member_id)
    # The topics with the most partitions for each subscriber leave least choice, so they go first.
    order = sorted(subscribers, key=lambda t: (-counts[t] / len(subscribers[t]), len(subscribers[t]), t))

    load = {member_id: len(mine) for member_id, mine in kept.items()}
    owned: dict[UUID, dict[str, list[int]]] = {topic_id: defaultdict(list) for topic_id in order}
    for member_id, mine in kept.items():
        for topic_id, partition in mine:
            owned[topic_id][member_id].append(partition)

    free: defaultdict[UUID, list[int]] = defaultdict(list)
    for topic_id, partition in _unassigned(order, counts, kept):
        free[topic_id].append(partition)
    for topic_id in order:
        _hand_out(free[topic_id], subscribers[topic_id], owned[topic_id], load)
    for _ in range(_MAX_BALANCING_ROUNDS):
        if not sum(_balance(subscribers[topic_id], owned[topic_id], load) for topic_id in order):
            break

    result: dict[str, list[_TopicPartition]] = {member_id: [] for member_id in members}
    for topic_id in order:
        for member_id, partitions in owned[topic_id].items():
            result[member_id] += [(topic_id, partition) for partition in partitions]
    return result


def _hand_out(
    partitions: Iterable[int], subscribers: list[str], owned: dict[str, list[int]], load: dict[str, int]
) -> None:
    """Give each partition to the subscriber that has least."""
    least = [(load[member_id], member_id) for member_id in subscribers]
    heapify(least)
    for partition in partitions:
        size, member_id = least[0]
        owned[member_id].append(partition)
        load[member_id] = size + 1
        heapreplace(least, (size + 1, member_id))


def _balance(subscribers: list[str], owned: dict[str, list[int]], load: dict[str, int]) -> int:
    """Move one topic's partitions from those that have most to those that have least; how many were moved."""
    most = [(-load[member_id], member_id) for member_id, partitions in owned.items() if partitions]
    least = [(load[member_id], member_id) for member_id in subscribers]
    heapify(most)
    heapify(least)
    moved = 0
    while most:
        source, destination = most[0][1], least[0][1]
        if load[source] - load[destination] < 2:
            break
        # A member can be in both heaps, and a move refreshes one entry only, so look at the entry first.
        if -most[0][0] != load[source]:
            heapreplace(most, (-load[source], source))
            continue
        if least[0][0] != load[destination]:
            heapreplace(least, (load[destination], destination))
            continue
        owned[destination].append(owned[source].pop())
        load[source] -= 1
        load[destination] += 1
        moved += 1
        heapreplace(least, (load[destination], destination))
        if owned[source]:
            heapreplace(most, (-load[source], source))
        else:
            heappop(most)
    return moved


ASSIGNORS: Mapping[str, Assignor] = MappingProxyType({"uniform": assign_uniform, "range": assign_range})
