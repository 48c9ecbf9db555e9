"""Kafka's admin client: what there is to see and to change in a cluster, by what it is about."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ottla.client.admin.calls import Calls
from ottla.client.net.cluster import Cluster

if TYPE_CHECKING:
    from ottla.client.admin.acls import Acls
    from ottla.client.admin.cluster import ClusterAdmin
    from ottla.client.admin.configs import Configs
    from ottla.client.admin.credentials import Credentials
    from ottla.client.admin.group_offsets import GroupOffsets
    from ottla.client.admin.groups import Groups
    from ottla.client.admin.quotas import Quotas
    from ottla.client.admin.records import Records
    from ottla.client.admin.replicas import Replicas
    from ottla.client.admin.topics import Topics
    from ottla.client.admin.transactions import Transactions

__all__ = ["AsyncAdmin"]


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
