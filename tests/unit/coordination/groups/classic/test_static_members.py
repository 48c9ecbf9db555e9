"""Static membership (KIP-345) and what restarts of an instance cost."""

from __future__ import annotations

from typing import Any

import pytest

from ottla.protocol.errors import ErrorCode


def stable_pair(driver: Any, **more: Any) -> tuple[str, str]:
    """Instances a (the leader) and b, in generation 1."""
    handles = [driver.join(instance=name, **more) for name in "ab"]
    driver.advance(0)
    driver.settle(*handles)
    return tuple(driver.replies[handle]["member_id"] for handle in handles)


def test_an_instance_joins_in_one_step(driver: Any) -> None:
    handle = driver.join(instance="a")
    driver.advance(0)

    response = driver.replies[handle]
    assert response["member_id"].startswith("a-")
    assert response["members"][0]["group_instance_id"] == "a"


def test_a_restarted_follower_keeps_its_assignment_without_a_rebalance(driver: Any) -> None:
    a, b = stable_pair(driver)

    response = driver.replies[driver.join(instance="b")]

    assert response["generation_id"] == 1
    assert response["member_id"] != b
    assert response["leader"] == a
    assert not response["skip_assignment"]
    assert driver.replies[driver.sync(1, response["member_id"], instance="b")]["assignment"] == b.encode()
    assert driver.heartbeat(1, a, instance="a") is ErrorCode.none


def test_the_replaced_process_is_fenced(driver: Any) -> None:
    _, b = stable_pair(driver)
    driver.join(instance="b")

    assert driver.heartbeat(1, b, instance="b") is ErrorCode.fenced_instance_id
    assert driver.replies[driver.sync(1, b, instance="b")]["error_code"] is ErrorCode.fenced_instance_id
    assert (
        driver.replies[driver.join(member_id=b, instance="b")]["error_code"] is ErrorCode.fenced_instance_id
    )
    assert driver.commit({("t", 0): 1}, 1, b, instance="b") == [ErrorCode.fenced_instance_id]
    assert driver.leave((b, "b"))["members"][0]["error_code"] is ErrorCode.fenced_instance_id


@pytest.mark.parametrize(("version", "skips"), [(8, False), (9, True)])
def test_a_restarted_leader_does_not_assign_anew(driver: Any, version: int, skips: bool) -> None:
    a, _ = stable_pair(driver)

    response = driver.replies[driver.join(instance="a", version=version)]

    assert response.get("skip_assignment", False) is skips
    # Version 8 knows no skipping: it is told that its former self leads, and so takes itself for a follower.
    assert response["leader"] == (response["member_id"] if skips else a)
    assert len(response["members"]) == (2 if skips else 0)
    assert driver.group().leader_id == response["member_id"]


def test_the_replacement_survives_a_failover(driver: Any) -> None:
    _, b = stable_pair(driver)
    new = driver.replies[driver.join(instance="b")]["member_id"]
    driver.restart()

    assert driver.heartbeat(1, new, instance="b") is ErrorCode.none
    assert driver.heartbeat(1, b, instance="b") is ErrorCode.fenced_instance_id


def test_a_replacement_that_can_not_be_written_is_undone(driver: Any) -> None:
    _, b = stable_pair(driver)
    driver.append_error = ErrorCode.request_timed_out

    response = driver.replies[driver.join(instance="b", protocols={"range": b"new"})]

    assert response["error_code"] is ErrorCode.coordinator_not_available
    assert driver.heartbeat(1, b, instance="b") is ErrorCode.none
    assert driver.group().members[b].protocols != {"range": b"new"}
    assert {key[2] for key in driver.timers if key[0] == "classic-session"} == set(driver.group().members)


def test_a_replacement_that_changes_the_protocol_rebalances(driver: Any) -> None:
    a, _ = stable_pair(driver, protocols={"range": b"", "sticky": b""})
    join = driver.join(instance="b", protocols={"sticky": b""})

    assert join in driver.outstanding
    assert driver.heartbeat(1, a, instance="a") is ErrorCode.rebalance_in_progress
    driver.join(member_id=a, instance="a", protocols={"range": b"", "sticky": b""})
    assert driver.replies[join]["protocol_name"] == "sticky"


def test_a_replacement_while_the_join_is_parked(driver: Any) -> None:
    a, b = stable_pair(driver)
    driver.join(instance="c")
    parked = driver.join(member_id=b, instance="b")
    replacement = driver.join(instance="b")

    assert driver.replies[parked]["error_code"] is ErrorCode.fenced_instance_id
    driver.join(member_id=a, instance="a")
    assert driver.replies[replacement]["generation_id"] == 2


def test_a_replacement_while_the_sync_is_parked_rebalances(driver: Any) -> None:
    handles = [driver.join(instance=name) for name in "ab"]
    driver.advance(0)
    b = driver.replies[handles[1]]["member_id"]
    parked = driver.sync(1, b, instance="b")
    driver.join(instance="b")

    assert driver.replies[parked]["error_code"] is ErrorCode.fenced_instance_id
    assert driver.group().state_name == "PreparingRebalance"


def test_an_instance_that_is_away_stays_a_member_until_its_session_ends(driver: Any) -> None:
    a, b = stable_pair(driver, session_timeout_ms=90_000, rebalance_timeout_ms=20_000)
    more = {"session_timeout_ms": 90_000, "rebalance_timeout_ms": 20_000}
    join = driver.join(member_id=a, instance="a", protocols={"range": b"new"}, **more)
    driver.advance(20_000)

    assert {m["member_id"] for m in driver.replies[join]["members"]} == {a, b}


def test_a_round_without_anybody_is_repeated(driver: Any) -> None:
    a, b = stable_pair(driver, session_timeout_ms=90_000, rebalance_timeout_ms=50)
    driver.leave((a, "a"))
    driver.advance(50)

    # Not the 50 ms that the client chose: that would be a busy loop.
    assert driver.timers["classic-join", "g"] == driver.now_ms + 1_000
    assert driver.group().state_name == "PreparingRebalance"
    again = driver.join(member_id=b, instance="b")
    assert driver.replies[again]["leader"] == b


def test_instances_leave_by_their_names(driver: Any) -> None:
    a, b = stable_pair(driver)
    response = driver.leave(("", "a"), (b, "b"), ("", "nobody"))

    assert [m["error_code"] for m in response["members"]] == [
        ErrorCode.none,
        ErrorCode.none,
        ErrorCode.unknown_member_id,
    ]
    assert driver.group().state_name == "Empty"
    assert driver.group().static_members == {}
    assert a not in driver.group().members


def test_an_unknown_instance_with_a_member_id_is_refused(driver: Any) -> None:
    a, _ = stable_pair(driver)

    assert driver.replies[driver.join(member_id=a, instance="x")]["error_code"] is ErrorCode.unknown_member_id
