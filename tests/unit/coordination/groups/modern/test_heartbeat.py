"""ConsumerGroupHeartbeat: what is refused, who may join, what is answered, and when members are fenced."""

from __future__ import annotations

import pytest

from ottla.coordination.groups.shard import EXPIRATION_TIMER
from ottla.protocol.errors import ErrorCode


def code(response):
    return response["error_code"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"member_id": "", "epoch": 0}, ErrorCode.invalid_request),
        ({"member_id": "", "epoch": 3, "version": 0}, ErrorCode.invalid_request),
        ({"member_id": "", "epoch": -1, "version": 0}, ErrorCode.invalid_request),
        ({"group_id": ""}, ErrorCode.invalid_request),
        ({"instance": ""}, ErrorCode.invalid_request),
        ({"rack": ""}, ErrorCode.invalid_request),
        *(
            ({name: " \t"}, ErrorCode.invalid_request)
            for name in ("member_id", "group_id", "instance", "rack")
        ),
        ({"rebalance_timeout_ms": -1}, ErrorCode.invalid_request),
        ({"owned": None}, ErrorCode.invalid_request),
        ({"owned": {"foo": [0]}}, ErrorCode.invalid_request),
        ({"topics": None}, ErrorCode.invalid_request),
        ({"epoch": -2}, ErrorCode.invalid_request),
        ({"epoch": -3}, ErrorCode.invalid_request),
        ({"assignor": "sticky"}, ErrorCode.unsupported_assignor),
        ({"regex": "("}, ErrorCode.invalid_regular_expression),
        ({"regex": "a" * 5000}, ErrorCode.invalid_regular_expression),
        ({"epoch": 1}, ErrorCode.group_id_not_found),
        ({"epoch": -1}, ErrorCode.group_id_not_found),
    ],
)
def test_refusals_leave_nothing_behind(cluster, fields, expected):
    request = {"topics": ["foo"], "rebalance_timeout_ms": 1000, "owned": {}, "member_id": "m", "epoch": 0}
    response = cluster.heartbeat(**{**request, **fields})
    assert code(response) is expected
    assert response["error_message"]
    assert not cluster.log
    assert not cluster.shard.state.groups


def test_a_first_member_gets_everything_at_once(cluster):
    response = cluster.join("m", "foo", "bar")
    assert cluster.names(response["assignment"]) == {"bar": [0, 1, 2], "foo": [0, 1, 2, 3, 4, 5]}
    assert (response["member_id"], response["member_epoch"]) == ("m", 2)
    assert response["heartbeat_interval_ms"] == 500
    assert cluster.group.state_name == "Stable"
    cluster.check_replay()


def test_an_unchanged_member_is_told_nothing_and_nothing_is_written(cluster):
    cluster.member("m", "foo").beat()
    written = len(cluster.log)
    response = cluster.heartbeat("m", 2)
    assert response["assignment"] is None
    assert len(cluster.log) == written


def test_a_full_request_is_answered_with_the_whole_assignment(cluster):
    member = cluster.member("m", "foo")
    response = member.beat(topics=["foo"], rebalance_timeout_ms=60_000)
    assert cluster.names(response["assignment"]) == {"foo": [0, 1, 2, 3, 4, 5]}


def test_version_0_gives_the_member_its_id(cluster):
    first = cluster.join("", "foo", version=0)
    second = cluster.join("", "foo", version=0)
    assert first["member_id"] != second["member_id"]
    assert len(first["member_id"]) == 22
    assert set(cluster.group.members) == {first["member_id"], second["member_id"]}


def test_two_members_share_by_revoking_before_assigning(cluster):
    a = cluster.member("a", "foo")
    b = cluster.member("b", "foo")
    assert b.count == 0, "everything is still a's"
    assert b.epoch == 3
    a.beat()
    assert (a.count, a.epoch) == (3, 2), "a stays in its epoch until it has given back"
    assert cluster.group.state_name == "Reconciling"
    b.beat()
    assert b.count == 0, "told to give back is not given back"
    a.beat()
    assert a.epoch == 3
    b.beat()
    assert b.count == 3
    assert not a.owned["foo"] & b.owned["foo"]
    assert cluster.group.state_name == "Stable"
    cluster.check_replay()


def test_a_departure_is_assigned_on_the_next_heartbeat(cluster):
    a, b = cluster.member("a", "foo"), cluster.member("b", "foo")
    a.beat()
    a.beat()
    b.beat()
    left = b.leave()
    assert (left["error_code"], left["member_id"], left["member_epoch"]) == (ErrorCode.none, "b", -1)
    assert cluster.group.state_name == "Assigning"
    a.beat()
    assert a.count == 6
    cluster.check_replay()


