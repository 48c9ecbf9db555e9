"""Elections: by example, and what holds of any sequence of brokers that come, go and lose records."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from ottla.metadata.model import NO_LEADER, PartitionState
from ottla.replication.elections import Election, Situation, change, settle, with_isr

ALL = PartitionState((1, 2, 3), (1, 2, 3), 1, leader_epoch=5, partition_epoch=9)


def situation(*active, unclean=(), min_isr=2, election=Election.ONLINE):
    return Situation(frozenset(active), frozenset(unclean), min_isr, election)


def settled(state, *active, **rest):
    return settle(state, situation(*active, **rest))


def test_nothing_changes_while_all_are_there():
    assert settled(ALL, 1, 2, 3) is ALL


def test_a_leader_that_went_is_followed_by_the_next_in_sync():
    expected = PartitionState((1, 2, 3), (2, 3), 2, leader_epoch=6, partition_epoch=10)
    assert settled(ALL, 2, 3) == expected


def test_a_follower_that_went_leaves_the_isr_of_the_same_leader():
    assert settled(ALL, 1, 3) == PartitionState((1, 2, 3), (1, 3), 1, leader_epoch=5, partition_epoch=10)


def test_who_is_not_in_sync_does_not_lead_while_others_are():
    lagging = dataclasses.replace(ALL, isr=(3,), leader=3)
    assert settled(lagging, 1, 2, 3) == lagging


def test_who_leaves_below_the_minimum_is_eligible_until_enough_are_in_sync():
    alone = settled(ALL, 1)
    assert (alone.isr, alone.elr, alone.leader) == ((1,), (2, 3), 1)
    assert with_isr(alone, (1, 2), 2).elr == ()


def test_an_eligible_replica_leads_when_nobody_is_in_sync():
    nobody = settled(settled(ALL, 1))
    assert (nobody.isr, nobody.leader) == ((), NO_LEADER)
    assert sorted(nobody.elr) == [1, 2, 3]
    again = settled(nobody, 3)
    assert (again.isr, again.leader, again.is_recovering) == ((3,), 3, False)
    assert sorted(again.elr) == [1, 2]
    assert again.leader_epoch == nobody.leader_epoch + 1


def test_who_comes_back_with_less_is_neither_in_sync_nor_eligible():
    nobody = settled(settled(ALL, 1))
    assert settled(nobody, unclean=(2,)).elr == tuple(each for each in nobody.elr if each != 2)
    assert settled(ALL, 2, 3, unclean=(1,)).isr == (2, 3)


def test_the_last_known_leader_leads_when_nobody_is_eligible():
    alone = PartitionState((1,), (1,), 1)
    gone = settled(alone, min_isr=1)
    assert (gone.isr, gone.elr, gone.leader, gone.last_known_elr) == ((), (1,), NO_LEADER, (1,))
    lost = settled(gone, unclean=(1,), min_isr=1)
    assert (lost.elr, lost.last_known_elr) == ((), (1,))
    back = settled(lost, 1, min_isr=1)
    assert back == PartitionState((1,), (1,), 1, 2, 3, is_recovering=True)
    assert not with_isr(back, (1,), 1).is_recovering


def test_an_unclean_election_takes_whoever_is_there_only_when_asked_for():
    gone = settled(settled(ALL, 1), unclean=(1, 2, 3))
    assert (gone.isr, gone.elr, gone.last_known_elr) == ((), (), (1,))
    assert settled(gone, 2).leader == NO_LEADER
    taken = settled(gone, 2, election=Election.UNCLEAN)
    assert (taken.leader, taken.isr, taken.is_recovering) == (2, (2,), True)


def test_the_preferred_replica_leads_again_when_it_is_in_sync():
    other = dataclasses.replace(ALL, leader=2)
    assert settled(other, 1, 2, 3) is other
    assert settled(other, 1, 2, 3, election=Election.PREFERRED).leader == 1
    behind = dataclasses.replace(other, isr=(2, 3))
    assert settled(behind, 1, 2, 3, election=Election.PREFERRED) is behind


def test_more_than_all_replicas_cannot_be_asked_for():
    """`min.insync.replicas` above the replication factor counts as that, as in Kafka."""
    both = PartitionState((1, 2), (1, 2), 1)
    assert settled(both, 1, 2, min_isr=5) is both
    assert settled(PartitionState((1, 2), (1,), 1), 1, min_isr=1) == PartitionState((1, 2), (1,), 1)


BROKERS = (1, 2, 3, 4)
SUBSETS = st.frozensets(st.sampled_from(BROKERS))
STEPS = st.lists(
    st.tuples(
        SUBSETS,  # active
        SUBSETS,  # unclean, unless active
        st.sampled_from(Election),
        SUBSETS,  # who the leader finds in sync
    ),
    max_size=12,
)


@given(st.permutations(BROKERS), st.integers(1, 4), st.integers(1, 4), STEPS)
def test_leaders_are_in_sync_or_eligible_and_epochs_grow(order, factor, min_isr, steps):
    replicas = tuple(order[:factor])
    state = PartitionState(replicas, replicas, replicas[0])
    for active, unclean, election, in_sync in steps:
        seen = Situation(active, unclean - active, min_isr, election)
        after = settle(state, seen)
        check_step(state, after, seen)
        assert settle(after, seen) is after  # one step is enough
        state = after
        if state.leader != NO_LEADER and in_sync:
            isr = tuple(each for each in replicas if each in in_sync or each == state.leader)
            state = with_isr(after, isr, min_isr)
            assert (state.leader, state.leader_epoch) == (after.leader, after.leader_epoch)
            assert state.partition_epoch == after.partition_epoch + 1
            assert not set(state.isr) & set(state.elr)


def check_step(before, after, seen):
    if after is before:
        return
    assert after.partition_epoch == before.partition_epoch + 1
    assert after.leader_epoch == before.leader_epoch + (after.leader != before.leader)
    assert not set(after.isr) & set(after.elr)
    assert {*after.isr, *after.elr, *after.last_known_elr} <= set(after.replicas)
    assert seen.active >= set(after.isr)
    assert seen.unclean.isdisjoint((*after.isr, *after.elr))
    if len(after.isr) >= seen.for_partition(after):
        assert after.elr == ()
    if after.leader == NO_LEADER:
        assert after.isr == ()
        assert len(after.last_known_elr) == 1
        return
    assert after.leader in after.isr
    assert after.last_known_elr == ()
    if after.leader != before.leader and not after.is_recovering:
        assert after.leader in (before.isr or before.elr) or after.leader in before.elr
    if after.is_recovering and not before.is_recovering:
        # records may be lost: only the last known leader, or anyone where that was asked for
        assert seen.active.isdisjoint((*before.isr, *before.elr))
        assert before.last_known_elr == (after.leader,) or seen.election is Election.UNCLEAN


@given(st.permutations(BROKERS), st.permutations(BROKERS), st.integers(1, 4), st.integers(1, 4), SUBSETS)
def test_whoever_loses_a_replica_leads_in_another_epoch(old, new, factor, new_factor, active):
    before = PartitionState(tuple(old[:factor]), tuple(old[:factor]), old[0])
    seen = situation(*active)
    after = change(before, seen, replicas=tuple(new[:new_factor]), isr=(new[0],))
    if not set(before.replicas) <= set(after.replicas) or after.leader != before.leader:
        assert after.leader_epoch == before.leader_epoch + 1
    assert set(after.elr) <= set(after.replicas)
