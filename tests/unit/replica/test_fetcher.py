"""A follower fetcher: when it asks its leader, and what for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from ottla.metadata.image import ImageDelta, image_at
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
from ottla.replica.fetchers import Fetchers
from ottla.replica.follower import Follower
from ottla.replica.group_commit import GroupCommit
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
        self.is_closed = False

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

    def close(self) -> None:
        self.is_closed = True


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


async def _nothing() -> None: ...


def _follower(leader_epoch: int, index: int = 0) -> Follower:
    state = PartitionState(replicas=(1, 2), isr=(1, 2), leader=1, leader_epoch=leader_epoch)
    return Follower("t", TOPIC, index, open_at(SimulatedDisk(), small_segments()), state, TopicTraffic())


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


async def test_replicas_are_fetched_over_as_many_connections_as_is_set() -> None:
    leaders: list[StandInLeader] = []

    def connect(_node_id: int) -> StandInLeader:
        leaders.append(StandInLeader())
        return leaders[-1]

    current = CurrentConfig(load_settings(Sources()).config, BrokerLayers(static={}))
    around = Around(current.value)
    group_commit = GroupCommit(ThreadPoolExecutor(1))  # which nobody has sync anything
    fetchers = Fetchers(
        2, connect, around.own_epoch, _nothing, group_commit, around.throttle, current, Clock()
    )
    followers = [_follower(5, index) for index in range(4)]
    for each in followers:
        fetchers.follow(each)
    await _turns()
    for count, dealt in ((1, [[0, 1, 2, 3]]), (2, [[0, 2], [1, 3]]), (1, [[0, 1, 2, 3]])):
        current.value = load_settings(Sources(assignments=[f"num.replica.fetchers={count}"])).config
        await fetchers.on_metadata(ImageDelta(), image_at(1, ()))
        await _turns()
        found = [[each.index for each in fetcher.followers] for fetcher in fetchers._fetchers.values()]
        assert sorted(map(sorted, found)) == dealt
        assert sum(not each.is_closed for each in leaders) == count
    for each in followers:
        fetchers.leave(each)
    assert all(each.is_closed for each in leaders)
