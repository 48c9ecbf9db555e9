"""Where a follower's log has to be cut so that it says what its leader's says (KIP-101, KIP-279, KIP-595).

Never at the high watermark: what a follower knows of that may be older than what was acknowledged.
"""

from __future__ import annotations

from typing import NamedTuple


class EpochEnd(NamedTuple):
    """The largest leader epoch of a log that is not above the one asked for, and the offset behind its last
    record; (-1, -1) where the log has none.
    """

    epoch: int
    end_offset: int


def truncation_offset(leader: EpochEnd, own: EpochEnd, log_end_offset: int) -> int:
    """The offset from which on a follower's records may differ from the leader's: they go.

    `leader` is what the leader says of the epoch of our last record, `own` what our log says of that epoch of
    the leader's. Where we have nothing of the leader's epoch, our later records go first, and the leader is
    asked again about what is left.
    """
    if own.epoch < 0:
        return min(leader.end_offset, log_end_offset)
    if own.epoch != leader.epoch:
        return min(own.end_offset, log_end_offset)
    return min(own.end_offset, leader.end_offset, log_end_offset)
