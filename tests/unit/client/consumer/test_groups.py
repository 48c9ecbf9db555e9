"""Consumers in groups of both protocols: assignments, commits, listeners, slow members, fencing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any

import pytest

from ottla.client.consumer import AsyncConsumer, CommitFailedError, CommittedOffset, RebalanceListener
from ottla.client.consumer.classic import ClassicMembership
from ottla.client.core.groups.classic import ClassicMember
from ottla.client.core.groups.subscription import Assignments, MemberSubscription, Topics
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import ClientError, ConfigurationError, FencedError

from .world import (
    Listener,
    World,
    batch_of,
    cluster_of,
    partitions,
    poll_together,
    run_world,
    until,
    values_of,
)

ALL = partitions("t", 4)

CLASSIC_EAGER = {"partition_assignment_strategy": "range"}
CLASSIC_COOPERATIVE = {"partition_assignment_strategy": "cooperative-sticky"}
MODERN = {"group_protocol": "consumer"}
KINDS = pytest.mark.parametrize(
    "kind", [CLASSIC_EAGER, CLASSIC_COOPERATIVE, MODERN], ids=["eager", "cooperative", "KIP-848"]
)
QUICK = {"heartbeat_interval_ms": 100, "fetch_max_wait_ms": 50}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    settings = {
        "group.consumer.heartbeat.interval.ms": 100,
        "group.consumer.min.heartbeat.interval.ms": 100,
        "group.min.session.timeout.ms": 100,
        "group.consumer.min.session.timeout.ms": 100,
    }
    async with run_world(**settings) as made:
        await made.create("t", 4)
        yield made


@KINDS
async def test_members_share_come_and_go(world: World, kind: dict[str, Any]) -> None:
    for each in range(4):
        await world.produce("t", each, [b"%d" % each])
    first, second = [await world.consumer(**kind, **QUICK) for _ in range(2)]
    first.subscribe(["t"])
    assert sorted(await values_of(first, 4)) == [b"0", b"1", b"2", b"3"]
    assert sorted(first.assignment()) == ALL
    second.subscribe("t")
    await poll_together([first, second], [2, 2])
    for each in range(4):
        await world.produce("t", each, [b"more"])
    both = await asyncio.gather(values_of(first, 2), values_of(second, 2))
    assert both == [[b"more"] * 2] * 2
    await second.close()
    await poll_together([first], [4])


@KINDS
async def test_who_comes_next_goes_on_at_the_commit(world: World, kind: dict[str, Any]) -> None:
    await world.produce("t", 0, [b"%d" % each for each in range(10)])
    first = await world.consumer(**kind)
    first.subscribe(["t"])
    await (await batch_of(first, 3)).commit()
    await batch_of(first, 3)
    await first.close(commit=False)
    second = await world.consumer(**kind)
    second.subscribe(["t"])
    assert await values_of(second, 2) == [b"3", b"4"]
    await second.close()
    third = await world.consumer(**kind)
    third.subscribe(["t"])
    assert await values_of(third, 1) == [b"5"]


@KINDS
async def test_listeners_are_told_and_may_commit(world: World, kind: dict[str, Any]) -> None:
    await world.produce("t", 0, [b"%d" % each for each in range(10)])

    class Committing(Listener):
        async def commit(self) -> None:
            await first.commit()

        def on_revoked(self, partitions: list[TopicPartition]) -> Awaitable[None]:  # type: ignore[override]
            super().on_revoked(partitions)
            return self.commit()

    listener = Committing()
    first = await world.consumer(**kind, **QUICK, enable_auto_commit=False)
    first.subscribe(["t"], listener=listener)
    await values_of(first, 4)
    assert [each for each in listener.told if each[1]] == [("assigned", ALL)]
    second = await world.consumer(**kind, **QUICK, enable_auto_commit=False)
    second.subscribe(["t"])
    await poll_together([first, second], [2, 2])
    revoked = [part for what, parts in listener.told if what == "revoked" for part in parts]
    assert set(revoked) >= set(second.assignment())
    assert (await second.committed(ALL))[ALL[0]] == CommittedOffset(10, 0)


@KINDS
async def test_nothing_is_taken_from_who_holds_a_batch(world: World, kind: dict[str, Any]) -> None:
    for each in range(4):
        await world.produce("t", each, [b"%d" % each])
    first, second = [await world.consumer(**kind, **QUICK, enable_auto_commit=False) for _ in range(2)]
    first.subscribe(["t"])
    batch = await batch_of(first, 1)
    second.subscribe(["t"])
    assert await second.poll(timeout_s=0.5) is None
    assert second.assignment() == []
    assert sorted(first.assignment()) == ALL
    await batch.commit()
    await poll_together([first, second], [2, 2])


@KINDS
async def test_batch_of_a_partition_that_was_given_up_is_not_committed(
    world: World, kind: dict[str, Any]
) -> None:
    for each in range(4):
        await world.produce("t", each, [b"%d" % each])
    first, second = [await world.consumer(**kind, **QUICK) for _ in range(2)]
    first.subscribe(["t"])
    batches = [await batch_of(first, 1) for _ in range(4)]
    second.subscribe(["t"])
    await poll_together([first, second], [2, 2])
    gone = [each for each in batches if next(iter(each.offsets)) in second.assignment()]
    assert len(gone) == 2
    for each in gone:
        with pytest.raises(CommitFailedError):
            await each.commit()


@KINDS
async def test_heartbeats_go_on_while_a_batch_is_held(world: World, kind: dict[str, Any]) -> None:
    await world.produce("t", 0, [b"1", b"2"])
    consumer = await world.consumer(**kind, heartbeat_interval_ms=100, session_timeout_ms=600)
    consumer.subscribe(["t"])
    batch = await batch_of(consumer, 1)
    identity = consumer.identity()
    await asyncio.sleep(1.5)
    await batch.commit()
    assert consumer.identity() == identity
    assert await values_of(consumer, 1) == [b"2"]


async def test_broken_heartbeats_end_a_membership(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.produce("t", 0, [b"1"])
    consumer = await world.consumer(heartbeat_interval_ms=100)
    consumer.subscribe(["t"])
    await batch_of(consumer)

    def breaks(self: ClassicMember, now_ms: int) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ClassicMember, "heartbeat", breaks)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await consumer.poll(timeout_s=10)


@KINDS
async def test_who_does_not_poll_for_too_long_is_out_and_comes_back(
    world: World, kind: dict[str, Any]
) -> None:
    await world.produce("t", 0, [b"1", b"2"])
    listener = Listener()
    slow = await world.consumer(
        **kind, heartbeat_interval_ms=100, session_timeout_ms=600, max_poll_interval_ms=700
    )
    slow.subscribe(["t"], listener=listener)
    batch = await batch_of(slow, 1)
    other = await world.consumer(**kind, **QUICK, enable_auto_commit=False)
    other.subscribe(["t"])

    async def other_has_all() -> bool:
        await other.poll(timeout_s=0.05)
        return len(other.assignment()) == 4

    await until(other_has_all, "the other takes over")
    with pytest.raises(CommitFailedError):
        await batch.commit()
    await poll_together([slow, other], [2, 2])
    assert ("lost", ALL) in listener.told


@KINDS
async def test_member_that_the_coordinator_forgot_joins_again(world: World, kind: dict[str, Any]) -> None:
    """As after a session timeout: its partitions are lost, not revoked."""
    await world.produce("t", 0, [b"1", b"2"])
    listener = Listener()
    consumer = await world.consumer(**kind, **QUICK)
    consumer.subscribe(["t"], listener=listener)
    await values_of(consumer, 1)
    await consumer.commit()
    await _remove(world, consumer)
    assert await values_of(consumer, 1) == [b"2"]
    assert ("lost", ALL) in listener.told


async def _remove(world: World, consumer: AsyncConsumer) -> None:
    """Leave in the member's name, behind its back."""
    from ottla.protocol.messages.consumer_group_heartbeat import (
        ConsumerGroupHeartbeatRequest,
        ConsumerGroupHeartbeatResponse,
    )
    from ottla.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity

    identity = consumer.identity()
    if identity.is_consumer_group:
        leave = ConsumerGroupHeartbeatRequest(group_id="g", member_id=identity.member_id, member_epoch=-1)
        assert (await world.cluster.send(leave, ConsumerGroupHeartbeatResponse)).error_code == 0
    else:
        gone = LeaveGroupRequest(group_id="g", members=[MemberIdentity(member_id=identity.member_id)])
        assert (await world.cluster.send(gone, LeaveGroupResponse)).error_code == 0
    await asyncio.sleep(0.3)


