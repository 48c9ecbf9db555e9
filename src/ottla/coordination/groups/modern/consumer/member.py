"""A member of a consumer group: what it asked for, and how far it has come towards its target.

The two halves are the two records that Kafka keeps of a member, and each changes only with its record.
Both are immutable: a decision makes new ones, replaying the record puts them in place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ottla.coordination.groups.modern.reconcile import CurrentAssignment
from ottla.coordination.runtime import CancelTimer, TimerKey


@dataclass(frozen=True, slots=True)
class ClassicMetadata:
    """What only a member that uses the classic protocol has: its session timeout and its protocols."""

    session_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]
    """Name and metadata, in the member's order of preference; never empty."""


@dataclass(frozen=True, slots=True)
class MemberMetadata:
    """What a member has told of itself. Empty and None of `subscribed_topic_regex` mean the same: none."""

    instance_id: str | None = None
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    subscribed_topic_names: frozenset[str] = frozenset()
    subscribed_topic_regex: str = ""
    rebalance_timeout_ms: int = -1
    server_assignor: str | None = None
    classic: ClassicMetadata | None = None


@dataclass(frozen=True, slots=True)
class ConsumerGroupMember:
    """A member under its id."""

    member_id: str
    metadata: MemberMetadata = MemberMetadata()
    current: CurrentAssignment = field(default_factory=CurrentAssignment)

    @property
    def uses_classic_protocol(self) -> bool:
        return self.metadata.classic is not None

    @property
    def epoch(self) -> int:
        return self.current.member_epoch


# Timers

SESSION_TIMER: Final = "consumer-session"
"""The member has not been heard of."""
REBALANCE_TIMER: Final = "consumer-rebalance"
"""The member has not given back what it was told to."""
JOIN_TIMER: Final = "consumer-join"
"""A classic member was told to rejoin and has not."""
SYNC_TIMER: Final = "consumer-sync"
"""A classic member has rejoined and not fetched its assignment."""

TIMERS: Final = (SESSION_TIMER, REBALANCE_TIMER, JOIN_TIMER, SYNC_TIMER)


def timer_key(kind: str, group_id: str, member_id: str) -> TimerKey:
    """The key of one member's timer."""
    return (kind, group_id, member_id)


def cancel_timers(group_id: str, member_id: str) -> list[CancelTimer]:
    """When the member goes."""
    return [CancelTimer(timer_key(kind, group_id, member_id)) for kind in TIMERS]


def cancel_classic_timers(group_id: str, member_id: str) -> list[CancelTimer]:
    """When the member has nothing to join or sync any more."""
    return [CancelTimer(timer_key(kind, group_id, member_id)) for kind in (JOIN_TIMER, SYNC_TIMER)]
