"""Sticky assignment where members are subscribed to different topics.

What members have stays where it may; the rest goes to who has least; then partitions are moved, one at a
time, from who has more to who has at least two less, until nothing improves. A partition that has to move
between the same two members as another of its topic did in the other direction stays, and the other goes
back (KIP-54).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ottla.client.core.groups.racks import Racks
from ottla.client.core.groups.subscription import Assignments, MemberSubscription, Topics
from ottla.client.core.metadata import TopicPartition


class PreviousOwner(NamedTuple):
    """Who had a partition in an older generation than the newest."""

    member_id: str
    generation: int


def balance(
    members: Mapping[str, MemberSubscription],
    topics: Topics,
    owned: Mapping[str, Sequence[TopicPartition]],
    previous: Mapping[TopicPartition, PreviousOwner],
    racks: Racks,
) -> Assignments:
    return _Balance(members, topics, owned, previous, racks).build()


class _Balance:
    def __init__(
        self,
        members: Mapping[str, MemberSubscription],
        topics: Topics,
        owned: Mapping[str, Sequence[TopicPartition]],
        previous: Mapping[TopicPartition, PreviousOwner],
        racks: Racks,
    ) -> None:
        self._counts = topics.partitions
        self._wants = {
            member_id: [topic for topic in dict.fromkeys(each.topics) if topic in topics.partitions]
            for member_id, each in sorted(members.items())
        }
        self._takers: dict[str, list[str]] = {topic: [] for topic in topics.partitions}
        for member_id, wanted in self._wants.items():
            for topic in wanted:
                self._takers[topic].append(member_id)
        self._previous = previous
        self._racks = racks
        self._assigned: Assignments = {member_id: [] for member_id in self._wants}
        self._owner: dict[TopicPartition, str] = {}
        self._order: list[tuple[int, str]] = []
        """Members by how much they have: those that can take part in moves."""
        self._moves = _Moves()
        self._gave_up = False
        for member_id, mine in owned.items():
            for partition in mine:
                self._keep(member_id, partition)

    def _keep(self, member_id: str, partition: TopicPartition) -> None:
        if partition.topic not in self._wants[member_id] or self._racks.differ(member_id, partition):
            self._gave_up = True
        else:
            self._assigned[member_id].append(partition)
            self._owner[partition] = member_id

    def build(self) -> Assignments:
        everything = [
            TopicPartition(topic, each)
            for topic in sorted(self._takers, key=lambda topic: (len(self._takers[topic]), topic))
            for each in range(self._counts[topic])
        ]
        free = [each for each in everything if each not in self._owner]
        self._order = sorted((len(mine), member_id) for member_id, mine in self._assigned.items())
        from_nothing = not self._order or self._order[-1][0] == 0
        left = [each for each in free if not self._give(each, within_rack=True)] if self._racks else free
        for partition in left:
            self._give(partition, within_rack=False)
        self._even_out(everything, free, from_nothing)
        return self._assigned

    def _give(self, partition: TopicPartition, *, within_rack: bool) -> bool:
        """To who has least of those who want it, and are in its rack if they must be."""
        takers = self._takers[partition.topic]
        for _, member_id in self._order:
            if member_id in takers and not (within_rack and self._racks.differ(member_id, partition)):
                self._add(member_id, partition)
                return True
        return False

    def _even_out(
        self, everything: Sequence[TopicPartition], free: Sequence[TopicPartition], from_nothing: bool
    ) -> None:
        fixed = {
            member_id: self._assigned.pop(member_id)
            for member_id in self._wants
            if not self._takes_part(member_id)
        }
        self._order = [each for each in self._order if each[1] not in fixed]
        before = {member_id: list(mine) for member_id, mine in self._assigned.items()}
        if not self._gave_up:
            self._move([each for each in free if len(self._takers[each.topic]) > 1])
        movable = [each for each in everything if len(self._takers[each.topic]) > 1]
        moved = self._move(movable)
        if not from_nothing and moved and _score(self._assigned) >= _score(before):
            self._assigned = before
        self._assigned.update(fixed)

    def _takes_part(self, member_id: str) -> bool:
        """Whether it could have more, or give something to another."""
        mine, wanted = self._assigned[member_id], self._wants[member_id]
        if len(mine) < sum(self._counts[topic] for topic in wanted):
            return True
        return any(len(self._takers[each.topic]) > 1 for each in mine)

    def _is_balanced(self) -> bool:
        """Nobody could take something from who has at least two more."""
        if not self._order or self._order[0][0] >= self._order[-1][0] - 1:
            return True
        largest: dict[str, int] = {}
        for mine in self._assigned.values():
            for partition in mine:
                largest[partition.topic] = max(largest.get(partition.topic, 0), len(mine))
        return not any(
            largest.get(topic, 0) > size + 1
            for size, member_id in self._order
            for topic in self._wants[member_id]
        )

    def _move(self, partitions: Sequence[TopicPartition]) -> bool:
        """Moves until nothing improves; whether anything moved."""
        moved_any, moved = False, True
        while moved:
            moved = False
            for partition in partitions:
                if self._is_balanced():
                    break
                taker = self._better_owner(partition)
                if taker is not None:
                    self._hand_over(partition, taker)
                    moved = moved_any = True
        return moved_any

    def _better_owner(self, partition: TopicPartition) -> str | None:
        """Who should have it: its previous owner, else who has least of those who want it; None: it stays."""
        size = len(self._assigned[self._owner[partition]])
        previous = self._previous.get(partition)
        takers = self._takers[partition.topic]
        if previous is not None and previous.member_id in takers:
            had = self._assigned.get(previous.member_id)
            if had is not None and size > len(had) + 1:
                return previous.member_id
        if any(size > len(self._assigned[each]) + 1 for each in takers if each in self._assigned):
            return next(member_id for _, member_id in self._order if member_id in takers)
        return None

    def _hand_over(self, partition: TopicPartition, taker: str) -> None:
        giver = self._owner[partition]
        partition = self._moves.instead(partition, giver, taker)
        giver = self._owner[partition]
        self._moves.note(partition, giver, taker)
        self._remove(giver, partition)
        self._add(taker, partition)

    def _add(self, member_id: str, partition: TopicPartition) -> None:
        mine = self._assigned[member_id]
        self._order.pop(bisect_left(self._order, (len(mine), member_id)))
        mine.append(partition)
        self._owner[partition] = member_id
        insort(self._order, (len(mine), member_id))

    def _remove(self, member_id: str, partition: TopicPartition) -> None:
        mine = self._assigned[member_id]
        self._order.pop(bisect_left(self._order, (len(mine), member_id)))
        mine.remove(partition)
        insort(self._order, (len(mine), member_id))


class _Moves:
    """Which partitions went from whom to whom, so that two of a topic are not exchanged for nothing."""

    def __init__(self) -> None:
        self._of: dict[TopicPartition, tuple[str, str]] = {}
        self._by_topic: dict[str, dict[tuple[str, str], dict[TopicPartition, None]]] = {}

    def instead(self, partition: TopicPartition, giver: str, taker: str) -> TopicPartition:
        """What goes back where another of the topic came the other way; else the partition itself."""
        origin = self._of[partition][0] if partition in self._of else giver
        reverse = self._by_topic.get(partition.topic, {}).get((taker, origin))
        return next(iter(reverse)) if reverse else partition

    def note(self, partition: TopicPartition, giver: str, taker: str) -> None:
        before = self._of.pop(partition, None)
        if before is not None:
            del self._by_topic[partition.topic][before][partition]
            if before[0] == taker:
                return  # it is back where it was
            giver = before[0]
        self._of[partition] = giver, taker
        pairs = self._by_topic.setdefault(partition.topic, {})
        pairs.setdefault((giver, taker), {})[partition] = None


def _score(assigned: Assignments) -> int:
    """The differences of all pairs' sizes together: 0 where all have the same."""
    sizes = sorted(map(len, assigned.values()))
    return sum(size * (2 * index - len(sizes) + 1) for index, size in enumerate(sizes))