def test_the_last_departure_leaves_an_empty_group_that_can_be_deleted(cluster):
    cluster.join("m", "foo", regex="b.*")
    assert code(cluster.heartbeat("m", -1)) is ErrorCode.none
    assert cluster.group.state_name == "Empty"
    assert not cluster.group.resolved_regexes
    assert set(cluster.timers) == {EXPIRATION_TIMER}
    cluster.group.validate_delete()
    cluster.write(cluster.group.tombstones())
    assert not cluster.rebuilt().state.groups


def test_strangers_and_wrong_epochs(cluster):
    a = cluster.member("a", "foo")
    assert code(cluster.heartbeat("x", 1)) is ErrorCode.unknown_member_id
    assert code(cluster.heartbeat("x", -1)) is ErrorCode.unknown_member_id
    assert code(cluster.heartbeat("a", a.epoch + 1)) is ErrorCode.fenced_member_epoch
    assert code(cluster.heartbeat("a", a.epoch - 1)) is ErrorCode.fenced_member_epoch
    cluster.member("b", "foo")
    a.beat()
    a.beat()
    previous = a.epoch - 1
    assert code(cluster.heartbeat("a", previous, owned={"foo": range(3)})) is ErrorCode.none
    assert code(cluster.heartbeat("a", previous, owned={"foo": range(4)})) is ErrorCode.fenced_member_epoch
    assert code(cluster.heartbeat("a", previous - 1)) is ErrorCode.fenced_member_epoch


def test_what_must_be_given_back_is_told_until_it_is(cluster):
    a = cluster.member("a", "foo")
    a.beat()
    cluster.member("b", "foo")
    lost = cluster.heartbeat("a", a.epoch)
    repeated = cluster.heartbeat("a", a.epoch)
    assert cluster.names(repeated["assignment"]) == cluster.names(lost["assignment"]) == {"foo": [0, 1, 2]}
    assert cluster.heartbeat("a", a.epoch, owned={"foo": range(6)})["assignment"], "it still holds all"
    a.take(repeated)
    a.beat()
    assert cluster.heartbeat("a", a.epoch)["assignment"] is None


def test_what_is_given_is_told_until_it_is_reported(cluster):
    a = cluster.member("a", "foo")
    b = cluster.member("b", "foo")
    a.beat()
    a.beat()
    lost = cluster.heartbeat("b", b.epoch)
    repeated = cluster.heartbeat("b", b.epoch)
    assert cluster.names(repeated["assignment"]) == cluster.names(lost["assignment"]) == {"foo": [3, 4, 5]}
    b.take(repeated)
    assert b.beat()["assignment"] is None
    assert cluster.heartbeat("b", b.epoch)["assignment"] is None


def test_a_member_that_missed_its_new_epoch_is_told_everything(cluster):
    a = cluster.member("a", "foo", "bar")
    a.beat()
    cluster.member("b", "bar")
    a.beat()
    cluster.heartbeat("a", a.epoch, owned=a.owned)
    assert cluster.group.members["a"].epoch == a.epoch + 1
    repeated = cluster.heartbeat("a", a.epoch)
    assert repeated["member_epoch"] == a.epoch + 1
    assert cluster.names(repeated["assignment"]) == {name: sorted(n) for name, n in a.owned.items()}


def test_rejoining_with_epoch_0_starts_over_in_the_same_place(cluster):
    a = cluster.member("a", "foo")
    before = a.owned
    response = a.join("foo")
    assert cluster.names(response["assignment"]) == {name: sorted(n) for name, n in before.items()}


def test_the_group_is_bounded(new_cluster):
    cluster = new_cluster(group_consumer_max_size=1)
    cluster.join("a", "foo", instance="i")
    assert code(cluster.join("b", "foo")) is ErrorCode.group_max_size_reached
    assert code(cluster.join("a", "foo", instance="i")) is ErrorCode.unreleased_instance_id


def test_a_silent_member_is_removed_after_its_session(cluster):
    cluster.join("a", "foo")
    cluster.advance(44_999)
    assert "a" in cluster.group.members
    cluster.heartbeat("a", 2)
    cluster.advance(44_999)
    assert "a" in cluster.group.members
    cluster.advance(1)
    assert cluster.group.is_empty
    assert code(cluster.heartbeat("a", 2)) is ErrorCode.unknown_member_id
    cluster.check_replay()


def test_a_member_that_does_not_give_back_is_fenced(cluster):
    a = cluster.member("a", "foo", rebalance_timeout_ms=30_000)
    b = cluster.member("b", "foo")
    kept = a.owned
    a.beat()
    for _ in range(5):
        cluster.advance(5_000)
        assert code(cluster.heartbeat("a", a.epoch, owned=kept)) is ErrorCode.none
        b.beat()
    assert b.count == 0
    cluster.advance(5_000)
    assert code(cluster.heartbeat("a", a.epoch)) is ErrorCode.unknown_member_id
    b.beat()
    assert b.count == 6
    cluster.check_replay()


def test_a_member_that_gave_back_is_not_fenced(cluster):
    a = cluster.member("a", "foo", rebalance_timeout_ms=30_000)
    cluster.member("b", "foo")
    a.beat()
    a.beat()
    cluster.advance(40_000)
    assert "a" in cluster.group.members


