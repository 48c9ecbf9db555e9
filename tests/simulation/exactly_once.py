"""The scenario of transactions: producers, and workers that make output of input, while all goes wrong.

Each client lives several times. One life ends, and the next begins under the same transactional id: after a
crash, or while the former goes on and does not know that it is over. What all of them did and saw is judged
in the end (`tests.checker`).

A seed counts when transactions were aborted in it, somebody was fenced, and the broker was restarted.
"""

from __future__ import annotations

import asyncio

from tests.simulation.faults import Faults
from tests.simulation.lives import COORDINATORS, SESSION_MS, TOPICS, Restart, clients_of, judge_all, look
from tests.simulation.machine import Machine
from tests.simulation.records import create_topics
from tests.simulation.scenario import SETTINGS
from tests.simulation.world import Outcome, World

DURATION_S = 8.0
"""For as long as faults come; what is left then is looked at in peace."""

TRANSACTION_SETTINGS = {
    **SETTINGS,
    "group.min.session.timeout.ms": str(SESSION_MS),
    "log.cleaner.min.cleanable.ratio": "0.1",
    "offsets.topic.num.partitions": "1",
    "ottla.acks.all.flush": "true",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "300",
    "transaction.state.log.num.partitions": "2",
}


def counts(outcome: Outcome) -> bool:
    """Whether what had to go wrong went wrong."""
    return all(outcome.stats.get(what, 0) for what in ("transactions aborted", "fenced", "restarts"))


async def exactly_once(world: World) -> None:
    machine = world.machine("broker", TRANSACTION_SETTINGS)
    await machine.switch_on()
    await create_topics(world.client("admin", machine), [*TOPICS, *COORDINATORS])
    until = world.loop.time() + DURATION_S
    clients = clients_of(world, machine)
    faults = Faults(world, machine, [client.name for client in clients], ends_lives=True)
    await asyncio.gather(faults.run(until, pause_s=1.5), *(client.run(until) for client in clients))
    world.stats["restarts"] += machine.lives - 1
    await look(world, machine, _restart(world, machine))
    judge_all(world)


def _restart(world: World, machine: Machine) -> Restart | None:
    """A log that could not note an aborted transaction on a full disk is closed until a restart."""
    if not world.stats["fault: fill_disk"]:
        return None

    async def restart() -> None:
        await machine.switch_off()
        await machine.switch_on()

    return restart
