"""Kafka's assignors that leaders of classic groups run, with Kafka's results; `sticky` has the other two.

The same input gives the same answer, whatever the order of the mappings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Final

from ottla.client.core.groups.racks import rack_matters
from ottla.client.core.groups.sticky import CooperativeStickyAssignor, StickyAssignor
from ottla.client.core.groups.subscription import Assignments, Assignor, MemberSubscription, Topics
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import ConfigurationError


def order_of(members: Mapping[str, MemberSubscription]) -> list[str]:
    """Static members by instance id, then the others by member id, so that a static member keeps its place
    when it comes back under another member id (KIP-345).
    """

    def key(member_id: str) -> tuple[bool, str]:
        instance_id = members[member_id].instance_id
        return (True, member_id) if instance_id is None else (False, instance_id)

    return sorted(members, key=key)


class RangeAssignor:
    """Consecutive partitions of each topic: members with the same topics get the same numbers of each.
    Where racks matter, partitions go to members of a rack that has them, as far as balance allows (KIP-881).
    """

    name = "range"
    is_cooperative = False

    def assign(self, members: Mapping[str, MemberSubscription], topics: Topics) -> Assignments:
        order = order_of(members)
        states = [
            _TopicRanges(topic, count, [each for each in order if topic in members[each].topics])
            for topic, count in sorted(topics.partitions.items())
        ]
        assigned: Assignments = {member_id: [] for member_id in members}
        racks = {member_id: each.rack for member_id, each in members.items() if each.rack}
        if any(rack_matters(_racks_of(state, racks), topics.racks, state.all()) for state in states):
            self._match_racks(states, racks, topics.racks, assigned)
        for state in states:
            _hand_out(state, assigned, lambda *_: True)
        return {member_id: sorted(mine) for member_id, mine in assigned.items()}

    def _match_racks(
        self,
        states: Iterable[_TopicRanges],
        racks: Mapping[str, str],
        where: Mapping[TopicPartition, AbstractSet[str]],
        assigned: Assignments,
    ) -> None:
        together: dict[tuple[tuple[str, ...], int], list[_TopicRanges]] = {}
        for state in states:
            together.setdefault((tuple(state.members), state.count), []).append(state)

        def fits(member_id: str, partition: TopicPartition) -> bool:
            rack = racks.get(member_id)
            return rack is None or rack in where.get(partition, ())

        for group in together.values():
            if len(group) > 1:
                _match_copartitioned(group, assigned, fits)
            elif rack_matters(_racks_of(group[0], racks), where, group[0].all()):
                _hand_out(group[0], assigned, fits)


class _TopicRanges:
    """One topic, while its partitions are handed out."""

    def __init__(self, topic: str, count: int, members: Sequence[str]) -> None:
        self.topic = topic
        self.count = count
        self.members = members
        self.free = dict.fromkeys(range(count))
        self._quota, self._extras = divmod(count, len(members)) if members else (0, 0)
        self._has = dict.fromkeys(members, 0)

    def all(self) -> list[TopicPartition]:
        return [TopicPartition(self.topic, each) for each in range(self.count)]

    def room(self, member_id: str) -> int:
        return max(0, self._quota + (1 if self._extras > 0 else 0) - self._has[member_id])

    def give(self, member_id: str, partitions: Sequence[int], assigned: Assignments) -> None:
        assigned[member_id] += [TopicPartition(self.topic, each) for each in partitions]
        self._has[member_id] += len(partitions)
        if self._has[member_id] > self._quota:
            self._extras -= 1
        for each in partitions:
            del self.free[each]


_Fits = Callable[[str, TopicPartition], bool]


def _hand_out(state: _TopicRanges, assigned: Assignments, fits: _Fits) -> None:
    for member_id in state.members:
        free = [each for each in state.free if fits(member_id, TopicPartition(state.topic, each))]
        mine = free[: state.room(member_id)]
        if mine:
            state.give(member_id, mine, assigned)


def _match_copartitioned(states: Sequence[_TopicRanges], assigned: Assignments, fits: _Fits) -> None:
    """Topics alike, of which a member is to have the same numbers of each."""
    remaining = list(states[0].members)
    for number in range(states[0].count):
        for member_id in remaining:
            if all(s.room(member_id) and fits(member_id, TopicPartition(s.topic, number)) for s in states):
                for state in states:
                    state.give(member_id, [number], assigned)
                if not any(state.room(member_id) for state in states):
                    remaining.remove(member_id)
                break


def _racks_of(state: _TopicRanges, racks: Mapping[str, str]) -> set[str]:
    return {racks[member_id] for member_id in state.members if member_id in racks}


class RoundRobinAssignor:
    """All partitions of all topics in order, to the members in turn; who is not subscribed is passed over."""

    name = "roundrobin"
    is_cooperative = False

    def assign(self, members: Mapping[str, MemberSubscription], topics: Topics) -> Assignments:
        order = order_of(members)
        assigned: Assignments = {member_id: [] for member_id in members}
        turn = 0
        for topic, count in sorted(topics.partitions.items()):
            takers = {member_id for member_id in order if topic in members[member_id].topics}
            if not takers:
                continue
            for partition in range(count):
                while order[turn % len(order)] not in takers:
                    turn += 1
                assigned[order[turn % len(order)]].append(TopicPartition(topic, partition))
                turn += 1
        return assigned


ASSIGNORS: Final[Mapping[str, Assignor]] = MappingProxyType(
    {
        each.name: each
        for each in (RangeAssignor(), RoundRobinAssignor(), StickyAssignor(), CooperativeStickyAssignor())
    }
)
"""Kafka's, by their names."""


def assignors_of(names: Iterable[str], own: Mapping[str, Assignor]) -> dict[str, Assignor]:
    """Those that `partition.assignment.strategy` names, Kafka's or an application's `own`. ConfigurationError
    for one that there is not.
    """
    known = {**ASSIGNORS, **own}
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"partition.assignment.strategy: there is no assignor {name!r} ({', '.join(known)})"
            )
    return {name: known[name] for name in names}
