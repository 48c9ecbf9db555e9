"""Records read back."""

from __future__ import annotations

import uuid
from typing import Any

from .batches import START_MS, batch
from .scenario import Ask, scenario

NOWHERE = uuid.UUID(int=77)


def fetch(ask: Ask, topic: dict[str, Any], *partitions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    asked = [
        {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 20, **each} for each in partitions
    ]
    topics = [{"topic": topic["name"], "topic_id": topic["topic_id"], "partitions": asked}] if asked else []
    return ask(
        "Fetch", **{"max_wait_ms": 0, "min_bytes": 0, "max_bytes": 1 << 20, "topics": topics, **fields}
    )


@scenario("Fetch")
def test_fetch(ask: Ask) -> None:
    topic = ask.topic(partitions=2)
    for values in ((b"a", b"b"), (b"c",)):
        ask.produce(topic, batch(*values))
    for offset in (0, 1, 2, 3):
        fetch(ask, topic, {"fetch_offset": offset})
    fetch(ask, topic, {}, {"partition": 1})
    fetch(ask, topic, {}, {})
    fetch(ask, topic, {}, isolation_level=1)


@scenario("Fetch")
def test_fetch_at_no_isolation_level(ask: Ask) -> None:
    topic = ask.topic()
    ask.produce(topic, batch(b"a"))
    for isolation_level in (2, -1):
        fetch(ask, topic, {}, isolation_level=isolation_level)


@scenario("Fetch")
def test_fetch_outside(ask: Ask) -> None:
    topic = ask.topic()
    ask.produce(topic, batch(b"a"))
    for offset in (2, 100, -1, -2, 2**62):
        fetch(ask, topic, {"fetch_offset": offset})
    for partition in (1, -1):
        fetch(ask, topic, {"partition": partition}, {})
    fetch(ask, {"name": ask.name("nowhere"), "topic_id": NOWHERE}, {})
    fetch(ask, {"name": "", "topic_id": uuid.UUID(int=0)}, {})


@scenario("Fetch")
def test_fetch_within_limits(ask: Ask) -> None:
    topic = ask.topic(partitions=2)
    for partition in (0, 1):
        for value in (b"a" * 100, b"b" * 100):
            ask.produce(topic, batch(value), partition=partition)
    for size in (0, 1, 200, 400):
        fetch(ask, topic, {"partition_max_bytes": size}, {"partition": 1, "partition_max_bytes": size})
    for size in (0, 1, 200, 400):
        fetch(ask, topic, {}, {"partition": 1}, max_bytes=size)


@scenario("Fetch")
def test_fetch_with_negative_sizes(ask: Ask) -> None:
    topic = ask.topic()
    ask.produce(topic, batch(b"a"))
    fetch(ask, topic, {"partition_max_bytes": -1})
    fetch(ask, topic, {}, max_bytes=-1)


@scenario("Fetch", versions=(9, 12, 18))
def test_fetch_at_epochs(ask: Ask) -> None:
    topic = ask.topic()
    ask.produce(topic, batch(b"a"))
    for epoch in (0, 1, -1, -2, 100):
        fetch(ask, topic, {"current_leader_epoch": epoch})


@scenario("Fetch", versions=(12, 15, 18))
def test_fetch_after_epochs(ask: Ask) -> None:
    topic = ask.topic()
    ask.produce(topic, batch(b"a"))
    for epoch in (0, 1, -1, -2, 100):
        fetch(ask, topic, {"last_fetched_epoch": epoch, "fetch_offset": 1})
        fetch(ask, topic, {"last_fetched_epoch": epoch, "fetch_offset": 5})


@scenario("Fetch", versions=(7, 12, 18))
def test_fetch_in_a_session(ask: Ask) -> None:
    topic, other = ask.topic(partitions=2), ask.topic("other")
    first = {"partition": 0}
    session_id = fetch(ask, topic, first, {"partition": 1}, session_epoch=0)["session_id"]

    def again(epoch: int, *partitions: dict[str, Any], **fields: Any) -> None:
        fetch(ask, topic, *partitions, session_id=session_id, session_epoch=epoch, **fields)

    again(1)
    ask.produce(topic, batch(b"a"), partition=1)
    again(2)
    again(3)
    again(4, {"partition": 1, "fetch_offset": 1})
    again(5)
    again(5)
    again(7)
    again(6, {"partition": 7})
    again(7)
    forgotten = [{"topic": topic["name"], "topic_id": topic["topic_id"], "partitions": [1, 7, 9]}]
    again(8, forgotten_topics_data=forgotten)
    ask.produce(topic, batch(b"a"), partition=1)
    again(9)
    added = {"topic": other["name"], "topic_id": other["topic_id"]}
    added["partitions"] = [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 20}]
    again(10, topics=[added])
    ask.produce(other, batch(b"b"))
    again(11)
    again(0)
    again(-1)
    again(12)


