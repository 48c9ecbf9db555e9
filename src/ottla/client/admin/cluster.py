"""The cluster itself: its brokers, its quorum of controllers, its features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

from ottla.client.admin.calls import ANYWHERE, CONTROLLER, Calls, Node, known, operations, outcome
from ottla.client.admin.results import Results
from ottla.client.errors import BrokerUpgradeError, ClientError, broker_error
from ottla.client.face import Face, awaited
from ottla.protocol.codes import Operation as AclOperation
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.describe_cluster import DescribeClusterRequest, DescribeClusterResponse
from ottla.protocol.messages.metadata import MetadataRequest, MetadataResponse

if TYPE_CHECKING:
    from ottla.protocol.messages.describe_quorum import ReplicaState

__all__ = [
    "BlockingCluster",
    "Broker",
    "ClusterAdmin",
    "ClusterDescription",
    "Feature",
    "FeatureUpdate",
    "Features",
    "Quorum",
    "QuorumReplica",
    "UpgradeType",
]

_QUORUM_TOPIC: Final = "__cluster_metadata"
_BROKERS: Final = 1
"""The kind of endpoints that a broker answers with; 2 are controllers."""


class Broker(NamedTuple):
    node_id: int
    host: str
    port: int
    rack: str | None = None
    is_fenced: bool = False


class ClusterDescription(NamedTuple):
    """`controller` is None where none is known; with KRaft it is any broker that passes requests on."""

    cluster_id: str | None
    controller: int | None
    brokers: tuple[Broker, ...]
    authorized_operations: frozenset[AclOperation] | None = None


class QuorumReplica(NamedTuple):
    """Times are milliseconds since the epoch, None where they are not known."""

    replica_id: int
    directory_id: UUID | None
    log_end_offset: int
    last_fetch_ms: int | None
    last_caught_up_ms: int | None


class Quorum(NamedTuple):
    """`nodes` has each node's listeners: name, host and port."""

    leader: int
    leader_epoch: int
    high_watermark: int
    voters: tuple[QuorumReplica, ...]
    observers: tuple[QuorumReplica, ...]
    nodes: Mapping[int, Sequence[tuple[str, str, int]]]


class Feature(NamedTuple):
    """The levels that a broker supports, and the one that the cluster is at (None: not finalized)."""

    min_level: int
    max_level: int
    finalized: int | None = None


class Features(NamedTuple):
    """`epoch` grows with each change; None where the cluster does not say."""

    features: Mapping[str, Feature]
    epoch: int | None


class UpgradeType(IntEnum):
    """Whether a level may be lowered, and at the cost of what it brought."""

    UPGRADE = 1
    SAFE_DOWNGRADE = 2
    UNSAFE_DOWNGRADE = 3


class FeatureUpdate(NamedTuple):
    """The level that a feature shall have; 0 takes it away."""

    level: int
    upgrade_type: UpgradeType = UpgradeType.UPGRADE


