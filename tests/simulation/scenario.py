"""The scenario of the ordinary test run: three brokers, each alone with its clients and its faults."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from tests.simulation.client import NoAnswerError
from tests.simulation.faults import Faults
from tests.simulation.groups import (
    HEARTBEAT_MS,
    SESSION_TIMEOUT_MS,
    ClassicMember,
    ModernMember,
    Offsets,
    Onlooker,
    group_of,
)
from tests.simulation.machine import Machine
from tests.simulation.records import Consumer, Producer, Topic, TopicMaker, create_topics
from tests.simulation.world import World

DURATION_S = 8.0
"""For as long faults come; what is left then is looked at in peace."""
_SMALL_SEGMENTS = {"internal.segment.bytes": "600"}

PLAIN = Topic("plain", 2, _SMALL_SEGMENTS)
COMPACTED = Topic(
    "compacted",
    1,
    {**_SMALL_SEGMENTS, "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"},
)
RETAINED = Topic("retained", 1, {**_SMALL_SEGMENTS, "retention.bytes": "2000"})
TOPICS = (PLAIN, COMPACTED, RETAINED)

SETTINGS = {
    "log.segment.delete.delay.ms": "500",
    "group.consumer.assignment.interval.ms": "0",
    "group.consumer.heartbeat.interval.ms": str(HEARTBEAT_MS),
    "group.consumer.min.heartbeat.interval.ms": str(HEARTBEAT_MS),
    "group.consumer.min.session.timeout.ms": str(SESSION_TIMEOUT_MS),
    "group.consumer.session.timeout.ms": str(SESSION_TIMEOUT_MS),
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": str(SESSION_TIMEOUT_MS),
    "log.cleaner.backoff.ms": "700",
    "log.flush.offset.checkpoint.interval.ms": "900",
    "log.flush.start.offset.checkpoint.interval.ms": "900",
    "log.initial.task.delay.ms": "300",
    "log.retention.check.interval.ms": "800",
    "offsets.topic.num.partitions": "2",
}
"""What a broker does once in minutes it does once in a second."""


async def three_brokers(world: World, *, flush: bool = True, kills: bool = False) -> None:
    """`flush` is `ottla.acks.all.flush`: without it a power loss may take what was acknowledged; with `kills`
    brokers are killed, again and again, and nothing else goes wrong.
    """
    settings = {**SETTINGS, "ottla.acks.all.flush": str(flush).lower()}
    machines = [world.machine(f"broker-{number}", settings) for number in (1, 2, 3)]
    world.history.compacted.add(COMPACTED.name)
    world.history.retained.add(RETAINED.name)
    await asyncio.gather(*(_live(world, machine, kills=kills) for machine in machines))
    world.history.check()


async def _live(world: World, machine: Machine, *, kills: bool) -> None:
    await machine.switch_on()
    await create_topics(world.client(f"admin of {machine.name}", machine), TOPICS)
    until = world.loop.time() + DURATION_S
    clients, work = _clients(world, machine, until)
    faults = Faults(world, machine, clients)
    if kills:
        faults.some = [faults.kill]
    await asyncio.gather(faults.run(until, pause_s=1.5), *work)
    await _look(world, machine)


def _clients(
    world: World, machine: Machine, until: float
) -> tuple[list[str], list[Coroutine[Any, Any, None]]]:
    """Some of all kinds, another selection for each broker of each seed."""
    random = world.random(f"clients of {machine.name}")
    names: list[str] = []
    work: list[Coroutine[Any, Any, None]] = []

    def name(kind: str) -> str:
        names.append(f"{kind} {len(names)} of {machine.name}")
        return names[-1]

    for topic in random.sample(TOPICS, 2):
        producer = Producer(world, name("producer"), machine, topic, is_idempotent=random.random() < 0.7)
        work.append(producer.run(until, pause_s=0.4))
    work.append(Consumer(world, name("consumer"), machine, random.choice(TOPICS)).run(until, pause_s=0.3))
    if random.random() < 0.4:
        work.append(TopicMaker(world, name("topic maker"), machine).run(until, pause_s=0.5))
    for kind in random.sample((ClassicMember, ModernMember), random.randrange(2)):
        group = group_of(world, kind.__name__, machine, PLAIN)
        work += [kind(group, name("member")).run(until) for _ in range(2)]
        work.append(Onlooker(group, name("onlooker")).run(until))
    return names, work


async def _look(world: World, machine: Machine) -> None:
    """Read all that is left."""
    while True:
        try:
            for topic in TOPICS:
                await Consumer(world, f"reader of {machine.name}", machine, topic).drain()
            for place in [place for place in world.history.commits if place[0] == machine.name]:
                group = group_of(world, place[1], machine, PLAIN)
                offsets = Offsets(group, world.client(f"reader of {machine.name}", machine))
                await offsets.find_coordinator()
                await offsets.fetch()
            return
        except NoAnswerError:
            world.stats["answers lost"] += 1
