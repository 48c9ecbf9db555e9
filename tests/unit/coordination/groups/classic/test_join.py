"""Joins: two steps, the initial delay, protocols, limits."""

from __future__ import annotations

from typing import Any

import pytest

from ottla.coordination.groups.shard import EXPIRATION_TIMER
from ottla.protocol.errors import ErrorCode


def test_a_new_member_is_first_given_an_id(driver: Any) -> None:
    response = driver.replies[driver.join(client_id="app")]

    assert response["error_code"] is ErrorCode.member_id_required
    assert response["member_id"].startswith("app-")
    assert driver.group().state_name == "Empty"


def test_the_id_is_forgotten_when_its_client_does_not_come_back(driver: Any) -> None:
    member_id = driver.replies[driver.join(session_timeout_ms=6_000)]["member_id"]
    driver.advance(6_000)

    late = driver.replies[driver.join(member_id=member_id)]

    assert late["error_code"] is ErrorCode.unknown_member_id


def test_old_clients_are_added_at_once(driver: Any) -> None:
    handle = driver.join(version=3)
    driver.advance(0)

    response = driver.replies[handle]
    assert response["generation_id"] == 1
    assert response["leader"] == response["member_id"]


def test_version_0_has_no_rebalance_timeout(driver: Any) -> None:
    driver.join(version=0, session_timeout_ms=7_000, rebalance_timeout_ms=-1)

    assert driver.group().rebalance_timeout_ms == 7_000


def test_the_leader_alone_is_told_the_members(driver: Any) -> None:
    first, first_join = driver.join_new(protocols={"range": b"one"})
    second, second_join = driver.join_new(protocols={"range": b"two"})
    driver.advance(0)

    leader, follower = driver.replies[first_join], driver.replies[second_join]
    assert leader["leader"] == follower["leader"] == first
    assert {m["member_id"]: m["metadata"] for m in leader["members"]} == {first: b"one", second: b"two"}
    assert follower["members"] == []
    assert leader["generation_id"] == follower["generation_id"] == 1


@pytest.mark.parametrize(("session_timeout_ms", "ok"), [(5_999, False), (6_000, True), (1_800_001, False)])
def test_the_session_timeout_has_bounds(driver: Any, session_timeout_ms: int, ok: bool) -> None:
    code = driver.replies[driver.join(session_timeout_ms=session_timeout_ms)]["error_code"]

    assert code is (ErrorCode.member_id_required if ok else ErrorCode.invalid_session_timeout)


def test_a_group_needs_a_name(driver: Any) -> None:
    assert driver.replies[driver.join("")]["error_code"] is ErrorCode.invalid_group_id


def test_an_unknown_member_id_does_not_make_a_group(driver: Any) -> None:
    assert driver.replies[driver.join(member_id="ghost")]["error_code"] is ErrorCode.unknown_member_id
    assert not driver.shard.state.groups


def test_members_need_a_common_protocol(driver: Any) -> None:
    driver.stable_group(protocols={"range": b"", "sticky": b""})

    other_type = driver.replies[driver.join(protocol_type="connect", protocols={"range": b""})]
    other_name = driver.replies[driver.join(protocols={"roundrobin": b""})]

    assert other_type["error_code"] is ErrorCode.inconsistent_group_protocol
    assert other_name["error_code"] is ErrorCode.inconsistent_group_protocol


def test_the_first_member_must_name_a_protocol(driver: Any) -> None:
    assert driver.replies[driver.join(protocols={})]["error_code"] is ErrorCode.inconsistent_group_protocol
    assert (
        driver.replies[driver.join(protocol_type="")]["error_code"] is ErrorCode.inconsistent_group_protocol
    )


def test_members_vote_for_the_protocol(driver: Any) -> None:
    votes = [{"a": b"", "b": b""}, {"b": b"", "a": b""}, {"b": b"", "a": b"", "c": b""}]
    handles = [driver.join_new(protocols=protocols)[1] for protocols in votes]
    driver.advance(0)

    assert {driver.replies[handle]["protocol_name"] for handle in handles} == {"b"}


def test_a_group_has_a_largest_size(new_driver: Any) -> None:
    driver = new_driver(group_max_size=2)
    driver.stable_group(2)

    assert driver.replies[driver.join()]["error_code"] is ErrorCode.group_max_size_reached


def test_while_rebalancing_places_go_to_whoever_comes_first(new_driver: Any) -> None:
    driver = new_driver(group_max_size=2)
    leader, follower = driver.stable_group(2)
    driver.join(member_id=leader)
    pending = driver.replies[driver.join()]["member_id"]
    newcomer = driver.join(member_id=pending)

    assert newcomer in driver.outstanding
    assert driver.replies[driver.join(member_id=follower)]["error_code"] is ErrorCode.group_max_size_reached


