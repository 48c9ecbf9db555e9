"""Which followers are in sync, as their leader sees it: how far each has come, and what the ISR should be.

A leader that proposes another ISR does not know, until the cluster's state says so, which of the two is in
force: meanwhile those of both count (KIP-497).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

UNKNOWN_OFFSET: Final = -1
UNKNOWN_EPOCH: Final = -1
NEVER_MS: Final = -(1 << 62)
"""Before all times, also on a machine that was started a moment ago"""


class FetchClock:
    """When a follower last fetched in a session. That speaks for all partitions of the session that nothing
    new was to be told of, so that a fetch need not walk them.
    """

    __slots__ = ("last_ms",)

    def __init__(self) -> None:
        self.last_ms = NEVER_MS


class FollowerProgress:
    """How far one follower has come, as its fetches say. Times are ms of the leader's monotonic
    clock, so that nobody lags, or seems to follow, because the time of day was set.
    """

    __slots__ = (
        "_caught_up_ms",
        "_clock",
        "_fetched_end",
        "_fetched_ms",
        "broker_epoch",
        "end_offset",
        "log_start_offset",
        "node_id",
    )

    def __init__(self, node_id: int) -> None:
        self.node_id = node_id
        self.end_offset = UNKNOWN_OFFSET
        """It has everything below."""
        self.log_start_offset = UNKNOWN_OFFSET
        self.broker_epoch = UNKNOWN_EPOCH
        """Of the registration that its last fetch was made under"""
        self._caught_up_ms = NEVER_MS
        self._fetched_ms = NEVER_MS
        self._fetched_end = UNKNOWN_OFFSET  # the leader's log end at the time of the last fetch
        self._clock: FetchClock | None = None  # set while it had everything at its last fetch

    def begin_term(self, now_ms: int, leader_end_offset: int, *, is_in_sync: bool) -> None:
        """The leader leads in another epoch. Who is in sync has its time again before it lags; who is not
        does not hold the high watermark back for having been.
        """
        self._clock = None
        self._caught_up_ms = self._fetched_ms = now_ms if is_in_sync else NEVER_MS
        self._fetched_end = leader_end_offset

    def fetched(
        self,
        offset: int,
        log_start_offset: int,
        broker_epoch: int,
        now_ms: int,
        leader_end_offset: int,
        clock: FetchClock | None,
    ) -> None:
        """It asks for what comes at `offset`, when the leader's log ends at `leader_end_offset`.

        It was caught up now if it has everything, and at its fetch before if it has now what there was then:
        one that follows closely is never quite at the end. `clock` is that of its session, if it has one, as
        it stood at the fetch before.
        """
        if self._clock is not None:
            self._fetched_ms = max(self._fetched_ms, self._clock.last_ms)
        if offset >= leader_end_offset:
            self._caught_up_ms = max(self._caught_up_ms, now_ms)
            self._clock = clock
        else:
            if offset >= self._fetched_end:
                self._caught_up_ms = max(self._caught_up_ms, self._fetched_ms)
            self._clock = None
        self.end_offset = offset
        self.log_start_offset = log_start_offset
        self.broker_epoch = broker_epoch
        self._fetched_ms = now_ms
        self._fetched_end = max(self._fetched_end, leader_end_offset)

    def left(self, clock: FetchClock) -> None:
        """It fetches no more in the session of that clock, which says nothing of it from now on; in another
        it may already.
        """
        if self._clock is clock:
            self._caught_up_ms = max(self._caught_up_ms, clock.last_ms)
            self._clock = None

    @property
    def caught_up_ms(self) -> int:
        """When it last had everything."""
        clock = self._clock
        return self._caught_up_ms if clock is None else max(self._caught_up_ms, clock.last_ms)

    def is_caught_up(self, leader_end_offset: int, now_ms: int, lag_max_ms: int) -> bool:
        """Whether it has everything, or had within `replica.lag.time.max.ms`."""
        return self.end_offset == leader_end_offset or now_ms - self.caught_up_ms <= lag_max_ms


class InSync:
    """The ISR in force, and the one that is proposed instead, if any."""

    __slots__ = ("current", "maximal", "proposed")

    def __init__(self, current: tuple[int, ...]) -> None:
        self.settle(current)

    def settle(self, current: tuple[int, ...]) -> None:
        """The cluster says so: whatever was proposed is decided."""
        self.current = current
        self.proposed: tuple[int, ...] | None = None
        self.maximal: Collection[int] = current

    def propose(self, isr: tuple[int, ...]) -> None:
        """Another ISR is proposed. Until that is decided, those of both hold the high watermark back."""
        if self.proposed is not None:
            raise ValueError(f"{isr} is proposed while {self.proposed} is undecided")
        self.proposed = isr
        self.maximal = tuple(dict.fromkeys((*self.current, *isr)))

    def withdraw(self) -> None:
        """What was proposed did not become, and will not."""
        self.settle(self.current)


def may_join(follower: FollowerProgress, isr: InSync, high_watermark: int, epoch_start_offset: int) -> bool:
    """Whether a follower belongs into the ISR: it has all that is committed, and what the leader's term began
    with. Without the latter it could be elected without what was committed under the leader before.
    """
    return (
        isr.proposed is None
        and follower.node_id not in isr.current
        and follower.end_offset >= max(high_watermark, epoch_start_offset)
    )


def out_of_sync(
    followers: Iterable[FollowerProgress],
    isr: InSync,
    leader_end_offset: int,
    now_ms: int,
    lag_max_ms: int,
) -> list[int]:
    """Who is in the ISR and lags for longer than `replica.lag.time.max.ms`; nobody while one is proposed."""
    if isr.proposed is not None:
        return []
    return [
        follower.node_id
        for follower in followers
        if follower.node_id in isr.current
        and not follower.is_caught_up(leader_end_offset, now_ms, lag_max_ms)
    ]
