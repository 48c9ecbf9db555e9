"""Consumer groups of KIP-848."""

from __future__ import annotations

from typing import Any

from .scenario import Ask, scenario
from .test_groups import join, member

ONE, TWO = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"


def topic_of(ask: Ask, **fields: Any) -> dict[str, Any]:
    """A new topic that the group coordinator knows as well."""
    topic = ask.topic(**fields)
    ask.settle()
    return topic


def beat(ask: Ask, group: str, epoch: int, **fields: Any) -> dict[str, Any]:
    return ask(
        "ConsumerGroupHeartbeat", **{"group_id": group, "member_id": ONE, "member_epoch": epoch, **fields}
    )


def first_beat(ask: Ask, group: str, *topics: str, **fields: Any) -> dict[str, Any]:
    joining = {"subscribed_topic_names": list(topics), "rebalance_timeout_ms": 30_000, "topic_partitions": []}
    return beat(ask, group, 0, **{**joining, **fields})


@scenario("ConsumerGroupHeartbeat")
def test_beat(ask: Ask) -> None:
    topic, group = topic_of(ask, partitions=2), ask.name("group")
    epoch = first_beat(ask, group, topic["name"])["member_epoch"]
    beat(ask, group, epoch)
    owned = [{"topic_id": topic["topic_id"], "partitions": [0, 1]}]
    beat(ask, group, epoch, topic_partitions=owned)
    first_beat(ask, group, topic["name"])
    for wrong in (epoch + 1, epoch - 1, epoch + 100):
        beat(ask, group, wrong)
    beat(ask, group, epoch, member_id=TWO)
    ask("ConsumerGroupDescribe", group_ids=[group])
    beat(ask, group, -1)
    beat(ask, group, epoch)
    beat(ask, group, -1)


@scenario("ConsumerGroupHeartbeat")
def test_beat_wrongly(ask: Ask) -> None:
    topic, group = topic_of(ask), ask.name("group")
    good = {"subscribed_topic_names": [topic["name"]], "rebalance_timeout_ms": 30_000, "topic_partitions": []}
    for number, wrong in enumerate((
        {"group_id": ""}, {"member_id": ""}, {"member_epoch": -3},
        {"rebalance_timeout_ms": -1}, {"rebalance_timeout_ms": 0}, {"topic_partitions": None},
        {"subscribed_topic_names": None},
        {"topic_partitions": [{"topic_id": topic["topic_id"], "partitions": [0]}]},
        {"subscribed_topic_names": []},
        {"instance_id": ""}, {"rack_id": ""}, {"server_assignor": ""}, {"server_assignor": "nonsense"},
        {"member_epoch": 5}, {"member_epoch": -1}, {"member_epoch": -2},
        {"member_epoch": -2, "instance_id": "i"},
        {"subscribed_topic_regex": ""}, {"subscribed_topic_regex": "("},
        {"member_id": "x" * 37}, {"subscribed_topic_names": [""]},
        {"subscribed_topic_names": [ask.name("nowhere")]},
    )):  # fmt: skip
        beat(ask, f"{group}-{number}", 0, **{**good, **wrong})


@scenario("ConsumerGroupHeartbeat")
def test_beat_under_blank_names(ask: Ask) -> None:
    first_beat(ask, " ")
    first_beat(ask, ask.name("group"), member_id=" ")


@scenario("ConsumerGroupHeartbeat")
def test_beat_statically(ask: Ask) -> None:
    topic, group = topic_of(ask), ask.name("group")
    epoch = first_beat(ask, group, topic["name"], instance_id="i")["member_epoch"]
    first_beat(ask, group, topic["name"], instance_id="i", member_id=TWO)
    beat(ask, group, epoch, instance_id="j")
    beat(ask, group, epoch, member_id=TWO, instance_id="i")
    beat(ask, group, -2, instance_id="i")
    ask("ConsumerGroupDescribe", group_ids=[group])
    first_beat(ask, group, topic["name"], instance_id="i", member_id=TWO)
    beat(ask, group, epoch, instance_id="i")
    beat(ask, group, -1, instance_id="i", member_id=TWO)
    ask("ConsumerGroupDescribe", group_ids=[group])


@scenario("ConsumerGroupHeartbeat")
def test_two_members(ask: Ask) -> None:
    topic, group = topic_of(ask, partitions=2), ask.name("group")
    epoch = first_beat(ask, group, topic["name"])["member_epoch"]
    other = first_beat(ask, group, topic["name"], member_id=TWO)["member_epoch"]
    both = [{"topic_id": topic["topic_id"], "partitions": [0, 1]}]
    kept = beat(ask, group, epoch, topic_partitions=both)["assignment"]["topic_partitions"]
    beat(ask, group, other, member_id=TWO)
    beat(ask, group, epoch, topic_partitions=kept)
    beat(ask, group, other, member_id=TWO)
    ask("ConsumerGroupDescribe", group_ids=[group], include_authorized_operations=True)


@scenario("ConsumerGroupDescribe")
def test_describe(ask: Ask) -> None:
    classic, modern = ask.name("classic"), ask.name("modern")
    topic = topic_of(ask)
    member(ask, classic)
    first_beat(ask, modern, topic["name"])
    ask(
        "ConsumerGroupDescribe",
        group_ids=[classic, modern, ask.name("nowhere"), ""],
        include_authorized_operations=True,
    )
    ask("ConsumerGroupDescribe", group_ids=[])
    ask("DescribeGroups", groups=[modern])


@scenario("ConsumerGroupDescribe")
def test_describe_consumer_groups_twice(ask: Ask) -> None:
    ask("ConsumerGroupDescribe", group_ids=[ask.name("group")] * 2)


@scenario("ConsumerGroupHeartbeat")
def test_classic_requests_of_a_consumer_group(ask: Ask) -> None:
    topic, group = topic_of(ask), ask.name("group")
    epoch = first_beat(ask, group, topic["name"])["member_epoch"]
    join(ask, group)
    ask("Heartbeat", group_id=group, generation_id=epoch, member_id=ONE)
    ask("SyncGroup", group_id=group, generation_id=epoch, member_id=ONE)
    ask("LeaveGroup", group_id=group, members=[{"member_id": ONE}, {"member_id": "nobody"}])
    ask("DeleteGroups", groups_names=[group])
    listed = ask.quietly("ListGroups")
    ask.note("ListGroups", None, [each for each in listed["groups"] if each["group_id"] == group])


@scenario("ConsumerGroupHeartbeat")
def test_offsets_of_a_consumer_group(ask: Ask) -> None:
    topic, group = topic_of(ask, partitions=2), ask.name("group")
    epoch = first_beat(ask, group, topic["name"])["member_epoch"]
    partition = {"partition_index": 0, "committed_offset": 5, "committed_metadata": ""}
    for version in (8, 9, 10):
        for member_id, wanted in (
            (ONE, epoch),
            (ONE, epoch + 1),
            (ONE, epoch - 1),
            (TWO, epoch),
            ("", -1),
            (ONE, -1),
        ):
            ask(
                "OffsetCommit", version, group_id=group, member_id=member_id,
                generation_id_or_member_epoch=wanted,
                topics=[{**topic, "partitions": [partition]}],
            )  # fmt: skip
            asked = {"group_id": group, "member_id": member_id, "member_epoch": wanted}
            if version > 8:
                asked["topics"] = [{**topic, "partition_indexes": [0, 1]}]
                ask("OffsetFetch", version, groups=[asked])
