"""The messages of Kafka's protocol, a module for each API.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class ApiInfo(NamedTuple):
    """An API's name, its module here, and the versions of its messages."""

    name: str
    module: str
    lowest: int
    highest: int
    flexible: int
    """The first version that is flexible (KIP-482); above the highest where none is."""
    unstable: bool = False
    """Whether the highest version is not to be served unless asked for."""


APIS: Final[dict[int, ApiInfo]] = {
    0: ApiInfo("Produce", "produce", 3, 13, 9),
    1: ApiInfo("Fetch", "fetch", 4, 18, 12),
    2: ApiInfo("ListOffsets", "list_offsets", 1, 11, 6),
    3: ApiInfo("Metadata", "metadata", 0, 13, 9),
    8: ApiInfo("OffsetCommit", "offset_commit", 2, 10, 8),
    9: ApiInfo("OffsetFetch", "offset_fetch", 1, 10, 6),
    10: ApiInfo("FindCoordinator", "find_coordinator", 0, 6, 3),
    11: ApiInfo("JoinGroup", "join_group", 0, 9, 6),
    12: ApiInfo("Heartbeat", "heartbeat", 0, 4, 4),
    13: ApiInfo("LeaveGroup", "leave_group", 0, 5, 4),
    14: ApiInfo("SyncGroup", "sync_group", 0, 5, 4),
    15: ApiInfo("DescribeGroups", "describe_groups", 0, 6, 5),
    16: ApiInfo("ListGroups", "list_groups", 0, 5, 3),
    17: ApiInfo("SaslHandshake", "sasl_handshake", 0, 1, 2),
    18: ApiInfo("ApiVersions", "api_versions", 0, 5, 3),
    19: ApiInfo("CreateTopics", "create_topics", 2, 7, 5),
    20: ApiInfo("DeleteTopics", "delete_topics", 1, 6, 4),
    21: ApiInfo("DeleteRecords", "delete_records", 0, 2, 2),
    22: ApiInfo("InitProducerId", "init_producer_id", 0, 6, 2, unstable=True),
    23: ApiInfo("OffsetForLeaderEpoch", "offset_for_leader_epoch", 2, 4, 4),
    24: ApiInfo("AddPartitionsToTxn", "add_partitions_to_txn", 0, 5, 3),
    25: ApiInfo("AddOffsetsToTxn", "add_offsets_to_txn", 0, 4, 3),
    26: ApiInfo("EndTxn", "end_txn", 0, 5, 3),
    27: ApiInfo("WriteTxnMarkers", "write_txn_markers", 1, 2, 1),
    28: ApiInfo("TxnOffsetCommit", "txn_offset_commit", 0, 6, 3),
    29: ApiInfo("DescribeAcls", "describe_acls", 1, 3, 2),
    30: ApiInfo("CreateAcls", "create_acls", 1, 3, 2),
    31: ApiInfo("DeleteAcls", "delete_acls", 1, 3, 2),
    32: ApiInfo("DescribeConfigs", "describe_configs", 1, 4, 4),
    33: ApiInfo("AlterConfigs", "alter_configs", 0, 2, 2),
    34: ApiInfo("AlterReplicaLogDirs", "alter_replica_log_dirs", 1, 2, 2),
    35: ApiInfo("DescribeLogDirs", "describe_log_dirs", 1, 5, 2),
    36: ApiInfo("SaslAuthenticate", "sasl_authenticate", 0, 2, 2),
    37: ApiInfo("CreatePartitions", "create_partitions", 0, 3, 2),
    38: ApiInfo("CreateDelegationToken", "create_delegation_token", 1, 3, 2),
    39: ApiInfo("RenewDelegationToken", "renew_delegation_token", 1, 2, 2),
    40: ApiInfo("ExpireDelegationToken", "expire_delegation_token", 1, 2, 2),
    41: ApiInfo("DescribeDelegationToken", "describe_delegation_token", 1, 3, 2),
    42: ApiInfo("DeleteGroups", "delete_groups", 0, 3, 2),
    43: ApiInfo("ElectLeaders", "elect_leaders", 0, 2, 2),
    44: ApiInfo("IncrementalAlterConfigs", "incremental_alter_configs", 0, 1, 1),
    45: ApiInfo("AlterPartitionReassignments", "alter_partition_reassignments", 0, 1, 0),
    46: ApiInfo("ListPartitionReassignments", "list_partition_reassignments", 0, 0, 0),
    47: ApiInfo("OffsetDelete", "offset_delete", 0, 0, 1),
    48: ApiInfo("DescribeClientQuotas", "describe_client_quotas", 0, 1, 1),
    49: ApiInfo("AlterClientQuotas", "alter_client_quotas", 0, 1, 1),
    50: ApiInfo("DescribeUserScramCredentials", "describe_user_scram_credentials", 0, 0, 0),
    51: ApiInfo("AlterUserScramCredentials", "alter_user_scram_credentials", 0, 0, 0),
    52: ApiInfo("Vote", "vote", 0, 2, 0),
    53: ApiInfo("BeginQuorumEpoch", "begin_quorum_epoch", 0, 1, 1),
    54: ApiInfo("EndQuorumEpoch", "end_quorum_epoch", 0, 1, 1),
    55: ApiInfo("DescribeQuorum", "describe_quorum", 0, 2, 0),
    56: ApiInfo("AlterPartition", "alter_partition", 2, 3, 0),
    57: ApiInfo("UpdateFeatures", "update_features", 0, 2, 0),
    58: ApiInfo("Envelope", "envelope", 0, 0, 0),
    59: ApiInfo("FetchSnapshot", "fetch_snapshot", 0, 1, 0),
    60: ApiInfo("DescribeCluster", "describe_cluster", 0, 2, 0),
    61: ApiInfo("DescribeProducers", "describe_producers", 0, 0, 0),
    62: ApiInfo("BrokerRegistration", "broker_registration", 0, 4, 0),
    63: ApiInfo("BrokerHeartbeat", "broker_heartbeat", 0, 2, 0),
    64: ApiInfo("UnregisterBroker", "unregister_broker", 0, 0, 0),
    65: ApiInfo("DescribeTransactions", "describe_transactions", 0, 0, 0),
    66: ApiInfo("ListTransactions", "list_transactions", 0, 2, 0),
    67: ApiInfo("AllocateProducerIds", "allocate_producer_ids", 0, 0, 0),
    68: ApiInfo("ConsumerGroupHeartbeat", "consumer_group_heartbeat", 0, 1, 0),
    69: ApiInfo("ConsumerGroupDescribe", "consumer_group_describe", 0, 1, 0),
    70: ApiInfo("ControllerRegistration", "controller_registration", 0, 0, 0),
    71: ApiInfo("GetTelemetrySubscriptions", "get_telemetry_subscriptions", 0, 0, 0),
    72: ApiInfo("PushTelemetry", "push_telemetry", 0, 0, 0),
    73: ApiInfo("AssignReplicasToDirs", "assign_replicas_to_dirs", 0, 0, 0),
    74: ApiInfo("ListConfigResources", "list_config_resources", 0, 1, 0),
    75: ApiInfo("DescribeTopicPartitions", "describe_topic_partitions", 0, 0, 0),
    76: ApiInfo("ShareGroupHeartbeat", "share_group_heartbeat", 1, 1, 0),
    77: ApiInfo("ShareGroupDescribe", "share_group_describe", 1, 1, 0),
    78: ApiInfo("ShareFetch", "share_fetch", 1, 2, 0),
    79: ApiInfo("ShareAcknowledge", "share_acknowledge", 1, 2, 0),
    80: ApiInfo("AddRaftVoter", "add_raft_voter", 0, 1, 0),
    81: ApiInfo("RemoveRaftVoter", "remove_raft_voter", 0, 0, 0),
    82: ApiInfo("UpdateRaftVoter", "update_raft_voter", 0, 0, 0),
    83: ApiInfo("InitializeShareGroupState", "initialize_share_group_state", 0, 0, 0),
    84: ApiInfo("ReadShareGroupState", "read_share_group_state", 0, 0, 0),
    85: ApiInfo("WriteShareGroupState", "write_share_group_state", 0, 1, 0),
    86: ApiInfo("DeleteShareGroupState", "delete_share_group_state", 0, 0, 0),
    87: ApiInfo("ReadShareGroupStateSummary", "read_share_group_state_summary", 0, 1, 0),
    88: ApiInfo("StreamsGroupHeartbeat", "streams_group_heartbeat", 0, 1, 0),
    89: ApiInfo("StreamsGroupDescribe", "streams_group_describe", 0, 1, 0),
    90: ApiInfo("DescribeShareGroupOffsets", "describe_share_group_offsets", 0, 1, 0),
    91: ApiInfo("AlterShareGroupOffsets", "alter_share_group_offsets", 0, 0, 0),
    92: ApiInfo("DeleteShareGroupOffsets", "delete_share_group_offsets", 0, 0, 0),
    93: ApiInfo(
        "StreamsGroupTopologyDescriptionUpdate", "streams_group_topology_description_update", 0, 0, 0
    ),
    94: ApiInfo("UnregisterController", "unregister_controller", 0, 0, 0),
}
"""By API key."""
