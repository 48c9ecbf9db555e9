"""DescribeCluster: the brokers, and which of them is the controller."""

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
from ottla.security.operations import CLUSTER_OPERATIONS

BROKERS, CONTROLLERS = 1, 2


def _handle(
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


API = Api(key=60, name="DescribeCluster", versions=(0, 2), handle=_handle, kips=(700, 919, 1073))
