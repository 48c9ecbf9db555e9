"""The scenario of clusters whose clients use transactions: coordinators move, and all is exactly once.

What befalls the cluster, and what must hold of its copies, is as in `replicated.py`; what clients did and
saw is judged by `tests.checker`. A seed counts when coordinators were elected in it, transactions committed
and aborted, and somebody was fenced.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from tests.simulation.cluster_calls import ClusterBrokers
from tests.simulation.exactly_once import TRANSACTION_SETTINGS
from tests.simulation.lives import COORDINATORS, TOPICS, clients_of, judge_all, look
from tests.simulation.records import Topic
from tests.simulation.replicated import SETTINGS, Replicated
from tests.simulation.world import Outcome, World

_HAS_TO_HAPPEN = (
    "elections of coordinators",
    "fenced",
    "transactions aborted",
    "transactions committed: ok",
    "unknown outcomes",
)


def counts(outcome: Outcome) -> bool:
    """Whether what is to be survived has happened in it."""
    return all(outcome.stats.get(what) for what in _HAS_TO_HAPPEN)


def _replicated(topic: Topic) -> Topic:
    return topic._replace(configs={**topic.configs, "min.insync.replicas": "2"})


class Coordinated(Replicated):
    """One run."""

    topics = tuple(map(_replicated, TOPICS))
    internal_topics = tuple(map(_replicated, COORDINATORS))
    settings = {**TRANSACTION_SETTINGS, **SETTINGS, "transaction.state.log.min.isr": "2"}  # noqa: RUF012

    def work(self, until: float) -> list[Coroutine[Any, Any, None]]:
        clients = clients_of(self.world, ClusterBrokers(self))
        return [each.run(until) for each in clients if self.world.has(each.name)]

    async def _look(self) -> None:
        await look(self.world, ClusterBrokers(self))
        judge_all(self.world)


async def coordinated(world: World) -> None:
    """Coordinators and leaders fail over while clients use transactions."""
    await Coordinated(world).run()
