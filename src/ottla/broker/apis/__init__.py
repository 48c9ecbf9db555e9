"""The one table of APIs: the router, ApiVersions, the documentation and the test matrix derive from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ottla.broker.api import Api
from ottla.broker.apis.cluster import (
    alter_replica_log_dirs,
    api_versions,
    describe_cluster,
    describe_log_dirs,
    describe_quorum,
    elect_leaders,
    reassignments,
    unregister_broker,
    update_features,
)
from ottla.broker.apis.configs import (
    alter_configs,
    describe_configs,
    list_config_resources,
)
from ottla.broker.apis.groups import (
    consumer_group_describe,
    consumer_group_heartbeat,
    delete_groups,
    describe_groups,
    find_coordinator,
    heartbeat,
    join_group,
    leave_group,
    list_groups,
    offset_commit,
    offset_delete,
    offset_fetch,
    sync_group,
)
from ottla.broker.apis.quotas import client_quotas
from ottla.broker.apis.records import (
    delete_records,
    describe_producers,
    fetch,
    list_offsets,
    offset_for_leader_epoch,
    produce,
)
from ottla.broker.apis.security import acls, sasl
from ottla.broker.apis.topics import (
    create_partitions,
    create_topics,
    delete_topics,
    describe_topic_partitions,
    metadata,
)
from ottla.broker.apis.transactions import (
    init_producer_id,
)
from ottla.broker.request import Route
from ottla.broker.services import (
    ClusterServices,
    ConfigServices,
    GroupServices,
    NoServices,
    RecordServices,
    TopicServices,
    TransactionServices,
)

_RECORDS: tuple[Api[RecordServices], ...] = (
    produce.API,
    fetch.API,
    list_offsets.API,
    delete_records.API,
    offset_for_leader_epoch.API,
    describe_producers.API,
)
_TOPICS: tuple[Api[TopicServices], ...] = (
    metadata.API,
    create_topics.API,
    delete_topics.API,
    create_partitions.API,
    describe_topic_partitions.API,
)
_CONFIGS: tuple[Api[ConfigServices], ...] = (
    describe_configs.API,
    alter_configs.REPLACE,
    alter_configs.CHANGE,
    list_config_resources.API,
)
_GROUPS: tuple[Api[GroupServices], ...] = (
    offset_commit.API,
    offset_fetch.API,
    find_coordinator.API,
    join_group.API,
    heartbeat.API,
    leave_group.API,
    sync_group.API,
    describe_groups.API,
    list_groups.API,
    delete_groups.API,
    offset_delete.API,
    consumer_group_heartbeat.API,
    consumer_group_describe.API,
)
_TRANSACTIONS: tuple[Api[TransactionServices], ...] = (init_producer_id.API,)
_CLUSTER: tuple[Api[ClusterServices], ...] = (
    api_versions.API,
    alter_replica_log_dirs.API,
    describe_log_dirs.API,
    elect_leaders.API,
    reassignments.ALTER,
    reassignments.LIST,
    describe_quorum.API,
    update_features.API,
    describe_cluster.API,
    unregister_broker.API,
)
_SECURITY: tuple[Api[NoServices], ...] = (
    acls.DESCRIBE,
    acls.CREATE,
    acls.DELETE,
    sasl.HANDSHAKE,
    sasl.AUTHENTICATE,
)
_QUOTAS: tuple[Api[NoServices], ...] = (
    client_quotas.DESCRIBE,
    client_quotas.ALTER,
)

APIS: tuple[Api[Any], ...] = tuple(
    sorted(
        (*_RECORDS, *_TOPICS, *_CONFIGS, *_GROUPS, *_TRANSACTIONS, *_CLUSTER, *_SECURITY, *_QUOTAS),
        key=lambda api: api.key,
    )
)


def bind_apis(
    records: RecordServices,
    topics: TopicServices,
    configs: ConfigServices,
    groups: GroupServices,
    transactions: TransactionServices,
    cluster: ClusterServices,
) -> Iterator[Route]:
    """Every API with the services of its family."""
    yield from (api.bind(records) for api in _RECORDS)
    yield from (api.bind(topics) for api in _TOPICS)
    yield from (api.bind(configs) for api in _CONFIGS)
    yield from (api.bind(groups) for api in _GROUPS)
    yield from (api.bind(transactions) for api in _TRANSACTIONS)
    yield from (api.bind(cluster) for api in _CLUSTER)
    yield from (api.bind(NoServices()) for api in (*_SECURITY, *_QUOTAS))
