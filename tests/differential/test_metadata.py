"""What a broker tells of its topics and of itself."""

from __future__ import annotations

import uuid

from .scenario import Ask, scenario

NOWHERE = uuid.UUID(int=77)
ZERO = uuid.UUID(int=0)


@scenario("Metadata")
def test_metadata_of_known_topics(ask: Ask) -> None:
    topic, other = ask.topic("one", partitions=3), ask.topic("two")
    ask("Metadata", topics=[{"name": topic["name"]}, {"name": other["name"]}, {"name": topic["name"]}])
    ask("Metadata", topics=[{"name": topic["name"]}], include_topic_authorized_operations=True)
    ask("Metadata", topics=[{"name": topic["name"]}], include_cluster_authorized_operations=True)


@scenario("Metadata", versions=range(1, 14, 4))
def test_metadata_of_no_topic(ask: Ask) -> None:
    ask("Metadata", topics=[], include_cluster_authorized_operations=True)


@scenario("Metadata", versions=(4, 9, 13))
def test_metadata_of_unknown_topics_without_creation(ask: Ask) -> None:
    for name in ("nowhere", "also.nowhere"):
        ask("Metadata", topics=[{"name": ask.name(name)}], allow_auto_topic_creation=False)


@scenario("Metadata")
def test_metadata_creates_topics(ask: Ask) -> None:
    ask("Metadata", topics=[{"name": ask.name("new")}], allow_auto_topic_creation=True)
    ask.eventually("Metadata", topics=[{"name": ask.name("new")}])


@scenario("Metadata")
def test_metadata_of_invalid_names(ask: Ask) -> None:
    for name in ("", ".", "..", "a b", "ä", "x" * 250, "a/b", "a\0b"):
        ask("Metadata", topics=[{"name": name}], allow_auto_topic_creation=True)


@scenario("Metadata")
def test_metadata_of_colliding_names(ask: Ask) -> None:
    ask.topic("a_b")
    ask("Metadata", topics=[{"name": ask.name("a.b")}], allow_auto_topic_creation=True)


@scenario("Metadata", versions=(12, 13))
def test_metadata_by_id(ask: Ask) -> None:
    topic = ask.topic()
    by_id = {"topic_id": topic["topic_id"], "name": None}
    ask("Metadata", topics=[by_id])
    ask("Metadata", topics=[by_id, by_id])
    ask("Metadata", topics=[by_id, {"topic_id": NOWHERE, "name": None}])
    ask("Metadata", topics=[{"topic_id": ZERO, "name": topic["name"]}, by_id])


@scenario("Metadata", versions=(12, 13))
def test_metadata_by_id_and_name(ask: Ask) -> None:
    topic, other = ask.topic(), ask.topic("other")
    for name in ("", topic["name"], other["name"], ask.name("nowhere"), "a b"):
        ask("Metadata", topics=[{"topic_id": topic["topic_id"], "name": name}])


@scenario("Metadata", versions=(10, 11, 12))
def test_metadata_without_name_or_id(ask: Ask) -> None:
    ask("Metadata", topics=[{"topic_id": ZERO, "name": "" if ask.version < 10 else None}])


@scenario("Metadata", versions=(10, 11))
def test_metadata_by_id_in_versions_without_ids(ask: Ask) -> None:
    topic = ask.topic()
    ask("Metadata", topics=[{"topic_id": topic["topic_id"], "name": None}])


@scenario("DescribeCluster")
def test_cluster(ask: Ask) -> None:
    ask("DescribeCluster")
    ask("DescribeCluster", include_cluster_authorized_operations=True, include_fenced_brokers=True)
    for endpoint_type in (0, 2, 3, -1):
        ask("DescribeCluster", endpoint_type=endpoint_type)


@scenario("DescribeTopicPartitions")
def test_partitions_in_pages(ask: Ask) -> None:
    one, two = ask.topic("a", partitions=3), ask.topic("b", partitions=2)
    topics = [{"name": two["name"]}, {"name": one["name"]}]
    ask("DescribeTopicPartitions", topics=topics)
    ask("DescribeTopicPartitions", topics=topics, response_partition_limit=2)
    for topic, index in ((one, 0), (one, 1), (one, 2), (one, 3), (two, 0), (two, 1)):
        cursor = {"topic_name": topic["name"], "partition_index": index}
        ask("DescribeTopicPartitions", topics=topics, response_partition_limit=2, cursor=cursor)


@scenario("DescribeTopicPartitions")
def test_partitions_of_unknown_topics(ask: Ask) -> None:
    topic = ask.topic()
    ask("DescribeTopicPartitions", topics=[{"name": ask.name("nowhere")}, {"name": topic["name"]}])
    ask("DescribeTopicPartitions", topics=[{"name": topic["name"]}, {"name": topic["name"]}])
    for name in ("", "a b", "x" * 250):
        ask("DescribeTopicPartitions", topics=[{"name": name}])


@scenario("DescribeTopicPartitions")
def test_partitions_with_bad_cursors(ask: Ask) -> None:
    topic, other = ask.topic("b"), ask.topic("c")
    asked = [{"name": topic["name"]}]
    for name in (ask.name("a"), other["name"], ask.name("nowhere"), ""):
        ask("DescribeTopicPartitions", topics=asked, cursor={"topic_name": name, "partition_index": 0})
    for limit in (0, -1):
        ask("DescribeTopicPartitions", topics=asked, response_partition_limit=limit)
    ask("DescribeTopicPartitions", topics=asked, cursor={"topic_name": topic["name"], "partition_index": -1})
