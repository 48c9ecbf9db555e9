"""Kafka's admin calls for other threads than the event loop's."""

from __future__ import annotations

from ottla.client.admin.acls import Acls as AsyncAcls
from ottla.client.admin.admin import AsyncAdmin
from ottla.client.admin.cluster import ClusterAdmin as AsyncClusterAdmin
from ottla.client.admin.configs import Configs as AsyncConfigs
from ottla.client.admin.credentials import Credentials as AsyncCredentials
from ottla.client.admin.group_offsets import GroupOffsets as AsyncGroupOffsets
from ottla.client.admin.groups import Groups as AsyncGroups
from ottla.client.admin.quotas import Quotas as AsyncQuotas
from ottla.client.admin.records import Records as AsyncRecords
from ottla.client.admin.replicas import Replicas as AsyncReplicas
from ottla.client.admin.topics import Topics as AsyncTopics
from ottla.client.admin.transactions import Transactions as AsyncTransactions
from ottla.client.sync.face import Face, awaited
from ottla.client.sync.portal import Portal

__all__ = ["Admin"]


class Topics(Face[AsyncTopics]):
    """Admin calls about topics."""

    create = awaited(AsyncTopics.create)
    delete = awaited(AsyncTopics.delete)
    list = awaited(AsyncTopics.list)
    describe = awaited(AsyncTopics.describe)
    add_partitions = awaited(AsyncTopics.add_partitions)


class Records(Face[AsyncRecords]):
    """Admin calls about the records of partitions."""

    delete = awaited(AsyncRecords.delete)
    list_offsets = awaited(AsyncRecords.list_offsets)


class Configs(Face[AsyncConfigs]):
    """Admin calls about configs."""

    describe = awaited(AsyncConfigs.describe)
    alter = awaited(AsyncConfigs.alter)
    list_resources = awaited(AsyncConfigs.list_resources)


class Groups(Face[AsyncGroups]):
    """Admin calls about groups."""

    list = awaited(AsyncGroups.list)
    describe = awaited(AsyncGroups.describe)
    describe_share = awaited(AsyncGroups.describe_share)
    describe_streams = awaited(AsyncGroups.describe_streams)
    delete = awaited(AsyncGroups.delete)
    remove_members = awaited(AsyncGroups.remove_members)


class GroupOffsets(Face[AsyncGroupOffsets]):
    """Admin calls about the offsets of groups. What changes them wants the group to have no members."""

    list = awaited(AsyncGroupOffsets.list)
    alter = awaited(AsyncGroupOffsets.alter)
    delete = awaited(AsyncGroupOffsets.delete)
    list_share = awaited(AsyncGroupOffsets.list_share)
    alter_share = awaited(AsyncGroupOffsets.alter_share)
    delete_share = awaited(AsyncGroupOffsets.delete_share)


class Transactions(Face[AsyncTransactions]):
    """Admin calls about transactions."""

    list = awaited(AsyncTransactions.list)
    describe = awaited(AsyncTransactions.describe)
    describe_producers = awaited(AsyncTransactions.describe_producers)
    abort = awaited(AsyncTransactions.abort)
    fence_producers = awaited(AsyncTransactions.fence_producers)
    terminate = awaited(AsyncTransactions.terminate)


class ClusterAdmin(Face[AsyncClusterAdmin]):
    """Admin calls about the cluster as a whole."""

    describe = awaited(AsyncClusterAdmin.describe)
    unregister_broker = awaited(AsyncClusterAdmin.unregister_broker)
    quorum = awaited(AsyncClusterAdmin.quorum)
    add_voter = awaited(AsyncClusterAdmin.add_voter)
    remove_voter = awaited(AsyncClusterAdmin.remove_voter)
    features = awaited(AsyncClusterAdmin.features)
    update_features = awaited(AsyncClusterAdmin.update_features)


class Replicas(Face[AsyncReplicas]):
    """Admin calls about replicas."""

    log_dirs = awaited(AsyncReplicas.log_dirs)
    replica_log_dirs = awaited(AsyncReplicas.replica_log_dirs)
    alter_log_dirs = awaited(AsyncReplicas.alter_log_dirs)
    elect_leaders = awaited(AsyncReplicas.elect_leaders)
    reassign = awaited(AsyncReplicas.reassign)
    reassignments = awaited(AsyncReplicas.reassignments)


class Acls(Face[AsyncAcls]):
    """Admin calls about access control lists."""

    describe = awaited(AsyncAcls.describe)
    create = awaited(AsyncAcls.create)
    delete = awaited(AsyncAcls.delete)


class Quotas(Face[AsyncQuotas]):
    """Admin calls about client quotas."""

    describe = awaited(AsyncQuotas.describe)
    alter = awaited(AsyncQuotas.alter)


class Credentials(Face[AsyncCredentials]):
    """Admin calls about credentials."""

    describe_scram = awaited(AsyncCredentials.describe_scram)
    alter_scram = awaited(AsyncCredentials.alter_scram)
    create_token = awaited(AsyncCredentials.create_token)
    renew_token = awaited(AsyncCredentials.renew_token)
    expire_token = awaited(AsyncCredentials.expire_token)
    describe_tokens = awaited(AsyncCredentials.describe_tokens)


class Admin:
    """As `AsyncAdmin`, by what the calls are about: `client.admin.topics.list()`."""

    def __init__(self, inner: AsyncAdmin, portal: Portal) -> None:
        self.topics = Topics(inner.topics, portal)
        self.records = Records(inner.records, portal)
        self.configs = Configs(inner.configs, portal)
        self.groups = Groups(inner.groups, portal)
        self.group_offsets = GroupOffsets(inner.group_offsets, portal)
        self.transactions = Transactions(inner.transactions, portal)
        self.cluster = ClusterAdmin(inner.cluster, portal)
        self.replicas = Replicas(inner.replicas, portal)
        self.acls = Acls(inner.acls, portal)
        self.quotas = Quotas(inner.quotas, portal)
        self.credentials = Credentials(inner.credentials, portal)
