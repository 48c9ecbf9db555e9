"""Committing and fetching offsets, their transactions, and their end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from ottla.coordination.groups.shard import EXPIRATION_TIMER
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode

DAY_MS = 86_400_000
OK = [ErrorCode.none]


class TestCommit:
    def test_what_was_committed_comes_back(self, driver: Any) -> None:
        (member,) = driver.stable_group(1)
        assert driver.commit({("t", 1): 42}, 1, member, metadata="note") == OK

        assert driver.fetch(("t", 1), ("t", 2)) == {
            ("t", 1): {
                "partition_index": 1,
                "committed_offset": 42,
                "committed_leader_epoch": 5,
                "metadata": "note",
                "error_code": ErrorCode.none,
            },
            ("t", 2): {
                "partition_index": 2,
                "committed_offset": -1,
                "committed_leader_epoch": -1,
                "metadata": "",
                "error_code": ErrorCode.none,
            },
        }

    def test_a_standalone_consumer_makes_a_simple_group(self, driver: Any) -> None:
        assert driver.commit({("t", 0): 7}) == OK
        assert driver.group().is_simple

    @pytest.mark.parametrize("version", [2, 5, 9, 10])
    def test_by_name_or_by_id(self, driver: Any, version: int) -> None:
        assert driver.commit({("t", 0): 7}, version=version) == OK
        assert driver.fetch(("t", 0))["t", 0]["committed_offset"] == 7

    def test_a_standalone_consumer_may_not_commit_into_a_group_with_members(self, driver: Any) -> None:
        driver.stable_group(1)

        assert driver.commit({("t", 0): 7}) == [ErrorCode.unknown_member_id]

    @pytest.mark.parametrize(
        ("version", "code"), [(8, ErrorCode.illegal_generation), (9, ErrorCode.group_id_not_found)]
    )
    def test_a_member_of_an_unknown_group(self, driver: Any, version: int, code: ErrorCode) -> None:
        assert driver.commit({("t", 0): 7}, 1, "m", version=version) == [code]
        assert not driver.shard.state.groups

    def test_generations_and_members_are_checked(self, driver: Any) -> None:
        (member,) = driver.stable_group(1)

        assert driver.commit({("t", 0): 7}, 2, member) == [ErrorCode.illegal_generation]
        assert driver.commit({("t", 0): 7}, 1, "ghost") == [ErrorCode.unknown_member_id]

    def test_an_empty_group_has_no_generation_to_commit_in(self, driver: Any) -> None:
        driver.commit({("t", 0): 1})

        assert driver.group().is_empty
        assert driver.commit({("t", 0): 7}, 0, "ghost") == [ErrorCode.unknown_member_id]
        assert driver.commit({("t", 0): 7}, -1, "ghost") == OK

    def test_the_previous_generation_commits_while_members_rejoin(self, driver: Any) -> None:
        leader, follower = driver.stable_group(2)
        driver.join(member_id=leader)
        assert driver.commit({("t", 0): 7}, 1, follower) == OK

        driver.join(member_id=follower)
        assert driver.commit({("t", 0): 8}, 2, follower) == [ErrorCode.rebalance_in_progress]

    def test_unknown_topics_and_partitions(self, driver: Any) -> None:
        assert driver.commit({("t", 0): 1, ("t", 4): 1, ("x", 0): 1}, version=9) == [
            ErrorCode.none,
            ErrorCode.unknown_topic_or_partition,
            ErrorCode.unknown_topic_or_partition,
        ]
        assert driver.commit({("x", 0): 1, ("t", -1): 1}) == [
            ErrorCode.unknown_topic_id,
            ErrorCode.unknown_topic_or_partition,
        ]

    @pytest.mark.parametrize("producer_id", [-1, 4])
    @pytest.mark.parametrize(("group_id", "member_id"), [("ghost", "m"), ("g", "ghost")])
    def test_what_does_not_exist_says_so_though_the_group_refuses(
        self, driver: Any, group_id: str, member_id: str, producer_id: int
    ) -> None:
        driver.stable_group(1)
        more = {"producer_id": producer_id, "version": 5} if producer_id >= 0 else {"version": 9}
        offsets = {("t", 0): 1, ("t", 4): 1, ("x", 0): 1}

        codes = driver.commit(offsets, 1, member_id, group_id=group_id, **more)

        assert codes[0] in {
            ErrorCode.group_id_not_found,
            ErrorCode.illegal_generation,
            ErrorCode.unknown_member_id,
        }
        assert codes[1:] == [ErrorCode.unknown_topic_or_partition] * 2

    def test_what_does_not_exist_says_so_though_the_commit_can_not_be_written(self, driver: Any) -> None:
        driver.append_error = ErrorCode.not_enough_replicas

        assert driver.commit({("t", 0): 1, ("x", 0): 1}) == [
            ErrorCode.coordinator_not_available,
            ErrorCode.unknown_topic_id,
        ]

    def test_metadata_has_a_largest_size(self, new_driver: Any) -> None:
        driver = new_driver(offset_metadata_max_bytes=3)

        assert driver.commit({("t", 0): 1}, metadata="long") == [ErrorCode.offset_metadata_too_large]
        assert driver.commit({("t", 0): 1}, metadata="fit") == OK

    def test_a_commit_that_can_not_be_written(self, driver: Any) -> None:
        driver.append_error = ErrorCode.not_enough_replicas

        assert driver.commit({("t", 0): 1}) == [ErrorCode.coordinator_not_available]
        assert driver.fetch(("t", 0))["t", 0]["committed_offset"] == -1


class TestFetch:
    def test_all_of_a_group(self, driver: Any) -> None:
        driver.commit({("t", 0): 1, ("u", 1): 2})

        assert {p: f["committed_offset"] for p, f in driver.fetch().items()} == {("t", 0): 1, ("u", 1): 2}

    def test_an_unknown_group_has_no_offsets(self, driver: Any) -> None:
        assert driver.fetch() == {}
        assert driver.fetch(("t", 0))["t", 0]["committed_offset"] == -1

    def test_by_topic_id(self, driver: Any) -> None:
        driver.commit({("t", 0): 1})
        topic_id = driver.image.topics["t"].topic_id

        def fetch(asked: UUID) -> tuple[int, ErrorCode]:
            topic = {"topic_id": asked, "partition_indexes": [0]}
            response = driver.fetch_group({"group_id": "g", "topics": [topic]})
            (partition,) = response["topics"][0]["partitions"]
            return partition["committed_offset"], partition["error_code"]

        assert fetch(topic_id) == (1, ErrorCode.none)
        assert fetch(UUID(int=7)) == (-1, ErrorCode.unknown_topic_id)

    def test_a_topic_made_again_has_no_offsets_by_its_new_id(self, driver: Any) -> None:
        driver.commit({("t", 0): 1})
        new_id = UUID(int=5)
        made_again = replace(driver.image.topics["t"], topic_id=new_id)
        driver.shard.state.image = MetadataImage(topics={"t": made_again}, topics_by_id={new_id: made_again})

        topic = {"topic_id": new_id, "partition_indexes": [0]}
        response = driver.fetch_group({"group_id": "g", "topics": [topic]})
        assert response["topics"][0]["partitions"][0]["committed_offset"] == -1


class TestTransactions:
    def test_offsets_count_when_the_transaction_is_committed(self, driver: Any) -> None:
        driver.commit({("t", 0): 1})
        assert driver.commit({("t", 0): 9}, producer_id=4) == OK

        assert driver.fetch(("t", 0))["t", 0]["committed_offset"] == 1
        unstable = driver.fetch(("t", 0), require_stable=True)["t", 0]
        assert (unstable["committed_offset"], unstable["error_code"]) == (
            -1,
            ErrorCode.unstable_offset_commit,
        )

        driver.end_transaction(4, committed=True)
        assert driver.fetch(("t", 0), require_stable=True)["t", 0]["committed_offset"] == 9

    def test_they_are_dropped_when_it_is_aborted(self, driver: Any) -> None:
        driver.commit({("t", 0): 9}, producer_id=4)
        driver.end_transaction(4, committed=False)

        assert driver.fetch(("t", 0), require_stable=True)["t", 0]["committed_offset"] == -1

    def test_the_later_commit_wins(self, driver: Any) -> None:
        driver.commit({("t", 0): 9}, producer_id=4)
        driver.commit({("t", 0): 10})
        driver.end_transaction(4, committed=True)

        assert driver.fetch(("t", 0))["t", 0]["committed_offset"] == 10

    def test_a_deleted_group_drops_what_is_pending(self, driver: Any) -> None:
        driver.commit({("t", 0): 9}, producer_id=4)
        driver.delete_groups("g")
        driver.end_transaction(4, committed=True)

        assert not driver.shard.state.offsets.of_group("g")
        assert not driver.shard.state.offsets.has_open_transactions("g")

    def test_members_are_checked_where_they_are_told(self, driver: Any) -> None:
        (member,) = driver.stable_group(1)

        assert driver.commit({("t", 0): 9}, 1, member, producer_id=4) == OK
        assert driver.commit({("t", 0): 9}, 2, member, producer_id=4) == [ErrorCode.illegal_generation]
        assert driver.commit({("t", 0): 9}, producer_id=4) == OK
        assert driver.commit({("t", 0): 9}, group_id="", producer_id=4) == [ErrorCode.invalid_group_id]

    @pytest.mark.parametrize(
        ("version", "code"), [(5, ErrorCode.illegal_generation), (6, ErrorCode.group_id_not_found)]
    )
    def test_a_member_of_an_unknown_group(self, driver: Any, version: int, code: ErrorCode) -> None:
        told = driver.commit({("t", 0): 9}, 1, "m", producer_id=4, version=version)
        assert told == [code]
        assert not driver.shard.state.groups

    @pytest.mark.parametrize("version", range(7))
    def test_by_name_or_by_id(self, driver: Any, version: int) -> None:
        offsets = {("t", 0): 9, ("t", 4): 9, ("x", 0): 9}
        unknown = ErrorCode.unknown_topic_id if version >= 6 else ErrorCode.unknown_topic_or_partition
        assert driver.commit(offsets, producer_id=4, version=version) == [
            ErrorCode.none,
            ErrorCode.unknown_topic_or_partition,
            unknown,
        ]
        driver.end_transaction(4, committed=True)
        assert driver.fetch(("t", 0))["t", 0]["committed_offset"] == 9

    def test_metadata_has_a_largest_size(self, new_driver: Any) -> None:
        driver = new_driver(offset_metadata_max_bytes=3)
        told = driver.commit({("t", 0): 1}, metadata="long", producer_id=4)
        assert told == [ErrorCode.offset_metadata_too_large]
        assert not driver.shard.state.offsets.has_open_transactions("g")

    def test_each_producer_has_its_own(self, driver: Any) -> None:
        driver.commit({("t", 0): 1, ("t", 1): 1}, producer_id=4)
        driver.commit({("t", 0): 2, ("u", 0): 2}, producer_id=5)
        driver.commit({("t", 0): 3}, producer_id=4, group_id="h")
        driver.end_transaction(5, committed=False)
        assert driver.fetch(("t", 0), require_stable=True)["t", 0]["error_code"] == 88
        assert driver.fetch(("u", 0), require_stable=True)["u", 0]["error_code"] == 0

        driver.end_transaction(4, committed=True)
        assert {p: f["committed_offset"] for p, f in driver.fetch().items()} == {("t", 0): 1, ("t", 1): 1}
        assert driver.fetch(("t", 0), group_id="h")["t", 0]["committed_offset"] == 3

    def test_the_last_of_a_transaction_counts(self, driver: Any) -> None:
        driver.commit({("t", 0): 1}, producer_id=4)
        driver.commit({("t", 0): 2}, producer_id=4)
        driver.end_transaction(4, committed=True)
        assert driver.fetch(("t", 0))["t", 0]["committed_offset"] == 2

    def test_deleted_offsets_do_not_come_back_with_the_marker(self, driver: Any) -> None:
        driver.commit({("t", 0): 1, ("t", 1): 1}, producer_id=4)
        topics = [{"name": "t", "partitions": [{"partition_index": 0}]}]
        told = driver.delete_offsets({"group_id": "g", "topics": topics})
        assert told["topics"][0]["partitions"][0]["error_code"] is ErrorCode.none
        driver.end_transaction(4, committed=True)
        assert set(driver.fetch()) == {("t", 1)}

    def test_a_group_with_nothing_but_pending_offsets_stays(self, driver: Any) -> None:
        driver.commit({("t", 0): 1}, producer_id=4)
        driver.advance(DAY_MS)
        assert driver.group().is_simple
        driver.end_transaction(4, committed=False)
        driver.advance(600_000)
        assert not driver.shard.state.groups

    @pytest.mark.parametrize("committed", [True, False])
    def test_a_shard_that_was_loaded_knows_what_is_pending(self, driver: Any, committed: bool) -> None:
        driver.commit({("t", 0): 1}, producer_id=4)
        driver.commit({("t", 1): 1}, producer_id=5)
        driver.end_transaction(5, committed=True)
        driver.restart()
        assert driver.fetch(("t", 0), require_stable=True)["t", 0]["error_code"] == 88
        assert driver.fetch(("t", 1), require_stable=True)["t", 1]["committed_offset"] == 1
        driver.end_transaction(4, committed=committed)
        driver.restart()
        assert set(driver.fetch()) == {("t", 1)} | ({("t", 0)} if committed else set())


class TestExpiry:
    @pytest.fixture
    def expiring(self, new_driver: Any) -> Any:
        return new_driver(offsets_retention_minutes=7 * 24 * 60)

    def test_standalone_offsets_expire_after_their_last_commit(self, expiring: Any) -> None:
        expiring.commit({("t", 0): 1})
        expiring.advance(DAY_MS)
        expiring.commit({("t", 1): 1})
        expiring.advance(6 * DAY_MS + 600_000)
        assert set(expiring.fetch()) == {("t", 1)}

        expiring.advance(DAY_MS)
        assert not expiring.shard.state.groups
        assert not expiring.rebuilt(compacted=True).state.groups

    def test_an_empty_groups_offsets_expire_after_it_became_empty(self, expiring: Any) -> None:
        (member,) = expiring.stable_group(1, session_timeout_ms=1_800_000)
        expiring.commit({("t", 0): 1}, 1, member)
        for _ in range(8 * 24 * 3):
            expiring.advance(1_200_000)
            assert expiring.heartbeat(1, member) is ErrorCode.none
        assert set(expiring.fetch()) == {("t", 0)}

        expiring.leave(member)
        expiring.advance(7 * DAY_MS - 1)
        assert set(expiring.fetch()) == {("t", 0)}
        expiring.advance(600_001)
        assert not expiring.shard.state.groups

    def test_offsets_of_topics_that_nobody_wants_any_more_expire(self, expiring: Any, subscribe: Any) -> None:
        (member,) = expiring.stable_group(
            1, protocols={"range": subscribe("t")}, session_timeout_ms=1_800_000
        )
        expiring.commit({("t", 0): 1, ("u", 0): 1}, 1, member)
        for _ in range(8 * 24 * 3):
            expiring.advance(1_200_000)
            expiring.heartbeat(1, member)

        assert set(expiring.fetch()) == {("t", 0)}
        assert expiring.group().state_name == "Stable"

    @pytest.mark.parametrize(
        "data",
        [
            b"junk",
            b"",
            b"\0",
            b"\xff\xff\0\0\0\0\xff\xff\xff\xff",
            b"\0\0\0\0\0\1\0\1",
            b"\0\0\x7f\xff\xff\xff",
        ],
        ids=["text", "nothing", "half a version", "a version below 0", "cut off", "more than there is"],
    )
    def test_nothing_expires_where_the_subscription_is_unknown(self, expiring: Any, data: bytes) -> None:
        (member,) = expiring.stable_group(1, protocols={"range": data}, session_timeout_ms=1_800_000)
        expiring.commit({("t", 0): 1}, 1, member)
        for _ in range(8 * 24 * 3):
            expiring.advance(1_200_000)
            expiring.heartbeat(1, member)

        assert set(expiring.fetch()) == {("t", 0)}

    def test_a_retention_that_the_client_chose(self, expiring: Any) -> None:
        expiring.commit({("t", 0): 1}, version=4, retention_time_ms=1_000)
        expiring.commit({("t", 1): 1}, version=4)
        expiring.advance(600_000)

        assert set(expiring.fetch()) == {("t", 1)}

    def test_a_retention_of_nothing(self, expiring: Any) -> None:
        expiring.commit({("t", 0): 1}, version=4, retention_time_ms=0)
        expiring.commit({("t", 1): 1}, version=4)
        assert set(expiring.fetch()) == {("t", 0), ("t", 1)}
        expiring.advance(600_000)

        assert set(expiring.fetch()) == {("t", 1)}

    def test_pending_offsets_keep_the_group(self, expiring: Any) -> None:
        expiring.commit({("t", 0): 1})
        expiring.commit({("t", 0): 2}, producer_id=4)
        expiring.advance(8 * DAY_MS)

        assert set(expiring.fetch()) == {("t", 0)}

    def test_a_group_with_members_needs_no_offsets_to_stay(self, expiring: Any) -> None:
        (member,) = expiring.stable_group(1, session_timeout_ms=1_800_000)
        expiring.advance(600_000)

        assert expiring.heartbeat(1, member) is ErrorCode.none

    def test_a_group_that_was_never_joined_goes(self, expiring: Any) -> None:
        expiring.join()
        expiring.advance(600_000)

        assert not expiring.shard.state.groups

    def test_the_timer_is_set_again(self, expiring: Any) -> None:
        expiring.advance(600_000)

        assert expiring.timers[EXPIRATION_TIMER] == expiring.now_ms + 600_000


def test_the_offsets_of_a_deleted_topic_go(driver: Any, topics: Any) -> None:
    driver.commit({("t", 0): 1, ("u", 0): 2})
    driver.set_image(topics(u=2))

    assert set(driver.fetch()) == {("u", 0)}
    assert driver.rebuilt(compacted=True).state.offsets.get("g", "t", 0) is None


def test_pending_offsets_of_a_deleted_topic_go(driver: Any, topics: Any) -> None:
    driver.commit({("t", 0): 1})
    driver.commit({("t", 0): 2, ("t", 1): 2, ("u", 0): 2}, producer_id=4)
    written = len(driver.log)
    driver.set_image(topics(u=2))
    assert len(driver.log) == written + 2
    driver.end_transaction(4, committed=True)

    assert set(driver.fetch()) == {("u", 0)}


def test_the_offsets_of_a_topic_that_was_made_again_stay(driver: Any) -> None:
    old = driver.image.topics["t"]
    new = replace(old, topic_id=UUID(int=5))
    driver.set_image(MetadataImage(topics={"t": new}, topics_by_id={new.topic_id: new}))
    driver.commit({("t", 0): 1})
    both = {old.topic_id: old, new.topic_id: new}
    driver.shard.state.image = MetadataImage(topics={"t": new}, topics_by_id=both)
    driver.set_image(MetadataImage(topics={"t": new}, topics_by_id={new.topic_id: new}))

    assert set(driver.fetch()) == {("t", 0)}
