"""DescribeCluster, DescribeQuorum, UpdateFeatures, UnregisterBroker: the cluster as a whole."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.cluster_view import brokers_at, controller_in
from ottla.broker.request import RequestContext
from ottla.broker.rights import ByHandler, OnCluster, may, operations
from ottla.broker.services import ClusterServices
from ottla.metadata.acls import CLUSTER_NAME
from ottla.metadata.features import FeatureUpdate
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.describe_cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
)
from ottla.protocol.messages.describe_quorum import DescribeQuorumRequest, DescribeQuorumResponse
from ottla.protocol.messages.unregister_broker import UnregisterBrokerRequest, UnregisterBrokerResponse
from ottla.protocol.messages.update_features import (
    UpdatableFeatureResult,
    UpdateFeaturesRequest,
    UpdateFeaturesResponse,
)
from ottla.security.operations import CLUSTER_OPERATIONS

BROKERS, CONTROLLERS = 1, 2


def _describe(
    services: ClusterServices, context: RequestContext, message: DescribeClusterRequest
) -> DescribeClusterResponse:
    if message.endpoint_type == CONTROLLERS:
        raise KafkaError(
            ErrorCode.mismatched_endpoint_type, "This is a broker's listener, not a controller's."
        )
    if message.endpoint_type != BROKERS:
        raise KafkaError(
            ErrorCode.unsupported_endpoint_type, f"Unsupported endpoint type {message.endpoint_type}"
        )
    image = services.metadata.image
    response = DescribeClusterResponse(
        endpoint_type=BROKERS,
        cluster_id=services.node.cluster_id,
        controller_id=controller_in(image, services.node.node_id),
        brokers=[
            DescribeClusterBroker(
                broker_id=each.node_id,
                host=each.host,
                port=each.port,
                rack=each.rack,
                is_fenced=each.is_fenced,
            )
            for each in brokers_at(
                image, context.session.listener, with_fenced=message.include_fenced_brokers
            )
        ],
    )
    if message.include_cluster_authorized_operations:
        may_describe = may(context, Operation.DESCRIBE, ResourceType.CLUSTER, is_asked_for=False)
        response.cluster_authorized_operations = (
            operations(context, CLUSTER_OPERATIONS, ResourceType.CLUSTER, CLUSTER_NAME) if may_describe else 0
        )
    return response


def _describe_quorum(
    _services: ClusterServices, _context: RequestContext, _message: DescribeQuorumRequest
) -> DescribeQuorumResponse:
    raise KafkaError(
        ErrorCode.unsupported_version, "The metadata of this cluster is not kept by a KRaft quorum."
    )


async def _update_features(
    services: ClusterServices, _context: RequestContext, message: UpdateFeaturesRequest
) -> UpdateFeaturesResponse:
    updates = [
        FeatureUpdate(each.feature, each.max_version_level, each.upgrade_type)
        for each in message.feature_updates
    ]
    await services.features.update_features(updates, validate_only=message.validate_only)
    results = [UpdatableFeatureResult(feature=each.feature) for each in message.feature_updates]
    return UpdateFeaturesResponse(results=results)


async def _unregister(
    services: ClusterServices, _context: RequestContext, message: UnregisterBrokerRequest
) -> UnregisterBrokerResponse:
    await services.replicas.unregister_broker(message.broker_id)
    return UnregisterBrokerResponse()


APIS = (
    Api(
        ClusterServices,
        DescribeClusterRequest,
        DescribeClusterResponse,
        _describe,
        right=ByHandler("none; what may be done with the cluster is told of who asks"),
        kips=(700, 919, 1073),
    ),
    Api(
        ClusterServices,
        DescribeQuorumRequest,
        DescribeQuorumResponse,
        _describe_quorum,
        right=OnCluster(Operation.DESCRIBE),
        kips=(595, 836, 853),
        gaps=("There is no KRaft quorum to describe.",),
    ),
    Api(
        ClusterServices,
        UpdateFeaturesRequest,
        UpdateFeaturesResponse,
        _update_features,
        right=OnCluster(Operation.ALTER),
        is_audited=True,
        kips=(584, 1022),
        gaps=("Share groups, streams groups and eligible leader replicas have no features yet.",),
    ),
    Api(
        ClusterServices,
        UnregisterBrokerRequest,
        UnregisterBrokerResponse,
        _unregister,
        right=OnCluster(Operation.ALTER),
        is_audited=True,
        kips=(500,),
        gaps=("A broker that is alive is refused.",),
    ),
)
