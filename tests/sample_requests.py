"""One good request of every API, at any version that is served.

The cases derive from the table of APIs; tests that go through it fail for an API that has no request here.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ottla.records.codec import Record, encode_batch

BATCH = encode_batch([Record(index, 1_700_000_000_000 + index, b"k", b"v%d" % index) for index in range(3)])
TOPIC, BROKER = 2, 4
FETCH_DEFAULTS = {"max_wait_ms": 0, "min_bytes": 0, "max_bytes": 1 << 20, "replica_id": -1}
PARTITION_MAX_BYTES = 1 << 20


@dataclass
class Case:
    """What a request may name: a topic with three records in partition 0, a group, one joined member."""

    version: int
    topic: str
    topic_id: uuid.UUID
    group: str
    member: str = ""
    generation: int = -1
    producer_id: int = -1

    @property
    def topic_partition(self) -> dict[str, Any]:
        return {"name": self.topic, "topic": self.topic, "topic_id": self.topic_id}

    def partitions(self, **fields: Any) -> list[dict[str, Any]]:
        return [{**self.topic_partition, "partitions": [{"partition_index": 0, "partition": 0, **fields}]}]

    def resources(self, **fields: Any) -> list[dict[str, Any]]:
        return [{"resource_type": TOPIC, "resource_name": self.topic, **fields}]

    @property
    def membership(self) -> dict[str, Any]:
        return {
            "group_id": self.group,
            "generation_id": self.generation,
            "generation_id_or_member_epoch": self.generation,
            "member_id": self.member,
        }

    @property
    def transaction(self) -> dict[str, Any]:
        """Of the producer's first epoch; the transactional id is the group's."""
        return {"transactional_id": self.group, "producer_id": self.producer_id, "producer_epoch": 0}


def add_partitions_to_txn(case: Case) -> dict[str, Any]:
    topics = [{"name": case.topic, "partitions": [0, 1]}]
    if case.version >= 4:
        return {"transactions": [{**case.transaction, "verify_only": False, "topics": topics}]}
    older = {f"v3_and_below_{name}": value for name, value in case.transaction.items()}
    return {**older, "v3_and_below_topics": topics}


def delete_topics(case: Case) -> dict[str, Any]:
    if case.version >= 6:
        return {"topics": [{"name": None, "topic_id": case.topic_id}], "timeout_ms": 1000}
    return {"topic_names": [case.topic], "timeout_ms": 1000}


def metadata(case: Case) -> dict[str, Any]:
    by_id = {"topic_id": case.topic_id, "name": None}
    return {"topics": [by_id if case.version >= 12 else {"name": case.topic}]}


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
    "TxnOffsetCommit": lambda case: {
        **case.transaction,
        "group_id": case.group,
        "generation_id_or_member_epoch": -1,
        "topics": case.partitions(committed_offset=2),
    },
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
            {"name": f"new-{case.topic}", "num_partitions": 2, "replication_factor": 1},
            {
                "name": f"assigned-{case.topic}",
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
    "AddPartitionsToTxn": add_partitions_to_txn,
    "AddOffsetsToTxn": lambda case: {**case.transaction, "group_id": "g"},
    "EndTxn": lambda case: {**case.transaction, "committed": True},
    "DescribeTransactions": lambda case: {"transactional_ids": [case.group]},
    "ListTransactions": lambda case: {"producer_id_filters": [case.producer_id]},
    "OffsetForLeaderEpoch": lambda case: {"replica_id": -1, "topics": case.partitions(leader_epoch=0)},
    "DescribeConfigs": lambda case: {
        "resources": [
            {"resource_type": TOPIC, "resource_name": case.topic, "configuration_keys": None},
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
    "DescribeLogDirs": lambda case: {"topics": [{"topic": case.topic, "partitions": [0, 1]}]},
    "CreatePartitions": lambda case: {
        "topics": [{"name": case.topic, "count": 3, "assignments": None}],
        "timeout_ms": 1000,
    },
    "DeleteGroups": lambda case: {"groups_names": [case.group]},
    "ElectLeaders": lambda case: {"topic_partitions": [{"topic": case.topic, "partitions": [0]}]},
    "AlterPartitionReassignments": lambda case: {"topics": case.partitions(replicas=[1])},
    "ListPartitionReassignments": lambda _case: {"topics": None},
    "OffsetDelete": lambda case: {"group_id": case.group, "topics": case.partitions()},
    "DescribeClientQuotas": lambda _case: {
        "components": [{"entity_type": "user", "match_type": 0, "match": "u"}]
    },
    "GetTelemetrySubscriptions": lambda _case: {},
    "CreateDelegationToken": lambda _case: {
        "renewers": [{"principal_type": "User", "principal_name": "u"}],
        "max_lifetime_ms": -1,
    },
    "RenewDelegationToken": lambda _case: {"hmac": b"h" * 64, "renew_period_ms": -1},
    "ExpireDelegationToken": lambda _case: {"hmac": b"h" * 64, "expiry_time_period_ms": -1},
    "DescribeDelegationToken": lambda _case: {"owners": [{"principal_type": "User", "principal_name": "u"}]},
    "PushTelemetry": lambda _case: {"client_instance_id": uuid.UUID(int=7), "metrics": b"m"},
    "AlterClientQuotas": lambda _case: {
        "entries": [
            {
                "entity": [{"entity_type": "user", "entity_name": "u"}],
                "ops": [{"key": "producer_byte_rate", "value": 1e9}],
            }
        ],
        "validate_only": True,
    },
    "DescribeQuorum": lambda _case: {"topics": []},
    "UpdateFeatures": lambda _case: {"feature_updates": []},
    "DescribeCluster": lambda _case: {"include_cluster_authorized_operations": True},
    "WriteTxnMarkers": lambda case: {
        "markers": [
            {
                "producer_id": 1,
                "producer_epoch": 0,
                "transaction_result": True,
                "topics": [{"name": case.topic, "partition_indexes": [0]}],
                "coordinator_epoch": 0,
            }
        ]
    },
    "DescribeProducers": lambda case: {"topics": [{"name": case.topic, "partition_indexes": [0]}]},
    "UnregisterBroker": lambda _case: {"broker_id": 5},
    "ConsumerGroupHeartbeat": lambda case: {
        "group_id": f"modern-{uuid.uuid4()}",
        "member_id": str(uuid.uuid4()),
        "rebalance_timeout_ms": 10_000,
        "subscribed_topic_names": [case.topic],
        "topic_partitions": [],
    },
    "ConsumerGroupDescribe": lambda case: {"group_ids": ["no such group"]},
    "ListConfigResources": lambda _case: {"resource_types": [TOPIC]},
    "DescribeTopicPartitions": lambda case: {"topics": [{"name": case.topic}]},
    "AlterReplicaLogDirs": lambda case: {
        "dirs": [{"path": "/elsewhere", "topics": [{"name": case.topic, "partitions": [0]}]}]
    },
    "SaslHandshake": lambda _case: {"mechanism": "PLAIN"},
    "SaslAuthenticate": lambda _case: {"auth_bytes": b"\0user\0password"},
    "DescribeAcls": lambda _case: {
        "resource_type_filter": 1,
        "pattern_type_filter": 1,
        "operation": 1,
        "permission_type": 1,
    },
    "CreateAcls": lambda _case: {"creations": [{"resource_type": TOPIC, "resource_name": "t"}]},
    "DeleteAcls": lambda _case: {"filters": [{"resource_type_filter": TOPIC, "pattern_type_filter": 3}]},
    "DescribeUserScramCredentials": lambda _case: {"users": None},
    "AlterUserScramCredentials": lambda case: {
        "deletions": [],
        "upsertions": [
            {
                "name": f"user-{case.topic}",
                "mechanism": 1,
                "iterations": 4096,
                "salt": b"salt",
                "salted_password": b"salted",
            }
        ],
    },
}
