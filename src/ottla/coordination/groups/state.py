"""The state of one shard: its groups, of whatever kind, its offsets, and what its decisions depend on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar
from uuid import UUID

from ottla.config.groups import GroupCoordinatorConfig
from ottla.coordination.groups.offsets.store import OffsetStore, StoredOffset
from ottla.coordination.runtime import (
    CancelTimer,
    CoordinatorRecord,
    Effects,
    RequestInfo,
    SetTimer,
    TimerKey,
)
from ottla.metadata.image import MetadataImage
from ottla.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from ottla.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse
from ottla.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse
from ottla.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse

PartitionCheck: TypeAlias = Callable[[str, UUID, int], None]
"""Topic name, topic id and partition of one commit; raises KafkaError (KIP-1251)."""


class GroupType(StrEnum):
    """The kinds of groups that Ottla serves, as ListGroups spells them."""

    CLASSIC = "classic"
    CONSUMER = "consumer"


class Group(ABC):
    """A group of one shard. `ClassicGroup` and `ConsumerGroup` are the kinds."""

    group_id: str
    type: GroupType

    @property
    @abstractmethod
    def protocol_type(self) -> str:
        """The embedded protocol as listed; empty where there is none."""

    @property
    @abstractmethod
    def state_name(self) -> str:
        """The state as listed and described."""

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Without members, so that it may be deleted or change its kind."""

    @property
    @abstractmethod
    def member_count(self) -> int: ...

    @abstractmethod
    def is_subscribed_to_topic(self, topic: str) -> bool:
        """Whether a member wants the topic, so that its offsets are neither deleted nor expired."""

    @abstractmethod
    def validate_offset_commit(
        self,
        member_id: str,
        group_instance_id: str | None,
        generation_or_epoch: int,
        *,
        api_version: int,
        is_transactional: bool,
    ) -> PartitionCheck | None:
        """Refuse a commit that isn't a current member's, with KafkaError; may leave a check of partitions."""

    @abstractmethod
    def validate_offset_fetch(self, member_id: str | None, member_epoch: int) -> None:
        """Refuse a fetch of a fenced member, with KafkaError."""

    @abstractmethod
    def validate_offset_delete(self) -> None:
        """Refuse OffsetDelete where the group can't tell its subscriptions, with KafkaError."""

    @abstractmethod
    def validate_delete(self) -> None:
        """Refuse the deletion of a group with members, with KafkaError."""

    @abstractmethod
    def tombstones(self) -> list[CoordinatorRecord]:
        """The tombstones that remove every record of the group, offsets aside."""

    @abstractmethod
    def cancelled_timers(self) -> list[CancelTimer]:
        """What must be cancelled when the group goes."""

    @abstractmethod
    def offset_expiration_base(self) -> Callable[[StoredOffset], int] | None:
        """From which time retention counts for an offset; None while none may expire (KIP-211)."""

    @abstractmethod
    def on_offset_commit_timers(self, member_id: str, now_ms: int) -> list[SetTimer]:
        """A commit is a sign of life of a classic member."""


G = TypeVar("G", bound=Group)


