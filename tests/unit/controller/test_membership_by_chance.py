"""Members of a cluster that are killed, cut off and restarted by chance, with a store that answers badly.

The history of the store is judged afterwards: whoever came to lead a partition had what was committed, or the
state says that records may be lost.
"""

import asyncio
import dataclasses
import random

import pytest
from tests.unit.controller.test_membership import Clock, Member, end_lease, make_topic, until

from ottla.controller import controller, session
from ottla.controller.registration import NEVER
from ottla.metadata import model
from ottla.metadata.model import NO_LEADER
from ottla.metadata.transaction import Compare, Put, Transaction
from ottla.replication.elections import with_isr
from ottla.store.faulty import Lost
from ottla.store.interface import LeaseNotFoundError, StoreError
from ottla.store.memory import MemoryStore

BROKERS = (1, 2, 3, 4)
MIN_ISR = 2
STEPS = 40


class Chance:
    """One run from its seed."""

    def __init__(self, seed, store, clock):
        self.random = random.Random(seed)
        self.store = store
        self.clock = clock
        self.members = {}
        self.stopped_in = dict.fromkeys(BROKERS, NEVER)  # the epoch of the last stop, if it was in order
        self.lives = 0
        self.all = []
        self.killed = []

    async def start(self, node_id):
        self.lives += 1
        member = Member(self.store, node_id, self.clock, incarnation=100 + self.lives)
        member.config.value = dataclasses.replace(
            member.config.value,
            broker_heartbeat_interval_ms=10,
            topic_defaults=member.config.value.topic_defaults._replace(min_insync_replicas=MIN_ISR),
        )
        last_epoch, self.stopped_in[node_id] = self.stopped_in[node_id], NEVER
        self.members[node_id] = member
        self.all.append(member)
        await member.start(member.session, member.controller)
        await member.session.start(member.registration, last_epoch, member.config.value)
        member.controller.start()

    async def step(self):
        node_id = self.random.choice(BROKERS)
        member = self.members.get(node_id)
        if member is None:
            await self.start(node_id)
            return
        action = self.random.choice(
            [
                self.kill,
                self.stop,
                self.end,
                self.lose,
                self.cut,
                self.expand,
                self.expand,
                self.expand,
                self.pause,
            ]
        )
        await action(node_id, member)

    async def kill(self, node_id, member):
        """Others may notice before it is back, or not."""
        del self.members[node_id]
        member.die()
        await member.publisher.stop()
        if self.random.random() < 0.5:
            await end_lease(self.store, member)
        else:
            self.killed.append(member)

    async def stop(self, node_id, member):
        member.store.heal()
        while self.killed:  # their leases end at last
            await end_lease(self.store, self.killed.pop())
        del self.members[node_id]
        if any(not each.store._connected.is_set() for each in self.members.values()):
            await self.heal()
        await asyncio.wait_for(member.leave(), 20)
        await member.publisher.stop()
        self.stopped_in[node_id] = member.session.epoch

    async def end(self, _node_id, member):
        await end_lease(self.store, member)

    async def lose(self, _node_id, member):
        member.store.lose(self.random.choice(list(Lost)))

    async def cut(self, _node_id, member):
        member.store.cut()
        if self.random.random() < 0.5:
            await end_lease(self.store, member)
        await self.pause()
        member.store.heal()
        await deliver(member.store)

    async def pause(self, *_):
        await asyncio.sleep(self.random.random() * 0.02)

    async def expand(self, node_id, member):
        """What this broker leads by what it knows gets another ISR, as its followers catch up or lag."""
        for number, state in enumerate(member.image.topics["t"].partitions):
            if state.leader != node_id:
                continue
            followers = [each for each in state.replicas if each != node_id and member.image.is_active(each)]
            isr = (node_id, *(each for each in followers if self.random.random() < 0.8))
            if set(isr) == set(state.isr):
                continue
            image, joining = member.image, [each for each in isr if each not in state.isr]
            compares = [
                Compare(model.partition_key("t", number), state.revision),
                Compare(model.topic_key("t"), image.topics["t"].revision),
                Compare(model.broker_key(node_id), member.session.epoch),
                *(Compare(model.broker_key(each), image.brokers[each].epoch) for each in joining),
            ]
            put = Put(model.partition_key("t", number), model.encode_partition(with_isr(state, isr, MIN_ISR)))
            await self.store.transaction(Transaction(tuple(compares), (put,)))

    async def heal(self):
        for member in self.members.values():
            member.store.heal()
            await deliver(member.store)

    async def end_well(self):
        """All are there, and nothing goes wrong any more."""
        await self.heal()
        for member in self.members.values():
            member.store._lost.clear()
        for node_id in BROKERS:
            if node_id not in self.members:
                await self.start(node_id)
        one = self.members[1]
        await until(lambda: all(map(one.image.is_active, BROKERS)))
        await until(lambda: all(each.leader != NO_LEADER for each in one.image.topics["t"].partitions))


async def deliver(store):
    while store._delayed:
        try:
            await store.deliver()
        except LeaseNotFoundError:
            pass  # too late for what was to be under it


def judge(events):
    """Go through the history; returns how often leaders changed, cleanly and not."""
    lossy, states = set(), {}
    clean = unclean = 0
    for event in events:
        if event.key.startswith(model.BROKERS) and event.value is not None:
            node_id = model.parse_broker_key(event.key, model.BROKERS)
            if not model.decode_broker(node_id, event.value, event.revision).is_clean:
                lossy.update((node_id, number) for number in states)
        if event.key == model.topic_key("t"):
            states = dict(enumerate(model.decode_topic(event.value)[1]))
        if not event.key.startswith(model.PARTITIONS):
            continue
        _, number = model.parse_partition_key(event.key)
        before, after = states[number], model.decode_partition(event.value, event.revision)
        states[number] = after
        assert after.partition_epoch == before.partition_epoch + 1
        assert after.leader_epoch == before.leader_epoch + (after.leader != before.leader)
        if after.leader == NO_LEADER:
            assert after.isr == ()
        elif after.leader != before.leader:
            if (after.leader, number) not in lossy and after.leader in (*before.isr, *before.elr):
                clean += 1
            else:
                assert after.is_recovering
                assert (before.isr, before.last_known_elr) == ((), (after.leader,))
                assert all((each, number) in lossy for each in before.elr)
                unclean += 1
            lossy.discard((after.leader, number))
        else:
            lossy.difference_update((each, number) for each in after.isr if each not in before.isr)
    return clean, unclean


@pytest.mark.parametrize("seed", range(12))
async def test_who_leads_has_what_was_committed(seed, monkeypatch):
    for module in (session, controller):
        monkeypatch.setattr(module, "_RETRY_S", 0.002)
    clock = Clock()
    store = MemoryStore(clock.now_ms)
    await store.open()
    chance = Chance(seed, store, clock)
    try:
        for node_id in BROKERS:
            await chance.start(node_id)
        one = chance.members[1]
        await until(lambda: all(map(one.image.is_active, BROKERS)))
        await make_topic(store, (1, 2, 3), (2, 3, 4), (3,), (4, 1), (2, 4, 1))
        await until(lambda: all("t" in each.image.topics for each in chance.members.values()))
        for _ in range(STEPS):
            try:
                await chance.step()
            except StoreError:
                pass  # it was cut off
            await chance.pause()
        await asyncio.wait_for(chance.end_well(), 30)
    finally:
        for member in chance.all:
            member.store.heal()
            member.die()
            await member.publisher.stop()
    _, events = store._engine.events("", 1)
    clean, _unclean = judge(events)
    assert clean > 0
    await store.close()
