"""Whether and how racks say who should read what (KIP-881)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from ottla.client.core.groups.subscription import MemberSubscription, Topics
from ottla.client.core.metadata import TopicPartition


def rack_matters(
    member_racks: AbstractSet[str],
    where: Mapping[TopicPartition, AbstractSet[str]],
    partitions: Iterable[TopicPartition],
) -> bool:
    """Whether members are in racks that have partitions, and not every rack has all of them."""
    sets = [where[each] if each in where else frozenset() for each in partitions]  # noqa: SIM401 - set-order
    everywhere: AbstractSet[str] = frozenset()
    for each in sets:
        everywhere = everywhere | each
    return len(member_racks & everywhere) > 0 and any(each != everywhere for each in sets)


class Racks:
    """Of all members and partitions; false where they don't matter."""

    def __init__(self, members: Mapping[str, MemberSubscription], topics: Topics) -> None:
        racks = {member_id: each.rack for member_id, each in members.items() if each.rack}
        partitions = [
            TopicPartition(topic, each) for topic, count in topics.partitions.items() for each in range(count)
        ]
        matters = rack_matters(set(racks.values()), topics.racks, partitions)
        self.of_members: Mapping[str, str] = racks if matters else {}
        self._where: Mapping[TopicPartition, AbstractSet[str]] = topics.racks if matters else {}

    def __bool__(self) -> bool:
        return bool(self.of_members)

    def differ(self, member_id: str, partition: TopicPartition) -> bool:
        rack = self.of_members.get(member_id)
        return rack is not None and rack not in self._where.get(partition, ())

    def agree(self, member_id: str, partition: TopicPartition) -> bool:
        """Both are known, and the partition has a replica where the member is."""
        return self.of_members.get(member_id) in self._where.get(partition, ())

    def fewest_takers_first(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        members = list(self.of_members.values())

        def takers(partition: TopicPartition) -> int:
            where = self._where.get(partition, ())
            return sum(rack in where for rack in members)

        return sorted(partitions, key=takers)

    def next_member(self, partition: TopicPartition, members: Sequence[str], first: int) -> int:
        """Index of the next one in turn in a rack of the partition; -1 where there is none."""
        for step in range(len(members)):
            index = (first + step) % len(members)
            if self.agree(members[index], partition):
                return index
        return -1
