from hypothesis import given
from hypothesis import strategies as st

from ottla.metadata.placement import place_replicas


@given(st.integers(1, 7), st.integers(0, 40), st.integers(0, 10), st.data())
def test_leaders_are_spread_and_no_broker_is_repeated(brokers, partitions, first, data):
    factor = data.draw(st.integers(1, brokers))
    placed = place_replicas(range(10, 10 + brokers), range(partitions), factor, first)
    assert len(placed) == partitions
    assert all(len(set(replicas)) == factor for replicas in placed)
    leaders = [replicas[0] for replicas in placed]
    counts = [leaders.count(broker) for broker in range(10, 10 + brokers)]
    assert max(counts) - min(counts) <= 1


def test_leaders_are_dealt_in_turn_from_the_first_on():
    assert place_replicas([1, 2, 3], range(5), 1, first=2) == [(3,), (1,), (2,), (3,), (1,)]
    assert place_replicas([1, 2, 3], range(2, 4), 1, first=1) == [(1,), (2,)]


def test_the_followers_of_each_round_are_shifted_by_one():
    placed = place_replicas([1, 2, 3], range(9), 2, first=0)
    first_round, second_round = [(1, 2), (2, 3), (3, 1)], [(1, 3), (2, 1), (3, 2)]
    assert placed == first_round + second_round + first_round
    assert place_replicas([1, 2, 3, 4], range(0, 8, 4), 3, first=0) == [(1, 2, 3), (1, 3, 4)]
