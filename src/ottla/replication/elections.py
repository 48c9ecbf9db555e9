"""Who leads a partition, and who is in sync with it, as brokers come and go (KIP-966).

A leader comes from the ISR; where that is empty, from the replicas that are eligible (ELR: they were in it
when it fell below `min.insync.replicas`, so that nothing was committed without them); where there are none
either, it is the last known leader. Anyone else only leads where unclean election was asked for.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import NamedTuple

from ottla.metadata.model import NO_LEADER, PartitionState
from ottla.replication.reassignment import finish_reassignment, is_moving


class Election(enum.Enum):
    """What a leader is elected for."""

    ONLINE = "to have one"
    PREFERRED = "to have the first replica, if it is in sync"
    UNCLEAN = "to have one, even at the price of records"


class Situation(NamedTuple):
    """What an election depends on beside the partition."""

    active: frozenset[int]
    """The brokers that may lead, and be in ISRs"""
    unclean: frozenset[int]
    """Those of the others that have come back with less than they may have had"""
    min_isr: int
    """`min.insync.replicas`, of which no more can be asked for than there are replicas"""
    election: Election = Election.ONLINE

    def for_partition(self, state: PartitionState) -> int:
        """How many replicas have to be in sync for anything to be committed."""
        return min(self.min_isr, len(state.replicas))


def settle(state: PartitionState, situation: Situation) -> PartitionState:
    """The partition as it should be while brokers are so; `state` itself where that is how it is.

    Who is not active leaves the ISR, who is unclean is not eligible any more, a reassignment whose replicas
    are in sync is finished, and there is a leader if there can be.
    """
    is_led = state.leader in state.isr and situation.election is not Election.PREFERRED
    if is_led and situation.active.issuperset(state.isr) and _is_plain(state):
        return state  # as almost all are almost always
    return change(state, situation, isr=tuple(each for each in state.isr if each in situation.active))


def _is_plain(state: PartitionState) -> bool:
    return not (state.elr or state.last_known_elr or is_moving(state))


def with_isr(state: PartitionState, isr: tuple[int, ...], min_isr: int) -> PartitionState:
    """The partition after its leader has changed the ISR: led by the same one, in the same leader epoch."""
    elr, last_known_elr = _eligible(state, isr, min(min_isr, len(state.replicas)), frozenset())
    return dataclasses.replace(
        state,
        isr=isr,
        elr=elr,
        last_known_elr=last_known_elr,
        is_recovering=False,
        partition_epoch=state.partition_epoch + 1,
    )


def change(
    state: PartitionState,
    situation: Situation,
    *,
    isr: tuple[int, ...] | None = None,
    replicas: tuple[int, ...] | None = None,
    adding: tuple[int, ...] | None = None,
    removing: tuple[int, ...] | None = None,
) -> PartitionState:
    """The partition with another ISR or other replicas, and a leader that fits them.

    `state` itself where nothing changes; otherwise in the next partition epoch, and with another leader, or
    without one of its replicas, in the next leader epoch.
    """
    asked = dataclasses.replace(
        state,
        isr=state.isr if isr is None else isr,
        replicas=state.replicas if replicas is None else replicas,
        adding=state.adding if adding is None else adding,
        removing=state.removing if removing is None else removing,
    )
    target = finish_reassignment(asked)
    min_isr = situation.for_partition(target)
    elr, last_known_elr = _eligible(state, target.isr, min_isr, situation.unclean)
    elr = tuple(each for each in elr if each in target.replicas)
    target = dataclasses.replace(target, elr=elr, last_known_elr=last_known_elr)
    target = _elect(target, situation)
    if len(target.isr) >= min_isr:
        target = dataclasses.replace(target, elr=())
    if target == state:
        return state
    is_new_term = target.leader != state.leader or not set(state.replicas) <= set(target.replicas)
    return dataclasses.replace(
        target,
        leader_epoch=state.leader_epoch + is_new_term,
        partition_epoch=state.partition_epoch + 1,
    )


def _eligible(
    state: PartitionState, isr: tuple[int, ...], min_isr: int, unclean: frozenset[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The eligible replicas with another ISR, and the last known leader while there is none."""
    last_known = state.last_known_elr if state.leader == NO_LEADER else ()
    if len(isr) >= min_isr:
        return (), last_known
    candidates = dict.fromkeys((*state.elr, *state.isr))
    return tuple(each for each in candidates if each not in isr and each not in unclean), last_known


def _elect(target: PartitionState, situation: Situation) -> PartitionState:
    """`target.leader` is the leader so far: it stays if it can."""
    leader, is_unclean = _choose(target, situation)
    if leader == NO_LEADER:
        was = target.last_known_elr if target.leader == NO_LEADER else (target.leader,)
        return dataclasses.replace(target, leader=NO_LEADER, last_known_elr=was)
    if is_unclean:
        return dataclasses.replace(
            target, leader=leader, isr=(leader,), elr=(), last_known_elr=(), is_recovering=True
        )
    isr, elr = target.isr, target.elr
    if leader not in isr:
        isr, elr = (leader,), tuple(each for each in elr if each != leader)
    return dataclasses.replace(target, leader=leader, isr=isr, elr=elr, last_known_elr=())


def _choose(target: PartitionState, situation: Situation) -> tuple[int, bool]:
    """The leader, NO_LEADER if there can be none; and whether records may be lost by that."""

    def can_lead(replica: int) -> bool:
        return replica in (target.isr or target.elr) and replica in situation.active

    candidates: Sequence[int] = (target.leader, *target.replicas)
    if situation.election is Election.PREFERRED:
        candidates = (target.replicas[0], *candidates)
    for replica in candidates:
        if can_lead(replica):
            return replica, False
    if not target.isr and not target.elr and len(target.last_known_elr) == 1:
        (last_known,) = target.last_known_elr
        if last_known in situation.active and last_known in target.replicas:
            return last_known, True
    if situation.election is Election.UNCLEAN:
        for replica in target.replicas:
            if replica in situation.active:
                return replica, True
    return NO_LEADER, False
