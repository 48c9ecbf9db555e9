from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.metadata.placement import UsableBroker, place_replicas
from ottla.protocol.errors import ErrorCode, KafkaError


def brokers(*node_ids):
    return [UsableBroker(node_id) for node_id in node_ids]


@given(st.integers(1, 7), st.integers(0, 40), st.integers(0, 10), st.data())
def test_leaders_are_spread_and_no_broker_is_repeated(count, partitions, first, data):
    factor = data.draw(st.integers(1, count))
    placed = place_replicas(brokers(*range(10, 10 + count)), partitions, factor, first)
    assert len(placed) == partitions
    assert all(len(set(replicas)) == factor for replicas in placed)
    leaders = [replicas[0] for replicas in placed]
    counts = [leaders.count(broker) for broker in range(10, 10 + count)]
    assert max(counts) - min(counts) <= 1


def test_leaders_are_dealt_in_turn_from_the_first_on():
    assert place_replicas(brokers(1, 2, 3), 5, 1, first=2) == [(3,), (1,), (2,), (2,), (1,)]
    assert place_replicas(brokers(1, 2, 3), 2, 1, first=3) == [(1,), (2,)]


def test_the_followers_of_each_round_are_others():
    placed = place_replicas(brokers(1, 2, 3), 9, 2, first=0)
    first_round, second_round = [(1, 2), (2, 3), (3, 1)], [(1, 3), (3, 2), (2, 1)]
    assert placed == first_round + second_round + first_round


def test_each_rack_has_one_before_any_has_two():
    racks = [UsableBroker(number, f"r{number % 3}") for number in range(9)]
    for replicas in place_replicas(racks, 60, 3, first=1):
        assert sorted(number % 3 for number in replicas) == [0, 1, 2]
    for replicas in place_replicas(racks, 60, 4, first=1):
        assert sorted(Counter(number % 3 for number in replicas).values()) == [1, 1, 2]


def test_leaders_are_spread_over_racks_of_the_same_size():
    racks = [UsableBroker(number, f"r{number % 3}") for number in range(6)]
    placed = place_replicas(racks, 60, 3, first=0)
    assert set(Counter(replicas[0] for replicas in placed).values()) == {10}
    assert max(Counter(each for replicas in placed for each in replicas).values()) <= 36


def test_who_is_not_there_gets_what_others_cannot_take_and_does_not_lead():
    some = [UsableBroker(1), UsableBroker(2, is_active=False), UsableBroker(3)]
    assert {2} & {each for replicas in place_replicas(some, 8, 2, first=0) for each in replicas} == set()
    placed = place_replicas(some, 8, 3, first=0)
    assert {replicas[0] for replicas in placed} == {1, 3}
    assert {replicas[-1] for replicas in placed} == {2}
    alone = [UsableBroker(1, "a"), UsableBroker(2, "b", is_active=False)]
    assert {replicas[0] for replicas in place_replicas(alone, 4, 2, first=1)} == {1}


@pytest.mark.parametrize(
    ("usable", "message"),
    [([UsableBroker(1)], "only 1"), ([UsableBroker(1, None, False), UsableBroker(2, None, False)], "fenced")],
)
def test_too_few_brokers_are_said_so(usable, message):
    with pytest.raises(KafkaError, match=message) as refused:
        place_replicas(usable, 1, 2, first=0)
    assert refused.value.code is ErrorCode.invalid_replication_factor
