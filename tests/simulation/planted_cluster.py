"""Bugs that brokers of a cluster may have, planted into the real ones, and the seeds that find them.

python -m tests.simulation.planted --cluster --seeds 1000    looks for seeds, from --start on
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.simulation.machine import Machine
from tests.simulation.planting import Planted

from ottla.controller import registration
from ottla.controller.commit import Outcome
from ottla.controller.isr import IsrController
from ottla.controller.publisher import Publisher
from ottla.controller.session import BrokerSession
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import PartitionState
from ottla.metadata.transaction import Transaction
from ottla.replica import partition, runs
from ottla.replica.fetcher import Fetcher
from ottla.replica.folders import LogFolders
from ottla.replica.follower import Follower
from ottla.replica.isr_watch import IsrWatch
from ottla.replica.membership import Standing
from ottla.replica.partition import Partition
from ottla.replication import elections, leadership
from ottla.replication.elections import Election
from ottla.replication.isr import FollowerProgress, InSync
from ottla.storage.local.recovery import Opening
from ottla.store.interface import OutcomeUnknownError, StoreError


def high_watermark_too_early(patch: pytest.MonkeyPatch) -> None:
    """A leader for which what one follower has is committed, whoever else is in sync."""

    def committed(
        end_offset: int, followers: Iterable[FollowerProgress], isr: InSync, min_isr: int, *_: Any
    ) -> int | None:
        if len(isr.current) < min_isr:
            return None
        ends = [each.end_offset for each in followers if each.node_id in isr.current]
        return min(end_offset, max(ends, default=end_offset))

    patch.setattr(partition, "committed_offset", committed)


def only_the_proposed_isr_counts(patch: pytest.MonkeyPatch) -> None:
    """A leader that believes in an ISR as soon as it proposes it."""
    propose = InSync.propose

    def believe(isr: InSync, proposed: tuple[int, ...]) -> None:
        propose(isr, proposed)
        isr.maximal = proposed

    patch.setattr(InSync, "propose", believe)


def an_isr_change_compares_nothing(patch: pytest.MonkeyPatch) -> None:
    """What a deposed leader proposes takes the place of what the controller has decided."""
    outcome_of = IsrController._outcome_of

    async def blindly(isr: IsrController, transaction: Transaction) -> Outcome:
        return await outcome_of(isr, Transaction(writes=transaction.writes))

    patch.setattr(IsrController, "_outcome_of", blindly)


def an_election_bumps_no_epoch(patch: pytest.MonkeyPatch) -> None:
    """Another leader in the same leader epoch."""
    settle = leadership.settle

    def keep_epoch(state: PartitionState, situation: elections.Situation) -> PartitionState:
        settled = settle(state, situation)
        return settled if settled is state else replace(settled, leader_epoch=state.leader_epoch)

    patch.setattr(leadership, "settle", keep_epoch)


def followers_are_cut_to_the_high_watermark(patch: pytest.MonkeyPatch) -> None:
    """As before KIP-101: with another leader, to what the follower knows of that."""
    take_state = Follower.take_state

    def cut(follower: Follower, state: PartitionState) -> None:
        is_other = state.leader_epoch != follower.leader_epoch
        take_state(follower, state)
        if is_other:
            follower.log.truncate_to(follower.log.high_watermark, 0)

    patch.setattr(Follower, "take_state", cut)


def followers_are_not_cut(patch: pytest.MonkeyPatch) -> None:
    """A follower that takes what comes at its log's end, whatever its last records are."""
    ask = Fetcher._ask

    def say_no_epoch(fetcher: Fetcher, *what: Any) -> Any:
        asked = ask(fetcher, *what)
        asked.last_fetched_epoch = -1
        return asked

    patch.setattr(Fetcher, "_ask", say_no_epoch)


def a_former_incarnation_joins(patch: pytest.MonkeyPatch) -> None:
    """What a broker had before it stopped counts for the ISR after it came back with less."""
    propose = Partition._propose

    def forget_epochs(led: Partition, isr: tuple[int, ...], _joining: Any) -> None:
        propose(led, isr, {})

    patch.setattr(Partition, "_propose", forget_epochs)
    patch.setattr(IsrWatch, "may_join", lambda *_: True)
    patch.setattr(IsrWatch, "broker_epoch", lambda *_: -1)


def a_watch_goes_on_at_the_present(patch: pytest.MonkeyPatch) -> None:
    """What happened between its last event and its new begin is never seen."""
    follow = Publisher._follow_watch

    async def follow_from_now(publisher: Publisher) -> None:
        try:
            await follow(publisher)
        except StoreError:
            present = await publisher._store.range("", limit=1)
            publisher._reached = present.revision
            raise

    patch.setattr(Publisher, "_follow_watch", follow_from_now)