@scenario("Fetch", versions=(7, 12, 18))
def test_fetch_in_no_session(ask: Ask) -> None:
    topic = ask.topic()
    for session_id, epoch in (
        (0, 1),
        (123_456_789, 0),
        (123_456_789, 1),
        (123_456_789, -1),
        (-1, 1),
        (0, -1),
        (0, -2),
    ):
        fetch(ask, topic, {}, session_id=session_id, session_epoch=epoch)


@scenario("Fetch", versions=(7, 12, 18))
def test_fetch_in_a_session_of_nothing(ask: Ask) -> None:
    topic = ask.topic()
    fetch(ask, topic, session_epoch=0)
    fetch(ask, topic)
    fetch(ask, {"name": ask.name("nowhere"), "topic_id": NOWHERE}, {}, session_epoch=0)


@scenario("Fetch", versions=(12, 13, 18))
def test_fetch_of_a_topic_that_went(ask: Ask) -> None:
    topic = ask.topic()
    ask.produce(topic, batch(b"a"))
    session_id = fetch(ask, topic, {}, session_epoch=0)["session_id"]
    ask.quietly("DeleteTopics", topics=[{"name": topic["name"]}], timeout_ms=10_000)
    ask.settle()
    fetch(ask, topic, session_id=session_id, session_epoch=1)
    ask.topic()
    fetch(ask, topic, session_id=session_id, session_epoch=2)
    fetch(ask, topic, {})


@scenario("ListOffsets")
def test_list_offsets(ask: Ask) -> None:
    topic = ask.topic(partitions=2)
    ask.produce(topic, batch(b"a", b"b", b"c"))
    start = START_MS

    def listed(timestamp: int, *partitions: int, name: str = topic["name"], **fields: Any) -> None:
        asked = [{"partition_index": each, "timestamp": timestamp, **fields} for each in partitions]
        ask("ListOffsets", replica_id=-1, topics=[{"name": name, "partitions": asked}])

    for timestamp in (-1, start - 1, start, start + 1, start + 1000, start + 2000, start + 2001, 0, 2**62):
        listed(timestamp, 0)
    for partition in (2, -1):
        listed(-1, partition)
    for name in (ask.name("nowhere"), ""):
        listed(-1, 0, name=name)
    ask("ListOffsets", replica_id=-1, topics=[])
    for epoch in (0, 1, -2):
        if ask.version >= 4:
            listed(-1, 0, current_leader_epoch=epoch)


@scenario("ListOffsets")
def test_list_offsets_of_partitions_twice(ask: Ask) -> None:
    topic = ask.topic(partitions=2)
    asked = [{"partition_index": index, "timestamp": -1} for index in (0, 1, 0)]
    ask("ListOffsets", replica_id=-1, topics=[{"name": topic["name"], "partitions": asked}])


@scenario("ListOffsets")
def test_list_offsets_of_no_partitions(ask: Ask) -> None:
    ask("ListOffsets", replica_id=-1, topics=[{"name": ask.topic()["name"], "partitions": []}])


@scenario("ListOffsets", versions=(1, 6, 7, 8, 9, 11))
def test_list_special_offsets(ask: Ask) -> None:
    topic = ask.topic(partitions=2)
    ask.produce(topic, batch(b"a", b"b"))
    for timestamp in (-1, -2, -3, -4, -5, -6, -7, -100):
        asked = [{"partition_index": 0, "timestamp": timestamp}]
        ask("ListOffsets", replica_id=-1, topics=[{"name": topic["name"], "partitions": asked}])
    for timestamp in (-1, -3, -5, -6):
        asked = [{"partition_index": 1, "timestamp": timestamp}]
        ask("ListOffsets", replica_id=-1, topics=[{"name": topic["name"], "partitions": asked}])


@scenario("ListOffsets", versions=(4, 8, 11))
def test_list_earliest_of_an_empty_partition(ask: Ask) -> None:
    topic = ask.topic()
    for timestamp in (-2, -4):
        asked = [{"partition_index": 0, "timestamp": timestamp}]
        ask("ListOffsets", replica_id=-1, topics=[{"name": topic["name"], "partitions": asked}])


