"""DescribeCluster: the brokers, the controller and the cluster's id."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import ClusterServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.security.operations import CLUSTER_OPERATIONS

BROKERS, CONTROLLERS = 1, 2


def _handle(services: ClusterServices, context: RequestContext, message: Any) -> Response:
    if message.endpoint_type == CONTROLLERS:
        raise KafkaError(
            ErrorCode.mismatched_endpoint_type, "This is a broker's listener, not a controller's."
        )
    if message.endpoint_type != BROKERS:
        raise KafkaError(
            ErrorCode.unsupported_endpoint_type, f"Unsupported endpoint type {message.endpoint_type}"
        )
    node = services.node
    address = node.address(context.session.listener)
    response: dict[str, Any] = {
        "error_code": ErrorCode.none,
        "endpoint_type": BROKERS,
        "cluster_id": node.cluster_id,
        "controller_id": node.node_id,
        "brokers": []
        if address is None
        else [{"broker_id": node.node_id, "host": address[0], "port": address[1], "rack": node.rack}],
    }
    if message.include_cluster_authorized_operations:
        response["cluster_authorized_operations"] = CLUSTER_OPERATIONS
    return response


API = Api(key=60, name="DescribeCluster", versions=(0, 2), handle=_handle, kips=(700, 919, 1073))
