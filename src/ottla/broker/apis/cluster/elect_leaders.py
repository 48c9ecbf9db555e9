"""ElectLeaders: move leadership to the preferred replica, or to any that is alive."""

from __future__ import annotations

from collections.abc import Iterator

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.services import ClusterServices
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.elect_leaders import (
    ElectLeadersRequest,
    ElectLeadersResponse,
    PartitionResult,
    ReplicaElectionResult,
)

ELECTION_TYPES = {0, 1}
"""To the preferred replica, or to any that is alive."""


def _handle(
    services: ClusterServices, _context: RequestContext, message: ElectLeadersRequest
) -> ElectLeadersResponse:
    topics: dict[str, list[PartitionResult]] = {}
    for topic, index in _asked(services, message):
        code = _elect(services, message.election_type, topic, index)
        # Asked for all, Kafka names only those that an election changed.
        if message.topic_partitions is not None:
            topics.setdefault(topic, []).append(PartitionResult(partition_id=index, error_code=code))
    is_refused = topics and message.election_type not in ELECTION_TYPES
    return ElectLeadersResponse(
        error_code=ErrorCode.invalid_request if is_refused else ErrorCode.none,
        replica_election_results=[
            ReplicaElectionResult(topic=name, partition_result=found) for name, found in topics.items()
        ],
    )


def _elect(services: ClusterServices, election_type: int, topic: str, index: int) -> ErrorCode:
    if election_type not in ELECTION_TYPES:
        return ErrorCode.invalid_request
    try:
        services.partitions.get(topic, index)
    except KafkaError as error:
        return error.code
    return ErrorCode.election_not_needed  # with one replica the leader is the preferred one


def _asked(services: ClusterServices, message: ElectLeadersRequest) -> Iterator[tuple[str, int]]:
    if message.topic_partitions is None:
        yield from ((partition.topic, partition.index) for partition in services.partitions)
        return
    for topic in message.topic_partitions:
        yield from ((topic.topic, index) for index in topic.partitions)


APIS = (
    Api(
        ClusterServices,
        ElectLeadersRequest,
        ElectLeadersResponse,
        _handle,
        kips=(183, 460),
        gaps=("There is one replica of each partition, so no election is ever needed.",),
    ),
)
