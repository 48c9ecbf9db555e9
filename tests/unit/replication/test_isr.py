"""Who is in sync, and what is committed, as a leader sees it."""

from __future__ import annotations

import pytest

from ottla.replication.high_watermark import committed_offset
from ottla.replication.isr import FetchClock, FollowerProgress, InSync, may_join, out_of_sync

LAG_MS = 100


def follower(
    node_id: int = 2, *, began_ms: int = 0, end: int = 0, is_in_sync: bool = True
) -> FollowerProgress:
    made = FollowerProgress(node_id)
    made.begin_term(began_ms, end, is_in_sync=is_in_sync)
    return made


def fetch(
    each: FollowerProgress, offset: int, now_ms: int, end: int, clock: FetchClock | None = None
) -> None:
    each.fetched(offset, 0, 7, now_ms, end, clock)


# -- lag


def test_who_has_everything_does_not_lag_however_long_nothing_is_written() -> None:
    each = follower(end=5)
    fetch(each, 5, 10, 5)
    assert each.is_caught_up(5, 1_000_000, LAG_MS)
    assert not each.is_caught_up(6, 1_000_000, LAG_MS)


def test_who_follows_closely_is_never_at_the_end_and_does_not_lag() -> None:
    each = follower()
    for now_ms, offset in ((10, 0), (20, 10), (30, 20), (200, 30)):
        fetch(each, offset, now_ms, offset + 10)  # it has what there was at its fetch before
    assert each.caught_up_ms == 30
    assert each.is_caught_up(50, 130, LAG_MS)
    assert not each.is_caught_up(50, 131, LAG_MS)


def test_who_fetches_and_does_not_catch_up_lags() -> None:
    each = follower(end=100)
    for now_ms in (50, 100, 150):
        fetch(each, now_ms // 10, now_ms, 100 + now_ms)
    assert each.caught_up_ms == 0
    assert not each.is_caught_up(300, 150, LAG_MS)


def test_a_new_term_gives_time_to_those_in_sync_alone() -> None:
    assert follower(began_ms=500, end=5).is_caught_up(9, 600, LAG_MS)
    assert not follower(began_ms=500, end=5, is_in_sync=False).is_caught_up(9, 600, LAG_MS)


def test_fetches_of_the_session_speak_for_partitions_with_nothing_new() -> None:
    each, clock = follower(), FetchClock()
    fetch(each, 5, 10, 5, clock)
    clock.last_ms = 10
    clock.last_ms = 400  # it was fetched again: here was nothing new
    assert each.caught_up_ms == 400
    fetch(each, 5, 450, 9, clock)  # then something was written
    clock.last_ms = 450
    assert each.caught_up_ms == 400
    clock.last_ms = 900  # it fetches other partitions, and does not take what is here
    assert each.caught_up_ms == 400
    fetch(each, 9, 950, 20, clock)  # it has now what there was at its fetch before this
    assert each.caught_up_ms == 450


def test_a_session_does_not_speak_for_what_is_fetched_no_more_in_it() -> None:
    each, clock = follower(), FetchClock()
    fetch(each, 5, 10, 5, clock)
    clock.last_ms = 20
    each.left(clock)
    clock.last_ms = 400
    assert each.caught_up_ms == 20


def test_who_goes_on_in_another_session_is_not_left_by_the_former_one() -> None:
    each, former, clock = follower(), FetchClock(), FetchClock()
    fetch(each, 5, 10, 5, former)
    fetch(each, 5, 20, 5, clock)
    clock.last_ms = 20
    each.left(former)
    clock.last_ms = 400
    assert each.caught_up_ms == 400


# -- the ISR


def test_who_may_join_has_what_is_committed_and_what_the_term_began_with() -> None:
    each, isr = follower(is_in_sync=False), InSync((1,))
    fetch(each, 8, 1, 10)
    assert may_join(each, isr, high_watermark=8, epoch_start_offset=8)
    assert not may_join(each, isr, high_watermark=9, epoch_start_offset=8)
    assert not may_join(each, isr, high_watermark=8, epoch_start_offset=9)
    isr.propose((1, 3))
    assert not may_join(each, isr, high_watermark=8, epoch_start_offset=8)
    assert not may_join(each, InSync((1, 2)), high_watermark=8, epoch_start_offset=8)


def test_who_lags_is_to_leave_unless_something_is_undecided() -> None:
    slow, quick, outside = follower(2), follower(3), follower(4, is_in_sync=False)
    fetch(quick, 10, 500, 10)
    isr = InSync((1, 2, 3))
    assert out_of_sync([slow, quick, outside], isr, 10, 501, LAG_MS) == [2]
    assert out_of_sync([slow, quick, outside], isr, 0, 50, LAG_MS) == []
    isr.propose((1, 3))
    assert out_of_sync([slow, quick, outside], isr, 10, 501, LAG_MS) == []


def test_until_it_is_decided_both_isrs_count() -> None:
    isr = InSync((1, 2))
    isr.propose((1, 3))
    assert (isr.current, isr.proposed, list(isr.maximal)) == ((1, 2), (1, 3), [1, 2, 3])
    with pytest.raises(ValueError, match="undecided"):
        isr.propose((1,))
    isr.withdraw()
    assert (isr.current, isr.proposed, list(isr.maximal)) == ((1, 2), None, [1, 2])
    isr.propose((1,))
    isr.settle((1, 4))
    assert (isr.current, isr.proposed, list(isr.maximal)) == ((1, 4), None, [1, 4])


# -- what is committed


def committed(
    end: int, followers: list[FollowerProgress], isr: InSync, *, min_isr: int = 1, now_ms: int = 0
) -> int | None:
    return committed_offset(end, followers, isr, min_isr, now_ms, LAG_MS, lambda each: each.broker_epoch == 7)


def test_committed_is_what_all_in_sync_have() -> None:
    second, third = follower(2), follower(3)
    fetch(second, 10, 1, 20)
    fetch(third, 15, 1, 20)
    assert committed(20, [second, third], InSync((1, 2, 3))) == 10
    assert committed(20, [second, third], InSync((1, 3)), now_ms=500) == 15
    assert committed(20, [second, third], InSync((1,)), now_ms=500) == 20


def test_those_who_leave_and_those_who_join_are_waited_for_until_it_is_decided() -> None:
    second, third = follower(2, is_in_sync=False), follower(3, is_in_sync=False)
    fetch(second, 10, 1, 20)
    fetch(third, 15, 1, 20)
    isr = InSync((1, 2))
    isr.propose((1,))
    assert committed(20, [second, third], isr, now_ms=500) == 10
    isr.settle((1,))
    isr.propose((1, 3))
    assert committed(20, [second, third], isr, now_ms=500) == 15


def test_who_is_about_to_join_is_waited_for_if_it_may() -> None:
    second = follower(2, is_in_sync=False)
    fetch(second, 10, 1, 10)
    assert committed(20, [second], InSync((1,)), now_ms=100) == 10
    assert committed(20, [second], InSync((1,)), now_ms=102) == 20, "it has lagged since"
    second.broker_epoch = 6
    assert committed(20, [second], InSync((1,)), now_ms=100) == 20, "it was registered anew"


def test_below_the_minimum_nothing_more_is_committed() -> None:
    second = follower(2)
    fetch(second, 10, 1, 10)
    assert committed(10, [second], InSync((1, 2)), min_isr=3) is None
    isr = InSync((1,))
    isr.propose((1, 2))
    assert committed(10, [second], isr, min_isr=2) is None, "the proposed one is not in force"
