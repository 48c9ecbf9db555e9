"""Clients of a cluster that ask whoever is to be asked: leaders, and coordinators, as these come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from tests.simulation.client import Client, NoAnswerError
from tests.simulation.cluster_clients import CLUSTER, Finder
from tests.simulation.history import Log

from ottla.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from ottla.protocol.messages.add_partitions_to_txn import AddPartitionsToTxnRequest
from ottla.protocol.messages.end_txn import EndTxnRequest
from ottla.protocol.messages.fetch import FetchRequest, FetchResponse, FetchTopic, LeaderIdAndEpoch
from ottla.protocol.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest
from ottla.protocol.messages.offset_fetch import OffsetFetchRequest
from ottla.protocol.messages.produce import ProduceRequest
from ottla.protocol.structs import Struct

if TYPE_CHECKING:
    from tests.simulation.replicated import Replicated

R = TypeVar("R", bound=Struct)

_GROUP, _TRANSACTION = 0, 1
_OF_TRANSACTIONS: Mapping[type[Struct], str] = {
    AddOffsetsToTxnRequest: "transactional_id",
    AddPartitionsToTxnRequest: "v3_and_below_transactional_id",
    EndTxnRequest: "transactional_id",
    InitProducerIdRequest: "transactional_id",
}
"""What transaction coordinators are asked, and for which id"""
_REMEMBERED_S = 0.4
"""For so long a client goes by what it was told, if nothing speaks against it."""


class ClusterBrokers:
    """A cluster, as clients have it that could as well talk to one broker (`client.Brokers`)."""

    name = CLUSTER

    def __init__(self, test: Replicated) -> None:
        self._test = test

    @property
    def era(self) -> int:
        return self._test.history.era

    def now_ms(self) -> int:
        return self._test.now_ms()

    def client(self, name: str) -> ClusterClient:
        return ClusterClient(self._test, name)


class ClusterClient:
    """One client's connections to all brokers."""

    def __init__(self, test: Replicated, name: str) -> None:
        self._now = test.world.loop.time
        self._finder = Finder(test, name)
        self._told: dict[Log | tuple[int, str], float] = {}
        """When who leads, or coordinates"""
        self._coordinators: dict[tuple[int, str], Client] = {}

    def close(self) -> None:
        self._finder.close()

    async def call(self, request: Struct, version: int, answer: type[R]) -> R:
        """Ask the right one; raises NoAnswerError, also where nobody knows which one that is."""
        if isinstance(request, FetchRequest):
            response = await self._fetch(request, version)
            assert isinstance(response, answer)
            return response
        broker = await self._broker_for(request)
        try:
            return await broker.call(request, version, answer)
        except NoAnswerError:
            self._told.clear()
            raise

    async def _broker_for(self, request: Struct) -> Client:
        if isinstance(request, ProduceRequest):
            topic = request.topic_data[0]
            return (await self._leader(Log(CLUSTER, topic.name, topic.partition_data[0].index)))[0]
        if isinstance(request, OffsetFetchRequest):
            return await self._coordinator(_GROUP, request.groups[0].group_id)
        name = _OF_TRANSACTIONS.get(type(request))
        if name is not None and getattr(request, name):
            return await self._coordinator(_TRANSACTION, getattr(request, name))
        if name is None and getattr(request, "group_id", ""):
            return await self._coordinator(_GROUP, request.group_id)
        return self._finder.any()

    async def _leader(self, log: Log) -> tuple[Client, int]:
        if not self._is_remembered(log):
            self._finder.forget(log)
        return await self._finder.leader(log)

    async def _coordinator(self, kind: int, key: str) -> Client:
        if not self._is_remembered((kind, key)):
            self._coordinators.pop((kind, key), None)
        if (kind, key) not in self._coordinators:
            request = FindCoordinatorRequest(key_type=kind, coordinator_keys=[key])
            found = await self._finder.any().call(request, 4, FindCoordinatorResponse)
            node_id = found.coordinators[0].node_id
            if found.coordinators[0].error_code or node_id not in self._finder.brokers:
                self._told.clear()
                raise NoAnswerError
            self._coordinators[kind, key] = self._finder.brokers[node_id]
        return self._coordinators[kind, key]

    def _is_remembered(self, what: Log | tuple[int, str]) -> bool:
        now = self._now()
        if now - self._told.get(what, 0) < _REMEMBERED_S:
            return True
        self._told[what] = now
        return False

    async def _fetch(self, request: FetchRequest, version: int) -> FetchResponse:
        """Of each leader what it leads, with its epoch; partitions without an answer are left out."""
        asked: dict[Client, list[FetchTopic]] = {}
        epochs: dict[tuple[str, int], int] = {}
        for topic in request.topics:
            for partition in topic.partitions:
                try:
                    leader, epoch = await self._leader(Log(CLUSTER, topic.topic, partition.partition))
                except NoAnswerError:
                    continue
                partition.current_leader_epoch = epochs[topic.topic, partition.partition] = epoch
                asked.setdefault(leader, []).append(FetchTopic(topic=topic.topic, partitions=[partition]))
        answers = await asyncio.gather(
            *(
                leader.call(_of_topics(request, topics), version, FetchResponse)
                for leader, topics in asked.items()
            ),
            return_exceptions=True,
        )
        responses = []
        for answer in answers:
            if isinstance(answer, FetchResponse):
                responses += answer.responses
            elif not isinstance(answer, NoAnswerError):
                raise answer
        has_failed = not responses
        for topic in responses:
            for data in topic.partitions:
                has_failed |= data.error_code != 0
                epoch = epochs[topic.topic, data.partition_index]
                data.current_leader = LeaderIdAndEpoch(leader_epoch=epoch)
        if has_failed:
            self._told.clear()
        if not responses:
            raise NoAnswerError
        return FetchResponse(responses=responses)


def _of_topics(request: FetchRequest, topics: Sequence[FetchTopic]) -> FetchRequest:
    return FetchRequest(
        max_wait_ms=request.max_wait_ms,
        min_bytes=request.min_bytes,
        max_bytes=request.max_bytes,
        isolation_level=request.isolation_level,
        topics=topics,
    )
