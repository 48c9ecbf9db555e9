"""Offsets that producers commit with their transactions."""

from __future__ import annotations

import time
import uuid
from typing import Any

from .brokers import error_codes
from .scenario import Ask, scenario
from .test_consumer_groups import first_beat, topic_of
from .test_groups import member, sync
from .test_offsets import NOWHERE, commit, fetched, offsets

CONCURRENT, UNSTABLE = 51, 88
ADDING = 5
"""The first version that adds the offsets' partition to the transaction."""


def over(ask: Ask, api: str, version: int, **body: Any) -> dict[str, Any]:
    """The answer once the producer's last transaction has ended, without comparing it."""
    deadline = time.monotonic() + 10
    while CONCURRENT in error_codes(answer := ask.quietly(api, version, **body)):
        assert time.monotonic() < deadline
    return answer


def producer(ask: Ask, name: str = "transaction") -> dict[str, Any]:
    """A new transactional producer, as requests identify it."""
    transactional_id = ask.name(name)
    ask.broker.eventually(
        lambda: ask.quietly("FindCoordinator", 4, key_type=1, coordinator_keys=[transactional_id])
    )
    asked = {"transactional_id": transactional_id, "producer_id": -1, "producer_epoch": -1}
    made = ask.broker.eventually(
        lambda: over(ask, "InitProducerId", 5, transaction_timeout_ms=60_000, **asked)
    )
    return {**asked, "producer_id": made["producer_id"], "producer_epoch": made["producer_epoch"]}


def add_offsets(ask: Ask, who: dict[str, Any], group: str) -> None:
    """What producers do first where TxnOffsetCommit does not do it itself."""
    if ask.version < ADDING:
        over(ask, "AddOffsetsToTxn", 4, **who, group_id=group)


def commit_in(ask: Ask, who: dict[str, Any], group: str, *topics: dict[str, Any], **fields: Any) -> None:
    anybody = {"generation_id_or_member_epoch": -1, "member_id": ""}
    asked = {**who, **anybody, "group_id": group, "topics": list(topics), **fields}

    ask.note("TxnOffsetCommit", ask.version, over(ask, "TxnOffsetCommit", ask.version, **asked))


def end(ask: Ask, who: dict[str, Any], *, committed: bool) -> None:
    """Have the transaction ended, and its producer renamed where that comes with it."""
    version = 5 if ask.version >= ADDING else 4
    ended = over(ask, "EndTxn", version, **who, committed=committed)
    assert not ended["error_code"], ended
    if version >= 5:
        who.update(producer_id=ended["producer_id"], producer_epoch=ended["producer_epoch"])


def settled(ask: Ask, group: str, topic: dict[str, Any], *partitions: int) -> None:
    """The offsets once the markers of the transactions that are over have come."""
    deadline = time.monotonic() + 10
    asked = [{"group_id": group, "topics": [{**topic, "partition_indexes": list(partitions)}]}]
    while True:
        answer = ask.quietly("OffsetFetch", 9, groups=asked, require_stable=True)
        codes = {each["error_code"] for each in answer["groups"][0]["topics"][0]["partitions"]}
        if UNSTABLE not in codes or time.monotonic() > deadline:
            ask.note("OffsetFetch", 9, answer)
            return


@scenario("TxnOffsetCommit", versions=(0, 3, 4, 5, 6))
def test_commit_in_transactions(ask: Ask) -> None:
    topic, group, who = ask.topic(partitions=3), ask.name("group"), producer(ask)
    commit(ask, group, offsets(topic, 0, offset=1))
    for committed in (True, False, True):
        add_offsets(ask, who, group)
        commit_in(ask, who, group, offsets(topic, 0, 1, offset=7 + committed, committed_leader_epoch=0))
        commit_in(ask, who, group, offsets(topic, 2, committed_metadata=None))
        for stable in (True, False):
            ask("OffsetFetch", groups=[
                {"group_id": group, "topics": [{**topic, "partition_indexes": [0, 1]}]}
            ], require_stable=stable)  # fmt: skip
            ask("OffsetFetch", groups=[{"group_id": group, "topics": None}], require_stable=stable)
        end(ask, who, committed=committed)
        settled(ask, group, topic, 0, 1, 2)
    ask("DescribeGroups", groups=[group])


@scenario("TxnOffsetCommit")
def test_commit_of_no_transaction(ask: Ask) -> None:
    topic, group, who = ask.topic(), ask.name("group"), producer(ask)
    for wrong in (
        {} if ask.version < ADDING else {"producer_id": who["producer_id"] + 1000},
        {"producer_epoch": 7},
        {"producer_epoch": -1},
        {"transactional_id": ask.name("nobody")},
        {"transactional_id": ""},
        {"group_id": ""},
    ):
        commit_in(ask, who, group, offsets(topic, 0), **wrong)
    fetched(ask, group, topic, partitions=(0,))


