"""How soon members are told to heartbeat again, and how fast groups move by it."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Any

import pytest

from ottla.coordination.groups.state import HeartbeatBudget

OWN_MS, SHORT_MS, SETTLING_MS = 5_000, 500, 20_000


def interval_of(response: dict[str, Any]) -> int:
    return int(response["heartbeat_interval_ms"])


def run(cluster: Any, members: list[Any], until: Any) -> int:
    """Let members that have joined at once heartbeat when they are told to; milliseconds until the end.

    Like real clients they report what changed with a heartbeat that does not wait for the interval.
    """
    began_ms = cluster.now_ms
    due = [(cluster.now_ms + 500, number) for number in range(len(members))]
    while not until():
        at_ms, number = heapq.heappop(due)
        assert at_ms - began_ms < 60_000, "the group does not settle"
        cluster.advance(at_ms - cluster.now_ms)
        member = members[number]
        before = dict(member.owned)
        response = member.beat(owned=None)
        if member.owned != before:
            response = member.beat()
        heapq.heappush(due, (cluster.now_ms + interval_of(response), number))
    return int(cluster.now_ms - began_ms)


def test_the_interval_grows_from_an_assignment_on_until_it_is_the_groups_own(cluster):
    a = cluster.member("a", "foo")
    assigned_ms = cluster.now_ms
    told = {}
    for age_ms in (1_000, 2_000, 4_000, 10_000, 19_000, SETTLING_MS, 3 * SETTLING_MS):
        cluster.advance(assigned_ms + age_ms - cluster.now_ms)
        told[age_ms] = interval_of(a.beat())
    growing = {1_000: SHORT_MS, 2_000: SHORT_MS, 4_000: 1_000, 10_000: 2_500, 19_000: 4_750}
    assert told == growing | {SETTLING_MS: OWN_MS, 3 * SETTLING_MS: OWN_MS}


def test_whatever_makes_a_new_target_hastens_everybody(cluster):
    a, b = cluster.member("a", "foo"), cluster.member("b", "foo", instance="i")
    for _ in range(3):
        a.beat()
        b.beat()

    def settle():
        cluster.advance(SETTLING_MS)
        assert [interval_of(a.beat()), interval_of(b.beat())] == [OWN_MS, OWN_MS]

    def check_haste():
        assert max(interval_of(a.beat()), interval_of(a.beat()), interval_of(b.beat())) < SHORT_MS + 10

    settle()
    c = cluster.member("c", "foo")
    check_haste()
    settle()
    c.leave()
    check_haste()
    settle()
    cluster.set_topics(foo=8, bar=3)
    check_haste()


def test_a_static_member_that_comes_back_hastens_nobody(cluster):
    a, b = cluster.member("a", "foo"), cluster.member("b", "foo", instance="i")
    for _ in range(3):
        a.beat()
        b.beat()
    cluster.advance(SETTLING_MS)
    b.leave(-2)
    assert interval_of(a.beat()) == OWN_MS
    again = cluster.member("b2", "foo", instance="i")
    assert again.owned == b.owned
    assert interval_of(again.beat()) == OWN_MS
    assert interval_of(a.beat()) == OWN_MS


def test_members_hasten_while_a_target_is_still_to_be_computed(new_cluster):
    cluster = new_cluster(group_consumer_assignment_interval_ms=1_000)
    a = cluster.member("a", "foo")
    cluster.advance(900)
    b = cluster.member("b", "foo")
    assert cluster.group.state_name == "Assigning"
    assert max(interval_of(a.beat()), interval_of(b.beat())) < SHORT_MS + 10


def test_a_target_of_a_time_to_come_holds_nobody_up(new_cluster):
    cluster = new_cluster(group_consumer_assignment_interval_ms=1_000)
    cluster.member("a", "foo")
    cluster.now_ms -= 3_600_000  # as when the time of day is set back, or by a coordinator with another one
    cluster.member("b", "foo")
    assert cluster.group.state_name != "Assigning"


def test_an_interval_of_the_group_is_never_exceeded(cluster):
    cluster.group_configs["consumer.heartbeat.interval.ms"] = "300"
    a = cluster.member("a", "foo")
    assert interval_of(a.beat()) == 300
    cluster.group_configs["consumer.heartbeat.interval.ms"] = "7000"
    cluster.advance(SETTLING_MS)
    assert interval_of(a.beat()) == 7_000


def test_the_pace_outlives_a_restart(cluster):
    a = cluster.member("a", "foo")
    cluster.advance(4_000)
    cluster.restart()
    assert interval_of(a.beat()) == 1_000


@pytest.mark.parametrize(
    ("settings", "at_least_ms", "at_most_ms"),
    [({}, 1_000, 2_000), ({"ottla_group_consumer_rebalance_heartbeat_interval_ms": OWN_MS}, 5_000, 10_000)],
)
def test_members_that_join_at_once_soon_have_their_partitions(new_cluster, settings, at_least_ms, at_most_ms):
    cluster = new_cluster(group_consumer_assignment_interval_ms=1_000, **settings)
    cluster.set_topics(foo=40)
    members = [cluster.member(f"m{number}", "foo") for number in range(20)]
    took_ms = run(cluster, members, lambda: all(member.count == 2 for member in members))
    assert at_least_ms <= took_ms <= at_most_ms
    assert cluster.group.state_name == "Stable"


@pytest.mark.parametrize("members", [20, 500, 3_000, 20_000])
def test_heartbeats_that_are_asked_for_early_stay_under_a_rate(members):
    """Members beat as they are told, all of them in a hurry."""
    budget, per_second, seconds = HeartbeatBudget(), 1_000, 30
    due = [(number // 50, number) for number in range(members)]
    early: Counter[int] = Counter()
    while due[0][0] < seconds * 1_000:
        now_ms, number = heapq.heappop(due)
        interval_ms = budget.interval_ms(SHORT_MS, OWN_MS, per_second, now_ms)
        early[now_ms // 1_000] += interval_ms < OWN_MS
        heapq.heappush(due, (now_ms + interval_ms, number))
    asked = [early[second] for second in range(OWN_MS // 1_000, seconds)]
    assert max(asked) <= per_second * 1.25
    if members * 1_000 // SHORT_MS <= per_second:
        assert min(asked) == pytest.approx(members * 1_000 / SHORT_MS, rel=0.1), "few members are not slowed"


def test_a_group_that_has_settled_costs_no_budget():
    budget = HeartbeatBudget()
    for _ in range(10_000):
        assert budget.interval_ms(OWN_MS, OWN_MS, 1_000, 0) == OWN_MS
    assert budget.interval_ms(SHORT_MS, OWN_MS, 1_000, 0) == SHORT_MS
