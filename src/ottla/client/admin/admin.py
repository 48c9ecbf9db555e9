"""Kafka's admin client: what there is to see and to change in a cluster, by what it is about."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ottla.client.admin.calls import Calls
from ottla.client.face import Run
from ottla.client.net.cluster import Cluster

if TYPE_CHECKING:
    from ottla.client.admin.acls import Acls, BlockingAcls
    from ottla.client.admin.cluster import BlockingCluster, ClusterAdmin
    from ottla.client.admin.configs import BlockingConfigs, Configs
    from ottla.client.admin.credentials import BlockingCredentials, Credentials
    from ottla.client.admin.group_offsets import BlockingGroupOffsets, GroupOffsets
    from ottla.client.admin.groups import BlockingGroups, Groups
    from ottla.client.admin.quotas import BlockingQuotas, Quotas
    from ottla.client.admin.records import BlockingRecords, Records
    from ottla.client.admin.replicas import BlockingReplicas, Replicas
    from ottla.client.admin.topics import BlockingTopics, Topics
    from ottla.client.admin.transactions import BlockingTransactions, Transactions

__all__ = ["Admin", "AsyncAdmin"]


class AsyncAdmin:
    """Admin calls over a started `Cluster`, each family loaded with its first use.

    A call about several things gives `Results`: each thing's value or error. Calls about one raise its error.
    They go to the brokers that they belong to, and again as Kafka's clients do it.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._calls = Calls(cluster)

    @cached_property
    def topics(self) -> Topics:
        from ottla.client.admin.topics import Topics

        return Topics(self._calls)

    @cached_property
    def records(self) -> Records:
        """Offsets of partitions, and deleting records."""
        from ottla.client.admin.records import Records

        return Records(self._calls)

    @cached_property
    def configs(self) -> Configs:
        from ottla.client.admin.configs import Configs

        return Configs(self._calls)

    @cached_property
    def groups(self) -> Groups:
        from ottla.client.admin.groups import Groups

        return Groups(self._calls)

    @cached_property
    def group_offsets(self) -> GroupOffsets:
        from ottla.client.admin.group_offsets import GroupOffsets

        return GroupOffsets(self._calls)

    @cached_property
    def transactions(self) -> Transactions:
        from ottla.client.admin.transactions import Transactions

        return Transactions(self._calls)

    @cached_property
    def cluster(self) -> ClusterAdmin:
        from ottla.client.admin.cluster import ClusterAdmin

        return ClusterAdmin(self._calls)

    @cached_property
    def replicas(self) -> Replicas:
        """Log directories, elections, reassignments."""
        from ottla.client.admin.replicas import Replicas

        return Replicas(self._calls)

    @cached_property
    def acls(self) -> Acls:
        from ottla.client.admin.acls import Acls

        return Acls(self._calls)

    @cached_property
    def quotas(self) -> Quotas:
        from ottla.client.admin.quotas import Quotas

        return Quotas(self._calls)

    @cached_property
    def credentials(self) -> Credentials:
        """SCRAM and delegation tokens."""
        from ottla.client.admin.credentials import Credentials

        return Credentials(self._calls)


class Admin:
    """`AsyncAdmin` for callers that wait; `run` runs its coroutines on the loop that the cluster lives on."""

    def __init__(self, admin: AsyncAdmin, run: Run) -> None:
        self._admin = admin
        self._run = run

    @cached_property
    def topics(self) -> BlockingTopics:
        from ottla.client.admin.topics import BlockingTopics

        return BlockingTopics(self._admin.topics, self._run)

    @cached_property
    def records(self) -> BlockingRecords:
        from ottla.client.admin.records import BlockingRecords

        return BlockingRecords(self._admin.records, self._run)

    @cached_property
    def configs(self) -> BlockingConfigs:
        from ottla.client.admin.configs import BlockingConfigs

        return BlockingConfigs(self._admin.configs, self._run)

    @cached_property
    def groups(self) -> BlockingGroups:
        from ottla.client.admin.groups import BlockingGroups

        return BlockingGroups(self._admin.groups, self._run)

    @cached_property
    def group_offsets(self) -> BlockingGroupOffsets:
        from ottla.client.admin.group_offsets import BlockingGroupOffsets

        return BlockingGroupOffsets(self._admin.group_offsets, self._run)

    @cached_property
    def transactions(self) -> BlockingTransactions:
        from ottla.client.admin.transactions import BlockingTransactions

        return BlockingTransactions(self._admin.transactions, self._run)

    @cached_property
    def cluster(self) -> BlockingCluster:
        from ottla.client.admin.cluster import BlockingCluster

        return BlockingCluster(self._admin.cluster, self._run)

    @cached_property
    def replicas(self) -> BlockingReplicas:
        from ottla.client.admin.replicas import BlockingReplicas

        return BlockingReplicas(self._admin.replicas, self._run)

    @cached_property
    def acls(self) -> BlockingAcls:
        from ottla.client.admin.acls import BlockingAcls

        return BlockingAcls(self._admin.acls, self._run)

    @cached_property
    def quotas(self) -> BlockingQuotas:
        from ottla.client.admin.quotas import BlockingQuotas

        return BlockingQuotas(self._admin.quotas, self._run)

    @cached_property
    def credentials(self) -> BlockingCredentials:
        from ottla.client.admin.credentials import BlockingCredentials

        return BlockingCredentials(self._admin.credentials, self._run)
