"""Syncs: the assignment reaches everybody, after it is written."""

from __future__ import annotations

from typing import Any

import pytest

from ottla.protocol.errors import ErrorCode


def test_followers_wait_for_the_leaders_assignment(driver: Any) -> None:
    leader, _ = driver.join_new()
    follower, _ = driver.join_new()
    driver.advance(0)
    waiting = driver.sync(1, follower)
    assert waiting in driver.outstanding
    assert driver.group().state_name == "CompletingRebalance"

    own = driver.sync(1, leader, {leader: b"mine", follower: b"yours"})

    assert driver.replies[waiting]["assignment"] == b"yours"
    assert driver.replies[own]["assignment"] == b"mine"
    assert driver.replies[own]["protocol_name"] == "range"
    assert driver.group().state_name == "Stable"


def test_a_late_follower_is_answered_at_once(driver: Any) -> None:
    leader, _ = driver.join_new()
    follower, _ = driver.join_new()
    driver.advance(0)
    driver.sync(1, leader, {follower: b"yours"})

    assert driver.replies[driver.sync(1, follower)]["assignment"] == b"yours"
    assert driver.replies[driver.sync(1, leader)]["assignment"] == b""


@pytest.mark.parametrize(
    ("generation", "member", "more", "code"),
    [
        (2, None, {}, ErrorCode.illegal_generation),
        (1, "ghost", {}, ErrorCode.unknown_member_id),
        (1, None, {"protocol_type": "connect"}, ErrorCode.inconsistent_group_protocol),
        (1, None, {"protocol_name": "sticky"}, ErrorCode.inconsistent_group_protocol),
        (1, None, {"instance": "i"}, ErrorCode.unknown_member_id),
        (1, None, {"group_id": "other"}, ErrorCode.unknown_member_id),
        (1, None, {"group_id": ""}, ErrorCode.invalid_group_id),
    ],
)
def test_wrong_syncs_are_refused(
    driver: Any, generation: int, member: str, more: Any, code: ErrorCode
) -> None:
    (leader,) = driver.stable_group(1)

    assert driver.replies[driver.sync(generation, member or leader, **more)]["error_code"] is code


def test_a_followers_session_counts_from_its_assignment(driver: Any) -> None:
    leader, _ = driver.join_new()
    follower, _ = driver.join_new(session_timeout_ms=10_000)
    driver.advance(0)
    driver.sync(1, follower)
    driver.advance(9_000)
    driver.sync(1, leader, {})
    driver.advance(9_000)

    assert driver.heartbeat(1, follower) is not ErrorCode.unknown_member_id


def test_a_sync_while_members_rejoin_sends_them_to_the_join(driver: Any) -> None:
    leader, follower = driver.stable_group(2)
    driver.join(member_id=leader)

    assert driver.replies[driver.sync(1, follower)]["error_code"] is ErrorCode.rebalance_in_progress


def test_a_rebalance_fails_the_waiting_syncs(driver: Any) -> None:
    _leader, _ = driver.join_new()
    follower, _ = driver.join_new()
    driver.advance(0)
    waiting = driver.sync(1, follower)

    driver.join_new()

    assert driver.replies[waiting]["error_code"] is ErrorCode.rebalance_in_progress
    assert driver.group().state_name == "PreparingRebalance"


def test_a_second_sync_takes_the_place_of_a_parked_one(driver: Any) -> None:
    leader, _ = driver.join_new()
    follower, _ = driver.join_new()
    driver.advance(0)
    abandoned, retried = driver.sync(1, follower), driver.sync(1, follower)
    driver.sync(1, leader, {follower: b"yours"})

    assert driver.replies[abandoned]["error_code"] is ErrorCode.rebalance_in_progress
    assert driver.replies[retried]["assignment"] == b"yours"


def test_members_that_never_sync_are_out(driver: Any) -> None:
    silent, _ = driver.join_new(rebalance_timeout_ms=5_000)
    other, _ = driver.join_new(rebalance_timeout_ms=5_000)
    driver.advance(0)
    waiting = driver.sync(1, other)
    driver.advance(5_000)

    assert driver.replies[waiting]["error_code"] is ErrorCode.rebalance_in_progress
    assert driver.heartbeat(1, silent) is ErrorCode.unknown_member_id
    again = driver.join(member_id=other)
    assert driver.replies[again]["leader"] == other


def test_the_sync_timeout_ends_when_all_have_synced(driver: Any) -> None:
    leader, _ = driver.join_new(session_timeout_ms=1_000_000)
    follower, _ = driver.join_new(session_timeout_ms=1_000_000)
    driver.advance(0)
    driver.sync(1, leader, {leader: b"x"})
    assert driver.group().sync_key in driver.timers
    driver.sync(1, follower)
    assert driver.group().sync_key not in driver.timers
    members = [leader, follower]
    driver.advance(600_000)

    assert [driver.heartbeat(1, m) for m in members] == [ErrorCode.none] * 2


def test_an_assignment_that_can_not_be_written_starts_again(driver: Any) -> None:
    leader, _ = driver.join_new()
    follower, _ = driver.join_new()
    driver.advance(0)
    waiting = driver.sync(1, follower)
    driver.append_error = ErrorCode.message_too_large

    own = driver.sync(1, leader, {leader: b"x"})

    assert driver.replies[own]["error_code"] is ErrorCode.unknown_server_error
    assert driver.replies[waiting]["error_code"] is ErrorCode.unknown_server_error
    assert driver.group().state_name == "PreparingRebalance"
    driver.append_error = None
    joins = [driver.join(member_id=leader), driver.join(member_id=follower)]
    assert driver.settle(*joins)[leader]["error_code"] is ErrorCode.none


def test_a_restart_keeps_the_assigned_generation(driver: Any) -> None:
    leader, follower = driver.stable_group(2)
    driver.restart()

    assert driver.heartbeat(1, follower) is ErrorCode.none
    assert driver.replies[driver.sync(1, leader)]["assignment"] == leader.encode()


def test_a_restart_sends_parked_members_to_the_new_coordinator(driver: Any) -> None:
    leader, follower = driver.stable_group(2)
    join = driver.join(member_id=leader)
    driver.restart()

    assert driver.replies[join]["error_code"] is ErrorCode.not_coordinator
    assert not driver.outstanding
    assert driver.heartbeat(1, follower) is ErrorCode.none


def test_members_that_do_not_come_back_after_a_restart_expire(driver: Any) -> None:
    leader, follower = driver.stable_group(2, session_timeout_ms=10_000)
    driver.restart()
    driver.advance(9_999)
    assert driver.heartbeat(1, leader) is ErrorCode.none
    driver.advance(1)

    assert driver.heartbeat(1, leader) is ErrorCode.rebalance_in_progress
    assert follower not in driver.group().members


@pytest.mark.parametrize(("max_size", "state"), [(2, "PreparingRebalance"), (3, "Stable")])
def test_a_group_over_the_size_rebalances_when_it_is_loaded(
    new_driver: Any, max_size: int, state: str
) -> None:
    driver = new_driver()
    driver.stable_group(3)
    driver.config = new_driver(group_max_size=max_size).config
    driver.restart()

    assert driver.group().state_name == state
