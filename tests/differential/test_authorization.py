"""With an authorizer and the same ACLs on both: who may not, is told the same and sees as little."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from .batches import batch
from .brokers import Broker
from .scenario import Ask, scenario

TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID = 2, 3, 4, 5
ALL, READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS = range(
    2, 12
)
IDEMPOTENT_WRITE = 12
DENY, ALLOW = 2, 3
LITERAL, PREFIXED = 3, 4
ANY = {
    "resource_type_filter": 1,
    "resource_name_filter": None,
    "pattern_type_filter": 1,
    "principal_filter": None,
    "host_filter": None,
    "operation": 1,
    "permission_type": 1,
}
"""A filter that finds every ACL"""
NOWHERE = uuid.UUID(int=77)


@pytest.fixture
def brokers(guarded_brokers: tuple[Broker, Broker]) -> tuple[Broker, Broker]:
    return guarded_brokers


def entry(
    resource_type: int, name: str, operation: int, permission: int = DENY, **fields: Any
) -> dict[str, Any]:
    return {
        "resource_type": resource_type,
        "resource_name": name,
        "resource_pattern_type": LITERAL,
        "principal": "User:ANONYMOUS",
        "host": "*",
        "operation": operation,
        "permission_type": permission,
        **fields,
    }


def allow_but(ask: Ask, resource_type: int, name: str, *denied: int) -> None:
    """All but these operations on a resource."""
    entries = [entry(resource_type, name, ALL, ALLOW), *(entry(resource_type, name, each) for each in denied)]
    answer = ask.quietly("CreateAcls", creations=entries)
    assert all(each["error_code"] == 0 for each in answer["results"]), answer
    ask.settle()


@contextlib.contextmanager
def on_cluster(ask: Ask, *denied: int) -> Iterator[None]:
    """All but these operations on the cluster, meanwhile."""
    allow_but(ask, CLUSTER, "kafka-cluster", *denied)
    try:
        yield
    finally:
        wanted = {**ANY, "resource_type_filter": CLUSTER}
        deleted = ask.quietly("DeleteAcls", filters=[wanted])
        assert all(each["matching_acls"] for each in deleted["filter_results"]), deleted
        ask.settle()


def members(topic: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    return [{**topic, **fields}]


@scenario("Produce", versions=(9, 12, 13))
def test_produce_without_write(ask: Ask) -> None:
    open_, closed = ask.topic("open"), ask.topic("closed")
    allow_but(ask, TOPIC, closed["name"], WRITE)
    data = [{"index": 0, "records": batch(b"a")}]
    topics = [{**each, "partition_data": data} for each in (open_, closed)]
    ask("Produce", acks=-1, timeout_ms=5_000, topic_data=topics)
    ask("Produce", acks=-1, timeout_ms=5_000, topic_data=topics[1:])


@scenario("Fetch", versions=(4, 12, 16))
def test_fetch_without_read(ask: Ask) -> None:
    open_, closed = ask.topic("open"), ask.topic("closed")
    for each in (open_, closed):
        ask.produce(each, batch(b"a"))
    allow_but(ask, TOPIC, closed["name"], READ)
    asked = [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1000}]
    topics = [
        {
            "topic_id" if ask.version >= 13 else "topic": each["topic_id" if ask.version >= 13 else "name"],
            "partitions": asked,
        }
        for each in (open_, closed)
    ]
    fetch: dict[str, Any] = {"replica_id": -1, "max_wait_ms": 0, "min_bytes": 0, "max_bytes": 10_000}
    ask("Fetch", topics=topics, session_id=0, session_epoch=-1, **fetch)


@scenario("Metadata", versions=(1, 8, 10, 12, 13))
def test_metadata_without_describe(ask: Ask) -> None:
    open_, closed = ask.topic("open"), ask.topic("closed")
    allow_but(ask, TOPIC, closed["name"], DESCRIBE)
    names = [open_["name"], closed["name"], *([ask.name("none")] if ask.version >= 4 else [])]
    ask("Metadata", topics=[{"name": each} for each in names], allow_auto_topic_creation=False)
    if ask.version >= 12:
        ask("Metadata", topics=[{"name": None, "topic_id": each["topic_id"]} for each in (open_, closed)])
        ask("Metadata", topics=[{"name": None, "topic_id": NOWHERE}])
    everything = ask.quietly("Metadata", topics=None)
    seen = sorted(each["name"] for each in everything["topics"] if each["name"] in names)
    ask.note("Metadata", None, {"seen": seen})


@scenario("Metadata", versions=(8, 13))
def test_what_metadata_says_may_be_done(ask: Ask) -> None:
    topic = ask.topic()
    allow_but(ask, TOPIC, topic["name"], WRITE, DELETE, ALTER_CONFIGS)
    ask("Metadata", topics=[{"name": topic["name"]}], include_topic_authorized_operations=True)


@scenario("Metadata", versions=(4, 13))
def test_no_topic_comes_to_be_without_create(ask: Ask) -> None:
    name = ask.name("new")
    allow_but(ask, TOPIC, name, CREATE)
    with on_cluster(ask, CREATE):
        ask("Metadata", topics=[{"name": name}], allow_auto_topic_creation=True)


@scenario("ListOffsets", versions=(1, 7))
def test_list_offsets_without_describe(ask: Ask) -> None:
    open_, closed = ask.topic("open"), ask.topic("closed")
    allow_but(ask, TOPIC, closed["name"], DESCRIBE)
    asked = [{"partition_index": 0, "timestamp": -1}]
    ask(
        "ListOffsets",
        replica_id=-1,
        topics=[{"name": each["name"], "partitions": asked} for each in (open_, closed)],
    )


@scenario("CreateTopics", versions=(2, 5, 7))
def test_create_topics_without_create(ask: Ask) -> None:
    open_, closed = ask.name("open"), ask.name("closed")
    allow_but(ask, TOPIC, closed, CREATE)
    topics = [{"name": each, "num_partitions": 1, "replication_factor": 1} for each in (open_, closed)]
    with on_cluster(ask, CREATE):
        ask("CreateTopics", topics=topics, timeout_ms=5_000)
    ask("CreateTopics", topics=topics[1:], timeout_ms=5_000)


@scenario("CreateTopics", versions=(5, 7))
def test_the_settings_of_a_new_topic_are_told_to_who_may_know_them(ask: Ask) -> None:
    name = ask.name("new")
    allow_but(ask, TOPIC, name, DESCRIBE_CONFIGS)
    ask(
        "CreateTopics",
        topics=[{"name": name, "num_partitions": 1, "replication_factor": 1}],
        timeout_ms=5_000,
    )


@scenario("CreatePartitions", versions=(0, 3))
def test_create_partitions_without_alter(ask: Ask) -> None:
    open_, closed = ask.topic("open"), ask.topic("closed")
    allow_but(ask, TOPIC, closed["name"], ALTER)
    topics = [{"name": each["name"], "count": 2, "assignments": None} for each in (open_, closed)]
    ask("CreatePartitions", topics=topics, timeout_ms=5_000, validate_only=True)


@scenario("DeleteTopics", versions=(1, 5, 6))
def test_delete_topics_without_delete(ask: Ask) -> None:
    visible, hidden = ask.topic("visible"), ask.topic("hidden")
    allow_but(ask, TOPIC, visible["name"], DELETE)
    allow_but(ask, TOPIC, hidden["name"], DELETE, DESCRIBE)
    with on_cluster(ask, DELETE):
        if ask.version < 6:
            ask("DeleteTopics", topic_names=[visible["name"], hidden["name"]], timeout_ms=5_000)
        else:
            for each in (visible, hidden):
                ask(
                    "DeleteTopics",
                    topics=[{"name": each["name"], "topic_id": uuid.UUID(int=0)}],
                    timeout_ms=5_000,
                )
                ask("DeleteTopics", topics=[{"name": None, "topic_id": each["topic_id"]}], timeout_ms=5_000)


@scenario("DeleteRecords", versions=(0, 2))
def test_delete_records_without_delete(ask: Ask) -> None:
    topic = ask.topic()
    allow_but(ask, TOPIC, topic["name"], DELETE)
    ask(
        "DeleteRecords",
        topics=[{"name": topic["name"], "partitions": [{"partition_index": 0, "offset": 0}]}],
        timeout_ms=5_000,
    )


@scenario("OffsetForLeaderEpoch", versions=(2, 4))
def test_epochs_without_describe(ask: Ask) -> None:
    topic = ask.topic()
    allow_but(ask, TOPIC, topic["name"], DESCRIBE)
    asked = [{"partition": 0, "current_leader_epoch": -1, "leader_epoch": 0}]
    with on_cluster(ask, DESCRIBE):
        ask("OffsetForLeaderEpoch", replica_id=-1, topics=[{"topic": topic["name"], "partitions": asked}])


@scenario("DescribeProducers", versions=(0,))
def test_describe_producers_without_read(ask: Ask) -> None:
    topic = ask.topic()
    allow_but(ask, TOPIC, topic["name"], READ)
    ask("DescribeProducers", topics=[{"name": topic["name"], "partition_indexes": [0, 7]}])


@scenario("DescribeTopicPartitions", versions=(0,))
def test_describe_topic_partitions_without_describe(ask: Ask) -> None:
    open_, closed = ask.topic("open"), ask.topic("closed")
    allow_but(ask, TOPIC, closed["name"], DESCRIBE, WRITE)
    allow_but(ask, TOPIC, open_["name"], WRITE)
    topics = [{"name": each["name"]} for each in (open_, closed)]
    ask("DescribeTopicPartitions", topics=topics, response_partition_limit=10, cursor=None)


@scenario("FindCoordinator", versions=(2, 4))
def test_find_coordinator_without_describe(ask: Ask) -> None:
    name = ask.name("mine")
    allow_but(ask, GROUP, name, DESCRIBE)
    allow_but(ask, TRANSACTIONAL_ID, name, DESCRIBE)
    for key_type in (0, 1):
        if ask.version < 4:
            ask("FindCoordinator", key=name, key_type=key_type)
        else:
            ask("FindCoordinator", coordinator_keys=[name], key_type=key_type)


@scenario("JoinGroup", versions=(2, 9))
def test_being_a_member_without_read(ask: Ask) -> None:
    group = ask.name("group")
    allow_but(ask, GROUP, group, READ)
    member = {"group_id": group, "member_id": "m", "generation_id": 1}
    protocols = [{"name": "range", "metadata": b""}]
    ask(
        "JoinGroup",
        group_id=group,
        session_timeout_ms=6_000,
        rebalance_timeout_ms=6_000,
        member_id="",
        protocol_type="consumer",
        protocols=protocols,
    )
    ask("SyncGroup", assignments=[], protocol_type="consumer", protocol_name="range", **member)
    ask("Heartbeat", **member)
    ask("LeaveGroup", group_id=group, members=[{"member_id": "m", "group_instance_id": None}])


@scenario("OffsetCommit", versions=(2, 8, 9))
def test_offset_commit_without_read(ask: Ask) -> None:
    group, shut = ask.name("group"), ask.name("shut")
    open_, closed = ask.topic("open"), ask.topic("closed")
    allow_but(ask, TOPIC, closed["name"], READ)
    allow_but(ask, GROUP, shut, READ)
    position = [{"partition_index": 0, "committed_offset": 0, "committed_metadata": ""}]
    topics = [{"name": each["name"], "partitions": position} for each in (open_, closed)]
    for each in (group, shut):
        ask("OffsetCommit", group_id=each, generation_id_or_member_epoch=-1, member_id="", topics=topics)


@scenario("OffsetFetch", versions=(1, 7, 8, 9))
def test_offset_fetch_without_describe(ask: Ask) -> None:
    group, shut = ask.name("group"), ask.name("shut")
    open_, closed = ask.topic("open"), ask.topic("closed")
    position = [{"partition_index": 0, "committed_offset": 5, "committed_metadata": ""}]
    topics = [{"name": each["name"], "partitions": position} for each in (open_, closed)]
    ask.quietly(
        "OffsetCommit", 8, group_id=group, generation_id_or_member_epoch=-1, member_id="", topics=topics
    )
    allow_but(ask, TOPIC, closed["name"], DESCRIBE)
    allow_but(ask, GROUP, shut, DESCRIBE)
    asked = [{"name": each["name"], "partition_indexes": [0]} for each in (open_, closed)]
    if ask.version < 8:
        for each in (group, shut):
            ask("OffsetFetch", group_id=each, topics=asked)
        if ask.version >= 2:
            ask("OffsetFetch", group_id=group, topics=None)
    else:
        ask("OffsetFetch", groups=[{"group_id": each, "topics": asked} for each in (group, shut)])
        ask("OffsetFetch", groups=[{"group_id": group, "topics": None}])


@scenario("OffsetDelete", versions=(0,))
def test_offset_delete_without_delete(ask: Ask) -> None:
    group, shut, topic = ask.name("group"), ask.name("shut"), ask.topic()
    position = [{"partition_index": 0, "committed_offset": 5, "committed_metadata": ""}]
    topics = [{"name": topic["name"], "partitions": position}]
    ask.quietly(
        "OffsetCommit", 8, group_id=group, generation_id_or_member_epoch=-1, member_id="", topics=topics
    )
    allow_but(ask, GROUP, shut, DELETE)
    allow_but(ask, TOPIC, topic["name"], READ)
    for each in (group, shut):
        ask(
            "OffsetDelete",
            group_id=each,
            topics=[{"name": topic["name"], "partitions": [{"partition_index": 0}]}],
        )


@scenario("DescribeGroups", versions=(0, 6))
def test_groups_that_may_not_be_known_of(ask: Ask) -> None:
    open_, closed = ask.name("open"), ask.name("closed")
    for each in (open_, closed):
        ask.quietly(
            "OffsetCommit", 8, group_id=each, generation_id_or_member_epoch=-1, member_id="", topics=[]
        )
    allow_but(ask, GROUP, closed, DESCRIBE, DELETE)
    ask("DescribeGroups", groups=[open_, closed])
    ask("ConsumerGroupDescribe", group_ids=[closed])
    ask("DeleteGroups", groups_names=[closed])
    with on_cluster(ask, DESCRIBE):
        listed = ask.quietly("ListGroups", states_filter=[], types_filter=[])["groups"]
        ask.note(
            "ListGroups", None, {"seen": [each["group_id"] for each in listed if each["group_id"] == closed]}
        )


@scenario("ConsumerGroupHeartbeat", versions=(0, 1))
def test_a_consumer_group_without_read(ask: Ask) -> None:
    group, shut, closed = ask.name("group"), ask.name("shut"), ask.topic("closed")
    allow_but(ask, GROUP, shut, READ)
    allow_but(ask, TOPIC, closed["name"], DESCRIBE)
    for each in (group, shut):
        ask(
            "ConsumerGroupHeartbeat",
            group_id=each,
            member_id=str(uuid.UUID(int=5)),
            member_epoch=0,
            rebalance_timeout_ms=5_000,
            subscribed_topic_names=[closed["name"]],
            topic_partitions=[],
        )


@scenario("InitProducerId", versions=(1, 5))
def test_producers_that_may_not_write(ask: Ask) -> None:
    mine, topic = ask.name("mine"), ask.topic()
    allow_but(ask, TRANSACTIONAL_ID, mine, WRITE)
    ask(
        "InitProducerId",
        transactional_id=mine,
        transaction_timeout_ms=5_000,
        producer_id=-1,
        producer_epoch=-1,
    )
    producer = {"transactional_id": mine, "producer_id": 5, "producer_epoch": 0}
    ask("AddOffsetsToTxn", group_id="g", **producer)
    ask("EndTxn", committed=True, **producer)
    position = [{"partition_index": 0, "committed_offset": 5, "committed_metadata": ""}]
    commit = {"group_id": "g", "generation_id_or_member_epoch": -1, "member_id": "", **producer}
    ask("TxnOffsetCommit", 5, topics=[{"name": topic["name"], "partitions": position}], **commit)
    ask(
        "AddPartitionsToTxn",
        3,
        v3_and_below_transactional_id=mine,
        v3_and_below_producer_id=5,
        v3_and_below_producer_epoch=0,
        v3_and_below_topics=[{"name": topic["name"], "partitions": [0]}],
    )
    records = batch(b"a", producer_id=5, producer_epoch=0, base_sequence=0, is_transactional=True)
    data = [{"name": topic["name"], "partition_data": [{"index": 0, "records": records}]}]
    ask("Produce", 11, transactional_id=mine, acks=-1, timeout_ms=5_000, topic_data=data)


@scenario("AddPartitionsToTxn", versions=(0, 3))
def test_transactions_with_topics_that_may_not_be_written(ask: Ask) -> None:
    mine, open_, closed = ask.name("mine"), ask.topic("open"), ask.topic("closed")
    made = ask.quietly(
        "InitProducerId",
        4,
        transactional_id=mine,
        transaction_timeout_ms=5_000,
        producer_id=-1,
        producer_epoch=-1,
    )
    allow_but(ask, TOPIC, closed["name"], WRITE)
    ask(
        "AddPartitionsToTxn",
        v3_and_below_transactional_id=mine,
        v3_and_below_producer_id=made["producer_id"],
        v3_and_below_producer_epoch=made["producer_epoch"],
        v3_and_below_topics=[{"name": each["name"], "partitions": [0]} for each in (open_, closed)],
    )


@scenario("DescribeTransactions", versions=(0,))
def test_transactions_that_may_not_be_known_of(ask: Ask) -> None:
    mine = ask.name("mine")
    ask.quietly(
        "InitProducerId",
        4,
        transactional_id=mine,
        transaction_timeout_ms=5_000,
        producer_id=-1,
        producer_epoch=-1,
    )
    allow_but(ask, TRANSACTIONAL_ID, mine, DESCRIBE)
    ask("DescribeTransactions", transactional_ids=[mine])
    listed = ask.quietly("ListTransactions", state_filters=[], producer_id_filters=[])["transaction_states"]
    ask.note(
        "ListTransactions", None, {"seen": [each for each in listed if each["transactional_id"] == mine]}
    )


@scenario("DescribeConfigs", versions=(1, 4))
def test_configs_without_their_operations(ask: Ask) -> None:
    group, topic = ask.name("group"), ask.topic()
    allow_but(ask, TOPIC, topic["name"], DESCRIBE_CONFIGS, ALTER_CONFIGS)
    allow_but(ask, GROUP, group, DESCRIBE_CONFIGS, ALTER_CONFIGS)
    named = [(2, topic["name"]), (4, "1"), (4, ""), (32, group)]
    resources = [{"resource_type": kind, "resource_name": name} for kind, name in named]
    with on_cluster(ask, DESCRIBE_CONFIGS, ALTER_CONFIGS):
        for each in resources[: 3 if ask.version < 4 else 4]:
            ask("DescribeConfigs", resources=[{**each, "configuration_keys": None}])
            ask("AlterConfigs", resources=[{**each, "configs": []}], validate_only=True)
            ask("IncrementalAlterConfigs", resources=[{**each, "configs": []}], validate_only=True)
        ask("ListConfigResources", resource_types=[])
        ask("DescribeClientQuotas", components=[], strict=False)


@scenario("DescribeCluster", versions=(0, 1))
def test_what_may_be_done_with_the_cluster(ask: Ask) -> None:
    with on_cluster(ask, CREATE, IDEMPOTENT_WRITE):
        ask("DescribeCluster", include_cluster_authorized_operations=True)
        ask("Metadata", 10, topics=[], include_cluster_authorized_operations=True)
    with on_cluster(ask, DESCRIBE):
        ask("DescribeCluster", include_cluster_authorized_operations=True)
        ask("DescribeAcls", **ANY)
        ask("DescribeLogDirs", topics=[])
        ask("ListPartitionReassignments", timeout_ms=5_000, topics=[])


@scenario("CreateAcls")
def test_acls_are_made_shown_and_deleted(ask: Ask) -> None:
    name = ask.name("topic")
    wanted = [
        entry(TOPIC, name, READ, ALLOW),
        entry(TOPIC, name, READ, ALLOW),
        entry(TOPIC, name, WRITE, principal="User:ann", host="10.0.0.1"),
        entry(TOPIC, name, 0, ALLOW),
        entry(TOPIC, name, 1, ALLOW),
        entry(TOPIC, "", READ, ALLOW),
        entry(1, name, READ, ALLOW),
        entry(TOPIC, name, READ, 1),
        entry(TOPIC, name, READ, ALLOW, principal="ann"),
        entry(TOPIC, name, READ, ALLOW, host=""),
    ]
    for each in wanted:
        ask("CreateAcls", creations=[each])
    if ask.version >= 1:
        ask("CreateAcls", creations=[entry(GROUP, name, ALL, ALLOW, resource_pattern_type=PREFIXED)])
        ask("CreateAcls", creations=[entry(GROUP, name, ALL, ALLOW, resource_pattern_type=1)])
    ask.settle()
    for shown in (
        {"resource_type_filter": TOPIC, "resource_name_filter": name},
        {"resource_type_filter": GROUP, "resource_name_filter": f"{name}-x", "pattern_type_filter": 2},
        {"resource_name_filter": name, "principal_filter": "User:ann", "operation": WRITE},
        {"resource_name_filter": name, "host_filter": "10.0.0.1"},
        {"resource_type_filter": 0},
    ):
        answer = ask.quietly("DescribeAcls", **{**ANY, **shown})
        for resource in answer.get("resources", ()):
            resource["acls"].sort(key=repr)  # Kafka's order is that of its hashes
        ask.note("DescribeAcls", None, answer)
    by_name = {**ANY, "resource_name_filter": name}
    ask("DeleteAcls", filters=[{**by_name, "operation": READ}])
    ask("DeleteAcls", filters=[{**by_name, "operation": READ}, {**by_name, "operation": 0}])
    ask.settle()
    ask("DescribeAcls", **by_name)
