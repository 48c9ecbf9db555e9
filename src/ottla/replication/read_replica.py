"""Which replica a consumer had better read from: one in its rack that has what it asks for (KIP-392)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ottla.replication.isr import FollowerProgress, InSync


def preferred_read_replica(
    client_rack: str,
    leader_rack: str | None,
    followers: Iterable[FollowerProgress],
    isr: InSync,
    fetch_offset: int,
    rack_of: Callable[[int], str | None],
) -> int | None:
    """A follower that is in sync and in the consumer's rack, the furthest; None for the leader.

    Who is not in sync might lag, and the consumer with it. `rack_of` gives None for a broker that is not
    there.
    """
    if leader_rack == client_rack:
        return None
    found: FollowerProgress | None = None
    for each in followers:
        if (
            each.node_id in isr.current
            and 0 <= each.log_start_offset <= fetch_offset <= each.end_offset
            and rack_of(each.node_id) == client_rack
            and (found is None or each.end_offset > found.end_offset)
        ):
            found = each
    return None if found is None else found.node_id
