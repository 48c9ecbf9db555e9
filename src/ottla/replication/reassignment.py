"""Moving the replicas of a partition to other brokers (KIP-455): the new ones are added, and once they are in
sync the old ones go. Until then it can be taken back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from ottla.metadata.model import PartitionState


class Moved(NamedTuple):
    """Replicas of a partition while they move, as in PartitionState."""

    replicas: tuple[int, ...]
    adding: tuple[int, ...]
    removing: tuple[int, ...]


class Reverted(NamedTuple):
    """Replicas and ISR of a partition as they were before they began to move."""

    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    is_unclean: bool
    """None of those that stay is in sync, so that records may be lost"""


def is_moving(state: PartitionState) -> bool:
    return bool(state.adding or state.removing)


def begin_reassignment(state: PartitionState, wanted: Sequence[int]) -> Moved:
    """Move the partition to the brokers `wanted`, the preferred leader first.

    One that is moving already is moved on from what it has: brokers that it was to get anew and are wanted no
    more are removed like those it had all the time.
    """
    removing = tuple(sorted(set(state.replicas).difference(wanted)))
    adding = tuple(sorted(set(wanted).difference(original_replicas(state))))
    return Moved((*wanted, *removing), adding, removing)


def original_replicas(state: PartitionState) -> tuple[int, ...]:
    """What the replicas were before they began to move."""
    return tuple(each for each in state.replicas if each not in state.adding)


def revert_reassignment(state: PartitionState) -> Reverted:
    """What the partition is when its reassignment is cancelled."""
    replicas = original_replicas(state)
    isr = tuple(each for each in state.isr if each not in state.adding)
    return Reverted(replicas, isr or replicas[:1], is_unclean=not isr)


def finish_reassignment(state: PartitionState) -> PartitionState:
    """The partition without the replicas that it is to lose, if the added ones are in sync; else as it is.

    Where it will have fewer replicas than now, all that stay have to be in sync: the ISR would shrink to what
    is left of it.
    """
    if not is_moving(state):
        return state
    isr = tuple(each for each in state.isr if each not in state.removing)
    replicas = tuple(each for each in state.replicas if each not in state.removing)
    needed = replicas if len(state.adding) < len(state.removing) else state.adding
    if not isr or not replicas or not set(isr).issuperset(needed):
        return state
    return dataclasses.replace(state, isr=isr, replicas=replicas, adding=(), removing=())
