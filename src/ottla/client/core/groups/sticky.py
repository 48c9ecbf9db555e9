"""`sticky` and `cooperative-sticky`: balance, then as few moves as it allows (KIP-54, KIP-429).

Both share the computation and differ in how they learn what members had: `sticky` from data of its own, since
its members have given all up by then, `cooperative-sticky` from the protocol. Members are gone through in the
order of their ids, where Kafka takes that of a hash table.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ottla.client.core.groups.racks import Racks
from ottla.client.core.groups.sticky_general import PreviousOwner, balance
from ottla.client.core.groups.subscription import (
    Assignments,
    MemberSubscription,
    Topics,
    numbers_by_topic,
    topics_of,
)
from ottla.client.core.metadata import TopicPartition

_NO_GENERATION: Final = -1
_INT16: Final = struct.Struct(">h")
_INT32: Final = struct.Struct(">i")


class _Had(NamedTuple):
    """What a member had, and in which generation; None where it does not say."""

    partitions: Sequence[TopicPartition]
    generation: int | None

    @property
    def known_generation(self) -> int:
        return _NO_GENERATION if self.generation is None else self.generation


class StickyAssignor:
    """Eager: members report what they had in their user data."""

    name = "sticky"
    is_cooperative = False

    def assign(self, members: Mapping[str, MemberSubscription], topics: Topics) -> Assignments:
        had = {member_id: _decode_had(each.user_data) for member_id, each in members.items()}
        return _assign(members, topics, had)[0]

    def user_data(self, owned: Sequence[TopicPartition], generation: int) -> bytes | None:
        if generation < 0:
            return None
        grouped = numbers_by_topic(owned)
        parts = [_INT32.pack(len(grouped))]
        for topic, partitions in grouped.items():
            name = topic.encode()
            parts += (
                _INT16.pack(len(name)),
                name,
                struct.pack(f">{len(partitions) + 1}i", len(partitions), *partitions),
            )
        return b"".join((*parts, _INT32.pack(generation)))


class CooperativeStickyAssignor:
    """What must move is first taken from who has it; the rebalance that follows gives it to the other."""

    name = "cooperative-sticky"
    is_cooperative = True

    def assign(self, members: Mapping[str, MemberSubscription], topics: Topics) -> Assignments:
        had = {member_id: _had_of(each) for member_id, each in members.items()}
        assigned, moving = _assign(members, topics, had)
        if moving is None:
            moving = _moving(members, assigned)
        for partition, member_id in moving.items():
            assigned[member_id].remove(partition)
        return assigned

    def user_data(self, _owned: Sequence[TopicPartition], generation: int) -> bytes | None:
        """Members of the protocol's first versions have no other place for the generation."""
        return _INT32.pack(generation)


def _had_of(member: MemberSubscription) -> _Had:
    if member.generation != _NO_GENERATION:
        return _Had(member.owned, member.generation)
    data = member.user_data
    if data is None:
        return _Had(member.owned, None)
    return _Had(member.owned, _INT32.unpack_from(data)[0] if len(data) >= 4 else _NO_GENERATION)


def _decode_had(data: bytes | None) -> _Had:
    """Nonsense, which another client may have written, is as good as nothing."""
    if not data:
        return _Had((), None)
    partitions: list[TopicPartition] = []
    try:
        (topics,), at = _INT32.unpack_from(data), 4
        for _ in range(topics):
            (length,) = _INT16.unpack_from(data, at)
            name = data[at + 2 : at + 2 + length].decode()
            (count,) = _INT32.unpack_from(data, at + 2 + length)
            at += length + 6
            if not 0 <= count <= (len(data) - at) // 4:
                raise struct.error("too short")
            partitions += [TopicPartition(name, each) for each in struct.unpack_from(f">{count}i", data, at)]
            at += 4 * count
    except (struct.error, ValueError):
        return _Had((), _NO_GENERATION)
    return _Had(partitions, _INT32.unpack_from(data, at)[0] if len(data) >= at + 4 else None)


def _moving(members: Mapping[str, MemberSubscription], assigned: Assignments) -> dict[TopicPartition, str]:
    """What one member shall have and another has to give up first."""
    added: dict[TopicPartition, str] = {}
    revoked: set[TopicPartition] = set()
    for member_id, mine in assigned.items():
        owned, given = set(members[member_id].owned), set(mine)
        added.update((each, member_id) for each in mine if each not in owned)
        revoked |= owned - given
    return {each: member_id for each, member_id in added.items() if each in revoked}


def _assign(
    members: Mapping[str, MemberSubscription], topics: Topics, had: Mapping[str, _Had]
) -> tuple[Assignments, dict[TopicPartition, str] | None]:
    """The assignment, and what moves in it; None where that is to be worked out from the result."""
    wanted = dict.fromkeys(topics_of(members.values()))
    topics = topics._replace(partitions={t: count for t, count in topics.partitions.items() if t in wanted})
    owned, contested = _claims(members, topics, had)
    racks = Racks(members, topics)
    subscriptions = {frozenset(each.topics) for each in members.values()}
    if len(subscriptions) <= 1:
        even = _Even(topics, owned, contested, racks)
        return even.build(), even.moving
    return balance(members, topics, owned, _previous_owners(had), racks), None


