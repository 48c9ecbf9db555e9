"""Every API at every version that is served: the answer is whole, carries what was asked, and no error.

The cases derive from the table of APIs; one that has no request here fails.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.raw_client import RawClient

from ottla.broker.apis import APIS
from ottla.protocol.errors import ErrorCode
from ottla.records.codec import Record, decode_batch, encode_batch

from .conftest import FETCH_DEFAULTS, PARTITION_MAX_BYTES, Topic, create_topic

BATCH = encode_batch([Record(index, 1_700_000_000_000 + index, b"k", b"v%d" % index) for index in range(3)])
TOPIC, BROKER, GROUP = 2, 4, 32
NEEDS_NO_ELECTION = ErrorCode.election_not_needed


@dataclass
class Case:
    """What a request may name: a topic with three records in partition 0, a group, one joined member."""

    version: int
    topic: Topic
    group: str
    member: str = ""
    generation: int = -1

    @property
    def topic_partition(self) -> dict[str, Any]:
        return {"name": self.topic.name, "topic": self.topic.name, "topic_id": self.topic.topic_id}

    def partitions(self, **fields: Any) -> list[dict[str, Any]]:
        return [{**self.topic_partition, "partitions": [{"partition_index": 0, "partition": 0, **fields}]}]

    def resources(self, **fields: Any) -> list[dict[str, Any]]:
        return [{"resource_type": TOPIC, "resource_name": self.topic.name, **fields}]

    @property
    def membership(self) -> dict[str, Any]:
        return {
            "group_id": self.group,
            "generation_id": self.generation,
            "generation_id_or_member_epoch": self.generation,
            "member_id": self.member,
        }


def delete_topics(case: Case) -> dict[str, Any]:
    if case.version >= 6:
        return {"topics": [{"name": None, "topic_id": case.topic.topic_id}], "timeout_ms": 1000}
    return {"topic_names": [case.topic.name], "timeout_ms": 1000}


def metadata(case: Case) -> dict[str, Any]:
    by_id = {"topic_id": case.topic.topic_id, "name": None}
    return {"topics": [by_id if case.version >= 12 else {"name": case.topic.name}]}


def offset_fetch(case: Case) -> dict[str, Any]:
    topics = [{**case.topic_partition, "partition_indexes": [0]}]
    return {"group_id": case.group, "topics": topics, "groups": [{"group_id": case.group, "topics": topics}]}


REQUESTS: dict[str, Callable[[Case], dict[str, Any]]] = {
    "Produce": lambda case: {
        "acks": -1,
        "timeout_ms": 1000,
        "topic_data": [{**case.topic_partition, "partition_data": [{"index": 0, "records": BATCH}]}],
    },
    "Fetch": lambda case: {
        **FETCH_DEFAULTS,
        "topics": case.partitions(fetch_offset=0, partition_max_bytes=PARTITION_MAX_BYTES),
    },
    "ListOffsets": lambda case: {"replica_id": -1, "topics": case.partitions(timestamp=-1)},
    "Metadata": metadata,
    "OffsetCommit": lambda case: {**case.membership, "topics": case.partitions(committed_offset=2)},
    "OffsetFetch": offset_fetch,
    "FindCoordinator": lambda case: {"key": case.group, "coordinator_keys": [case.group, "another"]},
    "JoinGroup": lambda case: {
        "group_id": f"joined-{uuid.uuid4()}",
        "session_timeout_ms": 10_000,
        "rebalance_timeout_ms": 10_000,
        "protocol_type": "consumer",
        "protocols": [{"name": "range", "metadata": b"m"}],
    },
    "Heartbeat": lambda case: case.membership,
    "LeaveGroup": lambda case: {**case.membership, "members": [{"member_id": case.member}]},
    "SyncGroup": lambda case: {
        **case.membership,
        "protocol_type": "consumer",
        "protocol_name": "range",
        "assignments": [{"member_id": case.member, "assignment": b"mine"}],
    },
    "DescribeGroups": lambda case: {"groups": [case.group], "include_authorized_operations": True},
    "ListGroups": lambda _case: {},
    "ApiVersions": lambda _case: {"client_software_name": "raw", "client_software_version": "1.0"},
    "CreateTopics": lambda case: {
        "topics": [
            {"name": f"new-{case.topic.name}", "num_partitions": 2, "replication_factor": 1},
            {
                "name": f"assigned-{case.topic.name}",
                "num_partitions": -1,
                "replication_factor": -1,
                "assignments": [{"partition_index": 0, "broker_ids": [1]}],
                "configs": [{"name": "retention.ms", "value": "60000"}],
            },
        ],
        "timeout_ms": 1000,
    },
    "DeleteTopics": delete_topics,
    "DeleteRecords": lambda case: {"topics": case.partitions(offset=1), "timeout_ms": 1000},
    "InitProducerId": lambda _case: {"transactional_id": None, "transaction_timeout_ms": 1000},
    "OffsetForLeaderEpoch": lambda case: {"replica_id": -1, "topics": case.partitions(leader_epoch=0)},
    "DescribeConfigs": lambda case: {
        "resources": [
            {"resource_type": TOPIC, "resource_name": case.topic.name, "configuration_keys": None},
            {"resource_type": BROKER, "resource_name": "1", "configuration_keys": ["log.retention.hours"]},
        ],
        "include_synonyms": True,
        "include_documentation": True,
    },
    "AlterConfigs": lambda case: {
        "resources": case.resources(configs=[{"name": "retention.ms", "value": "70000"}])
    },
    "IncrementalAlterConfigs": lambda case: {
        "resources": case.resources(configs=[{"name": "retention.ms", "value": "80000"}])
    },
    "DescribeLogDirs": lambda case: {"topics": [{"topic": case.topic.name, "partitions": [0, 1]}]},
    "CreatePartitions": lambda case: {
        "topics": [{"name": case.topic.name, "count": 3, "assignments": None}],
        "timeout_ms": 1000,
    },
    "DeleteGroups": lambda case: {"groups_names": [case.group]},
    "ElectLeaders": lambda case: {"topic_partitions": [{"topic": case.topic.name, "partitions": [0]}]},
    "AlterPartitionReassignments": lambda case: {"topics": case.partitions(replicas=[1])},
    "ListPartitionReassignments": lambda _case: {"topics": None},
    "OffsetDelete": lambda case: {"group_id": case.group, "topics": case.partitions()},
    "DescribeClientQuotas": lambda _case: {
        "components": [{"entity_type": "user", "match_type": 0, "match": "u"}]
    },
    "AlterClientQuotas": lambda _case: {
        "entries": [{"entity": [{"entity_type": "user", "entity_name": "u"}], "ops": [{"key": "k"}]}]
    },
    "DescribeQuorum": lambda _case: {"topics": []},
    "UpdateFeatures": lambda _case: {"feature_updates": []},
    "DescribeCluster": lambda _case: {"include_cluster_authorized_operations": True},
    "DescribeProducers": lambda case: {"topics": [{"name": case.topic.name, "partition_indexes": [0]}]},
    "UnregisterBroker": lambda _case: {"broker_id": 5},
    "ConsumerGroupHeartbeat": lambda case: {
        "group_id": f"modern-{uuid.uuid4()}",
        "member_id": str(uuid.uuid4()),
        "rebalance_timeout_ms": 10_000,
        "subscribed_topic_names": [case.topic.name],
        "topic_partitions": [],
    },
    "ConsumerGroupDescribe": lambda case: {"group_ids": ["no such group"]},
    "ListConfigResources": lambda _case: {"resource_types": [TOPIC]},
    "DescribeTopicPartitions": lambda case: {"topics": [{"name": case.topic.name}]},
    "AlterReplicaLogDirs": lambda case: {
        "dirs": [{"path": "/elsewhere", "topics": [{"name": case.topic.name, "partitions": [0]}]}]
    },
    "DescribeAcls": lambda _case: {
        "resource_type_filter": 1,
        "pattern_type_filter": 1,
        "operation": 1,
        "permission_type": 1,
    },
    "CreateAcls": lambda _case: {"creations": [{"resource_type": TOPIC, "resource_name": "t"}]},
    "DeleteAcls": lambda _case: {"filters": [{"resource_type_filter": TOPIC, "pattern_type_filter": 3}]},
}

EXPECTED_ERRORS = {
    "JoinGroup": {ErrorCode.none, ErrorCode.member_id_required},
    "ElectLeaders": {ErrorCode.none, ErrorCode.election_not_needed},
    "AlterClientQuotas": {ErrorCode.unsupported_version},
    "DescribeQuorum": {ErrorCode.unsupported_version},
    "UnregisterBroker": {ErrorCode.broker_id_not_registered},
    "ConsumerGroupDescribe": {ErrorCode.group_id_not_found},
    "AlterReplicaLogDirs": {ErrorCode.log_dir_not_found},
    "DescribeAcls": {ErrorCode.security_disabled},
    "CreateAcls": {ErrorCode.security_disabled},
    "DeleteAcls": {ErrorCode.security_disabled},
}
"""Where something else than no error is right for these requests."""

NEED_MEMBER = {"Heartbeat", "LeaveGroup", "SyncGroup", "DescribeGroups"}

CASES = [
    pytest.param(api.name, api.key, version, id=f"{api.name}-{version}")
    for api in APIS
    for version in range(api.versions[0], api.versions[1] + 1)
]


def error_codes(message: Any) -> Iterator[int]:
    if isinstance(message, dict):
        for name, value in message.items():
            if name == "error_code":
                yield value
            else:
                yield from error_codes(value)
    elif isinstance(message, list):
        for each in message:
            yield from error_codes(each)


async def join(client: RawClient, group: str) -> tuple[str, int]:
    """A member of a new classic group, alone in it."""
    request = REQUESTS["JoinGroup"](Case(9, None, group)) | {"group_id": group}  # type: ignore[arg-type]
    refused = await client.call(11, 9, request)
    assert refused["error_code"] == ErrorCode.member_id_required
    joined = await client.call(11, 9, request | {"member_id": refused["member_id"]})
    assert joined["error_code"] == ErrorCode.none
    return joined["member_id"], joined["generation_id"]


async def prepare(client: RawClient, name: str, version: int) -> Case:
    topic = await create_topic(client, partitions=2)
    assert (await topic.produce(BATCH))["error_code"] == ErrorCode.none
    case = Case(version, topic, f"group-{uuid.uuid4()}")
    await client.call(10, 4, {"coordinator_keys": [case.group]})
    committed = await client.call(8, 8, {**case.membership, "topics": case.partitions(committed_offset=1)})
    assert set(error_codes(committed)) == {ErrorCode.none}
    if name in NEED_MEMBER:
        case.group = f"joined-{uuid.uuid4()}"
        case.member, case.generation = await join(client, case.group)
        if name != "SyncGroup":
            await client.call(14, 5, REQUESTS["SyncGroup"](case))
    return case


def check_produce(case: Case, response: dict[str, Any]) -> None:
    assert response["responses"][0]["partition_responses"][0]["base_offset"] == 3


def check_fetch(case: Case, response: dict[str, Any]) -> None:
    (topic,) = response["responses"]
    (partition,) = topic["partitions"]
    if case.version >= 13:
        assert topic["topic_id"] == case.topic.topic_id
    else:
        assert topic["topic"] == case.topic.name
    assert partition["high_watermark"] == partition["last_stable_offset"] == 3
    records = decode_batch(partition["records"], max_bytes=10_000)
    assert [record.value for record in records] == [b"v0", b"v1", b"v2"]


def check_list_offsets(case: Case, response: dict[str, Any]) -> None:
    assert response["topics"][0]["partitions"][0]["offset"] == 3


def check_metadata(case: Case, response: dict[str, Any]) -> None:
    (topic,) = response["topics"]
    assert topic["name"] == case.topic.name
    assert [each["leader_id"] for each in topic["partitions"]] == [1, 1]
    assert [each["node_id"] for each in response["brokers"]] == [1]


def check_offset_fetch(case: Case, response: dict[str, Any]) -> None:
    topics = response["groups"][0]["topics"] if case.version >= 8 else response["topics"]
    assert topics[0]["partitions"][0]["committed_offset"] == 1


def check_find_coordinator(case: Case, response: dict[str, Any]) -> None:
    found = response["coordinators"] if case.version >= 4 else [response]
    assert [each["node_id"] for each in found] == [1] * (2 if case.version >= 4 else 1)


def check_sync_group(case: Case, response: dict[str, Any]) -> None:
    assert response["assignment"] == b"mine"


def check_describe_groups(case: Case, response: dict[str, Any]) -> None:
    (group,) = response["groups"]
    assert (group["group_state"], group["protocol_data"]) == ("Stable", "range")
    assert [member["member_id"] for member in group["members"]] == [case.member]


def check_list_groups(case: Case, response: dict[str, Any]) -> None:
    assert case.group in {each["group_id"] for each in response["groups"]}


def check_api_versions(case: Case, response: dict[str, Any]) -> None:
    served = {each["api_key"]: (each["min_version"], each["max_version"]) for each in response["api_keys"]}
    for api in APIS:
        lowest = api.versions[0] if api.advertised_min is None else api.advertised_min
        assert served[api.key] == (lowest, api.versions[1])
    assert len(served) == len(APIS)


def check_delete_records(case: Case, response: dict[str, Any]) -> None:
    assert response["topics"][0]["partitions"][0]["low_watermark"] == 1


def check_init_producer_id(case: Case, response: dict[str, Any]) -> None:
    assert response["producer_id"] >= 0
    assert response["producer_epoch"] == 0


def check_offset_for_leader_epoch(case: Case, response: dict[str, Any]) -> None:
    assert response["topics"][0]["partitions"][0]["end_offset"] == 3


def check_describe_configs(case: Case, response: dict[str, Any]) -> None:
    for result, known in zip(response["results"], ("retention.ms", "log.retention.hours"), strict=True):
        assert known in {entry["name"] for entry in result["configs"]}


def check_describe_log_dirs(case: Case, response: dict[str, Any]) -> None:
    (found,) = response["results"][0]["topics"]
    assert {each["partition_index"]: each["partition_size"] for each in found["partitions"]} == {
        0: len(BATCH),
        1: 0,
    }


def check_describe_cluster(case: Case, response: dict[str, Any]) -> None:
    assert [each["broker_id"] for each in response["brokers"]] == [1]


def check_describe_topic_partitions(case: Case, response: dict[str, Any]) -> None:
    assert [each["partition_index"] for each in response["topics"][0]["partitions"]] == [0, 1]


def check_consumer_group_heartbeat(case: Case, response: dict[str, Any]) -> None:
    assert response["member_epoch"] > 0
    assert response["assignment"]["topic_partitions"] == [
        {"topic_id": case.topic.topic_id, "partitions": [0, 1]}
    ]


CHECKS: dict[str, Callable[[Case, dict[str, Any]], None]] = {
    "Produce": check_produce,
    "Fetch": check_fetch,
    "ListOffsets": check_list_offsets,
    "Metadata": check_metadata,
    "OffsetFetch": check_offset_fetch,
    "FindCoordinator": check_find_coordinator,
    "SyncGroup": check_sync_group,
    "DescribeGroups": check_describe_groups,
    "ListGroups": check_list_groups,
    "ApiVersions": check_api_versions,
    "DeleteRecords": check_delete_records,
    "InitProducerId": check_init_producer_id,
    "OffsetForLeaderEpoch": check_offset_for_leader_epoch,
    "DescribeConfigs": check_describe_configs,
    "DescribeLogDirs": check_describe_log_dirs,
    "DescribeCluster": check_describe_cluster,
    "DescribeTopicPartitions": check_describe_topic_partitions,
    "ConsumerGroupHeartbeat": check_consumer_group_heartbeat,
}


@pytest.mark.parametrize(("name", "key", "version"), CASES)
async def test_answer(client: RawClient, misspelled: list[str], name: str, key: int, version: int) -> None:
    case = await prepare(client, name, version)
    misspelled.clear()
    response = await client.call(key, version, REQUESTS[name](case))
    assert set(error_codes(response)) <= EXPECTED_ERRORS.get(name, {ErrorCode.none}), response
    if name in CHECKS:
        CHECKS[name](case, response)
    assert misspelled == []
