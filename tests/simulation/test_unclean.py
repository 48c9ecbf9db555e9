"""All in-sync replicas are down together, one by a loss of power and the other one killed."""

from __future__ import annotations

import asyncio

import pytest
from tests.simulation.cluster_clients import ReplicatedProducer
from tests.simulation.machine import Machine
from tests.simulation.records import create_topics
from tests.simulation.replicated import TOPICS, Replicated
from tests.simulation.world import World, simulate

from ottla.broker.host import Host

SEED = 3
"""Of those in which nothing is flushed"""


async def one_is_killed_then_the_other_loses_its_power(world: World) -> None:
    test = Replicated(world)
    assert not test.loses_all
    one, two = test.cluster.machines.values()
    await test.cluster.start()
    await create_topics(world.client("admin", one), TOPICS, 2)
    producer = ReplicatedProducer(test, "producer", TOPICS[0], is_idempotent=True)
    await producer.run(world.loop.time() + 3, pause_s=0.05)
    two.kill_broker()
    await asyncio.sleep(3)
    one.lose_power()
    one.repair_disk()
    await asyncio.sleep(3)
    starting = asyncio.ensure_future(one.switch_on())
    await asyncio.sleep(3)
    await two.switch_on()
    await starting
    await test.look_at_rest()


def test_who_was_killed_has_all_and_leads() -> None:
    outcome = simulate(SEED, one_is_killed_then_the_other_loses_its_power, only=())
    assert not outcome.violations
    assert outcome.stats["produce: none"] > 20


def test_without_a_boot_id_the_last_leader_leads_with_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """As nobody knows that the other machine has not lost its power as well."""
    host = Machine._host

    def without_boot_id(machine: Machine) -> Host:
        return host(machine)._replace(boot_id="")

    monkeypatch.setattr(Machine, "_host", without_boot_id)
    outcome = simulate(SEED, one_is_killed_then_the_other_loses_its_power, only=())
    assert any(each.startswith("lost: ") for each in outcome.violations)
