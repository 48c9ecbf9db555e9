"""Which brokers keep which partitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ottla.protocol.errors import ErrorCode, KafkaError


def place_replicas(
    brokers: Sequence[int], partitions: range, replication_factor: int, first: int
) -> list[tuple[int, ...]]:
    """Replicas for `partitions`, leader first, dealt to the brokers in turn beginning with number `first`.

    The followers of each round of leaders are shifted by one more, so that the brokers which share a leader's
    partitions are not always the same. Raises KafkaError(INVALID_REPLICATION_FACTOR) for too few brokers.
    """
    count = len(brokers)
    if replication_factor > count:
        raise KafkaError(
            ErrorCode.invalid_replication_factor,
            f"Unable to replicate the partition {replication_factor} time(s): only {count} broker(s) are "
            "registered.",
        )
    placed = []
    for partition in partitions:
        leader, shift = first + partition, partition // count
        followers = (leader + 1 + (shift + number) % (count - 1) for number in range(replication_factor - 1))
        placed.append(tuple(brokers[position % count] for position in (leader, *followers)))
    return placed


def check_manual_replicas(
    replicas: Sequence[int], registered: Iterable[int], replication_factor: int | None
) -> None:
    """A client's own assignment of one partition; raises KafkaError(INVALID_REPLICA_ASSIGNMENT)."""
    problem = _manual_problem(replicas, set(registered), replication_factor)
    if problem is not None:
        raise KafkaError(
            ErrorCode.invalid_replica_assignment, f"The manual partition assignment includes {problem}"
        )


def _manual_problem(
    replicas: Sequence[int], registered: set[int], replication_factor: int | None
) -> str | None:
    if not replicas:
        return "an empty replica list."
    for broker in replicas:
        if broker not in registered:
            return f"broker {broker}, but no such broker is registered."
        if replicas.count(broker) > 1:
            return f"the broker {broker} more than once."
    if replication_factor is not None and len(replicas) != replication_factor:
        return (
            f"a partition with {len(replicas)} replica(s), but this is not consistent with previous "
            f"partitions, which have {replication_factor} replica(s)."
        )
    return None
