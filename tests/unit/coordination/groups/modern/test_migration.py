"""Online migration: classic members and members of the new protocol in one group, both ways."""

from __future__ import annotations

import struct

import pytest

from ottla.coordination.groups.classic.group import ClassicGroup, ClassicState
from ottla.coordination.groups.modern.consumer.embedded import decode_assignment, encode_assignment
from ottla.coordination.groups.modern.consumer.group import ConsumerGroup
from ottla.coordination.groups.shard import EXPIRATION_TIMER
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.leave_group import LeaveGroupRequest


def classic_group(cluster, *members, assignments):
    """Let the members form a stable classic group with these assignments by topic name."""
    for member in members:
        if member.instance is None:
            member.member_id = member.send_join()()["member_id"]
    joins = [member.send_join() for member in members]
    cluster.advance(0)
    for member, join in zip(members, joins, strict=True):
        reply = join()
        member.member_id, member.generation = reply["member_id"], reply["generation_id"]
    leader = joins[0]()["leader"]
    given = [
        {"member_id": member.member_id, "assignment": cluster.embedded_assignment(owned)}
        for member, owned in zip(members, assignments, strict=True)
    ]
    syncs = [member.send_sync(given if member.member_id == leader else ()) for member in members]
    for member, sync, owned in zip(members, syncs, assignments, strict=True):
        assert sync()["error_code"] is ErrorCode.none
        member.owned = {name: frozenset(numbers) for name, numbers in owned.items()}
    assert cluster.group.state is ClassicState.STABLE


@pytest.fixture
def upgraded(cluster):
    """Two classic members of a stable group, joined by one of the new protocol."""
    a, b = cluster.classic_member("foo"), cluster.classic_member("foo")
    classic_group(cluster, a, b, assignments=[{"foo": range(3)}, {"foo": range(3, 6)}])
    c = cluster.member("c", "foo")
    return cluster, a, b, c


def test_an_upgrade_keeps_members_generation_and_assignment(upgraded):
    cluster, a, _, c = upgraded
    group = cluster.group
    assert isinstance(group, ConsumerGroup)
    assert (group.group_epoch, c.epoch, c.count) == (2, 2, 0)
    first = group.members[a.member_id]
    assert (first.epoch, first.uses_classic_protocol) == (1, True)
    assert {frozenset(epochs) for epochs in first.current.assigned.values()} == {frozenset(range(3))}
    assert {key for key in cluster.timers if key[0].startswith("classic")} == set()
    assert {member["member_type"] for member in cluster.describe_consumer_group()["members"]} == {0, 1}
    cluster.check_replay()


def test_classic_members_give_back_and_the_new_one_gets(upgraded):
    cluster, a, b, c = upgraded
    assert (a.follow(), b.follow()) == (True, True)
    assert a.count + b.count == 4, "the sync already leaves out what is to be given back"
    c.beat()
    assert c.count == 0
    assert (a.follow(), b.follow()) == (True, True)
    c.beat()
    assert (a.count, b.count, c.count) == (2, 2, 2)
    assert (a.follow(), b.follow()) == (False, False)
    assert cluster.group.state_name == "Stable"
    assert a.generation == b.generation == c.epoch
    cluster.check_replay()


def test_a_classic_member_waits_for_a_new_one_without_being_told_to_rejoin(cluster):
    c = cluster.member("c", "foo")
    a = cluster.classic_member("foo")
    assert a.join()["leader"] == ""
    assert a.sync() is ErrorCode.none
    assert a.count == 0
    assert a.beat() is ErrorCode.none, "nothing is free yet"
    c.beat()
    c.beat()
    assert a.follow()
    assert (a.count, c.count) == (3, 3)
    assert not a.follow()
    cluster.check_replay()


def test_a_downgrade_brings_the_classic_group_back(upgraded):
    cluster, a, b, c = upgraded
    for member in (a, b, a, b):
        member.follow()
    assert c.leave()["error_code"] is ErrorCode.none
    group = cluster.group
    assert isinstance(group, ClassicGroup)
    assert group.state is ClassicState.PREPARING_REBALANCE
    assert set(group.members) == {a.member_id, b.member_id}
    assert set(group.members[a.member_id].protocols) == {"cooperative-sticky", "range"}
    assert {key[0] for key in cluster.timers} == {"classic-session", "classic-join", *EXPIRATION_TIMER}
    assert a.beat() is ErrorCode.rebalance_in_progress
    joins = [a.send_join(), b.send_join()]
    assert {join()["error_code"] for join in joins} == {ErrorCode.none}
    assert not any(isinstance(group, ConsumerGroup) for group in cluster.rebuilt().state.groups.values())


