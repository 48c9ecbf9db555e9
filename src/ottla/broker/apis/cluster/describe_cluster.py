"""DescribeCluster: the brokers, the controller and the cluster's id."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api, Request, Response
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.security.operations import CLUSTER_OPERATIONS

BROKERS, CONTROLLERS = 1, 2


def _handle(request: Request, message: Any) -> Response:
    if message.endpoint_type == CONTROLLERS:
        raise KafkaError(
            ErrorCode.mismatched_endpoint_type, "This is a broker's listener, not a controller's."
        )
    if message.endpoint_type != BROKERS:
        raise KafkaError(
            ErrorCode.unsupported_endpoint_type, f"Unsupported endpoint type {message.endpoint_type}"
        )
    broker = request.broker
    host, port = broker.advertised_address
    response: dict[str, Any] = {
        "error_code": ErrorCode.none,
        "endpoint_type": BROKERS,
        "cluster_id": broker.cluster_id,
        "controller_id": broker.node_id,
        "brokers": [
            {"broker_id": broker.node_id, "host": host, "port": port, "rack": broker.config.broker_rack}
        ],
    }
    if message.include_cluster_authorized_operations:
        response["cluster_authorized_operations"] = CLUSTER_OPERATIONS
    return response


API = Api(key=60, name="DescribeCluster", versions=(0, 2), handle=_handle, kips=(700, 919, 1073))