def an_unknown_outcome_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    """A leader that withdraws an ISR which it was not told to be in force."""

    async def outcome_of(isr: IsrController, transaction: Transaction) -> Outcome:
        try:
            return await isr._store.transaction(transaction)
        except (OutcomeUnknownError, StoreError):
            return Outcome(committed=False, revision=isr._publisher.image.revision)

    patch.setattr(IsrController, "_outcome_of", outcome_of)


def half_a_revision_is_applied(patch: pytest.MonkeyPatch) -> None:
    """Of several events of one revision the last is not seen."""
    apply = MetadataImage.apply

    def apply_some(image: MetadataImage, events: Sequence[Any]) -> Any:
        return apply(image, events[:-1] if len(events) > 1 else events)

    patch.setattr(MetadataImage, "apply", apply_some)


def a_lease_is_believed_past_its_end(patch: pytest.MonkeyPatch) -> None:
    """A broker that leads on until it hears that it must not."""
    patch.setattr(BrokerSession, "_may_have_ended", lambda _session: None)


def a_leader_leads_before_it_is_taken_back(patch: pytest.MonkeyPatch) -> None:
    """As what the metadata still says of its last life."""

    def look(standing: Standing, image: MetadataImage) -> None:
        if standing._has_lease and not standing._stands:
            standing._stands = True
            standing._partitions.stand_up(image.topics.values())

    patch.setattr(Standing, "_look", look)


def followers_count_before_they_have_flushed(patch: pytest.MonkeyPatch) -> None:
    """`ottla.acks.all.flush` is the leader's business alone."""

    async def make_nothing_durable(_fetcher: Fetcher) -> None: ...

    patch.setattr(Fetcher, "_make_durable", make_nothing_durable)


def anyone_is_eligible(patch: pytest.MonkeyPatch) -> None:
    """A controller that takes whoever is there when the ISR is empty, as if that was asked for."""
    situation_in = leadership.situation_in

    def unclean(*how: Any) -> elections.Situation:
        situation = situation_in(*how)
        return situation._replace(election=Election.UNCLEAN)

    patch.setattr(leadership, "situation_in", unclean)


def unclean_stops_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Who lost its power is as good as before (KIP-966)."""

    async def is_clean(*_: Any) -> bool:
        return True

    patch.setattr(registration, "_is_clean", is_clean)


def recovery_sees_no_hole(patch: pytest.MonkeyPatch) -> None:
    """A closed segment that has lost its last batch is taken for a compacted one."""
    recover = Opening._recover

    def see_nothing(opening: Opening, segments: Any, snapshots: Any, start: int, _point: int | None) -> Any:
        return recover(opening, segments, snapshots, start, None)

    patch.setattr(Opening, "_recover", see_nothing)


def a_reboot_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    """A machine that lost its power and what was not synced says that its broker was only killed, and no log
    is compared with what the checkpoints know of it.
    """
    host = Machine._host
    patch.setattr(Machine, "_host", lambda machine: host(machine)._replace(boot_id="always the same"))
    patch.setattr(LogFolders, "_compare", lambda *_: None)


def a_killed_broker_is_as_one_that_lost_its_power(patch: pytest.MonkeyPatch) -> None:
    """Its place among the eligible leaders is taken, and the last leader leads with what it has."""
    patch.setattr(runs, "read_run", lambda _fs, _path: None)


FOUND = [
    Planted(high_watermark_too_early, 2, ["the high watermark", "lost"]),
    Planted(only_the_proposed_isr_counts, 23, ["the high watermark", "lost"]),
    Planted(an_isr_change_compares_nothing, 0, ["goes back from"]),
    Planted(an_election_bumps_no_epoch, 0, ["is led by 1 and 2 in epoch"]),
    Planted(followers_are_cut_to_the_high_watermark, 1, ["lost"]),
    Planted(followers_are_not_cut, 2, ["differs below the high watermark"]),
    Planted(a_former_incarnation_joins, 53, ["lost", "the high watermark"]),
    Planted(a_watch_goes_on_at_the_present, 7, ["it does not come to rest", "it goes on"]),
    Planted(half_a_revision_is_applied, 0, ["it does not come to rest", "it goes on"]),
    Planted(a_lease_is_believed_past_its_end, 4, ["whose lease has ended"]),
    Planted(a_leader_leads_before_it_is_taken_back, 16, ["is led in epoch"]),
    Planted(followers_count_before_they_have_flushed, 6, ["lost"]),
    Planted(anyone_is_eligible, 12, ["differs below the high watermark", "lost"]),
    Planted(unclean_stops_are_forgotten, 12, ["consumer has read", "lost"]),
    Planted(a_reboot_is_not_noticed, 85, ["lost"]),
    Planted(a_killed_broker_is_as_one_that_lost_its_power, 234, ["lost"]),
]
SOUGHT = [
    Planted(an_unknown_outcome_is_a_failure, 0, ["the high watermark", "lost"]),
    Planted(recovery_sees_no_hole, 0, ["lost", "has nothing of"]),
]
"""For which no seed is known: what they do to records takes several faults in one moment."""