class TestInitialDelay:
    def test_the_first_rebalance_waits_for_more_members(self, new_driver: Any) -> None:
        driver = new_driver(group_initial_rebalance_delay_ms=3_000)
        _, first = driver.join_new()
        driver.advance(2_999)
        assert first in driver.outstanding

        driver.advance(1)
        assert driver.replies[first]["generation_id"] == 1

    def test_it_is_extended_while_members_come_up_to_the_rebalance_timeout(self, new_driver: Any) -> None:
        driver = new_driver(group_initial_rebalance_delay_ms=3_000)
        _, first = driver.join_new(rebalance_timeout_ms=8_000)
        for _ in range(3):
            driver.advance(2_000)
            driver.join_new(rebalance_timeout_ms=8_000)
        driver.advance(1_999)
        assert first in driver.outstanding

        driver.advance(1)
        assert len(driver.replies[first]["members"]) == 4

    def test_it_ends_when_nobody_else_has_come_for_that_long(self, new_driver: Any) -> None:
        driver = new_driver(group_initial_rebalance_delay_ms=3_000)
        _, first = driver.join_new()
        driver.advance(1_000)
        _, second = driver.join_new()
        driver.advance(1_000)
        driver.join(member_id=driver.replies[driver.join()]["member_id"])
        driver.advance(2_999)
        assert {first, second} <= driver.outstanding

        driver.advance(1)
        assert len(driver.replies[first]["members"]) == 3

    def test_members_that_ask_again_do_not_extend_it(self, new_driver: Any) -> None:
        driver = new_driver(group_initial_rebalance_delay_ms=3_000)
        member_id, _ = driver.join_new()
        driver.advance(2_000)
        again = driver.join(member_id=member_id)
        driver.advance(1_000)

        assert driver.replies[again]["generation_id"] == 1

    def test_a_rebalance_timeout_shorter_than_it_does_not_cut_it(self, new_driver: Any) -> None:
        driver = new_driver(group_initial_rebalance_delay_ms=3_000)
        _, first = driver.join_new(rebalance_timeout_ms=1_000)
        driver.advance(2_000)
        driver.join_new(rebalance_timeout_ms=1_000)
        assert first in driver.outstanding

        driver.advance(1_000)
        assert len(driver.replies[first]["members"]) == 2

    def test_a_member_with_its_join_parked_expires_in_time(self, new_driver: Any) -> None:
        driver = new_driver(group_initial_rebalance_delay_ms=600_000)
        _, join = driver.join_new(rebalance_timeout_ms=600_000)
        driver.advance(300_000)

        assert driver.replies[join]["error_code"] is ErrorCode.unknown_member_id
        assert driver.group().state_name == "Empty"


class TestRejoin:
    def test_a_follower_without_news_is_told_the_generation_again(self, driver: Any) -> None:
        _, follower = driver.stable_group(2)

        response = driver.replies[driver.join(member_id=follower)]

        assert response["generation_id"] == 1
        assert driver.group().state_name == "Stable"

    def test_the_leader_rebalances(self, driver: Any) -> None:
        leader, follower = driver.stable_group(2)
        join = driver.join(member_id=leader)

        assert join in driver.outstanding
        assert driver.heartbeat(1, follower) is ErrorCode.rebalance_in_progress

        again = driver.join(member_id=follower)
        assert driver.replies[join]["generation_id"] == driver.replies[again]["generation_id"] == 2

    def test_a_follower_with_news_rebalances(self, driver: Any, subscribe: Any) -> None:
        leader, follower = driver.stable_group(2)
        join = driver.join(member_id=follower, protocols={"range": subscribe("t", "u")})

        assert join in driver.outstanding
        assert driver.heartbeat(1, leader) is ErrorCode.rebalance_in_progress

    def test_a_lost_answer_is_given_again_before_the_sync(self, driver: Any) -> None:
        member_id, join = driver.join_new()
        driver.advance(0)

        assert driver.replies[driver.join(member_id=member_id)] == driver.replies[join]

    def test_a_second_join_takes_the_place_of_a_parked_one(self, driver: Any) -> None:
        leader, follower = driver.stable_group(2)
        abandoned = driver.join(member_id=leader)
        retried = driver.join(member_id=leader)
        driver.join(member_id=follower)

        assert driver.replies[abandoned]["error_code"] is ErrorCode.rebalance_in_progress
        assert driver.replies[retried]["generation_id"] == 2

    def test_members_that_do_not_rejoin_in_time_are_out(self, driver: Any) -> None:
        leader, follower = driver.stable_group(2, session_timeout_ms=100_000, rebalance_timeout_ms=20_000)
        join = driver.join(member_id=follower, protocols={"range": b"new"}, rebalance_timeout_ms=20_000)
        driver.advance(19_999)
        assert join in driver.outstanding

        driver.advance(1)

        response = driver.replies[join]
        assert response["leader"] == follower
        assert [m["member_id"] for m in response["members"]] == [follower]
        assert driver.heartbeat(2, leader) is ErrorCode.unknown_member_id


class TestAppendFailure:
    def test_a_new_group_that_can_not_be_written_is_not_there(self, driver: Any) -> None:
        driver.append_error = ErrorCode.not_leader_or_follower

        response = driver.replies[driver.join()]

        assert response["error_code"] is ErrorCode.not_coordinator
        assert not driver.shard.state.groups
        assert set(driver.timers) == {EXPIRATION_TIMER}

    def test_nor_is_its_parked_member(self, driver: Any) -> None:
        driver.append_error = ErrorCode.not_enough_replicas

        response = driver.replies[driver.join(version=3)]

        assert response["error_code"] is ErrorCode.coordinator_not_available
        assert not driver.shard.state.groups
