"""What the partitions that a broker leads know of the cluster, and when they look at who lags."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ottla.clock import Clock
    from ottla.config.current import Current
    from ottla.config.replica import ReplicaConfig
    from ottla.metadata.image import ImageSource
    from ottla.replica.partition import IsrProposal, Partition


class IsrChanges(Protocol):
    """Has the cluster change ISRs."""

    def propose(self, proposal: IsrProposal) -> None:
        """Have it changed as soon as may be, or `Partition.withdraw` called when it will not be."""


class IsrWatch:
    """The `Cluster` of all partitions of one broker."""

    def __init__(
        self,
        node_id: int,
        metadata: ImageSource,
        changes: IsrChanges,
        config: Current[ReplicaConfig],
        clock: Clock,
    ) -> None:
        self._node_id = node_id
        self._metadata = metadata
        self._config = config
        self.monotonic_ms = clock.monotonic_ms
        self.propose = changes.propose
        self._watched: dict[Partition, None] = {}
        self._awaited: dict[int, dict[Partition, None]] = {}
        self.answer_followers: Callable[[], None] = _nobody_waits
        """Has the fetches of followers answered that wait"""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def node_id(self) -> int:
        return self._node_id

    @property
    def lag_max_ms(self) -> int:
        return self._config.value.replica_lag_time_max_ms

    def broker_epoch(self, node_id: int) -> int:
        """Of the broker's registration, -1 without one."""
        registration = self._metadata.image.brokers.get(node_id)
        return -1 if registration is None else registration.epoch

    def may_join(self, node_id: int, broker_epoch: int) -> bool:
        """Whether a broker that fetches with this epoch is registered with it, and does not stop."""
        image = self._metadata.image
        return image.is_active(node_id) and image.brokers[node_id].epoch == broker_epoch

    def await_fetch(self, node_id: int, partition: Partition) -> None:
        """A follower that is in sync has yet to fetch the partition in its leader's term."""
        awaited = self._awaited.get(node_id)
        if awaited is None:
            awaited = self._awaited[node_id] = {}
            self.answer_followers()
        awaited[partition] = None

    def fetched(self, node_id: int, partition: Partition) -> None:
        """Now it has; or it is waited for no more."""
        awaited = self._awaited.get(node_id)
        if awaited is not None:
            awaited.pop(partition, None)
            if not awaited:
                del self._awaited[node_id]

    def awaits_fetch(self, node_id: int) -> bool:
        """Whether the broker has yet to fetch something that this one has begun to lead."""
        return node_id in self._awaited

    def watch(self, partition: Partition) -> None:
        """Look at who lags twice within `replica.lag.time.max.ms`, as long as somebody is behind."""
        self._watched[partition] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.lag_max_ms / 2000, self._look)

    def _look(self) -> None:
        self._timer = None
        watched, self._watched = self._watched, {}
        now_ms = self.monotonic_ms()
        for partition in watched:
            if partition.check_lag(now_ms):
                self.watch(partition)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()


def _nobody_waits() -> None:
    """Before there are sessions."""
