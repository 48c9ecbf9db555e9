"""The cluster, its features, log directories and leaders."""

from __future__ import annotations

import pytest

from ottla.client.admin.acls import (
    AclOperation,
)
from ottla.client.admin.admin import AsyncAdmin
from ottla.client.admin.cluster import FeatureUpdate
from ottla.client.admin.replicas import LogDir, Replica
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import BrokerError, ClientError
from ottla.protocol.errors import ErrorCode

from .looking import NO_TOPIC, code, eventually, skip_if_not_served


async def test_the_cluster(admin: AsyncAdmin) -> None:
    described = await admin.cluster.describe(include_operations=True, include_fenced=True)
    assert described.controller in [each.node_id for each in described.brokers]
    assert described.cluster_id
    assert AclOperation.ALTER in (described.authorized_operations or ())
    with pytest.raises(BrokerError, match="99"):
        await admin.cluster.unregister_broker(99)


async def test_features(admin: AsyncAdmin) -> None:
    features = (await admin.cluster.features()).features
    group_version = features["group.version"]
    assert group_version.finalized == group_version.max_level == 1
    updated = await admin.cluster.update_features({"group.version": FeatureUpdate(1)}, validate_only=True)
    updated.check()
    refused = await admin.cluster.update_features({"group.version": FeatureUpdate(9)}, validate_only=True)
    assert code(refused.errors["group.version"]) == ErrorCode.invalid_update_version


async def test_the_quorum(admin: AsyncAdmin) -> None:
    try:
        quorum = await admin.cluster.quorum()
    except ClientError as error:
        skip_if_not_served(error)
        raise
    assert quorum.leader in [each.replica_id for each in quorum.voters]
    assert quorum.high_watermark > 0


async def test_log_directories(admin: AsyncAdmin, topic: str) -> None:
    node = (await admin.cluster.describe()).brokers[0].node_id

    async def holding() -> list[tuple[str, LogDir]]:
        dirs = (await admin.replicas.log_dirs())[node]
        return [each for each in dirs.items() if TopicPartition(topic, 0) in each[1].replicas]

    ((path, found),) = await eventually(holding, bool)
    assert found.error is None
    assert found.usable_bytes
    here, elsewhere, nowhere = Replica(topic, 0, node), Replica(topic, 0, 77), Replica(NO_TOPIC, 0, node)
    places = await admin.replicas.replica_log_dirs([here, elsewhere, nowhere])
    assert (places[here].current, places[here].future, places[nowhere].current) == (path, None, None)
    assert code(places.errors[elsewhere]) == ErrorCode.broker_not_available
    moved = await admin.replicas.alter_log_dirs({here: path, Replica(topic, 1, node): "/no/such/folder"})
    assert list(moved.succeeded) == [here]
    assert code(moved.errors[Replica(topic, 1, node)]) == ErrorCode.log_dir_not_found


async def test_elections_and_reassignments(admin: AsyncAdmin, topic: str) -> None:
    node = (await admin.cluster.describe()).brokers[0].node_id
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    elected = await admin.replicas.elect_leaders(partitions=[first, TopicPartition(NO_TOPIC, 0)])
    assert [code(error) for error in elected.errors.values()] == [
        ErrorCode.election_not_needed,
        ErrorCode.unknown_topic_or_partition,
    ]
    assert len(await admin.replicas.elect_leaders()) == 0
    reassigned = await admin.replicas.reassign({first: [node], second: [77]})
    assert list(reassigned.succeeded) == [first]
    assert code(reassigned.errors[second]) == ErrorCode.invalid_replica_assignment
    cancelled = await admin.replicas.reassign({second: None}, allow_replication_factor_change=False)
    assert code(cancelled.errors[second]) == ErrorCode.no_reassignment_in_progress
    assert await admin.replicas.reassignments([second]) == {}