class ClusterAdmin:
    """Admin calls about the cluster as a whole."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def describe(
        self, *, include_operations: bool = False, include_fenced: bool = False
    ) -> ClusterDescription:
        """Brokers, the controller, the cluster's id."""
        request = DescribeClusterRequest(
            include_cluster_authorized_operations=include_operations,
            endpoint_type=_BROKERS,
            include_fenced_brokers=include_fenced,
        )
        try:
            response = await self._calls.one(
                request, DescribeClusterResponse, ANYWHERE, min_version=2 if include_fenced else None
            )
        except BrokerUpgradeError:
            if include_fenced:
                raise
            return await self._describe_by_metadata(include_operations)
        return ClusterDescription(
            response.cluster_id,
            known(response.controller_id),
            tuple(
                Broker(each.broker_id, each.host, each.port, each.rack, each.is_fenced)
                for each in sorted(response.brokers, key=lambda each: each.broker_id)
            ),
            operations(response.cluster_authorized_operations),
        )

    async def _describe_by_metadata(self, include_operations: bool) -> ClusterDescription:
        """Of brokers before Kafka 2.8."""
        request = MetadataRequest(
            topics=[],
            allow_auto_topic_creation=False,
            include_cluster_authorized_operations=include_operations,
        )
        response = await self._calls.one(request, MetadataResponse, ANYWHERE)
        return ClusterDescription(
            response.cluster_id,
            known(response.controller_id),
            tuple(
                Broker(each.node_id, each.host, each.port, each.rack)
                for each in sorted(response.brokers, key=lambda each: each.node_id)
            ),
            operations(response.cluster_authorized_operations),
        )

    async def unregister_broker(self, node_id: int) -> None:
        """Forget a broker that will not come back."""
        from ottla.protocol.messages.unregister_broker import (
            UnregisterBrokerRequest,
            UnregisterBrokerResponse,
        )

        late = {ErrorCode.request_timed_out}
        request = UnregisterBrokerRequest(broker_id=node_id)
        await self._calls.one(request, UnregisterBrokerResponse, ANYWHERE, also_retried=late)

    async def quorum(self) -> Quorum:
        """The state of the quorum that keeps the metadata."""
        from ottla.protocol.messages import describe_quorum as messages

        request = messages.DescribeQuorumRequest(
            topics=[
                messages.DescribeQuorumRequestTopicData(
                    topic_name=_QUORUM_TOPIC,
                    partitions=[messages.DescribeQuorumRequestPartitionData(partition_index=0)],
                )
            ]
        )
        response = await self._calls.one(request, messages.DescribeQuorumResponse, ANYWHERE)
        found = [each for topic in response.topics for each in topic.partitions]
        if len(found) != 1:
            raise broker_error(ErrorCode.unknown_server_error, "the answer is not about the one partition")
        if found[0].error_code:
            raise broker_error(found[0].error_code, found[0].error_message)
        return Quorum(
            found[0].leader_id,
            found[0].leader_epoch,
            found[0].high_watermark,
            tuple(_quorum_replica(each) for each in found[0].current_voters),
            tuple(_quorum_replica(each) for each in found[0].observers),
            {
                node.node_id: [(each.name, each.host, each.port) for each in node.listeners]
                for node in response.nodes
            },
        )

    async def add_voter(
        self,
        voter_id: int,
        directory_id: UUID,
        listeners: Iterable[tuple[str, str, int]],
        *,
        cluster_id: str | None = None,
    ) -> None:
        """Have a controller vote (KIP-853); `listeners` are names, hosts and ports."""
        from ottla.protocol.messages.add_raft_voter import (
            AddRaftVoterRequest,
            AddRaftVoterResponse,
            Listener,
        )

        request = AddRaftVoterRequest(
            cluster_id=cluster_id,
            timeout_ms=self._calls.request_timeout_ms,
            voter_id=voter_id,
            voter_directory_id=directory_id,
            listeners=[Listener(name=name, host=host, port=port) for name, host, port in listeners],
        )
        await self._calls.one(request, AddRaftVoterResponse, ANYWHERE)

    async def remove_voter(self, voter_id: int, directory_id: UUID, *, cluster_id: str | None = None) -> None:
        """Have a controller vote no more."""
        from ottla.protocol.messages.remove_raft_voter import (
            RemoveRaftVoterRequest,
            RemoveRaftVoterResponse,
        )

        request = RemoveRaftVoterRequest(
            cluster_id=cluster_id, voter_id=voter_id, voter_directory_id=directory_id
        )
        await self._calls.one(request, RemoveRaftVoterResponse, ANYWHERE)

    async def features(self, *, node: int | None = None) -> Features:
        """What a broker, whichever is least busy without `node`, supports and knows to be finalized."""
        from ottla.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse

        request = ApiVersionsRequest(client_software_name="ottla", client_software_version="unknown")
        response = await self._calls.send(request, ApiVersionsResponse, node, min_version=3)
        if response.error_code:
            raise broker_error(response.error_code)
        finalized = {each.name: each.max_version_level for each in response.finalized_features}
        return Features(
            {
                each.name: Feature(each.min_version, each.max_version, finalized.get(each.name))
                for each in sorted(response.supported_features, key=lambda each: each.name)
            },
            known(response.finalized_features_epoch),
        )

    async def update_features(
        self, updates: Mapping[str, FeatureUpdate], *, validate_only: bool = False
    ) -> Results[str, None]:
        """Finalize features at other levels: all, or none from Kafka 4.0 on (KIP-1022)."""
        from ottla.protocol.messages import update_features as messages

        async def ask(node: Node, keys: Sequence[str]) -> Mapping[str, ClientError | None]:
            request = messages.UpdateFeaturesRequest(
                timeout_ms=self._calls.request_timeout_ms,
                feature_updates=[
                    messages.FeatureUpdateKey(
                        feature=key,
                        max_version_level=updates[key].level,
                        allow_downgrade=updates[key].upgrade_type != UpgradeType.UPGRADE,
                        upgrade_type=updates[key].upgrade_type,
                    )
                    for key in keys
                ],
                validate_only=validate_only,
            )
            response = await self._calls.send(
                request, messages.UpdateFeaturesResponse, node, min_version=1 if validate_only else None
            )
            if response.error_code:
                raise broker_error(response.error_code, response.error_message)
            # From version 2 on only what failed is answered for.
            return dict.fromkeys(keys) | {
                each.feature: outcome(each.error_code, None, each.error_message) for each in response.results
            }

        return await self._calls.each(updates, CONTROLLER, ask)


class BlockingCluster(Face[ClusterAdmin]):
    """`ClusterAdmin` for callers that wait."""

    describe = awaited(ClusterAdmin.describe)
    unregister_broker = awaited(ClusterAdmin.unregister_broker)
    quorum = awaited(ClusterAdmin.quorum)
    add_voter = awaited(ClusterAdmin.add_voter)
    remove_voter = awaited(ClusterAdmin.remove_voter)
    features = awaited(ClusterAdmin.features)
    update_features = awaited(ClusterAdmin.update_features)


def _quorum_replica(state: ReplicaState) -> QuorumReplica:
    return QuorumReplica(
        state.replica_id,
        state.replica_directory_id,
        state.log_end_offset,
        known(state.last_fetch_timestamp),
        known(state.last_caught_up_timestamp),
    )
