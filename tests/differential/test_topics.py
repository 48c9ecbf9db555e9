"""Topics made, enlarged and deleted."""

from __future__ import annotations

import uuid
from typing import Any

from .scenario import Ask, scenario

NOWHERE = uuid.UUID(int=77)
ZERO = uuid.UUID(int=0)


def new(ask: Ask, name: str, /, **fields: Any) -> dict[str, Any]:
    return {"name": ask.name(name), "num_partitions": 1, "replication_factor": 1, **fields}


def create(ask: Ask, *topics: dict[str, Any], validate_only: bool = False) -> None:
    ask("CreateTopics", topics=list(topics), timeout_ms=10_000, validate_only=validate_only)


@scenario("CreateTopics")
def test_create(ask: Ask) -> None:
    create(ask, new(ask, "plain", num_partitions=2))
    create(ask, new(ask, "dry", num_partitions=2), validate_only=True)
    configs = [{"name": "retention.ms", "value": "60000"}, {"name": "cleanup.policy", "value": "compact"}]
    create(ask, new(ask, "configured", configs=configs))
    assigned = [{"partition_index": index, "broker_ids": [1]} for index in (1, 0)]
    create(ask, new(ask, "assigned", num_partitions=-1, replication_factor=-1, assignments=assigned))
    create(ask)


@scenario("CreateTopics", versions=(4, 5, 7))
def test_create_with_defaults(ask: Ask) -> None:
    create(ask, new(ask, "default", num_partitions=-1, replication_factor=-1))


@scenario("CreateTopics", versions=(2, 4))
def test_create_what_is_there(ask: Ask) -> None:
    create(ask, new(ask, "new"), new(ask, "other"))
    ask.settle()
    create(ask, new(ask, "new"), new(ask, "third"))
    create(ask, new(ask, "new"), validate_only=True)


@scenario("CreateTopics", versions=(2, 4))
def test_create_twice_in_one_request(ask: Ask) -> None:
    create(ask, new(ask, "twice"), new(ask, "once"), new(ask, "twice", num_partitions=2))
    create(ask, new(ask, "twice"))


@scenario("CreateTopics", versions=(2, 4))
def test_create_invalid_names(ask: Ask) -> None:
    for name in ("", ".", "..", "a b", "ä", "x" * 250, "a/b", "a:b", "__consumer_offsets"):
        create(ask, new(ask, "", name=name))


@scenario("CreateTopics", versions=(2, 4))
def test_create_colliding_names(ask: Ask) -> None:
    create(ask, new(ask, "a.b_c"))
    ask.settle()
    create(ask, new(ask, "a_b.c"))


@scenario("CreateTopics", versions=(2, 4, 7))
def test_create_the_metadata_log(ask: Ask) -> None:
    create(ask, new(ask, "", name="__cluster_metadata"))


@scenario("CreateTopics", versions=(7,))
def test_create_refused(ask: Ask) -> None:
    create(ask, new(ask, "a b"))


@scenario("CreateTopics")
def test_create_two_colliding_names(ask: Ask) -> None:
    create(ask, new(ask, "x.y"), new(ask, "x_y"))


@scenario("CreateTopics", versions=(2, 4))
def test_create_invalid_numbers(ask: Ask) -> None:
    for partitions in (0, -2, -1):
        create(ask, new(ask, f"partitions{partitions}", num_partitions=partitions))
    for replicas in (0, -2, 2):
        create(ask, new(ask, f"replicas{replicas}", replication_factor=replicas))
    create(ask, new(ask, "both", num_partitions=0, replication_factor=0))


@scenario("CreateTopics", versions=(2, 4))
def test_create_invalid_assignments(ask: Ask) -> None:
    def assigned(*brokers: list[int], **fields: Any) -> dict[str, Any]:
        assignments = [{"partition_index": index, "broker_ids": ids} for index, ids in enumerate(brokers)]
        return new(
            ask, "a", **{"num_partitions": -1, "replication_factor": -1, "assignments": assignments, **fields}
        )

    create(ask, assigned([1], num_partitions=1))
    create(ask, assigned([1], replication_factor=1))
    create(ask, assigned([1, 1]))
    create(ask, assigned([1, 2]))
    create(ask, assigned([2]))
    create(ask, assigned([-1]))
    create(ask, assigned([]))
    create(ask, assigned([1], [1, 2]))
    for indexes in ((1,), (0, 2), (-1,), (0, 0)):
        gaps = [{"partition_index": index, "broker_ids": [1]} for index in indexes]
        create(ask, assigned(assignments=gaps))


