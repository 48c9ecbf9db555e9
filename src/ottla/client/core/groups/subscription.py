"""The `consumer` protocol type: what members of classic groups tell each other through the coordinator.

A member tells its topics, what it owns and since which generation; the leader runs the assignor that all
members have, and tells each what it gets. With a cooperative assignor members keep what they own through a
rebalance and give up only what another shall have, which takes a second rebalance (KIP-429).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar, runtime_checkable

from ottla.client.core.metadata import TopicPartition
from ottla.protocol import wire
from ottla.protocol.errors import DecodeError
from ottla.protocol.messages.records.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolAssignmentTopicPartition,
    ConsumerProtocolSubscription,
    ConsumerProtocolSubscriptionTopicPartition,
)

_VERSION: Final = 3
NO_GENERATION: Final = -1

M = TypeVar("M", ConsumerProtocolSubscription, ConsumerProtocolAssignment)


class MemberSubscription(NamedTuple):
    """What a member says of itself. `owned` is empty with eager assignors: all was given up by then."""

    topics: Sequence[str]
    owned: Sequence[TopicPartition] = ()
    generation: int = NO_GENERATION
    rack: str | None = None
    user_data: bytes | None = None
    instance_id: str | None = None


class Topics(NamedTuple):
    """What an assignor may know of the topics: how many partitions each has, and in which racks each
    partition has replicas.
    """

    partitions: Mapping[str, int]
    racks: Mapping[TopicPartition, frozenset[str]] = {}


Assignments = dict[str, list[TopicPartition]]
"""By member id; every member is in it."""


class Assignor(Protocol):
    """Who gets what. An application may bring its own, under a name that all members of the group know."""

    @property
    def name(self) -> str: ...

    @property
    def is_cooperative(self) -> bool: ...

    def assign(self, members: Mapping[str, MemberSubscription], topics: Topics) -> Assignments: ...


@runtime_checkable
class WithUserData(Protocol):
    """An assignor that tells the leader more of a member than every protocol does."""

    def user_data(self, owned: Sequence[TopicPartition], generation: int) -> bytes | None: ...


def encode_subscription(member: MemberSubscription) -> bytes:
    message = ConsumerProtocolSubscription(
        topics=sorted(member.topics),
        user_data=member.user_data,
        owned_partitions=[
            ConsumerProtocolSubscriptionTopicPartition(topic=topic, partitions=partitions)
            for topic, partitions in numbers_by_topic(member.owned).items()
        ],
        generation_id=member.generation,
        rack_id=member.rack,
    )
    return wire.encode_prefixed(message, _VERSION)


def decode_subscription(metadata: bytes, instance_id: str | None = None) -> MemberSubscription:
    """Of any version: what is newer than ours begins with what ours has. DecodeError for nonsense."""
    message = _decode(ConsumerProtocolSubscription, metadata)
    owned = [
        TopicPartition(each.topic, partition)
        for each in message.owned_partitions
        for partition in each.partitions
    ]
    return MemberSubscription(
        message.topics, owned, message.generation_id, message.rack_id, message.user_data, instance_id
    )


def encode_assignment(partitions: Iterable[TopicPartition], user_data: bytes | None = None) -> bytes:
    message = ConsumerProtocolAssignment(
        assigned_partitions=[
            ConsumerProtocolAssignmentTopicPartition(topic=topic, partitions=indexes)
            for topic, indexes in numbers_by_topic(partitions).items()
        ],
        user_data=user_data,
    )
    return wire.encode_prefixed(message, _VERSION)


def decode_assignment(assignment: bytes) -> list[TopicPartition]:
    """Empty bytes are what a member gets whom the leader did not know. DecodeError for nonsense."""
    return decode_assignment_with_data(assignment)[0]


def decode_assignment_with_data(assignment: bytes) -> tuple[list[TopicPartition], bytes | None]:
    """As `decode_assignment`, with what the leader's assignor says beside the partitions."""
    if not assignment:
        return [], None
    message = _decode(ConsumerProtocolAssignment, assignment)
    partitions = [
        TopicPartition(each.topic, partition)
        for each in message.assigned_partitions
        for partition in each.partitions
    ]
    return partitions, message.user_data


def _decode(kind: type[M], data: bytes) -> M:
    version = int.from_bytes(data[:2], "big", signed=True)
    if len(data) < 2 or version < 0:
        raise DecodeError(f"{kind.__name__} of {len(data)} bytes and version {version}")
    return wire.decode(kind, min(version, _VERSION), data, 2)


def numbers_by_topic(partitions: Iterable[TopicPartition]) -> dict[str, list[int]]:
    grouped: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        grouped.setdefault(topic, []).append(partition)
    return grouped


def perform_assignment(
    assignor: Assignor, members: Mapping[str, MemberSubscription], topics: Topics
) -> dict[str, bytes]:
    """The leader's work: what to send each member. A topic that does not exist is nobody's.

    ValueError where the assignor gave something to nobody's member, or twice.
    """
    known = Topics({name: count for name, count in topics.partitions.items() if count > 0}, topics.racks)
    assigned = assignor.assign(members, known)
    seen: set[TopicPartition] = set()
    for member_id, partitions in assigned.items():
        if member_id not in members:
            raise ValueError(f"assignor {assignor.name} gave partitions to {member_id!r}, who is no member")
        for partition in partitions:
            if partition in seen:
                raise ValueError(f"assignor {assignor.name} gave {partition} to two members")
            seen.add(partition)
    return {member_id: encode_assignment(assigned.get(member_id, ())) for member_id in members}


def topics_of(members: Iterable[MemberSubscription]) -> list[str]:
    """All topics that some member wants, in order."""
    return sorted({topic for member in members for topic in member.topics})


class Change(NamedTuple):
    """What an assignment means for who holds `owned`."""

    revoked: Sequence[TopicPartition]
    added: Sequence[TopicPartition]


def change_of(owned: Collection[TopicPartition], assigned: Collection[TopicPartition]) -> Change:
    held, given = dict.fromkeys(owned), dict.fromkeys(assigned)
    return Change([each for each in held if each not in given], [each for each in given if each not in held])
