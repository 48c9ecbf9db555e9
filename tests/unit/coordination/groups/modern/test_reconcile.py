"""The reconciler alone: every state, by table."""

from __future__ import annotations

from uuid import UUID

import pytest

from ottla.coordination.groups.modern.reconcile import CurrentAssignment, Goal, MemberState, reconcile
from ottla.protocol.errors import ErrorCode, KafkaError

T1, T2 = UUID(int=1), UUID(int=2)
STABLE, UNREVOKED, UNRELEASED = (
    MemberState.STABLE,
    MemberState.UNREVOKED_PARTITIONS,
    MemberState.UNRELEASED_PARTITIONS,
)


def at(*numbers, epoch):
    return dict.fromkeys(numbers, epoch)


def goal(epoch, target, *, owned=(), reported=None, changed=False, subscribed=(T1, T2)):
    return Goal(
        epoch,
        {topic: frozenset(numbers) for topic, numbers in target.items()},
        frozenset(subscribed),
        changed,
        lambda topic, number: (topic, number) in owned,
        reported,
    )


def test_stable_in_the_epoch_stays_as_it_is():
    current = CurrentAssignment(3, 3, STABLE, {T1: at(0, epoch=2)})
    assert reconcile(current, goal(3, {T1: {0, 1}})) is current


def test_a_new_epoch_without_changes_is_entered():
    current = CurrentAssignment(3, 2, STABLE, {T1: at(0, epoch=2)})
    assert reconcile(current, goal(4, {T1: {0}})) == CurrentAssignment(4, 3, STABLE, {T1: at(0, epoch=2)})


def test_what_is_free_is_taken_in_the_new_epoch():
    current = CurrentAssignment(3, 3, STABLE, {T1: at(0, epoch=2)})
    result = reconcile(current, goal(4, {T1: {0, 1}, T2: {5}}, owned={(T1, 0)}))
    assert result == CurrentAssignment(4, 3, STABLE, {T1: {0: 2, 1: 4}, T2: {5: 4}})


def test_what_others_own_is_waited_for_in_the_new_epoch():
    current = CurrentAssignment(3, 3, STABLE, {})
    waiting = reconcile(current, goal(4, {T1: {0, 1}}, owned={(T1, 0)}))
    assert waiting == CurrentAssignment(4, 3, UNRELEASED, {T1: at(1, epoch=4)})
    still = reconcile(waiting, goal(4, {T1: {0, 1}}, owned={(T1, 0), (T1, 1)}))
    assert still == CurrentAssignment(4, 4, UNRELEASED, {T1: at(1, epoch=4)})
    assert reconcile(still, goal(4, {T1: {0, 1}}, owned={(T1, 0), (T1, 1)})) == still
    done = reconcile(still, goal(4, {T1: {0, 1}}, owned={(T1, 1)}))
    assert done == CurrentAssignment(4, 4, STABLE, {T1: {0: 4, 1: 4}})


@pytest.mark.parametrize("reported", [None, {T1: {0, 1}}])
def test_giving_back_comes_before_the_new_epoch(reported):
    current = CurrentAssignment(3, 3, STABLE, {T1: at(0, 1, epoch=3)})
    result = reconcile(current, goal(4, {T1: {0}, T2: {0}}, reported=reported))
    assert result == CurrentAssignment(3, 3, UNREVOKED, {T1: at(0, epoch=3)}, {T1: at(1, epoch=3)})


def test_what_the_member_never_got_need_not_be_given_back():
    current = CurrentAssignment(3, 3, STABLE, {T1: at(0, 1, epoch=3)})
    result = reconcile(current, goal(4, {T1: {0}}, reported={T1: {0}}))
    assert result == CurrentAssignment(4, 3, STABLE, {T1: at(0, epoch=3)})


def test_unrevoked_waits_until_the_member_says_so():
    current = CurrentAssignment(3, 3, UNREVOKED, {T1: at(0, epoch=3)}, {T1: at(1, epoch=3)})
    for reported in (None, {T1: {0, 1}}):
        assert reconcile(current, goal(4, {T1: {0}}, reported=reported)) is current
    assert reconcile(current, goal(4, {T1: {0}}, reported={T1: {0}})) == CurrentAssignment(
        4, 3, STABLE, {T1: at(0, epoch=3)}
    )


def test_a_partition_given_back_can_be_got_again_at_once():
    current = CurrentAssignment(3, 3, UNREVOKED, {}, {T1: at(1, epoch=3)})
    result = reconcile(current, goal(5, {T1: {1}}, owned={(T1, 1)}, reported={}))
    assert result == CurrentAssignment(5, 3, STABLE, {T1: at(1, epoch=5)})


def test_after_giving_back_there_can_be_more_to_give_back():
    current = CurrentAssignment(3, 3, UNREVOKED, {T1: at(0, epoch=3)}, {T1: at(1, epoch=3)})
    result = reconcile(current, goal(5, {}, reported={T1: {0}}))
    assert result == CurrentAssignment(3, 3, UNREVOKED, {}, {T1: at(0, epoch=3)})


def test_an_unsubscribed_topic_goes_before_a_target_without_it():
    current = CurrentAssignment(3, 3, STABLE, {T1: at(0, epoch=3), T2: at(0, epoch=3)})
    target = {T1: {0}, T2: {0}}
    result = reconcile(current, goal(3, target, changed=True, subscribed={T1}))
    assert result == CurrentAssignment(3, 3, UNREVOKED, {T1: at(0, epoch=3)}, {T2: at(0, epoch=3)})
    gone = reconcile(current, goal(3, target, changed=True, subscribed={T1}, reported={T1: {0}}))
    assert gone == CurrentAssignment(3, 3, STABLE, {T1: at(0, epoch=3)})
    assert reconcile(current, goal(3, target, changed=True)) is current
    assert reconcile(current, goal(4, target, subscribed={T1}, reported={})).assigned == {T1: at(0, epoch=3)}


def test_unsubscribing_while_giving_back_adds_to_it():
    current = CurrentAssignment(3, 3, UNREVOKED, {T1: at(0, epoch=3)}, {T1: at(1, epoch=3)})
    result = reconcile(current, goal(4, {}, changed=True, subscribed={T2}))
    assert result == CurrentAssignment(3, 3, UNREVOKED, {}, {T1: {0: 3, 1: 3}})


@pytest.mark.parametrize("reported", [None, {T1: {0}}])
def test_an_unknown_state_is_fenced_unless_the_member_owns_nothing(reported):
    current = CurrentAssignment(3, 3, MemberState.of(9), {T1: at(0, epoch=3)})
    with pytest.raises(KafkaError) as refusal:
        reconcile(current, goal(4, {}, reported=reported))
    assert refusal.value.code is ErrorCode.fenced_member_epoch
    assert reconcile(current, goal(4, {}, reported={})) == CurrentAssignment(4, 3, STABLE)
