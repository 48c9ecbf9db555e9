"""Follower fetchers: which leader each follower is fetched from."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from uuid import UUID

if TYPE_CHECKING:
    from ottla.clock import Clock
    from ottla.config.current import Current
    from ottla.config.replica import ReplicaConfig
    from ottla.metadata.image import ImageDelta, MetadataImage
    from ottla.replica.fetcher import Fetcher, Leader
    from ottla.replica.follower import Follower
    from ottla.replica.group_commit import GroupCommit
    from ottla.replica.throttles import ReplicationThrottle
    from ottla.storage.log import Log

log = logging.getLogger(__name__)

Key: TypeAlias = tuple[UUID, int]
"""Topic id and partition"""


class _Lane(NamedTuple):
    """One of the connections to a leader (`num.replica.fetchers`)."""

    leader: int
    number: int


class Fetchers:
    """The fetchers of one broker."""

    def __init__(
        self,
        node_id: int,
        connect: Callable[[int], Leader],
        own_epoch: Callable[[], int],
        checkpoint: Callable[[], Awaitable[None]],
        group_commit: GroupCommit,
        throttle: ReplicationThrottle,
        config: Current[ReplicaConfig],
        clock: Clock,
    ) -> None:
        """`connect` gives a connection to a broker; `own_epoch` is that of our registration, -1 without one;
        `checkpoint` writes down how far logs are on the disk. Raises OSError.
        """
        self.node_id = node_id
        self.own_epoch = own_epoch
        self.throttle = throttle
        self._checkpoint = checkpoint
        self._group_commit = group_commit
        self.now_ms = clock.now_ms
        self._connect = connect
        self._config = config
        self._fetchers: dict[_Lane, Fetcher] = {}
        self._lanes: dict[Key, _Lane] = {}
        self._per_leader = config.value.num_replica_fetchers

    @property
    def config(self) -> ReplicaConfig:
        return self._config.value

    def follow(self, follower: Follower) -> None:
        """Fetch from the leader of its state; from nobody where there is none."""
        key, leader = (follower.topic_id, follower.index), follower.state.leader
        lane = _Lane(leader, (follower.topic_id.int + follower.index) % self._per_leader)
        if self._lanes.get(key, lane) != lane:
            self.leave(follower)
        if leader < 0 or leader == self.node_id:
            return
        fetcher = self._fetchers.get(lane)
        if fetcher is None:
            from ottla.replica.fetcher import Fetcher  # with its messages, which a single broker never needs

            fetcher = self._fetchers[lane] = Fetcher(self, leader, self._connect(leader))
        self._lanes[key] = lane
        fetcher.add(follower)

    def leave(self, follower: Follower) -> None:
        """Fetch it no more."""
        key = (follower.topic_id, follower.index)
        lane = self._lanes.pop(key, None)
        if lane is not None:
            fetcher = self._fetchers[lane]
            fetcher.remove(key)
            if fetcher.is_idle:
                del self._fetchers[lane]
                fetcher.close()

    async def make_durable(self, logs: Sequence[Log]) -> None:
        """Return when all that is in them is on the disk. Where that fails, the log takes nothing more."""
        await self._group_commit.when_durable(logs, lambda _failed: None)

    async def checkpoint(self) -> None:
        """Write down how far the logs are on the disk. Raises OSError."""
        await self._checkpoint()

    async def on_metadata(self, delta: ImageDelta, _image: MetadataImage) -> None:
        """Try at once where a broker came, or moved; and follow over as many connections as is set now."""
        for lane, fetcher in self._fetchers.items():
            if lane.leader in delta.brokers_changed:
                fetcher.poke()
        if self._per_leader != self.config.num_replica_fetchers:
            self._per_leader = self.config.num_replica_fetchers
            for follower in [each for fetcher in self._fetchers.values() for each in fetcher.followers]:
                self.follow(follower)

    async def stop(self) -> None:
        """End all."""
        fetchers, self._fetchers = list(self._fetchers.values()), {}
        self._lanes.clear()
        for fetcher in fetchers:
            await fetcher.stop()