def test_unsubscribing_takes_effect_before_the_next_target(new_cluster):
    cluster = new_cluster(group_consumer_assignment_interval_ms=60_000)
    a = cluster.member("a", "foo", "bar")
    a.beat(topics=["foo"])
    assert set(a.owned) == {"foo"}
    assert cluster.group.assignment_epoch == 2, "no new target yet"
    cluster.check_replay()


def test_targets_are_computed_at_most_once_in_an_interval(new_cluster):
    cluster = new_cluster(group_consumer_assignment_interval_ms=1_000)
    a, b = cluster.member("a", "foo"), cluster.member("b", "foo")
    assert (cluster.group.group_epoch, cluster.group.assignment_epoch) == (3, 2)
    a.beat()
    assert a.count == 6
    cluster.advance(1_000)
    for member in (a, b, a, b):
        member.beat()
    assert (a.count, b.count) == (3, 3)
    cluster.group_configs["consumer.assignment.interval.ms"] = "0"
    cluster.member("c", "foo")
    assert cluster.group.assignment_epoch == cluster.group.group_epoch


def test_a_group_can_have_its_own_timing(cluster):
    cluster.group_configs |= {
        "consumer.heartbeat.interval.ms": "7000",
        "consumer.session.timeout.ms": "50000",
    }
    a = cluster.member("a", "foo")
    cluster.advance(49_999)
    assert a.beat()["heartbeat_interval_ms"] == 7_000
    cluster.advance(49_999)
    assert "a" in cluster.group.members
    cluster.advance(1)
    assert cluster.group.is_empty


def test_the_assignor_that_most_members_want_is_used(cluster):
    for name in "abc":
        cluster.join(name, "foo", assignor="range" if name != "a" else "uniform")
    assert cluster.describe_consumer_group()["assignor_name"] == "range"
    epoch = cluster.group.group_epoch
    cluster.heartbeat("b", cluster.group.members["b"].epoch, assignor="uniform")
    assert cluster.describe_consumer_group()["assignor_name"] == "uniform"
    assert cluster.group.group_epoch == epoch + 1


def test_topics_that_grow_come_and_go(cluster):
    a = cluster.member("a", "foo", "later")
    cluster.set_topics(foo=8, bar=3)
    a.beat()
    assert a.owned == {"foo": set(range(8))}
    cluster.set_topics(foo=8, bar=3, later=2)
    a.beat()
    assert a.owned == {"foo": set(range(8)), "later": {0, 1}}
    epoch = a.epoch
    cluster.set_topics(foo=8, bar=4, later=2)
    a.beat()
    assert a.epoch == epoch, "bar is not subscribed"
    cluster.set_topics(bar=4, later=2)
    a.beat()
    a.beat()
    assert a.owned == {"later": {0, 1}}
    assert cluster.group.state_name == "Stable"
    cluster.check_replay()


def test_an_append_that_fails_changes_nothing(cluster):
    a = cluster.member("a", "foo")
    before = cluster.rebuilt().state.groups["g"].members
    cluster.append_error = ErrorCode.not_leader_or_follower
    assert code(cluster.join("b", "foo")) is ErrorCode.not_coordinator
    cluster.set_topics(foo=7, bar=3)
    assert code(a.beat()) is ErrorCode.not_coordinator
    assert cluster.group.members == before
    cluster.append_error = None
    a.beat()
    assert a.count == 7, "that the topic grew is not forgotten"


def test_a_removal_that_cannot_be_written_is_tried_again(cluster):
    cluster.join("a", "foo")
    cluster.append_error = ErrorCode.kafka_storage_error
    cluster.advance(45_000)
    assert "a" in cluster.group.members
    cluster.append_error = None
    cluster.advance(500)
    assert cluster.group.is_empty
    cluster.check_replay()


def test_sessions_and_revocations_go_on_after_a_restart(cluster):
    a = cluster.member("a", "foo", rebalance_timeout_ms=10_000)
    b = cluster.member("b", "foo")
    a.beat()
    cluster.restart()
    cluster.advance(10_000)
    assert set(cluster.group.members) == {"b"}, "a has not given back in time"
    cluster.advance(35_000)
    assert cluster.group.is_empty
    assert code(b.beat()) is ErrorCode.unknown_member_id


@pytest.mark.parametrize(
    "key",
    [
        ("consumer-session", "g", "gone"),
        ("consumer-rebalance", "g", "a"),
        ("consumer-session", "gone", "a"),
        ("classic-session", "g", "a"),
        ("classic-join", "g"),
    ],
)
def test_a_timer_of_what_is_over_does_nothing(cluster, key):
    cluster.member("a", "foo")
    written = len(cluster.log)
    cluster.runtime.on_timer(key)
    assert set(cluster.group.members) == {"a"}
    assert len(cluster.log) == written
