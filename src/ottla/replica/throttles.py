"""Holds replication back where it is throttled: who is copied from, and who copies (KIP-73).

In sync nobody is held back: a follower that has everything is not to lose that by the throttle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ottla.config.definition import LONG_MAX
from ottla.replication.throttle import Rate, Window

if TYPE_CHECKING:
    from ottla.clock import Clock
    from ottla.config.current import Current
    from ottla.config.replica import ReplicaConfig
    from ottla.replica.replica import Replica

_ALL: Final = "*"


class ReplicationThrottle:
    """One of the two directions."""

    def __init__(
        self,
        node_id: int,
        config: Current[ReplicaConfig],
        clock: Clock,
        rate_of: Callable[[ReplicaConfig], int],
        named_in: Callable[[Replica], Sequence[str]],
    ) -> None:
        """`rate_of` gives bytes for each second, and `named_in` the topic's list of throttled replicas."""
        self._node_id = node_id
        self._config = config
        self._now_ms = clock.monotonic_ms
        self._rate_of = rate_of
        self._named_in = named_in
        self._rate = Rate()

    @property
    def is_on(self) -> bool:
        return self._rate_of(self._config.value) < LONG_MAX

    def covers(self, replica: Replica) -> bool:
        """Whether the replica is throttled here, while it `is_on`, and there is room or not."""
        named = self._named_in(replica)
        return bool(named) and replica.index in _partitions(tuple(named), self._node_id)

    @property
    def is_exceeded(self) -> bool:
        rate = self._rate.per_second(self._now_ms(), self._window)
        return rate > self._rate_of(self._config.value)

    def record(self, size: int) -> None:
        """So many bytes of replicas that are covered go through now."""
        self._rate.record(size, self._now_ms(), self._window)

    @property
    def _window(self) -> Window:
        config = self._config.value
        return Window(
            config.replication_quota_window_num, config.replication_quota_window_size_seconds * 1000
        )


def leader_throttle(node_id: int, config: Current[ReplicaConfig], clock: Clock) -> ReplicationThrottle:
    """Of what others copy from here."""
    return ReplicationThrottle(
        node_id,
        config,
        clock,
        lambda value: value.leader_replication_throttled_rate,
        lambda replica: replica.config.leader_replication_throttled_replicas,
    )


def follower_throttle(node_id: int, config: Current[ReplicaConfig], clock: Clock) -> ReplicationThrottle:
    """Of what is copied to here."""
    return ReplicationThrottle(
        node_id,
        config,
        clock,
        lambda value: value.follower_replication_throttled_rate,
        lambda replica: replica.config.follower_replication_throttled_replicas,
    )


class _Everything:
    def __contains__(self, _index: object) -> bool:
        return True


# As long as a topic's list is the same, so are the partitions of it.
@lru_cache(maxsize=1024)
def _partitions(named: tuple[str, ...], node_id: int) -> frozenset[int] | _Everything:
    """Those that are throttled on the broker, of pairs of a partition and a broker."""
    if named == (_ALL,):
        return _Everything()
    pairs = [each.split(":") for each in named if each]
    return frozenset(int(partition) for partition, broker in pairs if int(broker) == node_id)
