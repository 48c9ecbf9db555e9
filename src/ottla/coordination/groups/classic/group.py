"""The state of one classic group. Transitions are a table; what leads to them is in the sibling modules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from ottla.coordination.groups.offsets.store import StoredOffset
from ottla.coordination.groups.state import Group, GroupType, PartitionCheck
from ottla.coordination.runtime import CancelTimer, CoordinatorRecord, RequestInfo, SetTimer, TimerKey
from ottla.protocol import wire
from ottla.protocol.errors import DecodeError, ErrorCode, KafkaError
from ottla.protocol.messages.join_group import JoinGroupResponse
from ottla.protocol.messages.records.consumer_protocol import ConsumerProtocolSubscription
from ottla.protocol.messages.records.group import GroupMetadataKey
from ottla.protocol.messages.sync_group import SyncGroupResponse

Protocols: TypeAlias = dict[str, bytes]
"""Protocol name to the member's metadata, in the member's order of preference."""


@dataclass(slots=True)
class ClassicMember:
    """Timeouts are milliseconds. A parked request is the one that waits for the round to end."""

    member_id: str
    group_instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    protocol_type: str
    protocols: Protocols
    assignment: bytes = b""
    parked_join: RequestInfo[JoinGroupResponse] | None = None
    parked_sync: RequestInfo[SyncGroupResponse] | None = None
    is_new: bool = False
    """Added by a join that is still parked: it expires although it waits (Kafka's new-member timeout)."""

    @property
    def is_static(self) -> bool:
        return self.group_instance_id is not None

    @property
    def has_satisfied_heartbeat(self) -> bool:
        """Whoever waits for us is alive."""
        return not self.is_new and (self.parked_join is not None or self.parked_sync is not None)

    def matches(self, protocols: Protocols) -> bool:
        """Same protocols, metadata and order: a rejoin that changes nothing."""
        return list(self.protocols.items()) == list(protocols.items())

    def vote(self, candidates: Collection[str]) -> str:
        """The member's favourite among protocols that every member supports."""
        return next(name for name in self.protocols if name in candidates)


CONSUMER_PROTOCOL_TYPE: Final = "consumer"
_PREFIX_SIZE: Final = 2


class ClassicState(StrEnum):
    """Named as DescribeGroups shows them."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


PREVIOUS_STATES: Final[Mapping[ClassicState, frozenset[ClassicState]]] = {
    ClassicState.EMPTY: frozenset({ClassicState.PREPARING_REBALANCE}),
    ClassicState.PREPARING_REBALANCE: frozenset(
        {ClassicState.STABLE, ClassicState.COMPLETING_REBALANCE, ClassicState.EMPTY}
    ),
    ClassicState.COMPLETING_REBALANCE: frozenset({ClassicState.PREPARING_REBALANCE}),
    ClassicState.STABLE: frozenset({ClassicState.COMPLETING_REBALANCE}),
    ClassicState.DEAD: frozenset(ClassicState),
}


class ClassicGroup(Group):
    """Members in the order of their joining: the eldest is the next leader."""

    type = GroupType.CLASSIC

    def __init__(self, group_id: str, state_timestamp_ms: int) -> None:
        self.group_id = group_id
        self.state = ClassicState.EMPTY
        self.state_timestamp_ms = state_timestamp_ms
        """When the state was entered; -1 in records that are older than the field."""
        self.protocol_name: str | None = None
        self.generation_id = 0
        self.leader_id: str | None = None
        self.members: dict[str, ClassicMember] = {}
        self.static_members: dict[str, str] = {}
        self.pending_joins: dict[str, None] = {}
        """Ids handed out with MEMBER_ID_REQUIRED and not yet used."""
        self.pending_syncs: dict[str, None] = {}
        """Members of this generation that have not asked for their assignment yet."""
        self.subscribed_topics: frozenset[str] | None = None
        """None: unknown, for the members do not use the consumer protocol or it could not be read."""
        self.initial_deadline_ms: int | None = None
        """Until when, at most, an empty group's first rebalance waits for more members; None in others."""
        self._protocol_type: str | None = None
        self._support: Counter[str] = Counter()

    # What every group answers

    @property
    def protocol_type(self) -> str:
        return self._protocol_type or ""

    @protocol_type.setter
    def protocol_type(self, value: str) -> None:
        self._protocol_type = value or None

    @property
    def state_name(self) -> str:
        return self.state.value

    @property
    def is_empty(self) -> bool:
        return self.state is ClassicState.EMPTY

    @property
    def member_count(self) -> int:
        return len(self.members)

    @property
    def is_simple(self) -> bool:
        """Only a place for offsets: never had a member (a standalone consumer's commits)."""
        return self._protocol_type is None and self.is_empty and not self.pending_joins

    @property
    def uses_consumer_protocol(self) -> bool:
        return self._protocol_type == CONSUMER_PROTOCOL_TYPE

    def is_subscribed_to_topic(self, topic: str) -> bool:
        """Consumers whose subscription can't be read are taken to want every topic."""
        if self.subscribed_topics is None:
            return self.uses_consumer_protocol
        return topic in self.subscribed_topics

    def validate_offset_commit(
        self,
        member_id: str,
        group_instance_id: str | None,
        generation_or_epoch: int,
        *,
        api_version: int,  # noqa: ARG002 - the consumer groups' refusals depend on it
        is_transactional: bool,
    ) -> PartitionCheck | None:
        if self.state is ClassicState.DEAD:
            raise KafkaError(ErrorCode.coordinator_not_available)
        if generation_or_epoch < 0 and self.is_empty:
            return None
        if generation_or_epoch >= 0 or member_id or group_instance_id is not None:
            self.validate_member(member_id, group_instance_id)
            if generation_or_epoch != self.generation_id:
                raise KafkaError(ErrorCode.illegal_generation)
        elif not is_transactional and not self.is_empty:
            raise KafkaError(ErrorCode.unknown_member_id)
        if not is_transactional and self.state is ClassicState.COMPLETING_REBALANCE:
            # The member knows the new generation but not its assignment: it must sync before it commits.
            raise KafkaError(ErrorCode.rebalance_in_progress)
        return None

    def validate_offset_fetch(self, member_id: str | None, member_epoch: int) -> None:  # noqa: ARG002
        if self.state is ClassicState.DEAD:
            raise KafkaError(ErrorCode.group_id_not_found, f"Group {self.group_id} is in dead state.")

    def validate_offset_delete(self) -> None:
        if self.state is ClassicState.DEAD:
            raise KafkaError(ErrorCode.group_id_not_found, f"Group {self.group_id} is in dead state.")
        if not self.is_empty and not self.uses_consumer_protocol:
            raise KafkaError(ErrorCode.non_empty_group)

    def validate_delete(self) -> None:
        if self.state is ClassicState.DEAD:
            raise KafkaError(ErrorCode.group_id_not_found, f"Group {self.group_id} is in dead state.")
        if not self.is_empty:
            raise KafkaError(ErrorCode.non_empty_group)

    def tombstones(self) -> list[CoordinatorRecord]:
        return [CoordinatorRecord(GroupMetadataKey(group=self.group_id), None)]

    def cancelled_timers(self) -> list[CancelTimer]:
        sessions = [CancelTimer(self.session_key(m)) for m in (*self.members, *self.pending_joins)]
        return [CancelTimer(self.join_key), CancelTimer(self.sync_key), *sessions]

    def offset_expiration_base(self) -> Callable[[StoredOffset], int] | None:
        if self._protocol_type is None:
            return _commit_timestamp
        if self.is_empty:
            since = self.state_timestamp_ms
            return _commit_timestamp if since < 0 else lambda _offset: since
        if self.uses_consumer_protocol and self.subscribed_topics is not None and self.is_stable:
            return _commit_timestamp
        return None

    def on_offset_commit_timers(self, member_id: str, now_ms: int) -> list[SetTimer]:
        member = self.members.get(member_id)
        if member is None or self.state not in (ClassicState.STABLE, ClassicState.PREPARING_REBALANCE):
            return []
        return [self.session_timer(member, now_ms)]

    # Timers

    @property
    def join_key(self) -> TimerKey:
        return ("classic-join", self.group_id)

    @property
    def sync_key(self) -> TimerKey:
        return ("classic-sync", self.group_id)

    def session_key(self, member_id: str) -> TimerKey:
        return ("classic-session", self.group_id, member_id)

    def session_timer(self, member: ClassicMember, now_ms: int) -> SetTimer:
        """The member lives until its session timeout from now."""
        return SetTimer(self.session_key(member.member_id), now_ms + member.session_timeout_ms)

    # Members

    @property
    def is_stable(self) -> bool:
        return self.state is ClassicState.STABLE

    @property
    def can_rebalance(self) -> bool:
        return self.state in PREVIOUS_STATES[ClassicState.PREPARING_REBALANCE]

    @property
    def has_all_members_joined(self) -> bool:
        return not self.pending_joins and all(m.parked_join is not None for m in self.members.values())

    @property
    def parked_joins(self) -> int:
        return sum(m.parked_join is not None for m in self.members.values())

    @property
    def rebalance_timeout_ms(self) -> int:
        """The slowest member's, for all wait for it."""
        return max((m.rebalance_timeout_ms for m in self.members.values()), default=0)

    def validate_member(self, member_id: str, group_instance_id: str | None) -> None:
        """Refuse strangers, and a static member that another process has replaced (KIP-345)."""
        if group_instance_id is not None:
            existing = self.static_members.get(group_instance_id)
            if existing is None:
                raise KafkaError(ErrorCode.unknown_member_id)
            if existing != member_id:
                raise KafkaError(ErrorCode.fenced_instance_id)
        if member_id not in self.members:
            raise KafkaError(ErrorCode.unknown_member_id)

    def add(self, member: ClassicMember) -> None:
        """Take the member in; the first one becomes leader and sets the protocol type."""
        if not self.members:
            self.protocol_type = member.protocol_type
        if member.group_instance_id is not None:
            self.static_members[member.group_instance_id] = member.member_id
        self.members[member.member_id] = member
        self._count_support(member.protocols, 1)
        if self.leader_id is None:
            self.leader_id = member.member_id
        self.pending_joins.pop(member.member_id, None)

    def remove(self, member_id: str) -> None:
        """Forget a member or a pending id; the eldest of the rest becomes leader where the leader went."""
        member = self.members.pop(member_id, None)
        if member is not None:
            self._count_support(member.protocols, -1)
            if member.group_instance_id is not None:
                self.static_members.pop(member.group_instance_id, None)
        if self.leader_id == member_id:
            self.leader_id = next(iter(self.members), None)
        self.pending_joins.pop(member_id, None)
        self.pending_syncs.pop(member_id, None)

    def rename_static_member(self, group_instance_id: str, new_member_id: str) -> ClassicMember:
        """Give the instance's place, assignment and leadership to a new member id."""
        old_member_id = self.static_members[group_instance_id]
        member = self.members[old_member_id]
        member.member_id = new_member_id
        # The dict is rebuilt so that the place among the elders stays.
        self.members = {m.member_id: m for m in self.members.values()}
        self.static_members[group_instance_id] = new_member_id
        if self.leader_id == old_member_id:
            self.leader_id = new_member_id
        if old_member_id in self.pending_syncs:
            del self.pending_syncs[old_member_id]
            self.pending_syncs[new_member_id] = None
        return member

    def update_protocols(self, member: ClassicMember, protocols: Protocols) -> None:
        """Replace what a member supports, and the group's counts with it."""
        self._count_support(member.protocols, -1)
        member.protocols = protocols
        self._count_support(protocols, 1)

    def _count_support(self, protocols: Protocols, change: int) -> None:
        for name in protocols:
            self._support[name] += change
            if not self._support[name]:
                del self._support[name]

    def elect_joined_leader(self) -> bool:
        """Keep a leader that has rejoined, else take the eldest that has; False where nobody has."""
        if self.leader_id is None:
            return False
        if self.members[self.leader_id].parked_join is not None:
            return True
        joined = next((m for m in self.members.values() if m.parked_join is not None), None)
        if joined is not None:
            self.leader_id = joined.member_id
        return joined is not None

    # Protocols and generations

    def supports_protocols(self, protocol_type: str, names: Collection[str]) -> bool:
        """Whether somebody with these protocols can be a member: one of them is everybody's."""
        if self.is_empty:
            return bool(protocol_type) and bool(names)
        return self._protocol_type == protocol_type and any(
            self._support[name] == len(self.members) for name in names
        )

    def select_protocol(self) -> str:
        """The most voted protocol among those that every member supports; ties go to the earlier vote."""
        candidates = {name for name, count in self._support.items() if count == len(self.members)}
        votes = Counter(member.vote(candidates) for member in self.members.values())
        return max(votes, key=lambda name: votes[name])

    def transition_to(self, state: ClassicState, now_ms: int) -> None:
        """Move along the table of transitions."""
        assert self.state in PREVIOUS_STATES[state], f"{self.group_id}: {self.state} to {state}"
        self.state = state
        self.state_timestamp_ms = now_ms

    def start_next_generation(self, now_ms: int) -> None:
        """The joins are over: fix the protocol, or become empty."""
        self.generation_id += 1
        self.pending_syncs.clear()
        self.protocol_name = self.select_protocol() if self.members else None
        self.refresh_subscription()
        self.transition_to(ClassicState.COMPLETING_REBALANCE if self.members else ClassicState.EMPTY, now_ms)

    def refresh_subscription(self) -> None:
        """Read what the members subscribe to, where they use the consumer protocol."""
        self.subscribed_topics = None
        if not self.uses_consumer_protocol:
            return
        name = self.protocol_name
        if not self.members:
            self.subscribed_topics = frozenset()
        elif name is not None:
            self.subscribed_topics = subscribed_topics(m.protocols[name] for m in self.members.values())

    def take_parked_join(self, member: ClassicMember) -> RequestInfo[JoinGroupResponse] | None:
        """The join that waits, to be answered now."""
        parked, member.parked_join = member.parked_join, None
        return parked

    def take_parked_sync(self, member: ClassicMember) -> RequestInfo[SyncGroupResponse] | None:
        """The sync that waits, to be answered now."""
        parked, member.parked_sync = member.parked_sync, None
        return parked


def _commit_timestamp(offset: StoredOffset) -> int:
    return offset.commit_timestamp_ms


def subscribed_topics(subscriptions: Iterable[bytes]) -> frozenset[str] | None:
    """The union of the members' topics (KIP-211); None where one subscription can't be read.

    Version 0 is a prefix of every later version of the consumer protocol's subscription.
    """
    topics: set[str] = set()
    for data in subscriptions:
        if len(data) < _PREFIX_SIZE or data[0] > 127:  # a version below 0
            return None
        try:
            topics.update(wire.decode(ConsumerProtocolSubscription, 0, data, _PREFIX_SIZE).topics)
        except DecodeError:
            return None
    return frozenset(topics)
