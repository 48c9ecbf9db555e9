"""A follower fetcher: when it asks its leader, and what for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar, cast
from uuid import UUID

import pytest
from tests.unit.storage.logs import open_at, small_segments
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.clock import Clock
from ottla.config.broker import BrokerConfig
from ottla.config.current import CurrentConfig
from ottla.config.layers import BrokerLayers
from ottla.config.load import Sources, load_settings
from ottla.metadata.model import PartitionState
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.fetch import (
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    PartitionData,
)
from ottla.protocol.structs import Struct
from ottla.replica.fetcher import Fetcher
from ottla.replica.follower import Follower
from ottla.replica.throttles import follower_throttle
from ottla.replica.traffic import TopicTraffic
from ottla.storage.log import Log

S = TypeVar("S", bound=Struct)

TOPIC = UUID(int=1)
SESSION = 7


class StandInLeader:
    """Refuses all partitions, unless `error_code` is none: then it has nothing to tell, and waits for ever.

    Where it knows of no partition it answers at once, as every leader does.
    """

    def __init__(self) -> None:
        self.error_code = ErrorCode.not_leader_or_follower
        self.requests: list[FetchRequest] = []
        self.known: dict[int, None] = {}

    async def send(self, request: Struct, response_class: type[S], timeout_s: float) -> S:
        assert isinstance(request, FetchRequest)
        self.requests.append(request)
        await asyncio.sleep(0)
        for forgotten in request.forgotten_topics_data:
            for index in forgotten.partitions:
                self.known.pop(index, None)
        for topic in request.topics:
            self.known.update(dict.fromkeys(each.partition for each in topic.partitions))
        if self.known and not self.error_code:
            await asyncio.get_running_loop().create_future()
        refused = [PartitionData(partition_index=each, error_code=self.error_code) for each in self.known]
        response = FetchResponse(
            session_id=SESSION, responses=[FetchableTopicResponse(topic_id=TOPIC, partitions=refused)]
        )
        return cast("S", response)

    def close(self) -> None: ...


class Around:
    """This broker, as its fetchers see it."""

    node_id = 2

    def __init__(self, config: BrokerConfig) -> None:
        self.config = config
        current = CurrentConfig(config, BrokerLayers(static={}))
        self.throttle = follower_throttle(self.node_id, current, Clock())

    def own_epoch(self) -> int:
        return 1

    def now_ms(self) -> int:
        return 2_000_000

    async def make_durable(self, logs: Sequence[Log]) -> None: ...

    async def note_cut(self) -> None: ...


def _follower(leader_epoch: int) -> Follower:
    state = PartitionState(replicas=(1, 2), isr=(1, 2), leader=1, leader_epoch=leader_epoch)
    return Follower("t", TOPIC, 0, open_at(SimulatedDisk(), small_segments()), state, TopicTraffic())


@pytest.fixture
async def leader() -> StandInLeader:
    return StandInLeader()


@pytest.fixture
async def fetcher(leader: StandInLeader) -> AsyncGenerator[Fetcher]:
    config = load_settings(Sources(assignments=["replica.fetch.backoff.ms=600000"])).config
    made = Fetcher(Around(config), 1, leader)
    yield made
    await made.stop()


async def _turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_leader_that_knows_of_nothing_is_not_asked(fetcher: Fetcher, leader: StandInLeader) -> None:
    fetcher.add(_follower(5))
    await _turns()
    asked = [len(each.topics) for each in leader.requests]
    forgotten = [len(each.forgotten_topics_data) for each in leader.requests]
    assert (asked, forgotten) == ([1, 0], [0, 1]), "what is refused waits for its time"
    assert not leader.known

    leader.error_code = ErrorCode.none
    fetcher.add(_follower(6))
    await _turns()
    (again,) = leader.requests[2:]
    assert (again.session_id, again.session_epoch) == (SESSION, 2)
    assert [each.current_leader_epoch for topic in again.topics for each in topic.partitions] == [6]
