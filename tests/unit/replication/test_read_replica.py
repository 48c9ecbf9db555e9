"""Which replica a consumer is sent to."""

from __future__ import annotations

import pytest

from ottla.replication.isr import FollowerProgress, InSync
from ottla.replication.read_replica import preferred_read_replica

RACKS = {1: "a", 2: "b", 3: "b", 4: "c"}


def follower(node_id: int, log_start: int, end: int) -> FollowerProgress:
    made = FollowerProgress(node_id)
    made.fetched(end, log_start, 7, 0, end, None)
    return made


FOLLOWERS = [follower(2, 0, 10), follower(3, 5, 12), follower(4, 0, 20)]


@pytest.mark.parametrize(
    ("rack", "offset", "chosen"),
    [
        ("a", 7, None),  # the leader's
        ("b", 7, 3),  # the furthest of those there
        ("b", 4, 2),  # 3 does not have it any more
        ("b", 11, 3),  # 2 does not have it yet
        ("b", 13, None),
        ("c", 7, None),  # not in sync
        ("d", 7, None),  # there is none
    ],
)
def test_one_in_sync_in_the_consumers_rack_that_has_what_is_asked_for(
    rack: str, offset: int, chosen: int | None
) -> None:
    found = preferred_read_replica(rack, RACKS[1], FOLLOWERS, InSync((1, 2, 3)), offset, RACKS.get)
    assert found == chosen


def test_nobody_is_sent_to_a_broker_that_is_gone() -> None:
    assert preferred_read_replica("b", "a", FOLLOWERS, InSync((1, 2, 3)), 7, {2: "b"}.get) == 2