def test_the_downgraded_group_is_stable_with_the_target_in_the_log(upgraded):
    cluster, _, _, c = upgraded
    c.leave()
    group = cluster.rebuilt(compacted=True).state.groups["g"]
    assert group.state is ClassicState.STABLE
    owned = [dict(decode_assignment(member.assignment).partitions) for member in group.members.values()]
    assert sum(len(topics["foo"]) for topics in owned) == 4


def test_parked_joins_are_told_to_rejoin_when_the_group_is_upgraded(cluster):
    a, b = cluster.classic_member("foo"), cluster.classic_member("foo")
    classic_group(cluster, a, assignments=[{"foo": range(6)}])
    b.member_id = b.send_join()()["member_id"]
    parked = b.send_join()
    cluster.append_error = ErrorCode.not_leader_or_follower
    cluster.join("c", "foo")
    assert isinstance(cluster.group, ClassicGroup)
    cluster.append_error = None
    cluster.join("c", "foo")
    assert parked()["error_code"] is ErrorCode.rebalance_in_progress
    assert b.join()["error_code"] is ErrorCode.none


@pytest.mark.parametrize("policy", ["disabled", "downgrade"])
def test_upgrades_can_be_forbidden(new_cluster, policy):
    cluster = new_cluster(group_consumer_migration_policy=policy)
    a = cluster.classic_member("foo")
    classic_group(cluster, a, assignments=[{"foo": range(6)}])
    assert cluster.join("c", "foo")["error_code"] is ErrorCode.group_id_not_found
    assert isinstance(cluster.group, ClassicGroup)


@pytest.mark.parametrize(
    ("policy", "code"),
    [("disabled", ErrorCode.inconsistent_group_protocol), ("upgrade", ErrorCode.none)],
)
def test_downgrades_can_be_forbidden(new_cluster, policy, code):
    cluster = new_cluster(group_consumer_migration_policy=policy)
    c = cluster.member("c", "foo")
    a = cluster.classic_member("foo")
    assert a.join()["error_code"] is code
    c.leave()
    assert isinstance(cluster.group, ConsumerGroup)


@pytest.mark.parametrize(
    "assignment",
    [b"\0", b"\0\1\0\0\0\1", struct.pack(">hii", 1, 0, 3) + b"own"],
    ids=["short", "cut", "data"],
)
def test_what_cannot_be_read_is_not_upgraded(cluster, assignment):
    a = cluster.classic_member("foo")
    classic_group(cluster, a, assignments=[{"foo": range(6)}])
    cluster.group.members[a.member_id].assignment = assignment
    assert cluster.join("c", "foo")["error_code"] is ErrorCode.group_id_not_found
    assert isinstance(cluster.group, ClassicGroup)


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xff\0\0\0\0", struct.pack(">hi", 0, 2**31 - 1)])
def test_a_malformed_subscription_is_refused(cluster, data):
    cluster.member("c", "foo")
    a = cluster.classic_member("foo")
    response = a.join(protocols=[{"name": "range", "metadata": data}])
    assert response["error_code"] is ErrorCode.inconsistent_group_protocol


def test_protocols_must_be_common_to_all_classic_members(cluster):
    cluster.member("c", "foo")
    assert cluster.classic_member("foo").join()["error_code"] is ErrorCode.none
    stranger = cluster.classic_member("foo", protocols=("mine",))
    assert stranger.join()["error_code"] is ErrorCode.inconsistent_group_protocol
    assert (
        cluster.classic_member("foo").join(protocol_type="connect")["error_code"]
        is ErrorCode.inconsistent_group_protocol
    )
    assert (
        cluster.classic_member("foo").join(protocols=[])["error_code"]
        is ErrorCode.inconsistent_group_protocol
    )


def test_classic_members_that_are_left_alone_are_told_to_rejoin(new_cluster):
    cluster = new_cluster(group_consumer_migration_policy="upgrade")
    c = cluster.member("c", "foo")
    a = cluster.classic_member("foo")
    a.join()
    assert a.sync() is ErrorCode.none
    c.leave()
    assert a.follow()
    assert a.count == 6
    cluster.set_topics(foo=8)
    assert a.follow()
    assert a.count == 8
    assert not a.follow()
    cluster.check_replay()


def test_a_classic_member_that_does_not_rejoin_is_removed(upgraded):
    cluster, a, b, c = upgraded
    for _ in range(4):
        assert a.beat() is ErrorCode.rebalance_in_progress
        b.follow()
        c.beat()
        cluster.advance(5_000)
    assert a.member_id not in cluster.group.members
    assert a.beat() is ErrorCode.unknown_member_id


