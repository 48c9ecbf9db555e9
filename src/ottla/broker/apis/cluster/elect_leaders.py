"""ElectLeaders: move leadership to the preferred replica, or to any that is alive."""

from __future__ import annotations

from collections.abc import Mapping

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import OnCluster
from ottla.broker.services import ClusterServices
from ottla.protocol.codes import Operation
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.elect_leaders import (
    ElectLeadersRequest,
    ElectLeadersResponse,
    PartitionResult,
    ReplicaElectionResult,
)
from ottla.replication.elections import Election

ELECTIONS = {0: Election.PREFERRED, 1: Election.UNCLEAN}


async def _handle(
    services: ClusterServices, _context: RequestContext, message: ElectLeadersRequest
) -> ElectLeadersResponse:
    asked = None
    if message.topic_partitions is not None:
        asked = [(topic.topic, index) for topic in message.topic_partitions for index in topic.partitions]
    election = ELECTIONS.get(message.election_type)
    if election is None:
        code = ErrorCode.invalid_request if asked or asked is None else ErrorCode.none
        return _answer(code, dict.fromkeys(asked or (), ErrorCode.invalid_request))
    results = await services.replicas.elect_leaders(asked, election)
    codes = {
        partition: result.code if isinstance(result, KafkaError) else ErrorCode.none
        for partition, result in results.items()
    }
    if asked is None:  # of all, Kafka names those whose leaders are not as they are wanted already
        codes = {each: code for each, code in codes.items() if code is not ErrorCode.election_not_needed}
    return _answer(ErrorCode.none, codes)


def _answer(code: ErrorCode, codes: Mapping[tuple[str, int], ErrorCode]) -> ElectLeadersResponse:
    topics: dict[str, list[PartitionResult]] = {}
    for (topic, index), of_partition in codes.items():
        topics.setdefault(topic, []).append(PartitionResult(partition_id=index, error_code=of_partition))
    return ElectLeadersResponse(
        error_code=code,
        replica_election_results=[
            ReplicaElectionResult(topic=name, partition_result=found) for name, found in topics.items()
        ],
    )


def _error(message: ElectLeadersRequest, code: ErrorCode, _text: str | None) -> ElectLeadersResponse:
    asked = message.topic_partitions or ()
    return _answer(code, {(topic.topic, index): code for topic in asked for index in topic.partitions})


APIS = (
    Api(
        ClusterServices,
        ElectLeadersRequest,
        ElectLeadersResponse,
        _handle,
        right=OnCluster(Operation.ALTER),
        error=_error,
        is_audited=True,
        kips=(183, 460),
    ),
)
