"""Brokers that register under leases, and the controller that is one of them."""

import asyncio
import contextlib
import dataclasses
from uuid import UUID

import pytest
from tests.unit.controller.conftest import Node, turns

from ottla.controller.controller import Controller
from ottla.controller.registration import NEVER
from ottla.controller.session import BrokerSession
from ottla.metadata import model
from ottla.metadata.model import NO_LEADER, BrokerRegistration, PartitionState
from ottla.metadata.transaction import Compare, Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.store.faulty import Lost
from ottla.store.memory import MemoryStore

TOPIC_ID = UUID(int=1 << 100)
TIMEOUT_MS, INTERVAL_MS = 9_000, 2_000


class Clock:
    """Time that goes on only when it is told to, for all nodes and the store."""

    def __init__(self):
        self.now_s = 1_000.0

    def monotonic_s(self):
        return self.now_s

    def now_ms(self):
        return int(self.now_s * 1000)


class Leadership:
    def __init__(self):
        self.told = []

    def lease_in_doubt(self):
        self.told.append("doubt")

    def lease_renewed(self):
        self.told.append("renewed")


class Member(Node):
    """A node that is a member of the cluster."""

    def __init__(self, shared, node_id, clock, incarnation=None, directory_id=None):
        super().__init__(shared, node_id)
        self.node_id = node_id
        self.session = BrokerSession(self.store, self.publisher, clock)
        self.leadership = Leadership()
        self.session.tell(self.leadership)
        self.controller = Controller(self.store, self.publisher, self.session, node_id, self.config, dict)
        self.registration = BrokerRegistration(
            node_id,
            {},
            incarnation=UUID(int=incarnation or node_id),
            directory_id=directory_id or f"folder-{node_id}",
            is_fenced=True,
        )

    async def join(self, last_epoch=NEVER):
        await self.start(self.session, self.controller)
        await self.session.start(self.registration, last_epoch, self.config.value)
        self.controller.start()
        await self.session.taken_back()
        return self

    def die(self):
        """As a process that is killed: nothing is said to anybody, the lease is left to end."""
        for task in (*self.controller._tasks, self.session._keeping):
            task.cancel()
        if self.session._doubt is not None:
            self.session._doubt.cancel()

    async def leave(self):
        await self.session.hand_over()
        await self.controller.stop()
        await self.session.stop()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def store(clock):
    store = MemoryStore(clock.now_ms)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def cluster(store, clock):
    """Makes members, and stops them."""
    members = []

    async def join(node_id, last_epoch=NEVER, **how):
        member = Member(store, node_id, clock, **how)
        members.append(member)
        return await asyncio.wait_for(member.join(last_epoch), 10)

    yield join
    for member in members:
        member.store.heal()
        member.die()
        await member.publisher.stop()


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def end_lease(store, member):
    """The member's lease ends, whatever it believes."""
    with contextlib.suppress(LookupError):
        await store.revoke_lease(member.session.lease_id)


async def make_topic(store, *replicas, name="t"):
    states = [model.initial_state(each, each) for each in replicas]
    put = Put(model.topic_key(name), model.encode_topic(TOPIC_ID, states))
    await store.transaction(Transaction(writes=(put,)))


def state_of(member, partition=0, name="t"):
    return member.image.topics[name].partitions[partition]


async def test_the_first_broker_becomes_controller_and_takes_itself_back(cluster):
    one = await cluster(1)
    assert one.image.controller.node_id == 1
    assert one.image.controller.epoch > one.session.epoch
    assert one.image.is_active(1)
    assert one.image.known_brokers[1].epoch == one.session.epoch == one.image.brokers[1].epoch
    assert one.leadership.told == ["renewed"]


async def test_there_is_one_controller_and_another_when_it_went(cluster, store):
    one, two, three = [await cluster(number) for number in (1, 2, 3)]
    assert two.image.controller == one.image.controller
    one.die()
    await end_lease(store, one)
    await until(lambda: two.image.controller and two.image.controller.node_id != 1)
    await until(lambda: three.image.controller == two.image.controller)
    assert not two.image.is_active(1)
    assert 1 in two.image.known_brokers


async def test_a_leader_that_went_is_followed_by_one_in_sync(cluster, store):
    one, _two, three = [await cluster(number) for number in (1, 2, 3)]
    await make_topic(store, (3, 2, 1), (1, 2, 3), (2, 1))
    await until(lambda: "t" in one.image.topics)
    three.die()
    await end_lease(store, three)
    await until(lambda: state_of(one).leader == 2)
    assert state_of(one) == PartitionState((3, 2, 1), (2, 1), 2, leader_epoch=1, partition_epoch=1)
    assert state_of(one, 1) == PartitionState((1, 2, 3), (1, 2), 1, partition_epoch=1)
    assert state_of(one, 2).partition_epoch == 0
    again = await cluster(3, incarnation=33)
    assert state_of(again) == state_of(one)  # its leader takes it into the ISR when it has caught up
    assert again.session.epoch > three.session.epoch


