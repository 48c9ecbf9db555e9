"""All metrics of a broker, collected in its event loop, and whether it is ready for clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from ottla.broker.monitoring import cluster, connections, groups, replicas, requests, topics
from ottla.metrics.families import Family, Metric

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ottla.broker.router import Router
    from ottla.clock import Clock
    from ottla.controller.isr import IsrController
    from ottla.controller.publisher import Publisher
    from ottla.coordinator.groups import GroupCoordinator
    from ottla.network.peers import Channel
    from ottla.network.server import Server
    from ottla.replica.data_dirs import DataDirs
    from ottla.replica.partitions import Partitions

FAMILIES: Final[tuple[Family, ...]] = (
    *topics.FAMILIES,
    *replicas.FAMILIES,
    *groups.FAMILIES,
    *requests.FAMILIES,
    *connections.FAMILIES,
    *cluster.FAMILIES,
)
"""All that a broker shows, beside what is said of its process"""
Collector: TypeAlias = Callable[[], Iterable[Metric]]
LateCollector: TypeAlias = Callable[[], Awaitable[Iterable[Metric]]]

_TOGETHER: Final = 16
"""Families between two turns of the event loop: those of partitions may be long"""


class Monitor:
    """What the page shows; each method in the event loop of the broker."""

    def __init__(
        self,
        collectors: Sequence[Collector],
        late_collectors: Sequence[LateCollector],
        why_not_ready: Callable[[], str | None],
        close: Callable[[], None],
    ) -> None:
        """`late_collectors` have to ask others; `close` ends what they ask with."""
        self.close = close
        self._collectors = collectors
        self._late_collectors = late_collectors
        self._why_not_ready = why_not_ready

    async def collect(self) -> list[Metric]:
        """Of everything. Others get their turn meanwhile."""
        collected: list[Metric] = []
        for metric in self._all():
            collected.append(metric)
            if metric.samples and len(metric.samples) > _TOGETHER:
                await asyncio.sleep(0)
        for late in self._late_collectors:
            collected += await late()
        return collected

    def _all(self) -> Iterator[Metric]:
        for collector in self._collectors:
            yield from collector()

    async def why_not_ready(self) -> str | None:
        """What keeps the broker from serving clients; None where nothing does."""
        return self._why_not_ready()


def broker_monitor(
    node_id: int,
    router: Router,
    server: Server,
    partitions: Partitions,
    data_dirs: DataDirs,
    isr: IsrController,
    metadata: Publisher,
    coordinator: GroupCoordinator,
    channel: Callable[[int], Channel],
    clock: Clock,
    readers: Executor,
) -> Monitor:
    """Of one broker; to be called in the thread of its event loop. `channel` leads to another
    broker, `readers` wait for disks.
    """
    cluster_metrics = cluster.ClusterMetrics(node_id)
    connection_metrics = connections.ConnectionMetrics(
        lambda: list(server.connections),
        server.accepted.items,
        clock.monotonic_s,
        clock.processor_s,
    )
    group_metrics = groups.GroupMetrics(
        node_id,
        coordinator.committed_offsets,
        partitions,
        lambda: metadata.image,
        channel,
        clock,
        readers,
    )

    def why_not_ready() -> str | None:
        if not server.is_serving:
            return "the broker starts or stops"
        if metadata.image.is_fenced(node_id):
            return "the cluster does not count on this broker: it is fenced"
        return None

    return Monitor(
        (
            partial(topics.topic_metrics, partitions.traffic),
            partial(replicas.replica_metrics, partitions, data_dirs.all, isr),
            partial(requests.request_metrics, lambda: router.routes),
            connection_metrics.collect,
            lambda: cluster_metrics.collect(metadata.image, metadata.unclean_elections),
        ),
        (group_metrics.collect,),
        why_not_ready,
        group_metrics.close,
    )
