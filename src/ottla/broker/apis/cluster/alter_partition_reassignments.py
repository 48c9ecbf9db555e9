"""AlterPartitionReassignments: move replicas between brokers (KIP-455)."""

from __future__ import annotations

from typing import Any

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Response
from ottla.broker.services import ClusterServices
from ottla.protocol.errors import ErrorCode, KafkaError


def _handle(services: ClusterServices, _context: RequestContext, message: Any) -> Response:
    return {
        "error_code": ErrorCode.none,
        "allow_replication_factor_change": message.allow_replication_factor_change,
        "responses": [
            {
                "name": topic.name,
                "partitions": [_one(services, topic.name, each) for each in topic.partitions],
            }
            for topic in message.topics
        ],
    }


def _one(services: ClusterServices, topic: str, asked: Any) -> dict[str, Any]:
    code, text = ErrorCode.none, None
    try:
        services.partitions.get(topic, asked.partition_index)
        if asked.replicas is None:
            raise KafkaError(ErrorCode.no_reassignment_in_progress)
        _check(asked.replicas, services.node.node_id)
    except KafkaError as error:
        code, text = error.code, error.message
    return {"partition_index": asked.partition_index, "error_code": code, "error_message": text}


def _check(replicas: tuple[int, ...], node_id: int) -> None:
    if not replicas:
        raise KafkaError(ErrorCode.invalid_replica_assignment, "The replica list may not be empty.")
    if len(set(replicas)) < len(replicas):
        raise KafkaError(ErrorCode.invalid_replica_assignment, "The replica list names a broker twice.")
    for replica in replicas:
        if replica != node_id:
            raise KafkaError(ErrorCode.invalid_replica_assignment, f"Broker {replica} is not registered.")


API = Api(
    key=45,
    name="AlterPartitionReassignments",
    versions=(0, 1),
    handle=_handle,
    kips=(455, 860),
    gaps=("With one broker the only valid target is where the replica is already.",),
)
