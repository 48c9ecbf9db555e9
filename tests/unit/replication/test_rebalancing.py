from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ottla.replication.rebalancing import plan_rebalance


def counts(replicas, brokers):
    kept = Counter(broker for each in replicas.values() for broker in each)
    return [kept[broker] for broker in brokers]


def leaders(replicas, brokers):
    led = Counter(each[0] for each in replicas.values())
    return [led[broker] for broker in brokers]


def test_a_broker_that_is_new_gets_its_share():
    before = {("t", number): [(1, 2), (2, 3), (3, 1)][number % 3] for number in range(12)}
    plan = plan_rebalance(before, dict.fromkeys((1, 2, 3, 4)))
    after = {**before, **plan}
    assert counts(after, (1, 2, 3, 4)) == [6, 6, 6, 6]
    assert leaders(after, (1, 2, 3, 4)) == [3, 3, 3, 3]
    moved = sum(len(set(after[each]) - set(before[each])) for each in before)
    assert moved == 6  # no more than it takes


def test_what_is_spread_stays_as_it_is():
    before = {("t", 0): (1, 2), ("t", 1): (2, 3), ("t", 2): (3, 1)}
    assert plan_rebalance(before, dict.fromkeys((1, 2, 3))) == {}


def test_a_broker_that_is_to_go_is_emptied():
    before = {("t", number): (1, 2, 3) for number in range(4)}
    plan = plan_rebalance(before, dict.fromkeys((1, 2, 4)))
    assert all(sorted(each) == [1, 2, 4] for each in plan.values())
    assert len(plan) == 4


def test_what_nobody_else_can_take_stays():
    before = {("t", 0): (1, 2, 3)}
    assert plan_rebalance(before, dict.fromkeys((1, 2))) == {}


def test_the_partitions_of_each_topic_are_spread():
    before = {(name, number): (1,) for name in ("a", "b") for number in range(2)}
    after = {**before, **plan_rebalance(before, dict.fromkeys((1, 2)))}
    for name in ("a", "b"):
        assert leaders({key: each for key, each in after.items() if key[0] == name}, (1, 2)) == [1, 1]


BROKERS = range(1, 7)
RACKS = st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=6, max_size=6)
PARTITIONS = st.lists(
    st.tuples(st.sampled_from(["t", "u"]), st.permutations(BROKERS), st.integers(1, 4)), max_size=25
)


@given(PARTITIONS, RACKS, st.sets(st.sampled_from(list(BROKERS)), min_size=1))
def test_a_plan_keeps_what_matters(partitions, racks, staying):
    before = {
        (topic, number): tuple(order[:factor]) for number, (topic, order, factor) in enumerate(partitions)
    }
    rack_of = dict(zip(BROKERS, racks, strict=True))
    allowed = {broker: rack_of[broker] for broker in sorted(staying)}
    plan = plan_rebalance(before, allowed)
    after = {**before, **plan}
    for partition, replicas in after.items():
        assert len(replicas) == len(set(replicas)) == len(before[partition])
        strangers = [each for each in replicas if each not in allowed]
        assert len(strangers) == max(len(replicas) - len(allowed), 0)
        if set(before[partition]) <= set(allowed):
            assert spread_of(replicas, rack_of) >= spread_of(before[partition], rack_of)
    assert plan_rebalance(after, allowed) == {}
    if set(racks) == {racks[0]} and all(set(each) <= set(allowed) for each in after.values()):
        kept = counts(after, allowed)
        assert max(kept) - min(kept) <= 1


def spread_of(replicas, rack_of):
    return len({rack_of[each] for each in replicas})