class GroupKind(ABC, Generic[G]):
    """What requests, timers and the life of the shard do with the groups of one kind."""

    @abstractmethod
    def join_group(
        self,
        state: ShardState,
        group: G,
        request: JoinGroupRequest,
        info: RequestInfo[JoinGroupResponse],
        now_ms: int,
    ) -> Effects:
        """JoinGroup; the reply may come with later effects."""

    @abstractmethod
    def sync_group(
        self,
        state: ShardState,
        group: G,
        request: SyncGroupRequest,
        info: RequestInfo[SyncGroupResponse],
        now_ms: int,
    ) -> Effects:
        """SyncGroup; the reply may come with later effects."""

    @abstractmethod
    def heartbeat(
        self,
        state: ShardState,
        group: G,
        request: HeartbeatRequest,
        info: RequestInfo[HeartbeatResponse],
        now_ms: int,
    ) -> Effects:
        """Heartbeat of the classic protocol."""

    @abstractmethod
    def leave_group(
        self,
        state: ShardState,
        group: G,
        request: LeaveGroupRequest,
        info: RequestInfo[LeaveGroupResponse],
        now_ms: int,
    ) -> Effects:
        """LeaveGroup, of one member or of several."""

    @abstractmethod
    def on_timer(self, state: ShardState, group: G, key: TimerKey, now_ms: int) -> Effects:
        """A deadline has passed. What the timer was for may be over by now: then nothing happens."""

    @abstractmethod
    def on_loaded(self, state: ShardState, group: G, now_ms: int) -> Effects:
        """Timers are not in records: every member gets a whole session from now."""

    @abstractmethod
    def on_unloaded(self, group: G) -> Effects:
        """Another broker leads now: timers go, and parked requests are sent there."""


class HeartbeatBudget:
    """Spreads the heartbeats of all groups that are in a hurry so that they stay under a rate.

    A leaky bucket in time: every shortened interval takes a slot of the rate, and lengthens those that are
    asked for before the slot is over. What many members wait so is what the rate makes of their number.
    """

    __slots__ = ("_busy_until_ms",)

    def __init__(self) -> None:
        self._busy_until_ms = 0.0

    def interval_ms(self, wanted_ms: int, own_ms: int, per_second: int, now_ms: int) -> int:
        """The interval to tell a member: from `wanted_ms` on, up to the group's own, which costs nothing."""
        backlog_ms = max(0.0, self._busy_until_ms - now_ms)
        interval_ms = int(wanted_ms + backlog_ms)
        if interval_ms >= own_ms:
            return own_ms
        self._busy_until_ms = now_ms + backlog_ms + 1000 / per_second
        return interval_ms


def _no_group_configs(_group_id: str) -> Mapping[str, str]:
    return {}


@dataclass(slots=True)
class ShardState:
    """Everything that one partition of `__consumer_offsets` holds, and what its decisions depend on."""

    config: GroupCoordinatorConfig
    new_uuid: Callable[[], UUID]
    image: MetadataImage
    group_configs: Callable[[str], Mapping[str, str]] = _no_group_configs
    """The dynamic configuration of a group (KIP-848's GROUP resources), by group id."""
    heartbeat_budget: HeartbeatBudget = field(default_factory=HeartbeatBudget)
    """Shared by all shards of a broker."""
    groups: dict[str, Group] = field(default_factory=dict)
    offsets: OffsetStore = field(default_factory=OffsetStore)
    is_leading: bool = False
    """All that is in the log has been replayed, and this shard is the only one to add to it."""

    def find(self, kind: type[G], group_id: str) -> G | None:
        """The group if there is one of this kind."""
        group = self.groups.get(group_id)
        return group if isinstance(group, kind) else None

    # Settings that a group can have of its own (KIP-848's GROUP resources), else the broker's

    def consumer_session_timeout_ms(self, group_id: str) -> int:
        """How long a member may stay silent."""
        default = self.config.group_consumer_session_timeout_ms
        return self._of_group(group_id, "consumer.session.timeout.ms", default)

    def consumer_heartbeat_interval_ms(self, group_id: str) -> int:
        """How often members are told to heartbeat."""
        default = self.config.group_consumer_heartbeat_interval_ms
        return self._of_group(group_id, "consumer.heartbeat.interval.ms", default)

    def consumer_assignment_interval_ms(self, group_id: str) -> int:
        """The least time between two targets (KIP-1263)."""
        default = self.config.group_consumer_assignment_interval_ms
        return self._of_group(group_id, "consumer.assignment.interval.ms", default)

    def _of_group(self, group_id: str, name: str, default: int) -> int:
        value = self.group_configs(group_id).get(name)
        return default if value is None else int(value)
