"""Heartbeats, leaving, the end of sessions; describing and listing."""

from __future__ import annotations

from typing import Any

import pytest

from ottla.coordination.groups.modern.consumer.group import ConsumerGroup
from ottla.coordination.groups.shard import EXPIRATION_TIMER
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.leave_group import LeaveGroupRequest


def test_heartbeats_keep_a_member(driver: Any) -> None:
    (member,) = driver.stable_group(1, session_timeout_ms=10_000)
    for _ in range(5):
        driver.advance(9_999)
        assert driver.heartbeat(1, member) is ErrorCode.none

    driver.advance(10_000)
    assert driver.heartbeat(1, member) is ErrorCode.unknown_member_id
    assert driver.group().state_name == "Empty"


@pytest.mark.parametrize(
    ("generation", "member", "more", "code"),
    [
        (0, None, {}, ErrorCode.illegal_generation),
        (1, "ghost", {}, ErrorCode.unknown_member_id),
        (1, None, {"group_id": "other"}, ErrorCode.unknown_member_id),
        (1, None, {"group_id": ""}, ErrorCode.invalid_group_id),
    ],
)
def test_wrong_heartbeats_are_refused(
    driver: Any, generation: int, member: Any, more: Any, code: Any
) -> None:
    (leader,) = driver.stable_group(1)

    assert driver.heartbeat(generation, member or leader, **more) is code


def test_a_commit_is_a_sign_of_life(driver: Any) -> None:
    (member,) = driver.stable_group(1, session_timeout_ms=10_000)
    driver.advance(9_000)
    assert driver.commit({("t", 0): 1}, 1, member) == [ErrorCode.none]
    driver.advance(9_000)

    assert driver.heartbeat(1, member) is ErrorCode.none


def test_a_member_that_waits_for_the_others_does_not_expire(driver: Any) -> None:
    leader, follower = driver.stable_group(2, session_timeout_ms=10_000, rebalance_timeout_ms=60_000)
    join = driver.join(member_id=leader, rebalance_timeout_ms=60_000)
    for _ in range(5):
        driver.advance(9_000)
        assert driver.heartbeat(1, follower) is ErrorCode.rebalance_in_progress

    assert join in driver.outstanding
    driver.join(member_id=follower)
    assert driver.replies[join]["generation_id"] == 2


def test_the_end_of_a_session_ends_the_wait_for_its_member(driver: Any) -> None:
    leader, _follower = driver.stable_group(2, session_timeout_ms=10_000)
    join = driver.join(member_id=leader)
    driver.advance(10_000)

    assert [m["member_id"] for m in driver.replies[join]["members"]] == [leader]


def test_a_leaving_member_starts_a_rebalance(driver: Any) -> None:
    leader, follower = driver.stable_group(2)

    assert driver.leave(leader)["members"][0]["error_code"] is ErrorCode.none
    assert driver.heartbeat(1, follower) is ErrorCode.rebalance_in_progress
    assert driver.group().leader_id == follower


def test_the_last_leaving_member_empties_the_group(driver: Any) -> None:
    (member,) = driver.stable_group(1)
    driver.leave(member)

    assert driver.group().state_name == "Empty"
    assert driver.group().generation_id == 2
    assert driver.rebuilt().state.groups["g"].generation_id == 2
    assert set(driver.timers) == {EXPIRATION_TIMER}


def test_a_leaving_member_has_its_parked_join_answered(driver: Any) -> None:
    leader, _ = driver.stable_group(2)
    join = driver.join(member_id=leader)
    driver.leave(leader)

    assert driver.replies[join]["error_code"] is ErrorCode.unknown_member_id


def test_an_id_that_was_handed_out_can_leave(driver: Any) -> None:
    member_id = driver.replies[driver.join()]["member_id"]

    assert driver.leave(member_id)["members"][0]["error_code"] is ErrorCode.none
    assert driver.replies[driver.join(member_id=member_id)]["error_code"] is ErrorCode.unknown_member_id


@pytest.mark.parametrize("group_id", ["g", "ghost", "modern"])
@pytest.mark.parametrize("version", [0, 2])
def test_leaving_without_a_member_id(driver: Any, version: int, group_id: str) -> None:
    driver.stable_group(1)
    driver.shard.state.groups["modern"] = ConsumerGroup("modern")

    response = driver.leave("", group_id=group_id, version=version)

    assert response["error_code"] is ErrorCode.unknown_member_id


def test_a_list_of_nobody_leaves_alone(driver: Any) -> None:
    driver.stable_group(1)
    response = driver.call(LeaveGroupRequest, {"group_id": "g"})

    assert (response["error_code"], response["members"]) == (ErrorCode.none, [])


@pytest.mark.parametrize("version", [0, 2, 3, 5])
def test_leaving_an_unknown_group(driver: Any, version: int) -> None:
    response = driver.leave("ghost", version=version)

    if version >= 3:
        assert response["members"][0]["error_code"] is ErrorCode.unknown_member_id
    assert response["error_code"] is (ErrorCode.unknown_member_id if version < 3 else ErrorCode.none)


