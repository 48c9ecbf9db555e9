"""What a freshly loaded shard has to do for its consumer groups."""

from __future__ import annotations

from collections.abc import Iterator

from ottla.coordination.consumer import timers
from ottla.coordination.consumer.config import session_timeout_ms
from ottla.coordination.consumer.group import ConsumerGroup
from ottla.coordination.consumer.member import ConsumerGroupMember
from ottla.coordination.effects import Effects, SetTimer
from ottla.coordination.state import ShardState


def on_loaded(state: ShardState, now_ms: int) -> Effects:
    """Timers are not in records: every member gets a whole session from now."""
    groups = [group for group in state.groups.values() if isinstance(group, ConsumerGroup)]
    return Effects(
        timers=[
            timer
            for group in groups
            for member in group.members.values()
            for timer in _member_timers(state, group.group_id, member, now_ms)
        ]
    )


def _member_timers(
    state: ShardState, group_id: str, member: ConsumerGroupMember, now_ms: int
) -> Iterator[SetTimer]:
    metadata = member.metadata
    classic = metadata.classic
    timeout_ms = session_timeout_ms(state, group_id) if classic is None else classic.session_timeout_ms
    yield SetTimer(timers.key(timers.SESSION, group_id, member.member_id), now_ms + timeout_ms)
    if classic is None and member.current.pending_revocation:
        key = timers.key(timers.REBALANCE, group_id, member.member_id)
        yield SetTimer(key, now_ms + metadata.rebalance_timeout_ms)
