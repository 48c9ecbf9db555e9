"""How far records are committed: on all replicas that are in sync, or may be (KIP-497, KIP-966)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ottla.replication.isr import FollowerProgress, InSync


def committed_offset(
    leader_end_offset: int,
    followers: Iterable[FollowerProgress],
    isr: InSync,
    min_in_sync: int,
    now_ms: int,
    lag_max_ms: int,
    is_eligible: Callable[[FollowerProgress], bool],
) -> int | None:
    """The offset below which everything is committed; None while nothing more can be, as fewer replicas are
    in sync than `min_in_sync`.

    A follower that has caught up and is about to join is waited for: otherwise what it has could stay behind
    the high watermark for ever, while its leader is alone. `is_eligible` says whether the cluster would let
    it: registered as it fetches, and staying.
    """
    if len(isr.current) < min_in_sync:
        return None
    lowest = leader_end_offset
    for follower in followers:
        if follower.end_offset < lowest and (
            follower.node_id in isr.maximal
            or (follower.is_caught_up(leader_end_offset, now_ms, lag_max_ms) and is_eligible(follower))
        ):
            lowest = follower.end_offset
    return lowest