@scenario("ListOffsets", versions=(2, 7, 11))
def test_list_committed_offsets(ask: Ask) -> None:
    topic = ask.topic()
    ask.produce(topic, batch(b"a", b"b"))
    for timestamp in (-1, -2, -3):
        asked = [{"partition_index": 0, "timestamp": timestamp}]
        topics = [{"name": topic["name"], "partitions": asked}]
        ask("ListOffsets", replica_id=-1, isolation_level=1, topics=topics)


@scenario("ListOffsets", versions=(2, 7, 11))
def test_list_offsets_at_no_isolation_level(ask: Ask) -> None:
    asked = [{"partition_index": 0, "timestamp": -1}]
    topics = [{"name": ask.topic()["name"], "partitions": asked}]
    ask("ListOffsets", replica_id=-1, isolation_level=2, topics=topics)


@scenario("OffsetForLeaderEpoch")
def test_epochs(ask: Ask) -> None:
    topic = ask.topic(partitions=2)
    ask.produce(topic, batch(b"a", b"b"))
    for epoch in (0, 1, -1, -2, 100):
        for current in (-1, 0, 1, -2):
            asked = [{"partition": 0, "leader_epoch": epoch, "current_leader_epoch": current}]
            ask("OffsetForLeaderEpoch", replica_id=-2, topics=[{"topic": topic["name"], "partitions": asked}])
    for partition in (2, -1):
        asked = [{"partition": partition, "leader_epoch": 0}]
        ask("OffsetForLeaderEpoch", replica_id=-2, topics=[{"topic": topic["name"], "partitions": asked}])
    for name in (ask.name("nowhere"), ""):
        asked = [{"partition": 0, "leader_epoch": 0}]
        ask("OffsetForLeaderEpoch", replica_id=-2, topics=[{"topic": name, "partitions": asked}])
    ask("OffsetForLeaderEpoch", replica_id=-2, topics=[])


@scenario("OffsetForLeaderEpoch")
def test_epochs_of_an_empty_partition(ask: Ask) -> None:
    topic = ask.topic()
    for epoch in (0, 1):
        asked = [{"partition": 0, "leader_epoch": epoch}]
        ask("OffsetForLeaderEpoch", replica_id=-2, topics=[{"topic": topic["name"], "partitions": asked}])


@scenario("DeleteRecords")
def test_delete_records(ask: Ask) -> None:
    topic = ask.topic(partitions=2)
    ask.produce(topic, batch(b"a", b"b", b"c"))

    def delete(offset: int, partition: int = 0, name: str = topic["name"]) -> None:
        asked = [{"partition_index": partition, "offset": offset}]
        ask("DeleteRecords", topics=[{"name": name, "partitions": asked}], timeout_ms=10_000)

    for offset in (4, -2, 0, 1, 0, -1, 3, 5):
        delete(offset)
    for partition in (1, 2, -1):
        delete(0, partition)
    for name in (ask.name("nowhere"), "", "a b"):
        delete(0, name=name)
    ask("DeleteRecords", topics=[], timeout_ms=10_000)
    fetch(ask, topic, {"fetch_offset": 0})
    fetch(ask, topic, {"fetch_offset": 3})


@scenario("DeleteRecords", versions=(2,))
def test_delete_records_of_compacted(ask: Ask) -> None:
    for policy in ("compact", "compact,delete"):
        topic = ask.topic(policy.replace(",", "-"), cleanup_policy=policy)
        ask.produce(topic, batch(b"a"))
        asked = [{"partition_index": 0, "offset": 1}]
        ask("DeleteRecords", topics=[{"name": topic["name"], "partitions": asked}], timeout_ms=10_000)


@scenario("DeleteRecords", versions=(2,))
def test_delete_records_without_policy(ask: Ask) -> None:
    topic = ask.topic(cleanup_policy="")
    ask.produce(topic, batch(b"a"))
    asked = [{"partition_index": 0, "offset": 1}]
    ask("DeleteRecords", topics=[{"name": topic["name"], "partitions": asked}], timeout_ms=10_000)


@scenario("DeleteRecords", versions=(2,))
def test_delete_records_of_internal_topics(ask: Ask) -> None:
    asked = [{"partition_index": 0, "offset": 0}]
    ask("DeleteRecords", topics=[{"name": "__consumer_offsets", "partitions": asked}], timeout_ms=10_000)