@KINDS
async def test_static_member_comes_back_to_what_it_had(world: World, kind: dict[str, Any]) -> None:
    other = await world.consumer(**kind, **QUICK, group_instance_id="b")
    other.subscribe(["t"])
    first = await world.consumer(**kind, **QUICK, group_instance_id="a")
    first.subscribe(["t"])
    await poll_together([first, other], [2, 2])
    had, generation = sorted(first.assignment()), other.identity().generation
    await first.close()
    await other.poll(timeout_s=0.5)
    assert len(other.assignment()) == 2
    again = await world.consumer(**kind, **QUICK, group_instance_id="a")
    again.subscribe(["t"])
    await poll_together([again, other], [2, 2])
    assert sorted(again.assignment()) == had
    assert other.identity().generation == generation


@KINDS
async def test_static_member_that_is_replaced_is_fenced(world: World, kind: dict[str, Any]) -> None:
    first = await world.consumer(**kind, **QUICK, group_instance_id="a")
    first.subscribe(["t"])
    await poll_together([first], [4])
    second = await world.consumer(**kind, **QUICK, group_instance_id="a")
    second.subscribe(["t"])
    if kind is MODERN:  # the first one has it until it leaves
        for _ in range(2):  # no poll waits for what can't come
            with pytest.raises(ClientError, match="unreleased_instance_id"):
                await second.poll(timeout_s=10)
        await first.close()
        await second.unsubscribe()
        second.subscribe(["t"])
        await poll_together([second], [4])
        return
    await poll_together([second], [4])
    for _ in range(3):  # it must not go on with what the other reads
        with pytest.raises(FencedError):
            await first.poll(timeout_s=10)


