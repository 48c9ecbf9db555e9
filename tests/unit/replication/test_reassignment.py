import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from ottla.metadata.model import PartitionState
from ottla.replication.reassignment import (
    begin_reassignment,
    finish_reassignment,
    is_moving,
    original_replicas,
    revert_reassignment,
)

STATE = PartitionState((1, 2, 3), (1, 2, 3), 1)


def begun(state, *wanted):
    replicas, adding, removing = begin_reassignment(state, wanted)
    return dataclasses.replace(state, replicas=replicas, adding=adding, removing=removing)


def test_replicas_are_added_before_others_go():
    moving = begun(STATE, 1, 4, 5)
    assert (moving.replicas, moving.adding, moving.removing) == ((1, 4, 5, 2, 3), (4, 5), (2, 3))
    assert finish_reassignment(moving) is moving
    half = dataclasses.replace(moving, isr=(1, 2, 3, 4))
    assert finish_reassignment(half) is half
    done = finish_reassignment(dataclasses.replace(moving, isr=(1, 2, 3, 4, 5)))
    assert (done.replicas, done.isr, is_moving(done)) == ((1, 4, 5), (1, 4, 5), False)


def test_another_order_is_done_at_once():
    moved = begun(STATE, 3, 2, 1)
    assert (moved.replicas, is_moving(moved)) == ((3, 2, 1), False)


def test_fewer_replicas_wait_until_all_of_them_are_in_sync():
    state = PartitionState((0, 1, 2, 3, 4), (0, 1), 0)
    moving = dataclasses.replace(begun(state, 2, 3, 4, 5), isr=(0, 1, 5))
    assert finish_reassignment(moving) is moving


def test_a_move_is_changed_while_it_goes_on():
    moving = begun(begun(STATE, 1, 2, 4), 1, 2, 5)
    assert (moving.replicas, moving.adding, moving.removing) == ((1, 2, 5, 3, 4), (5,), (3, 4))
    back = begun(begun(STATE, 1, 2, 4), 1, 2, 3)
    assert (back.adding, back.removing) == ((), (4,))


def test_a_move_is_taken_back():
    moving = dataclasses.replace(begun(STATE, 1, 2, 4), isr=(1, 2, 3, 4))
    assert revert_reassignment(moving) == ((1, 2, 3), (1, 2, 3), False)
    only_new = dataclasses.replace(moving, isr=(4,))
    assert revert_reassignment(only_new) == ((1, 2, 3), (1,), True)


LISTS = st.lists(st.integers(1, 6), min_size=1, max_size=4, unique=True).map(tuple)


@given(LISTS, LISTS, st.none() | LISTS)
def test_a_move_ends_with_what_is_wanted_or_what_was(replicas, wanted, before):
    state = PartitionState(replicas, replicas, replicas[0])
    if before is not None:
        state = begun(state, *before)
    moving = begun(state, *wanted)
    assert set(moving.adding).isdisjoint(moving.removing)
    assert {*moving.adding, *moving.removing} <= set(moving.replicas)
    assert set(moving.replicas) >= set(state.replicas)
    assert len(set(moving.replicas)) == len(moving.replicas)
    if before is None:
        assert set(original_replicas(moving)) == set(replicas)
    done = finish_reassignment(dataclasses.replace(moving, isr=moving.replicas))
    assert done.replicas == wanted
    assert not is_moving(done)
    assert set(done.isr) == set(wanted)
