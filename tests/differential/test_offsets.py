"""Offsets that groups commit, fetch and delete."""

from __future__ import annotations

import uuid
from typing import Any

from .scenario import Ask, scenario
from .test_groups import member, sync

NOWHERE = uuid.UUID(int=77)


def commit(ask: Ask, group: str, *topics: dict[str, Any], **fields: Any) -> None:
    ask("OffsetCommit", **{
        "group_id": group, "generation_id_or_member_epoch": -1, "member_id": "", "topics": list(topics),
        **fields,
    })  # fmt: skip


def offsets(topic: dict[str, Any], *partitions: int, offset: int = 5, **fields: Any) -> dict[str, Any]:
    described = [
        {"partition_index": index, "committed_offset": offset, "committed_metadata": "m", **fields}
        for index in partitions
    ]
    return {**topic, "partitions": described}


def fetched(
    ask: Ask, group: str, *topics: dict[str, Any], partitions: tuple[int, ...] = (0, 1), **fields: Any
) -> None:
    asked = [{**topic, "partition_indexes": list(partitions)} for topic in topics] if topics else None
    if ask.version_of("OffsetFetch") >= 8:
        ask("OffsetFetch", groups=[{"group_id": group, "topics": asked, **fields}])
    else:
        for each in asked or ():
            del each["topic_id"]
        ask("OffsetFetch", group_id=group, topics=asked)


@scenario("OffsetCommit")
def test_commit(ask: Ask) -> None:
    topic, group = ask.topic(partitions=2), ask.name("group")
    for offset, metadata in ((5, "m"), (0, ""), (7, None), (-1, "x"), (-5, "y"), (2**62, "é" * 10)):
        commit(ask, group, offsets(topic, 0, offset=offset, committed_metadata=metadata))
        fetched(ask, group, topic)
    commit(ask, group, offsets(topic, 0, committed_metadata="x" * 4096))
    commit(ask, group, offsets(topic, 0, 1, committed_metadata="x" * 4097))
    for epoch in (3, -1, -2):
        commit(ask, group, offsets(topic, 1, committed_leader_epoch=epoch))
        fetched(ask, group, topic)
    commit(ask, group, offsets(topic, 0, 0))
    commit(ask, group)


@scenario("OffsetCommit")
def test_commit_for_no_partitions(ask: Ask) -> None:
    commit(ask, ask.name("group"), offsets(ask.topic()))


@scenario("OffsetCommit")
def test_commit_for_unknown_partitions(ask: Ask) -> None:
    topic, group = ask.topic(), ask.name("group")
    nowhere = {"name": ask.name("nowhere"), "topic_id": NOWHERE}
    commit(ask, group, offsets(topic, 0, 1, -1), offsets(nowhere, 0))
    fetched(ask, group, topic)


@scenario("OffsetCommit")
def test_commit_for_unknown_partitions_as_nobody(ask: Ask) -> None:
    topic, group = ask.topic(), ask.name("group")
    nowhere = {"name": ask.name("nowhere"), "topic_id": NOWHERE}
    joined = member(ask, group)
    for member_id, generation in (("nobody", 1), (joined["member_id"], 7), ("", -1)):
        identity = {"member_id": member_id, "generation_id_or_member_epoch": generation}
        commit(ask, group, offsets(topic, 0, 1), offsets(nowhere, 0), **identity)
        commit(ask, ask.name("another"), offsets(topic, 0, 1), offsets(nowhere, 0), **identity)


@scenario("OffsetCommit")
def test_commit_as_member(ask: Ask) -> None:
    topic, group = ask.topic(), ask.name("group")
    joined = member(ask, group)

    def as_member(member_id: str, generation: int, name: str = group, **fields: Any) -> None:
        identity = {"member_id": member_id, "generation_id_or_member_epoch": generation}
        commit(ask, name, offsets(topic, 0), **identity, **fields)

    as_member(joined["member_id"], joined["generation_id"])
    sync(ask, group, joined)
    as_member(joined["member_id"], joined["generation_id"])
    for generation in (0, 2, -1):
        as_member(joined["member_id"], generation)
    for member_id in ("", "nobody"):
        for generation in (-1, joined["generation_id"]):
            as_member(member_id, generation)
    as_member("", -1, "")
    as_member("nobody", 3, ask.name("nowhere"))
    as_member("nobody", -1, ask.name("nowhere"))
    as_member("", 3, ask.name("nowhere"))
    if ask.version >= 7:
        as_member(joined["member_id"], joined["generation_id"], group_instance_id="i")