@KINDS
async def test_subscription_may_change(world: World, kind: dict[str, Any]) -> None:
    await world.create("u", 1)
    await world.produce("u", 0, [b"of u"])
    listener = Listener()
    consumer = await world.consumer(**kind, **QUICK)
    consumer.subscribe(["t"], listener=listener)
    await poll_together([consumer], [4])
    consumer.subscribe(["u"])
    assert consumer.subscription() == ["u"]
    assert await values_of(consumer, 1) == [b"of u"]
    assert consumer.assignment() == [("u", 0)]
    assert ("revoked", ALL) in listener.told
    await consumer.unsubscribe()
    assert consumer.assignment() == []
    consumer.assign([ALL[0]])


@KINDS
@pytest.mark.parametrize("compiled", [False, True])
async def test_patterns_find_topics_that_come_later(
    world: World, kind: dict[str, Any], compiled: bool
) -> None:
    consumer = await world.consumer(**kind, **QUICK)
    consumer.subscribe(pattern=re.compile("t|new.*") if compiled else "t|new.*")
    await poll_together([consumer], [4])
    await world.create("newer", 2)
    await world.create("other", 1)
    await world.cluster.refresh(None)
    await poll_together([consumer], [6])
    assert {each.topic for each in consumer.assignment()} == {"t", "newer"}