@scenario("CreateTopics", versions=(2, 4))
def test_create_invalid_configs(ask: Ask) -> None:
    for number, (name, value) in enumerate((
        ("no.such.config", "1"), ("retention.ms", "soon"), ("retention.ms", None), ("retention.ms", ""),
        ("retention.ms", "-2"), ("cleanup.policy", "shred"), ("cleanup.policy", ""),
        ("max.message.bytes", "-1"),
        ("compression.type", "rar"), ("segment.bytes", "1"), ("min.insync.replicas", "0"),
        ("unclean.leader.election.enable", "maybe"), ("", "1"), ("message.timestamp.type", "Now"),
        ("min.cleanable.dirty.ratio", "1.5"), ("leader.replication.throttled.replicas", "x"),
        ("message.format.version", "1.0"), ("remote.storage.enable", "true"), ("local.retention.ms", "1"),
    )):  # fmt: skip
        create(ask, new(ask, f"c{number}", configs=[{"name": name, "value": value}]))
    twice = [{"name": "retention.ms", "value": "1"}, {"name": "retention.ms", "value": "2"}]
    create(ask, new(ask, "twice", configs=twice))


def delete(ask: Ask, *names: str) -> None:
    named = [{"name": name, "topic_id": ZERO} for name in names]
    ask(
        "DeleteTopics",
        timeout_ms=10_000,
        **({"topics": named} if ask.version >= 6 else {"topic_names": list(names)}),
    )


def by_id(*topics: tuple[str | None, uuid.UUID]) -> dict[str, Any]:
    return {
        "timeout_ms": 10_000,
        "topics": [{"name": name, "topic_id": topic_id} for name, topic_id in topics],
    }


@scenario("DeleteTopics")
def test_delete(ask: Ask) -> None:
    one, two = ask.topic("one"), ask.topic("two")
    delete(ask, one["name"], ask.name("nowhere"))
    delete(ask, two["name"])
    ask.settle()
    delete(ask, one["name"])
    ask("Metadata", topics=[{"name": one["name"]}], allow_auto_topic_creation=False)
    for name in ("", "a b", "x" * 250):
        delete(ask, name)
    delete(ask)


@scenario("DeleteTopics", versions=(6,))
def test_delete_by_id(ask: Ask) -> None:
    topic = ask.topic()
    ask("DeleteTopics", **by_id((None, NOWHERE)))
    ask("DeleteTopics", **by_id((topic["name"], topic["topic_id"])))
    ask("DeleteTopics", **by_id((None, topic["topic_id"]), (None, NOWHERE)))
    ask("DeleteTopics", **by_id((None, topic["topic_id"])))


@scenario("DeleteTopics", versions=(1, 5))
def test_delete_twice(ask: Ask) -> None:
    topic = ask.topic()
    delete(ask, topic["name"], topic["name"])
    ask.settle()
    ask("Metadata", topics=[{"name": topic["name"]}], allow_auto_topic_creation=False)


@scenario("DeleteTopics", versions=(6,))
def test_delete_twice_by_name_and_id(ask: Ask) -> None:
    one, two = ask.topic("one"), ask.topic("two")
    ask("DeleteTopics", **by_id((one["name"], ZERO), (one["name"], ZERO)))
    ask("DeleteTopics", **by_id((one["name"], ZERO), (None, one["topic_id"]), (two["name"], ZERO)))
    ask("DeleteTopics", **by_id((None, one["topic_id"]), (None, one["topic_id"])))
    ask("DeleteTopics", **by_id((None, NOWHERE), (None, NOWHERE)))
    ask("DeleteTopics", **by_id((ask.name("nowhere"), ZERO), (ask.name("nowhere"), ZERO)))
    ask("DeleteTopics", **by_id((one["name"], one["topic_id"]), (one["name"], ZERO)))
    ask.settle()
    for topic in (one, two):
        ask("Metadata", topics=[{"name": topic["name"]}], allow_auto_topic_creation=False)


@scenario("DeleteTopics", versions=(6,))
def test_delete_nothing(ask: Ask) -> None:
    topic = ask.topic()
    ask("DeleteTopics", **by_id((None, ZERO)))
    ask("DeleteTopics", **by_id((None, ZERO), (topic["name"], ZERO)))


@scenario("CreatePartitions")
def test_more_partitions(ask: Ask) -> None:
    topic = ask.topic(partitions=2)

    def grow(
        count: int, assignments: list[list[int]] | None = None, name: str = topic["name"], **fields: Any
    ) -> None:
        brokers = None if assignments is None else [{"broker_ids": ids} for ids in assignments]
        asked = {"name": name, "count": count, "assignments": brokers}
        ask("CreatePartitions", topics=[asked], timeout_ms=10_000, **fields)
        ask.settle()

    grow(3, validate_only=True)
    grow(3)
    for count in (3, 2, 0, -1):
        grow(count)
    for assignments in ([], [[1], [1]], [[2]], [[1, 1]], [[]], [[1, 2]], [[-1]]):
        grow(4, assignments)
    grow(4, [[1]])
    grow(2, name=ask.name("nowhere"))
    for name in ("", "a b"):
        grow(2, name=name)
    ask("CreatePartitions", topics=[], timeout_ms=10_000)
    twice = [{"name": topic["name"], "count": count, "assignments": None} for count in (5, 6)]
    ask("CreatePartitions", topics=twice, timeout_ms=10_000)
    ask.settle()
    ask("Metadata", topics=[{"name": topic["name"]}])
