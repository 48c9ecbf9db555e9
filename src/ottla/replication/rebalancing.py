"""A plan of moves that spreads replicas over brokers again, as after some were added or are to be retired.

Of a cluster it knows what any client can ask for: which brokers keep which partitions, and their racks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TypeAlias

TopicPartition: TypeAlias = tuple[str, int]
Replicas: TypeAlias = tuple[int, ...]
"""Ids of brokers, the preferred leader first"""


def plan_rebalance(
    replicas: Mapping[TopicPartition, Replicas], racks: Mapping[int, str | None]
) -> dict[TopicPartition, Replicas]:
    """The partitions that should have other replicas, or another preferred leader, and which.

    `racks` names the brokers that may keep any; what others have is moved away, where there are brokers
    enough. It moves as little as it takes until no broker has two replicas more than another that could have
    one of them, and never onto fewer racks. Preferred leaders are spread by reordering, which moves nothing.
    """
    layout = _Layout(replicas, racks)
    layout.evacuate()
    layout.spread_replicas()
    layout.spread_leaders()
    return {partition: now for partition, now in layout.replicas.items() if now != replicas[partition]}


class _Layout:
    """Who has what, while it is planned."""

    def __init__(self, replicas: Mapping[TopicPartition, Replicas], racks: Mapping[int, str | None]) -> None:
        self.replicas = dict(replicas)
        self._racks = racks
        self._kept: dict[int, dict[str, dict[TopicPartition, None]]] = {each: {} for each in sorted(racks)}
        self._counts = dict.fromkeys(self._kept, 0)
        for partition, brokers in replicas.items():
            for broker in brokers:
                self._add(partition, broker)

    def evacuate(self) -> None:
        for partition, brokers in list(self.replicas.items()):
            for broker in brokers:
                if broker not in self._racks:
                    heirs = [each for each in self._kept if each not in self.replicas[partition]]
                    if heirs:
                        heir = min(heirs, key=lambda each: self._cost(partition, broker, each))
                        self._move(partition, broker, heir)

    def spread_replicas(self) -> None:
        """Pairs between which nothing could be moved are only tried again when all others are done."""
        futile: set[tuple[int, int]] = set()
        is_done = False
        while not is_done:
            is_done = not futile
            for pair in self._unequal(self._counts):
                if pair not in futile:
                    if self._move_one(*pair):
                        is_done = False
                        break
                    futile.add(pair)
            else:
                if not is_done:
                    futile.clear()

    def spread_leaders(self) -> None:
        leaders = _Leaders(self.replicas, self._kept)
        while any(leaders.lead_one(busiest, idlest) for busiest, idlest in self._unequal(leaders.counts)):
            pass

    @staticmethod
    def _unequal(counts: Mapping[int, int]) -> Iterator[tuple[int, int]]:
        """Pairs of a broker and one that has at least two fewer, those that differ most first."""
        ordered = sorted(counts, key=lambda broker: (counts[broker], broker))
        pairs = [(full, empty) for full in ordered for empty in ordered if counts[full] - counts[empty] > 1]
        yield from sorted(pairs, key=lambda pair: counts[pair[1]] - counts[pair[0]])

    def _move_one(self, full: int, empty: int) -> bool:
        """Move one replica between them, of the topic that is spread worst; False where none can be."""
        there = self._kept[empty]
        surplus = {topic: len(kept) - len(there.get(topic, ())) for topic, kept in self._kept[full].items()}
        for topic in sorted(surplus, key=lambda each: -surplus[each]):
            for partition in self._kept[full][topic]:
                if empty not in self.replicas[partition] and not self._loses_rack(partition, full, empty):
                    self._move(partition, full, empty)
                    return True
        return False

    def _loses_rack(self, partition: TopicPartition, old: int, new: int) -> bool:
        if self._racks.get(old) == self._racks.get(new):
            return False
        return self._racks_without(partition, old, new) < self._racks_without(partition, old, old)

    def _racks_without(self, partition: TopicPartition, old: int, new: int) -> int:
        """On how many racks the partition is with one replica in the place of another."""
        brokers = (new if each == old else each for each in self.replicas[partition])
        return len({self._racks.get(each) for each in brokers})

    def _cost(self, partition: TopicPartition, old: int, new: int) -> tuple[int, int, int, int]:
        """The least for who should have it most."""
        racks = self._racks_without(partition, old, new)
        return -racks, self._counts[new], len(self._kept[new].get(partition[0], ())), new

    def _move(self, partition: TopicPartition, old: int, new: int) -> None:
        self.replicas[partition] = tuple(new if each == old else each for each in self.replicas[partition])
        if old in self._kept:
            del self._kept[old][partition[0]][partition]
            self._counts[old] -= 1
        self._add(partition, new)

    def _add(self, partition: TopicPartition, broker: int) -> None:
        if broker in self._kept:
            self._kept[broker].setdefault(partition[0], {})[partition] = None
            self._counts[broker] += 1


class _Leaders:
    """Preferred leaders, and who could be one instead."""

    def __init__(self, replicas: dict[TopicPartition, Replicas], brokers: Iterable[int]) -> None:
        self._replicas = replicas
        self.counts = dict.fromkeys(brokers, 0)
        self._heirs: dict[int, dict[int, dict[TopicPartition, None]]] = {each: {} for each in self.counts}
        """By leader and heir: the partitions that the one leads and the other has too"""
        for partition in replicas:
            self._note(partition)

    def lead_one(self, busy: int, idle: int) -> bool:
        """Have `idle` lead one more and `busy` one fewer, over others in between if need be."""
        path = self._path(busy, idle)
        for leader, heir in pairwise(path):
            partition = next(iter(self._heirs[leader][heir]))
            for each in self._replicas[partition][1:]:
                if each in self.counts:
                    del self._heirs[leader][each][partition]
            self.counts[leader] -= 1
            rest = [each for each in self._replicas[partition] if each != heir]
            self._replicas[partition] = (heir, *rest)
            self._note(partition)
        return bool(path)

    def _path(self, busy: int, idle: int) -> list[int]:
        """Brokers from one to the other, of which each leads a partition that the next one has too."""
        came_from = {busy: busy}
        queue = [busy]
        for leader in queue:
            if leader == idle:
                path = [idle]
                while path[-1] != busy:
                    path.append(came_from[path[-1]])
                return path[::-1]
            for heir, partitions in self._heirs[leader].items():
                if partitions and heir not in came_from:
                    came_from[heir] = leader
                    queue.append(heir)
        return []

    def _note(self, partition: TopicPartition) -> None:
        leader, *others = self._replicas[partition]
        if leader in self.counts:
            self.counts[leader] += 1
            for each in others:
                if each in self.counts:
                    self._heirs[leader].setdefault(each, {})[partition] = None
