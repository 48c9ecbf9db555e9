"""Static members (KIP-345 under KIP-848): away and back without a rebalance, replaced, fenced."""

from __future__ import annotations

from ottla.coordination.groups.modern.reconcile import MemberState
from ottla.protocol.errors import ErrorCode


def code(response):
    return response["error_code"]


def pair(cluster):
    a = cluster.member("a", "foo", instance="i-a")
    b = cluster.member("b", "foo", instance="i-b")
    for member in (a, b, a, b):
        member.beat()
    assert (a.count, b.count) == (3, 3)
    return a, b


def test_a_member_that_comes_back_under_a_new_id_finds_its_partitions(cluster):
    a, b = pair(cluster)
    epoch = cluster.group.group_epoch
    left = a.leave(-2)
    assert (left["error_code"], left["member_id"], left["member_epoch"]) == (ErrorCode.none, "a", -2)
    b.beat()
    assert b.count == 3, "nothing of the absent member's is given away"
    again = cluster.member("a2", "foo", instance="i-a")
    assert again.owned == a.owned
    assert cluster.group.group_epoch == epoch
    assert set(cluster.group.members) == {"a2", "b"}
    assert cluster.group.static_members == {"i-a": "a2", "i-b": "b"}
    assert code(a.beat()) is ErrorCode.fenced_instance_id
    cluster.check_replay()


def test_coming_back_under_the_same_id(cluster):
    a, _ = pair(cluster)
    a.leave(-2)
    again = cluster.member("a", "foo", instance="i-a")
    assert again.owned == a.owned
    assert ("consumer-session", "g", "a") in cluster.timers
    cluster.check_replay()


def test_an_instance_id_in_use_is_not_given_away(cluster):
    pair(cluster)
    assert code(cluster.join("x", "foo", instance="i-a")) is ErrorCode.unreleased_instance_id
    assert code(cluster.heartbeat("x", 1, instance="nobody")) is ErrorCode.unknown_member_id
    assert code(cluster.heartbeat("x", -1, instance="i-a")) is ErrorCode.fenced_instance_id


def test_a_member_that_stays_away_is_removed_when_its_session_ends(cluster):
    a, b = pair(cluster)
    cluster.advance(20_000)
    b.beat()
    a.leave(-2)
    cluster.advance(25_000)
    assert set(cluster.group.members) == {"b"}
    b.beat()
    assert b.count == 6
    cluster.check_replay()


def test_leaving_for_good(cluster):
    a, b = pair(cluster)
    a.leave()
    b.beat()
    assert b.count == 6
    assert cluster.group.static_members == {"i-b": "b"}


def test_what_an_absent_member_was_to_give_back_is_free_and_does_not_fence_it(cluster):
    a = cluster.member("a", "foo", instance="i-a", rebalance_timeout_ms=10_000)
    b = cluster.member("b", "foo", instance="i-b")
    a.beat()
    assert cluster.group.members["a"].current.state is MemberState.UNREVOKED_PARTITIONS
    a.leave(-2)
    b.beat()
    assert b.count == 3
    cluster.advance(10_000)
    assert "a" in cluster.group.members
    again = cluster.member("a2", "foo", instance="i-a")
    assert again.count == 3
    cluster.check_replay()


def test_a_changed_subscription_on_return_is_a_change(cluster):
    a, b = pair(cluster)
    a.leave(-2)
    again = cluster.member("a2", "bar", instance="i-a")
    for member in (b, again, b):
        member.beat()
    assert again.owned == {"bar": {0, 1, 2}}
    assert b.count == 6
    cluster.check_replay()
