"""How many heartbeats a coordinator asks for beside those of its groups' own intervals."""

from __future__ import annotations


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