def test_a_classic_member_that_does_not_sync_is_removed(cluster):
    cluster.member("c", "foo")
    a = cluster.classic_member("foo")
    a.join()
    for _ in range(4):
        cluster.advance(5_000)
        a.beat()
    assert set(cluster.group.members) == {"c"}


def test_a_classic_members_sync_is_a_sign_of_life(cluster):
    cluster.member("c", "foo")
    a = cluster.classic_member("foo")
    a.join()
    session = ("consumer-session", "g", a.member_id)
    assert cluster.timers[session] == cluster.now_ms + 10_000
    cluster.advance(5_000)
    a.sync()
    assert cluster.timers[session] == cluster.now_ms + 10_000


def test_a_silent_classic_member_is_removed_after_its_own_session(upgraded):
    cluster, a, b, _ = upgraded
    cluster.advance(9_999)
    assert a.member_id in cluster.group.members
    b.beat()
    cluster.advance(1)
    assert a.member_id not in cluster.group.members
    assert b.member_id in cluster.group.members


def test_who_may_ask_what(upgraded):
    cluster, a, _, c = upgraded
    new = cluster.classic_member("foo")
    new.member_id, new.generation = "c", c.epoch
    assert new.beat() is ErrorCode.unknown_member_id, "c does not speak the classic protocol"
    a.generation += 1
    assert a.beat() is ErrorCode.illegal_generation
    assert a.sync() is ErrorCode.illegal_generation
    a.generation -= 1
    assert a.sync() is ErrorCode.rebalance_in_progress
    a.join()
    a.names = ("range",)
    assert a.sync() is ErrorCode.inconsistent_group_protocol


def test_members_leave_by_either_protocol(upgraded):
    cluster, a, b, _ = upgraded
    gone = [
        {"member_id": a.member_id},
        {"member_id": "nobody"},
        {"group_instance_id": "nobody"},
    ]
    response = cluster.classic(LeaveGroupRequest, members=gone)
    assert [each["error_code"] for each in response["members"]] == [
        ErrorCode.none,
        ErrorCode.unknown_member_id,
        ErrorCode.unknown_member_id,
    ]
    assert set(cluster.group.members) == {b.member_id, "c"}
    cluster.check_replay()


def test_a_rolling_upgrade_and_back_of_static_members(cluster):
    old = [cluster.classic_member("foo", instance=f"i-{n}") for n in range(2)]
    classic_group(cluster, *old, assignments=[{"foo": range(3)}, {"foo": range(3, 6)}])
    new = [cluster.member(f"n{n}", "foo", instance=f"i-{n}") for n in range(2)]
    for member in (*new, *new):
        member.beat()
    assert set(cluster.group.members) == {"n0", "n1"}
    assert [member.owned for member in new] == [{"foo": {0, 1, 2}}, {"foo": {3, 4, 5}}]
    assert old[0].beat() is ErrorCode.fenced_instance_id
    cluster.check_replay()

    back = [cluster.classic_member("foo", instance=f"i-{n}") for n in range(2)]
    assert back[0].join()["error_code"] is ErrorCode.none
    assert isinstance(cluster.group, ConsumerGroup)
    assert back[1].join()["error_code"] is ErrorCode.none
    assert isinstance(cluster.group, ClassicGroup)
    assert cluster.group.state is ClassicState.STABLE, "everybody has its place: nothing to rebalance"
    assert [member.sync() for member in back] == [ErrorCode.none] * 2
    assert [member.owned for member in back] == [{"foo": {0, 1, 2}}, {"foo": {3, 4, 5}}]
    assert isinstance(cluster.rebuilt(compacted=True).state.groups["g"], ClassicGroup)


def test_an_empty_group_changes_its_kind(cluster):
    c = cluster.member("c", "foo")
    c.leave()
    a = cluster.classic_member("foo")
    classic_group(cluster, a, assignments=[{"foo": range(6)}])
    cluster.check_replay()
    leaving = [{"member_id": a.member_id}]
    cluster.classic(LeaveGroupRequest, members=leaving)
    assert cluster.group.state is ClassicState.EMPTY
    assert cluster.member("c", "foo").count == 6
    assert isinstance(cluster.group, ConsumerGroup)
    cluster.check_replay()


@pytest.mark.parametrize("version", [0, 1, 3, 7])
def test_assignments_are_encoded_at_the_version_of_the_subscription(cluster, version):
    topic = cluster.image.topics["foo"]
    data = encode_assignment(
        cluster.image, {topic.topic_id: {2, 1}}, cluster.embedded_subscription("foo", version=version)
    )
    assert int.from_bytes(data[:2], "big") == min(version, 3)
    assert decode_assignment(data).partitions == (("foo", frozenset({1, 2})),)
