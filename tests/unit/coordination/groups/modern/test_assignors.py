"""Assignors as properties: whatever the members and topics, who may own what, how much, and what stays."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.coordination.groups.modern.assignors import ASSIGNORS, MemberSpec, assign_range, assign_uniform

TOPICS = [UUID(int=number) for number in range(1, 5)]

counts = st.fixed_dictionaries({topic: st.integers(0, 9) for topic in TOPICS})
subscriptions = st.frozensets(st.sampled_from(TOPICS))


def owners(assignment):
    """Every assigned partition, with how often it is."""
    return Counter(
        (topic, number)
        for partitions in assignment.values()
        for topic, numbers in partitions.items()
        for number in numbers
    )


def sizes(assignment):
    return [sum(map(len, partitions.values())) for partitions in assignment.values()]


@st.composite
def groups(draw, *, homogeneous=False):
    """Members with subscriptions and last targets that may be wrong in every way."""
    partition_counts = draw(counts)
    shared = draw(subscriptions)
    names = draw(st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1))
    members = {}
    for name in names:
        target = draw(
            st.dictionaries(
                st.sampled_from(TOPICS), st.frozensets(st.integers(0, 11), min_size=1), max_size=3
            )
        )
        topics = shared if homogeneous else draw(subscriptions)
        members[name] = MemberSpec(topics, target, draw(st.sampled_from([None, f"i-{name}"])))
    return members, partition_counts


@pytest.mark.parametrize("name", ASSIGNORS)
@given(group=groups())
def test_every_subscribed_partition_has_exactly_one_owner_who_subscribed(name, group):
    members, partition_counts = group
    assignment = ASSIGNORS[name](members, partition_counts)
    assert assignment.keys() == members.keys()
    subscribed = frozenset().union(*(spec.topic_ids for spec in members.values()))
    expected = {(topic, number) for topic in subscribed for number in range(partition_counts[topic])}
    assert owners(assignment) == Counter(expected)
    for member_id, partitions in assignment.items():
        assert partitions.keys() <= members[member_id].topic_ids
        assert all(partitions.values())


@pytest.mark.parametrize("name", ASSIGNORS)
@given(group=groups(), seed=st.randoms())
def test_the_order_of_the_input_does_not_matter(name, group, seed):
    members, partition_counts = group
    shuffled = list(members.items())
    seed.shuffle(shuffled)
    shuffled_counts = list(partition_counts.items())
    seed.shuffle(shuffled_counts)
    again = ASSIGNORS[name](dict(shuffled), dict(shuffled_counts))
    assert again == ASSIGNORS[name](members, partition_counts)


@given(group=groups(homogeneous=True))
def test_uniform_is_balanced_and_moves_no_more_than_balance_needs(group):
    members, partition_counts = group
    assignment = assign_uniform(members, partition_counts)
    assert max(sizes(assignment)) - min(sizes(assignment)) <= 1

    topics = next(iter(members.values())).topic_ids
    claimed, valid = set(), []
    for member_id in sorted(members):
        mine = {
            (topic, number)
            for topic, numbers in members[member_id].target.items()
            for number in numbers
            if topic in topics and number < partition_counts[topic]
        } - claimed
        claimed |= mine
        valid.append(len(mine))
    quota, extras = divmod(sum(partition_counts[topic] for topic in topics), len(members))
    best = sum(
        min(size, quota + (position < extras)) for position, size in enumerate(sorted(valid, reverse=True))
    )
    kept = sum(
        len(assignment[member_id].get(topic, frozenset()) & numbers)
        for member_id, spec in members.items()
        for topic, numbers in spec.target.items()
    )
    assert kept >= best


@given(group=groups())
def test_uniform_repeats_itself(group):
    members, partition_counts = group
    first = assign_uniform(members, partition_counts)
    settled = {
        member_id: MemberSpec(spec.topic_ids, first[member_id], spec.instance_id)
        for member_id, spec in members.items()
    }
    assert assign_uniform(settled, partition_counts) == first


@given(group=groups())
def test_no_single_move_makes_a_uniform_assignment_better(group):
    members, partition_counts = group
    assignment = assign_uniform(members, partition_counts)
    size = dict(zip(assignment, sizes(assignment), strict=True))
    for source, partitions in assignment.items():
        for topic in partitions:
            for other, spec in members.items():
                assert topic not in spec.topic_ids or size[source] - size[other] <= 1


def test_uniform_takes_only_what_a_newcomer_needs():
    topic = TOPICS[0]
    settled = {
        "a": MemberSpec(frozenset({topic}), {topic: frozenset({0, 2, 4})}),
        "b": MemberSpec(frozenset({topic}), {topic: frozenset({1, 3, 5})}),
        "c": MemberSpec(frozenset({topic})),
    }
    assignment = assign_uniform(settled, {topic: 6})
    assert assignment == {
        "a": {topic: frozenset({0, 2})},
        "b": {topic: frozenset({1, 3})},
        "c": {topic: frozenset({4, 5})},
    }


def test_range_gives_equal_numbers_of_equally_large_topics_to_one_member():
    first, second, third = TOPICS[:3]
    topics = frozenset({first, second, third})
    members = {name: MemberSpec(topics) for name in "bac"}
    assignment = assign_range(members, {first: 7, second: 7, third: 2})
    assert [assignment[name][first] for name in "abc"] == [{0, 1, 2}, {3, 4}, {5, 6}]
    assert all(assignment[name][first] == assignment[name][second] for name in "abc")
    assert [assignment[name].get(third) for name in "abc"] == [{0}, {1}, None]


def test_range_orders_static_members_by_instance_id_before_dynamic_ones():
    topic = TOPICS[0]
    topics = frozenset({topic})
    members = {
        "a": MemberSpec(topics),
        "z": MemberSpec(topics, instance_id="i-1"),
        "y": MemberSpec(topics, instance_id="i-2"),
    }
    before = assign_range(members, {topic: 3})
    assert before == {"z": {topic: {0}}, "y": {topic: {1}}, "a": {topic: {2}}}
    members["b"] = members.pop("z")  # the same instance after a restart
    assert assign_range(members, {topic: 3})["b"] == before["z"]


@pytest.mark.parametrize("name", ASSIGNORS)
@pytest.mark.parametrize("odd_topics", [0, 3])
def test_a_thousand_members_and_ten_thousand_partitions(name, odd_topics):
    topics = [UUID(int=number) for number in range(1, 21)]
    partition_counts = dict.fromkeys(topics, 500)
    subscribed = [frozenset(topics), frozenset(topics[odd_topics:])]
    members = {f"m{number}": MemberSpec(subscribed[number % 2]) for number in range(999)}
    target = ASSIGNORS[name](members, partition_counts)
    grown = {member_id: MemberSpec(spec.topic_ids, target[member_id]) for member_id, spec in members.items()}
    assignment = ASSIGNORS[name](grown | {"new": MemberSpec(frozenset(topics))}, partition_counts)
    assert sum(sizes(assignment)) == 10_000
    if name == "uniform":
        assert max(sizes(assignment)) - min(sizes(assignment)) <= 1
        kept = sum(
            len(numbers & assignment[member_id].get(topic, frozenset()))
            for member_id, partitions in target.items()
            for topic, numbers in partitions.items()
        )
        assert kept >= 10_000 - 20


def test_nobody_and_nothing():
    for assign in ASSIGNORS.values():
        assert assign({}, {}) == {}
        assert assign({"a": MemberSpec(frozenset())}, {}) == {"a": {}}