@scenario("OffsetFetch")
def test_fetch_offsets(ask: Ask) -> None:
    topic, group = ask.topic(partitions=3), ask.name("group")
    commit(ask, group, offsets(topic, 0, 1))
    nowhere = {"name": ask.name("nowhere"), "topic_id": NOWHERE}
    for name in (group, ask.name("another"), ""):
        fetched(ask, name, topic)
        fetched(ask, name, nowhere, topic, partitions=(0, 2, 3, -1))
        if ask.version >= 2:
            fetched(ask, name)
    fetched(ask, group, topic, partitions=())
    fetched(ask, group, topic, partitions=(0, 0))


@scenario("OffsetFetch", versions=(8, 9, 10))
def test_fetch_offsets_of_groups(ask: Ask) -> None:
    topic, group = ask.topic(), ask.name("group")
    commit(ask, group, offsets(topic, 0))
    asked = {"group_id": group, "topics": [{**topic, "partition_indexes": [0]}]}
    ask("OffsetFetch", groups=[asked, {**asked, "group_id": ask.name("another")}])
    ask("OffsetFetch", groups=[{**asked, "topics": None}])
    ask("OffsetFetch", groups=[{**asked, "topics": []}])
    ask("OffsetFetch", groups=[])
    ask("OffsetFetch", groups=[asked], require_stable=True)
    if ask.version >= 9:
        for member_id, epoch in (("nobody", 0), ("", 3), (None, 3), ("nobody", -1)):
            ask("OffsetFetch", groups=[{**asked, "member_id": member_id, "member_epoch": epoch}])


@scenario("OffsetFetch", versions=(8, 10))
def test_fetch_offsets_of_a_group_twice(ask: Ask) -> None:
    ask("OffsetFetch", groups=[{"group_id": ask.name("group"), "topics": None}] * 2)


@scenario("OffsetDelete")
def test_delete_offsets(ask: Ask) -> None:
    topic, other, group = ask.topic(partitions=2), ask.topic("other"), ask.name("group")
    commit(ask, group, offsets(topic, 0, 1), offsets(other, 0))

    def delete(*indexes: int, name: str = topic["name"], of: str = group) -> None:
        partitions = [{"partition_index": index} for index in indexes]
        ask("OffsetDelete", group_id=of, topics=[{"name": name, "partitions": partitions}])

    delete(0, 2, -1)
    delete(0)
    delete(0, name=ask.name("nowhere"))
    for name in ("", ask.name("another")):
        delete(0, of=name)
    ask("OffsetDelete", group_id=group, topics=[])
    fetched(ask, group, topic)
    delete(1)
    delete(0, name=other["name"])
    fetched(ask, group, topic)
    delete(0)


@scenario("OffsetDelete")
def test_delete_offsets_of_no_partitions(ask: Ask) -> None:
    topic, group = ask.topic(), ask.name("group")
    commit(ask, group, offsets(topic, 0))
    ask("OffsetDelete", group_id=group, topics=[{"name": topic["name"], "partitions": []}])


@scenario("OffsetDelete")
def test_delete_offsets_of_members(ask: Ask) -> None:
    topic, group = ask.topic(), ask.name("group")
    subscription = (
        b"\0\0\0\0\0\1" + len(topic["name"]).to_bytes(2, "big") + topic["name"].encode() + b"\xff\xff\xff\xff"
    )
    joined = member(ask, group, protocols=[{"name": "range", "metadata": subscription}])
    sync(ask, group, joined)
    identity = {"member_id": joined["member_id"], "generation_id_or_member_epoch": joined["generation_id"]}
    commit(ask, group, offsets(topic, 0), **identity)
    ask(
        "OffsetDelete",
        group_id=group,
        topics=[{"name": topic["name"], "partitions": [{"partition_index": 0}]}],
    )