def _claims(
    members: Mapping[str, MemberSubscription], topics: Topics, had: Mapping[str, _Had]
) -> tuple[dict[str, list[TopicPartition]], set[TopicPartition]]:
    """What each member still has, and what two claim in one generation. The newer generation has it."""
    owned: dict[str, list[TopicPartition]] = {}
    owner: dict[TopicPartition, tuple[str, int]] = {}
    contested: set[TopicPartition] = set()
    for member_id in sorted(members):
        generation = had[member_id].known_generation
        mine = owned[member_id] = []
        for partition in had[member_id].partitions:
            if not 0 <= partition.partition < topics.partitions.get(partition.topic, 0):
                continue
            other = owner.get(partition)
            if other is None or generation > other[1]:
                mine.append(partition)
            elif generation == other[1]:
                contested.add(partition)
            else:
                continue
            if other is not None and partition in owned[other[0]] and other[0] != member_id:
                owned[other[0]].remove(partition)
            owner[partition] = member_id, generation
    return owned, contested


def _previous_owners(had: Mapping[str, _Had]) -> dict[TopicPartition, PreviousOwner]:
    """Who had what before the newest generation."""
    newest = max(each.known_generation for each in had.values())
    previous: dict[TopicPartition, PreviousOwner] = {}
    for member_id in sorted(had):
        generation = had[member_id].known_generation
        if generation == newest:
            continue
        for partition in had[member_id].partitions:
            if partition not in previous or generation > previous[partition].generation:
                previous[partition] = PreviousOwner(member_id, generation)
    return previous


class _Even:
    """All members want the same: sizes differ by at most one, and nothing moves that need not."""

    def __init__(
        self,
        topics: Topics,
        owned: Mapping[str, Sequence[TopicPartition]],
        contested: set[TopicPartition],
        racks: Racks,
    ) -> None:
        total = sum(topics.partitions.values())
        self.moving: dict[TopicPartition, str] = {}
        """What somebody else had: who shall have it now."""
        self._topics = topics
        self._owned = owned
        self._contested = contested
        self._racks = racks
        self._least, self._larger_wanted = divmod(total, len(owned)) if owned else (0, 0)
        self._most = self._least + (self._larger_wanted > 0)
        self._larger = 0
        """How many have more than the least."""
        self._below: list[str] = []
        self._at_least: list[str] = []
        """May still get one more."""
        self._taken_from: dict[TopicPartition, str] = {}
        self._assigned: Assignments = {member_id: [] for member_id in owned}

    def build(self) -> Assignments:
        for member_id in self._owned:
            self._keep(member_id)
        kept = {partition for mine in self._assigned.values() for partition in mine}
        free = [
            TopicPartition(topic, each)
            for topic, count in sorted(self._topics.partitions.items())
            for each in range(count)
        ]
        free = [each for each in free if each not in kept]
        self._below.sort()
        self._at_least.sort()
        if self._racks:
            free = self._by_rack(self._racks.fewest_takers_first(free))
        self._in_turn(free)
        return self._assigned

    def _keep(self, member_id: str) -> None:
        mine: list[TopicPartition] = []
        for partition in sorted(self._owned[member_id], key=lambda each: (each.partition, each.topic)):
            if self._racks.differ(member_id, partition):
                self._taken_from[partition] = member_id
            elif partition not in self._contested:
                mine.append(partition)
        if len(mine) < self._least:
            self._below.append(member_id)
            size = len(mine)
        elif len(mine) >= self._most and self._larger < self._larger_wanted:
            size = self._most
            self._count_larger()
        else:
            size = self._least
            if self._larger < self._larger_wanted:
                self._at_least.append(member_id)
        self._assigned[member_id] += mine[:size]
        self._taken_from.update((each, member_id) for each in mine[size:])

    def _count_larger(self) -> None:
        self._larger += 1
        if self._larger == self._larger_wanted:
            self._at_least.clear()

    def _by_rack(self, free: Sequence[TopicPartition]) -> list[TopicPartition]:
        """Gives to members in the partitions' racks; what is left."""
        left: list[TopicPartition] = []
        turn = 0
        for partition in free:
            index = self._racks.next_member(partition, self._below, turn)
            if index >= 0:
                member_id = self._below[index]
                if len(self._assigned[member_id]) + 1 >= self._least:
                    self._below.pop(index)
                    if self._least < self._most and self._larger < self._larger_wanted:
                        self._at_least.append(member_id)
                else:
                    index += 1
                turn = index % len(self._below) if self._below else 0
                self._give(partition, member_id)
                continue
            index = self._racks.next_member(partition, self._at_least, 0)
            if index < 0:
                left.append(partition)
                continue
            member_id = self._at_least.pop(index)
            self._count_larger()
            self._give(partition, member_id)
        return left

    def _in_turn(self, free: Sequence[TopicPartition]) -> None:
        turn = 0
        for partition in free:
            if not self._below:
                self._give(partition, self._at_least.pop(0))
                continue
            turn %= len(self._below)
            member_id = self._below[turn]
            self._give(partition, member_id)
            if len(self._assigned[member_id]) == self._least:
                self._at_least.append(self._below.pop(turn))
                if turn == len(self._below):
                    turn = 0
            else:
                turn += 1

    def _give(self, partition: TopicPartition, member_id: str) -> None:
        self._assigned[member_id].append(partition)
        was = self._taken_from.get(partition)
        if partition in self._contested or (was is not None and was != member_id):
            self.moving[partition] = member_id
