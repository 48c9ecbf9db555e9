"""The keys of a member's timers."""

from __future__ import annotations

from collections.abc import Sequence

from ottla.coordination.effects import CancelTimer, Continuation, Effects, SetTimer, TimerKey
from ottla.protocol.errors import ErrorCode

SESSION = "consumer-session"
"""The member has not been heard of."""
REBALANCE = "consumer-rebalance"
"""The member has not given back what it was told to."""
JOIN = "consumer-join"
"""A classic member was told to rejoin and has not."""
SYNC = "consumer-sync"
"""A classic member has rejoined and not fetched its assignment."""

KINDS = (SESSION, REBALANCE, JOIN, SYNC)


def key(kind: str, group_id: str, member_id: str) -> TimerKey:
    """The key of one member's timer."""
    return (kind, group_id, member_id)


def cancel_all(group_id: str, member_id: str) -> list[CancelTimer]:
    """When the member goes."""
    return [CancelTimer(key(kind, group_id, member_id)) for kind in KINDS]


def cancel_classic(group_id: str, member_id: str) -> list[CancelTimer]:
    """When the member has nothing to join or sync any more."""
    return [CancelTimer(key(kind, group_id, member_id)) for kind in (JOIN, SYNC)]


def once_written(timers: Sequence[SetTimer | CancelTimer]) -> Continuation:
    """Timers that must stay as they are where the records could not be written."""

    def obey(code: ErrorCode | None, _now_ms: int) -> Effects:
        return Effects(timers=list(timers)) if code is None else Effects()

    return obey
