"""AlterPartitionReassignments, ListPartitionReassignments: where the replicas of partitions should be."""

from __future__ import annotations

from collections.abc import Sequence

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import ClusterServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ReassignablePartition,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
)
from ottla.protocol.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
)


def _alter(
    services: ClusterServices, _context: RequestContext, message: AlterPartitionReassignmentsRequest
) -> AlterPartitionReassignmentsResponse:
    return AlterPartitionReassignmentsResponse(
        allow_replication_factor_change=message.allow_replication_factor_change,
        responses=[
            ReassignableTopicResponse(
                name=topic.name,
                partitions=[_one(services, topic.name, each) for each in topic.partitions],
            )
            for topic in message.topics
        ],
    )


def _one(
    services: ClusterServices, topic: str, asked: ReassignablePartition
) -> ReassignablePartitionResponse:
    answer = ReassignablePartitionResponse(partition_index=asked.partition_index)
    try:
        services.partitions.get(topic, asked.partition_index)
        if asked.replicas is None:
            raise KafkaError(ErrorCode.no_reassignment_in_progress)
        _check(asked.replicas, services.node.node_id)
    except KafkaError as error:
        answer.error_code, answer.error_message = error.code, error.message
    return answer


def _check(replicas: Sequence[int], node_id: int) -> None:
    if not replicas:
        raise KafkaError(ErrorCode.invalid_replica_assignment, "The replica list may not be empty.")
    if len(set(replicas)) < len(replicas):
        raise KafkaError(ErrorCode.invalid_replica_assignment, "The replica list names a broker twice.")
    for replica in replicas:
        if replica != node_id:
            raise KafkaError(ErrorCode.invalid_replica_assignment, f"Broker {replica} is not registered.")


def _list(
    _services: ClusterServices, _context: RequestContext, _message: ListPartitionReassignmentsRequest
) -> ListPartitionReassignmentsResponse:
    return ListPartitionReassignmentsResponse()


APIS = (
    Api(
        ClusterServices,
        AlterPartitionReassignmentsRequest,
        AlterPartitionReassignmentsResponse,
        _alter,
        kips=(455, 860),
        gaps=("With one broker the only valid target is where the replica is already.",),
    ),
    Api(
        ClusterServices,
        ListPartitionReassignmentsRequest,
        ListPartitionReassignmentsResponse,
        _list,
        kips=(455,),
        gaps=("Always empty: with one broker nothing moves.",),
    ),
)
