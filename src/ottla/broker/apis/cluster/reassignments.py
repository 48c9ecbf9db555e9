"""AlterPartitionReassignments, ListPartitionReassignments: where the replicas of partitions should be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import OnCluster
from ottla.broker.services import ClusterServices
from ottla.metadata.model import PartitionState, Topic
from ottla.protocol.codes import Operation
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
)
from ottla.protocol.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment,
    OngoingTopicReassignment,
)
from ottla.replication.reassignment import is_moving


async def _alter(
    services: ClusterServices, _context: RequestContext, message: AlterPartitionReassignmentsRequest
) -> AlterPartitionReassignmentsResponse:
    wanted = {
        (topic.name, each.partition_index): each.replicas
        for topic in message.topics
        for each in topic.partitions
    }
    results = await services.replicas.alter_reassignments(
        wanted, allow_factor_change=message.allow_replication_factor_change
    )
    return AlterPartitionReassignmentsResponse(
        allow_replication_factor_change=message.allow_replication_factor_change,
        responses=[
            ReassignableTopicResponse(
                name=topic.name,
                partitions=[
                    _one(each.partition_index, results[topic.name, each.partition_index])
                    for each in topic.partitions
                ],
            )
            for topic in message.topics
        ],
    )


def _one(index: int, result: PartitionState | KafkaError) -> ReassignablePartitionResponse:
    answer = ReassignablePartitionResponse(partition_index=index)
    if isinstance(result, KafkaError):
        answer.error_code, answer.error_message = result.code, result.message
    return answer


def _alter_error(
    message: AlterPartitionReassignmentsRequest, code: ErrorCode, text: str | None
) -> AlterPartitionReassignmentsResponse:
    return AlterPartitionReassignmentsResponse(
        error_code=code,
        error_message=text,
        responses=[
            ReassignableTopicResponse(
                name=topic.name,
                partitions=[_one(each.partition_index, KafkaError(code, text)) for each in topic.partitions],
            )
            for topic in message.topics
        ],
    )


def _list(
    services: ClusterServices, _context: RequestContext, message: ListPartitionReassignmentsRequest
) -> ListPartitionReassignmentsResponse:
    topics = services.metadata.image.topics
    asked: Iterable[tuple[str, Iterable[int]]]
    if message.topics is None:
        asked = ((name, range(len(topic.partitions))) for name, topic in topics.items())
    else:
        asked = ((each.name, dict.fromkeys(each.partition_indexes)) for each in message.topics)
    moving = ((name, _moving(topics.get(name), indexes)) for name, indexes in asked)
    return ListPartitionReassignmentsResponse(
        topics=[OngoingTopicReassignment(name=name, partitions=found) for name, found in moving if found]
    )


def _moving(topic: Topic | None, indexes: Iterable[int]) -> Sequence[OngoingPartitionReassignment]:
    states = () if topic is None else topic.partitions
    return [
        OngoingPartitionReassignment(
            partition_index=index,
            replicas=states[index].replicas,
            adding_replicas=states[index].adding,
            removing_replicas=states[index].removing,
        )
        for index in indexes
        if 0 <= index < len(states) and is_moving(states[index])
    ]


APIS = (
    Api(
        ClusterServices,
        AlterPartitionReassignmentsRequest,
        AlterPartitionReassignmentsResponse,
        _alter,
        right=OnCluster(Operation.ALTER),
        error=_alter_error,
        is_audited=True,
        kips=(455, 860),
    ),
    Api(
        ClusterServices,
        ListPartitionReassignmentsRequest,
        ListPartitionReassignmentsResponse,
        _list,
        right=OnCluster(Operation.DESCRIBE),
        kips=(455,),
    ),
)
