"""The one table of APIs: the router, ApiVersions, the documentation and the test matrix derive from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

from ottla.broker.request import Route, ServedApi
from ottla.protocol import messages

if TYPE_CHECKING:
    from ottla.broker.api import AnyApi
    from ottla.broker.audit.trail import Trail
    from ottla.broker.rights import Authorization

_NEWEST: Final[Mapping[str, Mapping[str, int]]] = {
    "records.produce": {"Produce": 13},
    "records.fetch": {"Fetch": 18},
    "records.offsets": {"ListOffsets": 11, "DeleteRecords": 2, "OffsetForLeaderEpoch": 4},
    "records.describe_producers": {"DescribeProducers": 0},
    "topics.metadata": {"Metadata": 13},
    "topics.create_topics": {"CreateTopics": 7, "CreatePartitions": 3},
    "topics.delete_topics": {"DeleteTopics": 6},
    "topics.describe_topic_partitions": {"DescribeTopicPartitions": 0},
    "configs.describe_configs": {"DescribeConfigs": 4},
    "configs.alter_configs": {"AlterConfigs": 2, "IncrementalAlterConfigs": 1},
    "configs.config_resources": {"ListConfigResources": 1},
    "groups.offsets": {"OffsetCommit": 10, "OffsetFetch": 10, "OffsetDelete": 0},
    "groups.transactional_offsets": {"TxnOffsetCommit": 6},
    "groups.find_coordinator": {"FindCoordinator": 6},
    "groups.classic": {"JoinGroup": 9, "Heartbeat": 4, "LeaveGroup": 5, "SyncGroup": 5},
    "groups.admin": {"DescribeGroups": 6, "ListGroups": 5, "DeleteGroups": 3},
    "groups.consumer": {"ConsumerGroupHeartbeat": 1, "ConsumerGroupDescribe": 1},
    "transactions.init_producer_id": {"InitProducerId": 5},
    "transactions.add_to_txn": {"AddPartitionsToTxn": 5, "AddOffsetsToTxn": 4},
    "transactions.end_txn": {"EndTxn": 5},
    "transactions.listing": {"DescribeTransactions": 0, "ListTransactions": 2},
    "transactions.write_txn_markers": {"WriteTxnMarkers": 2},
    "cluster.api_versions": {"ApiVersions": 5},
    "cluster.log_dirs": {"AlterReplicaLogDirs": 2, "DescribeLogDirs": 5},
    "cluster.elect_leaders": {"ElectLeaders": 2},
    "cluster.reassignments": {"AlterPartitionReassignments": 1, "ListPartitionReassignments": 0},
    "cluster.cluster": {
        "DescribeQuorum": 2,
        "UpdateFeatures": 2,
        "DescribeCluster": 2,
        "UnregisterBroker": 0,
    },
    "security.sasl": {"SaslHandshake": 1, "SaslAuthenticate": 2},
    "security.acls": {"DescribeAcls": 3, "CreateAcls": 3, "DeleteAcls": 3},
    "security.users": {"DescribeUserScramCredentials": 0, "AlterUserScramCredentials": 0},
    "security.tokens": {
        "CreateDelegationToken": 3,
        "RenewDelegationToken": 2,
        "ExpireDelegationToken": 2,
        "DescribeDelegationToken": 3,
    },
    "telemetry.telemetry": {"GetTelemetrySubscriptions": 0, "PushTelemetry": 0},
    "quotas.client_quotas": {"DescribeClientQuotas": 1, "AlterClientQuotas": 1},
}
"""Which module serves which APIs, and up to which version; Kafka's lowest is ours."""

_ADVERTISED_LOWEST: Final = {"Produce": 0}
"""librdkafka takes a broker without version 0 for one without Produce (KAFKA-18659)."""
_CARRY_RECORDS: Final = {"Produce"}


def _table() -> Iterator[ServedApi]:
    modules = {name: (module, newest) for module, apis in _NEWEST.items() for name, newest in apis.items()}
    for key, info in messages.APIS.items():
        if info.name in modules:
            name, lowest = info.name, info.lowest
            module, newest = modules[name]
            advertised_lowest = _ADVERTISED_LOWEST.get(name, lowest)
            yield ServedApi(key, name, lowest, newest, module, advertised_lowest, name in _CARRY_RECORDS)


APIS: Final = tuple(_table())
"""In order of keys."""


def load(served: ServedApi) -> AnyApi:
    """The API itself, from its module."""
    found: AnyApi
    (found,) = (api for api in import_module(f"{__name__}.{served.module}").APIS if api.key == served.key)
    return found


def binder(
    authorization: Authorization | None, trail: Trail | None, *services: object
) -> Callable[[ServedApi], Route]:
    """Loads an API and gives it, of these, the services that it asks for."""
    by_type = {type(each): each for each in services}

    def bind(served: ServedApi) -> Route:
        api = load(served)
        return api.bind(served, by_type[api.services], authorization, trail)

    return bind