async def test_many_partitions_fail_over_in_few_transactions(cluster, store):
    one, _two, three = [await cluster(number) for number in (1, 2, 3)]
    await make_topic(store, *[(3, 2, 1)] * 1000)
    await until(lambda: "t" in one.image.topics)
    before = (await store.range("", limit=1)).revision
    three.die()
    await end_lease(store, three)
    await until(lambda: all(each.leader == 2 for each in one.image.topics["t"].partitions))
    assert (await store.range("", limit=1)).revision - before <= 10  # one of them the end of the lease


async def test_the_only_replica_leads_again_when_it_is_back(cluster, store):
    one, two = [await cluster(number) for number in (1, 2)]
    await make_topic(store, (2,))
    await until(lambda: "t" in one.image.topics)
    two.die()
    await end_lease(store, two)
    await until(lambda: state_of(one).leader == NO_LEADER)
    assert state_of(one).elr == (2,)
    unclean = await cluster(2, incarnation=22)
    await until(lambda: state_of(unclean).leader == 2)
    assert state_of(unclean).is_recovering  # nobody knows what a killed broker had
    assert not unclean.image.brokers[2].is_clean


async def test_a_broker_that_stopped_in_order_is_eligible_when_it_is_back(cluster, store):
    one, two = [await cluster(number) for number in (1, 2)]
    await make_topic(store, (2,))
    await until(lambda: "t" in one.image.topics)
    await two.leave()
    await until(lambda: state_of(one).leader == NO_LEADER)
    back = await cluster(2, two.session.epoch, incarnation=22)
    await until(lambda: state_of(back).leader == 2)
    assert back.image.brokers[2].is_clean
    assert not state_of(back).is_recovering


async def test_what_a_broker_lost_is_remembered_until_it_was_taken_account_of(cluster, store, clock):
    """Unclean, then stopped in order before any controller has looked: still unclean."""
    one = await cluster(1)
    one.die()
    await end_lease(store, one)
    lost = Member(store, 1, clock, incarnation=2)
    await lost.start(lost.session)
    await lost.session.start(lost.registration, NEVER, lost.config.value)
    await lost.session.stop()
    await lost.publisher.stop()
    back = Member(store, 1, clock, incarnation=3)
    await back.start(back.session, back.controller)
    await back.session.start(back.registration, lost.session.epoch, back.config.value)
    await back.caught_up()
    assert not back.image.brokers[1].is_clean
    back.controller.start()
    await back.session.taken_back()
    back.die()
    await end_lease(store, back)
    again = await cluster(1, back.session.epoch, incarnation=4)
    assert again.image.brokers[1].is_clean
    await back.publisher.stop()


async def test_leaders_move_before_a_broker_stops(cluster, store):
    one, two, three = [await cluster(number) for number in (1, 2, 3)]
    await make_topic(store, (1, 2, 3), (3, 1, 2))
    await until(lambda: "t" in one.image.topics)
    assert one.image.controller.node_id == 1  # does it for itself as well
    await asyncio.wait_for(one.session.hand_over(), 10)
    assert state_of(one).leader == 2
    assert state_of(one, 1).isr == (3, 2)
    assert one.image.stopping == {1}
    assert 1 in one.image.brokers
    await one.controller.stop()
    await one.session.stop()
    await until(lambda: 1 not in three.image.brokers)
    await until(lambda: two.image.controller is not None and two.image.controller.node_id != 1)
    assert not three.image.stopping


async def test_leaders_move_although_the_lease_of_who_stops_ends_meanwhile(cluster, store):
    one, two = [await cluster(number) for number in (1, 2)]
    await make_topic(store, (2, 1))
    await until(lambda: "t" in two.image.topics)
    one.store.cut()  # the controller
    stopping = asyncio.create_task(two.session.hand_over())
    await until(lambda: two.image.stopping == {2})
    epoch = two.session.epoch
    await end_lease(store, two)
    await until(lambda: two.session.epoch > epoch)
    one.store.heal()
    await asyncio.wait_for(stopping, 10)
    assert state_of(two).leader == 1
    assert two.image.stopping == {2}


async def test_a_broker_whose_lease_ended_registers_anew(cluster, store):
    one, two = [await cluster(number) for number in (1, 2)]
    await make_topic(store, (2, 1))
    await until(lambda: "t" in one.image.topics)
    epoch = two.session.epoch
    await end_lease(store, two)
    await until(lambda: two.session.epoch > epoch and two.image.is_active(2))
    assert two.leadership.told == ["renewed", "doubt", "renewed"]
    assert one.image.brokers[2].is_clean  # it went on, nothing was lost
    await until(lambda: state_of(one).leader == 1)
    assert state_of(one).isr == (1,)