def test_describe(driver: Any) -> None:
    leader, follower = driver.stable_group(2, protocols={"range": b"sub"})
    (group,) = driver.describe_groups("g")

    assert (group["group_state"], group["protocol_type"], group["protocol_data"]) == (
        "Stable",
        "consumer",
        "range",
    )
    assert {m["member_id"]: m["member_assignment"] for m in group["members"]} == {
        leader: leader.encode(),
        follower: follower.encode(),
    }
    assert {m["member_metadata"] for m in group["members"]} == {b"sub"}


def test_describe_while_rebalancing_tells_no_metadata(driver: Any) -> None:
    leader, _ = driver.stable_group(2, protocols={"range": b"sub"})
    driver.join(member_id=leader)
    (group,) = driver.describe_groups("g")

    assert (group["group_state"], group["protocol_data"]) == ("PreparingRebalance", "")
    assert {m["member_metadata"] for m in group["members"]} == {b""}


@pytest.mark.parametrize(("version", "code"), [(5, ErrorCode.none), (6, ErrorCode.group_id_not_found)])
def test_describe_an_unknown_group(driver: Any, version: int, code: ErrorCode) -> None:
    (group,) = driver.describe_groups("g", version=version)

    assert (group["group_state"], group["error_code"]) == ("Dead", code)


def test_list_groups_by_state_and_type(driver: Any) -> None:
    driver.stable_group(1)
    driver.commit({("t", 0): 1}, group_id="standalone")

    def listed(states: Any = (), types: Any = ()) -> list[str]:
        groups = driver.list_groups(states, types)
        return [group["group_id"] for group in groups]

    assert sorted(listed()) == ["g", "standalone"]
    assert listed(["sTable"]) == ["g"]
    assert listed([" empty "]) == ["standalone"]
    assert listed(["Dead", "Assigning"]) == []
    assert sorted(listed(types=["Classic"])) == ["g", "standalone"]
    assert listed(types=["consumer"]) == []
    assert listed(types=["nonsense"]) == []


def test_delete_groups(driver: Any) -> None:
    (member,) = driver.stable_group(1)
    driver.commit({("t", 0): 1}, 1, member)
    driver.commit({("t", 0): 1}, group_id="standalone")

    def delete(*group_ids: str) -> dict[str, ErrorCode]:
        return {each.group_id: ErrorCode(each.error_code) for each in driver.delete_groups(*group_ids)}

    assert delete("g", "standalone", "ghost") == {
        "g": ErrorCode.non_empty_group,
        "standalone": ErrorCode.none,
        "ghost": ErrorCode.group_id_not_found,
    }
    driver.leave(member)
    assert delete("g") == {"g": ErrorCode.none}
    assert not driver.shard.state.groups
    assert driver.fetch() == {}
    rebuilt = driver.rebuilt(compacted=True)
    assert not rebuilt.state.groups
    assert rebuilt.state.offsets.get("g", "t", 0) is None


def test_a_deletion_that_can_not_be_written(driver: Any) -> None:
    driver.commit({("t", 0): 1})
    driver.append_error = ErrorCode.kafka_storage_error

    with pytest.raises(KafkaError) as refused:
        driver.delete_groups("g")

    assert refused.value.code is ErrorCode.not_coordinator
    assert driver.fetch(("t", 0))["t", 0]["committed_offset"] == 1


def test_deleting_a_group_forgets_ids_that_were_handed_out(driver: Any) -> None:
    member_id = driver.replies[driver.join()]["member_id"]
    driver.delete_groups("g")

    assert set(driver.timers) == {EXPIRATION_TIMER}
    assert driver.replies[driver.join(member_id=member_id)]["error_code"] is ErrorCode.unknown_member_id


def test_offset_delete(driver: Any, subscribe: Any) -> None:
    (member,) = driver.stable_group(1, protocols={"range": subscribe("t")})
    driver.commit({("t", 0): 1, ("u", 0): 2}, 1, member)
    driver.restart()  # the subscription is read from the log, too
    topics = [
        {"name": name, "partitions": [{"partition_index": index}]}
        for name, index in [("t", 0), ("u", 0), ("u", 9), ("ghost", 0)]
    ]

    def delete(group_id: str = "g") -> Any:
        return driver.delete_offsets({"group_id": group_id, "topics": topics})

    response = delete()
    assert [t["partitions"][0]["error_code"] for t in response["topics"]] == [
        ErrorCode.group_subscribed_to_topic,
        ErrorCode.none,
        ErrorCode.unknown_topic_or_partition,
        ErrorCode.unknown_topic_or_partition,
    ]
    assert set(driver.fetch()) == {("t", 0)}
    assert delete("ghost")["error_code"] is ErrorCode.group_id_not_found
    assert delete("")["error_code"] is ErrorCode.invalid_group_id


def test_offset_delete_needs_a_group_that_knows_its_subscriptions(driver: Any) -> None:
    driver.stable_group(1, protocol_type="connect")
    response = driver.delete_offsets({"group_id": "g"})

    assert response["error_code"] is ErrorCode.non_empty_group
