"""Every API at every version that is served: the answer is whole, carries what was asked, and no error.

The cases derive from the table of APIs; one that has no request here fails.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.raw_client import RawClient, error_codes
from tests.running_broker import create_topic
from tests.sample_requests import BATCH, REQUESTS, Case

from ottla.broker.apis import APIS
from ottla.protocol.errors import ErrorCode
from ottla.records.codec import decode_batch

NO_TOPIC = uuid.UUID(int=0)

EXPECTED_ERRORS = {
    "JoinGroup": {ErrorCode.none, ErrorCode.member_id_required},
    "ElectLeaders": {ErrorCode.none, ErrorCode.election_not_needed},
    "DescribeQuorum": {ErrorCode.unsupported_version},
    "UnregisterBroker": {ErrorCode.broker_id_not_registered},
    "ConsumerGroupDescribe": {ErrorCode.group_id_not_found},
    "AlterReplicaLogDirs": {ErrorCode.log_dir_not_found},
    "SaslHandshake": {ErrorCode.illegal_sasl_state},
    "SaslAuthenticate": {ErrorCode.illegal_sasl_state},
    "DescribeAcls": {ErrorCode.security_disabled},
    "CreateAcls": {ErrorCode.security_disabled},
    "GetTelemetrySubscriptions": {ErrorCode.unsupported_version},
    "CreateDelegationToken": {ErrorCode.delegation_token_request_not_allowed},
    "RenewDelegationToken": {ErrorCode.delegation_token_request_not_allowed},
    "ExpireDelegationToken": {ErrorCode.delegation_token_request_not_allowed},
    "DescribeDelegationToken": {ErrorCode.delegation_token_request_not_allowed},
    "PushTelemetry": {ErrorCode.unsupported_version},
    "DeleteAcls": {ErrorCode.security_disabled},
}
"""Where something else than no error is right for these requests."""

UNASKED = ("GetTelemetrySubscriptions", "PushTelemetry")
"""Not advertised by a broker that sends metrics of clients to nobody"""

NEED_TRANSACTION = {
    *("AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "TxnOffsetCommit"),
    *("DescribeTransactions", "ListTransactions"),
}
ONGOING = {"EndTxn", "DescribeTransactions"}
NEED_MEMBER = {"Heartbeat", "LeaveGroup", "SyncGroup", "DescribeGroups"}

CASES = [
    pytest.param(api.name, api.key, version, id=f"{api.name}-{version}")
    for api in APIS
    for version in range(api.lowest, api.highest + 1)
]


async def join(client: RawClient, group: str) -> tuple[str, int]:
    """A member of a new classic group, alone in it."""
    request = REQUESTS["JoinGroup"](Case(9, "", NO_TOPIC, group)) | {"group_id": group}
    refused = await client.call(11, 9, request)
    assert refused["error_code"] == ErrorCode.member_id_required
    joined = await client.call(11, 9, request | {"member_id": refused["member_id"]})
    assert joined["error_code"] == ErrorCode.none
    return joined["member_id"], joined["generation_id"]


async def prepare(client: RawClient, name: str, version: int) -> Case:
    topic = await create_topic(client, partitions=2)
    assert (await topic.produce(BATCH))["error_code"] == ErrorCode.none
    case = Case(version, topic.name, topic.topic_id, f"group-{uuid.uuid4()}")
    await client.call(10, 4, {"coordinator_keys": [case.group]})
    committed = await client.call(8, 8, {**case.membership, "topics": case.partitions(committed_offset=1)})
    assert set(error_codes(committed)) == {ErrorCode.none}
    if name in NEED_TRANSACTION:
        await client.call(10, 4, {"key_type": 1, "coordinator_keys": [case.group]})
        asked = {"transactional_id": case.group, "transaction_timeout_ms": 60_000}
        case.producer_id = (await client.call(22, 4, asked))["producer_id"]
    if name in ONGOING:
        begun = await client.call(24, 3, REQUESTS["AddPartitionsToTxn"](replace(case, version=3)))
        assert set(error_codes(begun)) == {ErrorCode.none}
    if name == "TxnOffsetCommit" and version < 5:
        begun = await client.call(25, 3, {**case.transaction, "group_id": case.group})
        assert set(error_codes(begun)) == {ErrorCode.none}
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
        assert topic["topic_id"] == case.topic_id
    else:
        assert topic["topic"] == case.topic
    assert partition["high_watermark"] == partition["last_stable_offset"] == 3
    records = decode_batch(partition["records"], max_bytes=10_000)
    assert [record.value for record in records] == [b"v0", b"v1", b"v2"]


def check_list_offsets(case: Case, response: dict[str, Any]) -> None:
    assert response["topics"][0]["partitions"][0]["offset"] == 3


def check_metadata(case: Case, response: dict[str, Any]) -> None:
    (topic,) = response["topics"]
    assert topic["name"] == case.topic
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
    shown = [api for api in APIS if api.name not in UNASKED]
    for api in shown:
        assert served[api.key] == (api.advertised_lowest, api.highest)
    assert len(served) == len(shown)


def check_delete_records(case: Case, response: dict[str, Any]) -> None:
    assert response["topics"][0]["partitions"][0]["low_watermark"] == 1


def check_init_producer_id(case: Case, response: dict[str, Any]) -> None:
    assert response["producer_id"] >= 0
    assert response["producer_epoch"] == 0


def check_end_txn(case: Case, response: dict[str, Any]) -> None:
    if case.version >= 5:
        assert (response["producer_id"], response["producer_epoch"]) == (case.producer_id, 1)


def check_describe_transactions(case: Case, response: dict[str, Any]) -> None:
    (state,) = response["transaction_states"]
    assert (state["transaction_state"], state["transaction_timeout_ms"]) == ("Ongoing", 60_000)
    assert state["topics"] == [{"topic": case.topic, "partitions": [0, 1]}]


def check_list_transactions(case: Case, response: dict[str, Any]) -> None:
    assert [each["transactional_id"] for each in response["transaction_states"]] == [case.group]


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
    assert response["assignment"]["topic_partitions"] == [{"topic_id": case.topic_id, "partitions": [0, 1]}]


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
    "EndTxn": check_end_txn,
    "DescribeTransactions": check_describe_transactions,
    "ListTransactions": check_list_transactions,
    "OffsetForLeaderEpoch": check_offset_for_leader_epoch,
    "DescribeConfigs": check_describe_configs,
    "DescribeLogDirs": check_describe_log_dirs,
    "DescribeCluster": check_describe_cluster,
    "DescribeTopicPartitions": check_describe_topic_partitions,
    "ConsumerGroupHeartbeat": check_consumer_group_heartbeat,
}


@pytest.mark.parametrize(("name", "key", "version"), CASES)
async def test_answer(client: RawClient, name: str, key: int, version: int) -> None:
    case = await prepare(client, name, version)
    response = await client.call(key, version, REQUESTS[name](case))
    assert set(error_codes(response)) <= EXPECTED_ERRORS.get(name, {ErrorCode.none}), response
    if name in CHECKS:
        CHECKS[name](case, response)