@KINDS
async def test_new_partitions_are_assigned(world: World, kind: dict[str, Any]) -> None:
    consumer = await world.consumer(**kind, **QUICK)
    consumer.subscribe(["t"])
    await poll_together([consumer], [4])
    await world.add_partitions("t", 6)
    await poll_together([consumer], [6])


async def test_partitions_that_come_while_the_leader_assigns_are_assigned_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hears of them before it is a stable member, and would not hear of them again."""
    assign, times = ClassicMembership._assign, []

    async def assign_slowly(self: ClassicMembership) -> dict[str, bytes]:
        assignments = await assign(self)
        times.append(len(times))
        if len(times) == 1:
            await world.add_partitions("t", 6)
        return assignments

    monkeypatch.setattr(ClassicMembership, "_assign", assign_slowly)
    consumer = await world.consumer(**CLASSIC_EAGER, **QUICK)
    consumer.subscribe(["t"])
    await poll_together([consumer], [6])
    assert len(times) == 2


@KINDS
async def test_topic_made_again_is_read_from_its_start(world: World, kind: dict[str, Any]) -> None:
    await world.create("again", 1)
    await world.produce("again", 0, [b"old"] * 3)
    consumer = await world.consumer(**kind, **QUICK)
    consumer.subscribe(["again"])
    assert await values_of(consumer, 3) == [b"old"] * 3
    await world.delete("again")
    await world.create("again", 1)
    await world.produce("again", 0, [b"new"] * 5)
    assert await values_of(consumer, 5) == [b"new"] * 5
    assert await consumer.poll(timeout_s=0.3) is None


@KINDS
async def test_auto_commit_goes_on(world: World, kind: dict[str, Any]) -> None:
    await world.produce("t", 0, [b"%d" % each for each in range(10)])
    consumer = await world.consumer(**kind, auto_commit_interval_ms=50)
    consumer.subscribe(["t"])
    await values_of(consumer, 4)

    async def is_committed() -> bool:
        await consumer.poll(1, timeout_s=0.05)
        found = (await consumer.committed([ALL[0]]))[ALL[0]]
        return found is not None and found.offset >= 4

    await until(is_committed, "what was delivered is committed")


async def test_commits_in_the_order_of_calls(world: World) -> None:
    consumer = await world.consumer(enable_auto_commit=False)
    consumer.assign(ALL)
    done = [consumer.commit_soon({ALL[0]: offset}) for offset in range(1, 50)]
    await asyncio.gather(*done)
    assert (await consumer.committed([ALL[0]]))[ALL[0]] == CommittedOffset(49)
    metadata = CommittedOffset(7, 3, "so far")
    await consumer.commit({("t", 0): metadata})
    assert (await consumer.committed([("t", 0)]))[ALL[0]] == metadata


async def test_listener_that_fails_is_told_and_stops_nothing(world: World) -> None:
    class Failing(RebalanceListener):
        def on_assigned(self, partitions: list[TopicPartition]) -> None:
            raise RuntimeError("not now")

    await world.produce("t", 0, [b"1"])
    consumer = await world.consumer()
    consumer.subscribe(["t"], listener=Failing())
    with pytest.raises(RuntimeError, match="not now"):
        await consumer.poll(timeout_s=10)
    assert await values_of(consumer, 1) == [b"1"]


async def test_own_assignor(world: World) -> None:
    class AllToOne:
        name = "all-to-one"
        is_cooperative = False

        def assign(self, members: Mapping[str, MemberSubscription], topics: Topics) -> Assignments:
            assigned: Assignments = {each: [] for each in members}
            assigned[max(members)] = [
                TopicPartition(topic, each)
                for topic, count in topics.partitions.items()
                for each in range(count)
            ]
            return assigned

    own = {"assignors": {"all-to-one": AllToOne()}, "partition_assignment_strategy": "all-to-one", **QUICK}
    consumers = [await world.consumer(**own) for _ in range(3)]
    for each in consumers:
        each.subscribe(["t"])
    await poll_together(consumers, [0, 0, 4])


async def test_members_without_a_common_assignor_are_told(world: World) -> None:
    first = await world.consumer(**CLASSIC_EAGER, **QUICK)
    first.subscribe(["t"])
    await poll_together([first], [4])
    second = await world.consumer(**CLASSIC_COOPERATIVE, **QUICK)
    second.subscribe(["t"])
    with pytest.raises(ClientError, match="inconsistent_group_protocol"):
        await second.poll(timeout_s=10)


async def test_from_eager_to_cooperative_by_two_rolling_bounces(world: World) -> None:
    old = await world.consumer(**CLASSIC_EAGER, **QUICK)
    old.subscribe(["t"])
    await poll_together([old], [4])
    both = await world.consumer(partition_assignment_strategy="cooperative-sticky,range", **QUICK)
    both.subscribe(["t"])
    await poll_together([old, both], [2, 2])
    await old.close()
    new = await world.consumer(**CLASSIC_COOPERATIVE, **QUICK)
    new.subscribe(["t"])
    await poll_together([both, new], [2, 2])


async def test_classic_and_modern_members_in_one_group(world: World) -> None:
    """The coordinator migrates the group while both are in it (KIP-848)."""
    old = await world.consumer(**CLASSIC_COOPERATIVE, **QUICK)
    old.subscribe(["t"])
    await poll_together([old], [4])
    new = await world.consumer(**MODERN, **QUICK)
    new.subscribe(["t"])
    await poll_together([old, new], [2, 2])
    await old.close()
    await poll_together([new], [4])


async def test_remote_assignor(world: World) -> None:
    consumers = [await world.consumer(**MODERN, **QUICK, group_remote_assignor="range") for _ in range(2)]
    for each in consumers:
        each.subscribe(["t"])
    await poll_together(consumers, [2, 2])
    assert sorted(sorted(each.assignment()) for each in consumers) == [ALL[:2], ALL[2:]]
    wrong = await world.consumer(**MODERN, group_id="other", group_remote_assignor="best")
    wrong.subscribe(["t"])
    with pytest.raises(ClientError, match="unsupported_assignor"):
        await wrong.poll(timeout_s=10)


async def test_pattern_that_is_none(world: World) -> None:
    consumer = await world.consumer()
    with pytest.raises(ConfigurationError, match="pattern"):
        consumer.subscribe(pattern="(")
    with pytest.raises(ConfigurationError, match="topics or a pattern"):
        consumer.subscribe()
    modern = await world.consumer(**MODERN)
    modern.subscribe(pattern="(")
    with pytest.raises(ClientError, match="invalid_regular_expression"):
        await modern.poll(timeout_s=10)


async def test_subscribing_and_assigning_exclude_each_other(world: World) -> None:
    consumer = await world.consumer()
    consumer.assign([ALL[0]])
    with pytest.raises(ClientError, match="unsubscribe"):
        consumer.subscribe(["t"])
    await consumer.unsubscribe()
    consumer.subscribe(["t"])
    with pytest.raises(ClientError, match="unsubscribe"):
        consumer.assign([ALL[0]])


@KINDS
async def test_topic_that_comes_later(world: World, kind: dict[str, Any]) -> None:
    consumer = await world.consumer(**kind, **QUICK)
    consumer.subscribe(["later"])
    assert await consumer.poll(timeout_s=0.5) is None
    async with cluster_of(world.bootstrap_servers) as other:
        await World(world.bootstrap_servers, other).create("later", 2)
    await poll_together([consumer], [2])


async def test_topic_that_cannot_be_is_told(world: World) -> None:
    consumer = await world.consumer(**QUICK)
    consumer.subscribe(["no/topic"])
    with pytest.raises(ClientError, match="invalid_topic_exception"):
        await consumer.poll(timeout_s=10)


async def test_topic_is_made_where_that_is_wanted(world: World) -> None:
    consumer = await world.consumer(**QUICK, allow_auto_create_topics=True)
    consumer.subscribe(["made"])
    await poll_together([consumer], [1])
