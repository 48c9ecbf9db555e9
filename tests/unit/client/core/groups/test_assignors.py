"""What Kafka's assignors do. `assignments.json` has what those of Apache Kafka 4.4 answered, racks included;
its member ids are single letters, which Java's hash tables keep in order."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottla.client.core.groups.assignors import ASSIGNORS, assignors_of
from ottla.client.core.groups.subscription import (
    Assignments,
    MemberSubscription,
    Topics,
    change_of,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
    perform_assignment,
)
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import ConfigurationError
from ottla.protocol.errors import DecodeError

_CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "assignments.json").read_text())


def _partitions(by_topic: Mapping[str, list[int]]) -> list[TopicPartition]:
    return [TopicPartition(topic, each) for topic, partitions in by_topic.items() for each in partitions]


def _member(said: Mapping[str, Any]) -> MemberSubscription:
    given = {**said, "owned": _partitions(said.get("owned", {}))}
    if "user_data" in said:
        given["user_data"] = b64decode(said["user_data"])
    return MemberSubscription(**given)


@pytest.mark.parametrize("case", _CASES, ids=range(len(_CASES)))
def test_kafkas_results(case: Mapping[str, Any]) -> None:
    racks = {
        TopicPartition(topic, each): frozenset(names)
        for topic, lists in case.get("racks", {}).items()
        for each, names in enumerate(lists)
    }
    members = {member_id: _member(said) for member_id, said in case["members"].items()}

    assigned = ASSIGNORS[case["assignor"]].assign(members, Topics(case["topics"], racks))

    assert {each: sorted(mine) for each, mine in assigned.items()} == {
        each: sorted(_partitions(mine)) for each, mine in case["kafka"].items()
    }


_topics = st.dictionaries(st.sampled_from("tuvw"), st.integers(1, 6), min_size=1)


@st.composite
def _groups(draw: st.DrawFn) -> tuple[dict[str, MemberSubscription], Topics]:
    topics = draw(_topics)
    names = st.lists(st.sampled_from(sorted(topics)), min_size=1, unique=True)
    members = draw(st.dictionaries(st.sampled_from("abcdefg"), names, min_size=1))
    return {each: MemberSubscription(wanted) for each, wanted in members.items()}, Topics(topics)


def _wanted(members: Mapping[str, MemberSubscription], topics: Topics) -> list[TopicPartition]:
    names = {topic for each in members.values() for topic in each.topics}
    return [
        TopicPartition(t, p) for t, n in sorted(topics.partitions.items()) if t in names for p in range(n)
    ]


@pytest.mark.parametrize("name", ASSIGNORS)
@settings(deadline=None)
@given(group=_groups())
def test_each_wanted_partition_goes_to_one_who_wants_it(
    name: str, group: tuple[dict[str, MemberSubscription], Topics]
) -> None:
    members, topics = group

    assigned = ASSIGNORS[name].assign(members, topics)

    assert sorted(each for mine in assigned.values() for each in mine) == _wanted(members, topics)
    for member_id, mine in assigned.items():
        assert {each.topic for each in mine} <= set(members[member_id].topics)


def _settle(
    members: dict[str, MemberSubscription], topics: Topics, generation: int
) -> tuple[Assignments, int]:
    """Rebalances of a cooperative group until nobody has to give anything up."""
    assignor = ASSIGNORS["cooperative-sticky"]
    for rounds in range(1, 4):
        assigned = assignor.assign(members, topics)
        held = [each for member in members.values() for each in member.owned]
        gave_up = False
        for member_id, member in members.items():
            gave_up |= bool(change_of(member.owned, assigned[member_id]).revoked)
            members[member_id] = member._replace(owned=assigned[member_id], generation=generation + rounds)
        taken = [each for mine in assigned.values() for each in mine]
        assert len(set(taken)) == len(taken)
        assert not any(
            each in mine and each in held and each not in members[member_id].owned
            for member_id, mine in assigned.items()
            for each in mine
        )
        if not gave_up:
            return assigned, rounds
    raise AssertionError("it does not settle")


@settings(deadline=None)
@given(group=_groups(), leaver=st.integers(0, 6))
def test_a_cooperative_group_settles_and_moves_nothing_twice(
    group: tuple[dict[str, MemberSubscription], Topics], leaver: int
) -> None:
    members, topics = group
    first, rounds = _settle(members, topics, 0)
    assert rounds == 1
    assert sorted(each for mine in first.values() for each in mine) == _wanted(members, topics)
    if len(members) > 1:
        del members[sorted(members)[leaver % len(members)]]

    after, _ = _settle(members, topics, 10)

    assert sorted(each for mine in after.values() for each in mine) == _wanted(members, topics)


def test_subscriptions_go_through_bytes() -> None:
    member = MemberSubscription(("a", "b"), [TopicPartition("a", 1)], 7, "rack", b"data", None)
    assert decode_subscription(encode_subscription(member)) == member


@pytest.mark.parametrize("version", [0, 1, 2, 3, 9])
def test_subscriptions_of_other_versions_are_understood(version: int) -> None:
    """Newer ones begin with what version 3 has, and may go on."""
    whole = encode_subscription(MemberSubscription(["a"], [TopicPartition("a", 1)], 7, "r"))
    parts = {0: -22, 1: -7, 2: -3}
    data = version.to_bytes(2, "big") + whole[2 : parts.get(version)] + (b"more" if version > 3 else b"")

    member = decode_subscription(data)

    assert member.topics == ("a",)
    assert member.generation == (7 if version >= 2 else -1)
    assert member.rack == ("r" if version >= 3 else None)


def test_assignments_go_through_bytes() -> None:
    partitions = [TopicPartition("a", 0), TopicPartition("a", 2), TopicPartition("b", 1)]
    assert decode_assignment(encode_assignment(partitions)) == partitions
    assert decode_assignment(b"") == []


@pytest.mark.parametrize("data", [b"\0", b"\xff\xff\0\0\0\0", b"\0\0\x7f\xff\xff\xff"])
def test_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_assignment(data)
    with pytest.raises(DecodeError):
        decode_subscription(data)


class _Greedy:
    """An application's own: everything to one member."""

    name = "greedy"
    is_cooperative = False

    def __init__(self, taker: str, times: int = 1) -> None:
        self._taker = taker
        self._times = times

    def assign(self, members: Mapping[str, MemberSubscription], topics: Topics) -> Assignments:
        return {self._taker: [TopicPartition(topic, 0) for topic in topics.partitions] * self._times}


def test_an_own_assignor() -> None:
    members = {"a": MemberSubscription(["t"]), "b": MemberSubscription(["t"])}
    result = perform_assignment(_Greedy("b"), members, Topics({"t": 1, "gone": 0}))
    assert {each: decode_assignment(data) for each, data in result.items()} == {
        "a": [],
        "b": [TopicPartition("t", 0)],
    }


@pytest.mark.parametrize("assignor", [_Greedy("nobody"), _Greedy("a", 2)])
def test_an_assignor_that_errs_is_told(assignor: _Greedy) -> None:
    with pytest.raises(ValueError, match="greedy"):
        perform_assignment(assignor, {"a": MemberSubscription(["t"])}, Topics({"t": 1}))


def test_an_application_brings_its_own():
    own = ASSIGNORS["range"]
    assert assignors_of(["mine", "sticky"], {"mine": own}) == {"mine": own, "sticky": ASSIGNORS["sticky"]}
    with pytest.raises(ConfigurationError, match="there is no assignor 'stciky' .*sticky.*mine"):
        assignors_of(["range", "stciky"], {"mine": own})