@scenario("TxnOffsetCommit")
def test_commit_of_fenced_producers(ask: Ask) -> None:
    topic, group, who = ask.topic(), ask.name("group"), producer(ask)
    add_offsets(ask, who, group)
    commit_in(ask, who, group, offsets(topic, 0, offset=1))
    end(ask, who, committed=True)
    settled(ask, group, topic, 0)
    successor = producer(ask)
    commit_in(ask, who, group, offsets(topic, 0, offset=2))
    add_offsets(ask, successor, group)
    commit_in(ask, successor, group, offsets(topic, 0, offset=3))
    commit_in(ask, who, group, offsets(topic, 0, offset=4))
    end(ask, successor, committed=True)
    settled(ask, group, topic, 0)


@scenario("TxnOffsetCommit")
def test_commit_for_unknown_partitions_in_transactions(ask: Ask) -> None:
    topic, group, who = ask.topic(), ask.name("group"), producer(ask)
    nowhere = {"name": ask.name("nowhere"), "topic_id": NOWHERE}
    commit_in(ask, who, group, offsets(topic, 1, -1), offsets(nowhere, 0))
    commit_in(ask, who, "", offsets(topic, 1), offsets(nowhere, 0))
    commit_in(ask, who, group)
    add_offsets(ask, who, group)
    commit_in(ask, who, group, offsets(topic, 0, 1), offsets(nowhere, 0))
    commit_in(ask, who, "", offsets(topic, 0, 1), offsets(nowhere, 0))
    if ask.version >= 6:
        commit_in(ask, who, group, offsets({"topic_id": uuid.UUID(int=0)}, 0))
    end(ask, who, committed=True)
    settled(ask, group, topic, 0)


@scenario("TxnOffsetCommit")
def test_commit_of_much_metadata_in_transactions(ask: Ask) -> None:
    topic, group, who = ask.topic(partitions=2), ask.name("group"), producer(ask)
    add_offsets(ask, who, group)
    commit_in(ask, who, group, offsets(topic, 0, committed_metadata="x" * 4097))
    commit_in(ask, who, group, offsets(topic, 0, committed_metadata="x" * 4096), offsets(topic, 1))
    end(ask, who, committed=True)
    settled(ask, group, topic, 0, 1)


@scenario("TxnOffsetCommit", versions=(0, 3, 5, 6))
def test_commit_as_member_in_transactions(ask: Ask) -> None:
    topic, group, who = ask.topic(), ask.name("group"), producer(ask)
    joined = member(ask, group)
    add_offsets(ask, who, group)
    own, generation = joined["member_id"], joined["generation_id"]

    def as_member(member_id: str, epoch: int, name: str = group, **fields: Any) -> None:
        identity = {"member_id": member_id, "generation_id_or_member_epoch": epoch}
        commit_in(ask, who, name, offsets(topic, 0), **identity, **fields)

    as_member(own, generation)
    sync(ask, group, joined)
    as_member(own, generation)
    as_member("", -1)
    if ask.version >= 3:
        for epoch in (0, 2, -1):
            as_member(own, epoch)
        as_member("nobody", generation)
        as_member("nobody", -1)
        as_member(own, generation, group_instance_id="i")
        as_member("nobody", 3, ask.name("nowhere"))
        as_member("", -1, ask.name("nowhere"))
    end(ask, who, committed=True)
    settled(ask, group, topic, 0)


@scenario("TxnOffsetCommit", versions=(3, 5, 6))
def test_commit_as_member_of_a_consumer_group_in_transactions(ask: Ask) -> None:
    topic, group, who = topic_of(ask, partitions=2), ask.name("group"), producer(ask)
    epoch = first_beat(ask, group, topic["name"])["member_epoch"]
    own = "00000000-0000-0000-0000-000000000001"
    add_offsets(ask, who, group)
    for member_id, each in ((own, epoch), (own, epoch + 1), (own, 0), (own, -1), ("nobody", epoch), ("", -1)):
        identity = {"member_id": member_id, "generation_id_or_member_epoch": each}
        commit_in(ask, who, group, offsets(topic, 0, offset=each + 10), **identity)
    end(ask, who, committed=True)
    settled(ask, group, topic, 0)


@scenario("TxnOffsetCommit", versions=(3, 6))
def test_pending_offsets_that_are_deleted(ask: Ask) -> None:
    topic, group, other, who = ask.topic(partitions=2), ask.name("group"), ask.name("other"), producer(ask)
    for name in (group, other):
        add_offsets(ask, who, name)
        commit_in(ask, who, name, offsets(topic, 0, 1))
    named = [{"name": topic["name"], "partitions": [{"partition_index": 0}]}]
    ask("OffsetDelete", group_id=group, topics=named)
    ask("DeleteGroups", groups_names=[other])
    ask("ListGroups", states_filter=["Dead"])
    end(ask, who, committed=True)
    settled(ask, group, topic, 0, 1)
    settled(ask, other, topic, 0, 1)


@scenario("TxnOffsetCommit", versions=(3, 6))
def test_the_later_of_two_commits(ask: Ask) -> None:
    topic, group = ask.topic(partitions=2), ask.name("group")
    one, two = producer(ask, "one"), producer(ask, "two")
    for who, first in ((one, 10), (two, 20)):
        add_offsets(ask, who, group)
        commit_in(ask, who, group, offsets(topic, 0, offset=first), offsets(topic, 1, offset=first + 1))
    commit(ask, group, offsets(topic, 1, offset=30))
    end(ask, two, committed=True)
    end(ask, one, committed=True)
    settled(ask, group, topic, 0, 1)
