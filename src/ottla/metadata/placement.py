"""Which brokers keep which partitions."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import NamedTuple, TypeVar

from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode, KafkaError

_T = TypeVar("_T")


class UsableBroker(NamedTuple):
    """A broker that replicas may be placed on; one that is not active, only where others are too few."""

    node_id: int
    rack: str | None = None
    is_active: bool = True


def usable_brokers(image: MetadataImage) -> list[UsableBroker]:
    """All that are known and whose data folders are not all cordoned, by their ids."""
    known = {**image.known_brokers, **image.brokers}
    return [
        UsableBroker(node_id, broker.rack, image.is_active(node_id))
        for node_id, broker in sorted(known.items())
        if node_id not in image.cordoned
    ]


def place_replicas(
    brokers: Sequence[UsableBroker], partitions: int, replication_factor: int, first: int
) -> list[tuple[int, ...]]:
    """Replicas for so many partitions, leader first; who begins follows from the number `first`.

    As Kafka's striped placer does: leaders go round the racks, and in each rack round its brokers, and the
    followers go round the racks from the leader's turn on, so that no rack has a second one before all others
    have one. After each round the order is another one, which Kafka draws and we count, so that the brokers
    which share a leader's partitions are not always the same.

    Raises KafkaError(invalid_replication_factor) for too few brokers, or none that is active.
    """
    active = [broker for broker in brokers if broker.is_active]
    if not active:
        raise KafkaError(
            ErrorCode.invalid_replication_factor,
            f"Unable to replicate the partition {replication_factor} time(s): All brokers are currently "
            "fenced or in controlled shutdown, or have all their log directories cordoned.",
        )
    if replication_factor > len(brokers):
        raise KafkaError(
            ErrorCode.invalid_replication_factor,
            f"Unable to replicate the partition {replication_factor} time(s): only {len(brokers)} broker(s) "
            "are registered and do not have all their log directories cordoned.",
        )
    dealer = _Dealer(active if len(active) >= replication_factor else brokers, first)
    return [dealer.deal(replication_factor) for _ in range(partitions)]


class _Ring:
    """Brokers of a rack in turn, each once for a partition; for the next one it begins one further on."""

    def __init__(self, brokers: list[int], first: int) -> None:
        self.brokers = brokers
        self._offset = first
        self._partition = self._given = 0

    def next(self, partition: int) -> int | None:
        if partition != self._partition:
            self._partition, self._given = partition, 0
            self._offset += 1
        if self._given == len(self.brokers):
            return None
        self._given += 1
        return self.brokers[(self._offset + self._given - 1) % len(self.brokers)]


class _Rack(NamedTuple):
    active: _Ring
    others: _Ring

    def next(self, partition: int) -> int | None:
        broker = self.active.next(partition)
        return self.others.next(partition) if broker is None else broker


class _Dealer:
    """Goes round the racks."""

    def __init__(self, brokers: Sequence[UsableBroker], first: int) -> None:
        names = sorted({(each.rack is not None, each.rack or "") for each in brokers})
        in_rack = first // len(names)
        self._racks = []
        for has_name, name in names:
            mine = [each for each in brokers if each.rack == (name if has_name else None)]
            active = [each.node_id for each in mine if each.is_active]
            others = [each.node_id for each in mine if not each.is_active]
            self._racks.append(_Rack(_Ring(active, in_rack), _Ring(others, in_rack)))
        self._offset = first
        self._active_count = sum(broker.is_active for broker in brokers)
        self._dealt = self._rounds = 0

    def deal(self, replication_factor: int) -> tuple[int, ...]:
        if self._dealt and self._dealt % self._active_count == 0:
            self._reorder()
        partition = self._dealt
        turn = self._offset % len(self._racks)
        racks = self._racks[turn:] + self._racks[:turn]
        leader = None
        for led, rack in enumerate(racks):  # noqa: B007 - which of them has the leader
            leader = rack.active.next(partition)
            if leader is not None:
                break
        assert leader is not None
        replicas = [leader]
        position = 0
        while len(replicas) < replication_factor:
            if position != led:  # which has had its turn
                broker = racks[position % len(racks)].next(partition)
                if broker is not None:
                    replicas.append(broker)
            position += 1
        self._dealt += 1
        self._offset += 1
        return tuple(replicas)

    def _reorder(self) -> None:
        self._rounds += 1
        for rack in self._racks:
            for ring in rack:
                ring.brokers = _by_step(sorted(ring.brokers), self._rounds)
        if len(self._racks) > 2:
            self._racks = _by_step(self._racks, 1)


def _by_step(items: list[_T], turn: int) -> list[_T]:
    """All of them in another order: every so many-th, with a step that depends on the turn."""
    count = len(items)
    steps = [step for step in range(1, count) if gcd(step, count) == 1]
    return [items[number * steps[turn % len(steps)] % count] for number in range(count)] if steps else items


def check_manual_replicas(
    image: MetadataImage, replicas: Sequence[int], replication_factor: int | None
) -> None:
    """A client's own assignment of one partition; raises KafkaError(INVALID_REPLICA_ASSIGNMENT)."""
    problem = _manual_problem(image, replicas, replication_factor)
    if problem is not None:
        raise KafkaError(
            ErrorCode.invalid_replica_assignment, f"The manual partition assignment includes {problem}"
        )


def _manual_problem(
    image: MetadataImage, replicas: Sequence[int], replication_factor: int | None
) -> str | None:
    if not replicas:
        return "an empty replica list."
    for broker in replicas:
        if broker not in image.brokers and broker not in image.known_brokers:
            return f"broker {broker}, but no such broker is registered."
        if broker in image.cordoned:
            return f"broker {broker}, but all its log directories are cordoned."
        if replicas.count(broker) > 1:
            return f"the broker {broker} more than once."
    if replication_factor is not None and len(replicas) != replication_factor:
        return (
            f"a partition with {len(replicas)} replica(s), but this is not consistent with previous "
            f"partitions, which have {replication_factor} replica(s)."
        )
    return None
