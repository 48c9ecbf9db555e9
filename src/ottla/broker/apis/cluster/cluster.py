"""DescribeCluster, DescribeQuorum, UpdateFeatures, UnregisterBroker: the cluster as a whole."""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import ClusterServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.describe_cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
)
from ottla.protocol.messages.describe_quorum import DescribeQuorumRequest, DescribeQuorumResponse
from ottla.protocol.messages.unregister_broker import UnregisterBrokerRequest, UnregisterBrokerResponse
from ottla.protocol.messages.update_features import UpdateFeaturesRequest, UpdateFeaturesResponse
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
    node = services.node
    response = DescribeClusterResponse(
        endpoint_type=BROKERS, cluster_id=node.cluster_id, controller_id=node.node_id
    )
    address = node.address(context.session.listener)
    if address is not None:
        host, port = address
        response.brokers = [
            DescribeClusterBroker(broker_id=node.node_id, host=host, port=port, rack=node.rack)
        ]
    if message.include_cluster_authorized_operations:
        response.cluster_authorized_operations = CLUSTER_OPERATIONS
    return response


def _describe_quorum(
    _services: ClusterServices, _context: RequestContext, _message: DescribeQuorumRequest
) -> DescribeQuorumResponse:
    raise KafkaError(
        ErrorCode.unsupported_version, "The metadata of this cluster is not kept by a KRaft quorum."
    )


def _update_features(
    _services: ClusterServices, _context: RequestContext, message: UpdateFeaturesRequest
) -> UpdateFeaturesResponse:
    for update in message.feature_updates:
        raise KafkaError(
            ErrorCode.invalid_update_version,
            f"Feature {update.feature} is not supported by this cluster, which has no versioned features.",
        )
    return UpdateFeaturesResponse()


def _unregister(
    services: ClusterServices, _context: RequestContext, message: UnregisterBrokerRequest
) -> UnregisterBrokerResponse:
    if message.broker_id != services.node.node_id:
        raise KafkaError(
            ErrorCode.broker_id_not_registered, f"Broker ID {message.broker_id} is not registered."
        )
    raise KafkaError(ErrorCode.invalid_request, "A broker that is alive cannot be unregistered.")


APIS = (
    Api(ClusterServices, DescribeClusterRequest, DescribeClusterResponse, _describe, kips=(700, 919, 1073)),
    Api(
        ClusterServices,
        DescribeQuorumRequest,
        DescribeQuorumResponse,
        _describe_quorum,
        kips=(595, 836, 853),
        gaps=("There is no KRaft quorum to describe.",),
    ),
    Api(
        ClusterServices,
        UpdateFeaturesRequest,
        UpdateFeaturesResponse,
        _update_features,
        kips=(584, 1022),
        gaps=("There are no versioned features, so every update is refused.",),
    ),
    Api(
        ClusterServices,
        UnregisterBrokerRequest,
        UnregisterBrokerResponse,
        _unregister,
        kips=(500,),
        gaps=("There is one broker, and it is alive.",),
    ),
)
