"""Where a follower's log is cut: in whatever order leaders came and went, what is left is the leader's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottla.replication.truncation import EpochEnd, truncation_offset


@pytest.mark.parametrize(
    ("leader", "own", "end", "offset"),
    [
        (EpochEnd(3, 20), EpochEnd(3, 30), 30, 20),  # both wrote in that epoch, the leader less
        (EpochEnd(3, 20), EpochEnd(3, 15), 40, 15),  # or we less, and then something else
        (EpochEnd(3, 20), EpochEnd(2, 10), 40, 10),  # nothing here of that epoch
        (EpochEnd(3, 20), EpochEnd(-1, -1), 40, 20),  # nothing is known here
        (EpochEnd(3, 20), EpochEnd(-1, -1), 10, 10),
        (EpochEnd(3, 50), EpochEnd(3, 45), 40, 40),  # never behind the end
    ],
)
def test_the_offset_behind_what_both_have(leader: EpochEnd, own: EpochEnd, end: int, offset: int) -> None:
    assert truncation_offset(leader, own, end) == offset


class Log:
    """A log as the epochs of its records, offset by offset."""

    def __init__(self, epochs: list[int]) -> None:
        self.epochs = epochs

    def end_of(self, epoch: int) -> EpochEnd:
        below = [each for each in self.epochs if each <= epoch]
        return (
            EpochEnd(below[-1], len(below))
            if below
            else EpochEnd(epoch, 0)
            if self.epochs
            else EpochEnd(-1, -1)
        )


HISTORIES = st.lists(
    st.tuples(st.sampled_from(range(3)), st.integers(1, 4), st.lists(st.integers(0, 2), max_size=2)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=500)
@given(HISTORIES)
def test_a_follower_ends_as_its_leader_whatever_was_written_before(
    history: list[tuple[int, int, list[int]]],
) -> None:
    """Each leader in turn appends some records in its epoch, which some of the others take."""
    logs = [Log([]) for _ in range(3)]
    for epoch, (leader, count, takers) in enumerate(history):
        logs[leader].epochs += [epoch] * count
        for taker in takers:
            if taker != leader:
                follow(logs[taker], logs[leader])
    for each in logs:
        follow(each, logs[history[-1][0]])
    assert all(each.epochs == logs[0].epochs for each in logs)


def follow(follower: Log, leader: Log) -> None:
    rounds = 0
    while follower.epochs != leader.epochs:
        rounds += 1
        assert rounds < 20, "it comes to an end"
        last = follower.epochs[-1] if follower.epochs else -1
        end = EpochEnd(-1, -1) if last < 0 else leader.end_of(last)
        if last >= 0 and (end.epoch < last or end.end_offset < len(follower.epochs)):
            offset = truncation_offset(end, follower.end_of(end.epoch), len(follower.epochs))
            del follower.epochs[offset:]
        else:
            follower.epochs += leader.epochs[len(follower.epochs) :]