async def test_a_broker_that_cannot_renew_leads_nothing_before_its_lease_ends(store, clock, monkeypatch):
    member = Member(store, 1, clock)
    timers = []
    real = asyncio.get_running_loop().call_later

    def call_later(delay, callback, *arguments, **how):
        timers.append((clock.now_s + delay, callback))
        return real(delay, callback, *arguments, **how)

    sent_s = clock.now_s

    async def grant_slowly(ttl_ms):
        clock.now_s += 3  # the answer takes its time: the lease is counted from when it was asked for
        return await MemoryStore.grant_lease(store, ttl_ms)

    monkeypatch.setattr(store, "grant_lease", grant_slowly)
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", call_later, raising=False)
    await member.start(member.session)
    await member.session.start(member.registration, NEVER, member.config.value)
    due = [when for when, callback in timers if callback == member.session._may_have_ended]
    assert due
    assert sent_s < due[-1] < sent_s + TIMEOUT_MS / 1000
    member.session._may_have_ended()
    assert member.leadership.told == ["renewed", "doubt"]
    monkeypatch.undo()
    member.die()
    await member.publisher.stop()


async def test_another_process_with_the_same_id_is_refused(cluster, store, clock):
    await cluster(1)
    other = Member(store, 1, clock, incarnation=11, directory_id="elsewhere")
    await other.start(other.session)
    config = dataclasses.replace(other.config.value, initial_broker_registration_timeout_ms=0)
    with pytest.raises(KafkaError) as refused:
        await other.session.start(other.registration, NEVER, config)
    assert refused.value.code is ErrorCode.duplicate_broker_registration
    await other.publisher.stop()


async def test_a_killed_broker_takes_its_place_again_without_waiting(cluster):
    """Who has the lock of the data folder knows that the process before is gone."""
    one = await cluster(1)
    one.die()
    back = await cluster(1, incarnation=11)
    assert back.image.brokers[1].incarnation == UUID(int=11)
    assert back.image.controller.node_id == 1
    assert back.image.controller.epoch > back.session.epoch


@pytest.mark.parametrize("lost", [Lost.ANSWER, Lost.REQUEST])
async def test_registering_goes_on_when_it_is_not_known_whether_it_was_done(store, clock, lost):
    member = Member(store, 1, clock)
    member.store.lose(lost)
    await asyncio.wait_for(member.join(), 10)
    assert member.image.brokers[1].epoch == member.session.epoch
    member.die()
    await member.publisher.stop()


@pytest.mark.parametrize("lost", [Lost.ANSWER, Lost.REQUEST])
async def test_elections_go_on_when_it_is_not_known_whether_they_were_made(cluster, store, lost):
    one, two = [await cluster(number) for number in (1, 2)]
    await make_topic(store, (2, 1))
    await until(lambda: "t" in one.image.topics)
    one.store.lose(lost)
    two.die()
    await end_lease(store, two)
    await until(lambda: state_of(one).leader == 1)
    await turns()
    assert state_of(one).leader_epoch == 1


async def test_a_deposed_controller_changes_nothing(cluster, store):
    one, two = [await cluster(number) for number in (1, 2)]
    await make_topic(store, (2, 1), (2,))
    await until(lambda: "t" in one.image.topics)
    epoch = one.image.controller.epoch
    one.store.cut()  # one believes that it is the controller
    await end_lease(store, one)
    await until(lambda: two.image.controller and two.image.controller.node_id == 2)
    stale = Transaction(
        (Compare.unchanged(model.CONTROLLER, epoch),),
        (Put(model.partition_key("t", 1), model.encode_partition(PartitionState((2,), (2,), 2, 7))),),
    )
    assert not (await store.transaction(stale)).committed


async def test_preferred_replicas_lead_again(cluster, store):
    one, two = [await cluster(number) for number in (1, 2)]
    await make_topic(store, (2, 1), (1, 2))
    led_by_other = PartitionState((2, 1), (1, 2), 1, leader_epoch=4, partition_epoch=4)
    put = Put(model.partition_key("t", 0), model.encode_partition(led_by_other))
    await store.transaction(Transaction(writes=(put,)))
    await until(lambda: "t" in one.image.topics and state_of(one).leader == 1)
    config = dataclasses.replace(one.config.value, leader_imbalance_check_interval_seconds=0.01)
    one.config.value = config
    one.controller._tasks.append(asyncio.create_task(one.controller._rebalance()))
    await until(lambda: state_of(one).leader == 2)
    assert state_of(one).leader_epoch == 5
    assert state_of(two, 1).partition_epoch == 0
