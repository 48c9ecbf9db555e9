"""A follower fetcher: when it asks its leader, and what for."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast
from uuid import UUID

import pytest
from tests.unit.storage.logs import batch, open_at, small_segments
from tests.unit.storage.simulated_disk import PowerLossError, SimulatedDisk

from ottla.clock import Clock
from ottla.config.broker import BrokerConfig
from ottla.config.current import CurrentConfig
from ottla.config.layers import BrokerLayers
from ottla.config.load import Sources, load_settings
from ottla.metadata.image import ImageDelta, image_at
from ottla.metadata.model import PartitionState
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.fetch import (
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    PartitionData,
)
from ottla.protocol.messages.list_offsets import (
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from ottla.protocol.structs import Struct
from ottla.records.batch import iter_headers
from ottla.replica.fetcher import Fetcher
from ottla.replica.fetchers import Fetchers
from ottla.replica.follower import Follower
from ottla.replica.group_commit import GroupCommit
from ottla.replica.throttles import follower_throttle
from ottla.replica.traffic import TopicTraffic
from ottla.storage.local.log import FlushResult
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

    async def checkpoint(self) -> None: ...


async def _nothing() -> None: ...


def _follower(leader_epoch: int, index: int = 0, disk: SimulatedDisk | None = None) -> Follower:
    state = PartitionState(replicas=(1, 2), isr=(1, 2), leader=1, leader_epoch=leader_epoch)
    log = open_at(disk or SimulatedDisk(), small_segments())
    return Follower("t", TOPIC, index, log, state, TopicTraffic())


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


class DivergingLeader(StandInLeader):
    """Its log says something else from `end` on, or ends there; it is told once."""

    def __init__(self, end: int, *, is_shorter: bool) -> None:
        super().__init__()
        self.end = end
        self._is_shorter = is_shorter

    async def send(self, request: Struct, response_class: type[S], timeout_s: float) -> S:
        if isinstance(request, ListOffsetsRequest):
            (asked,) = (each for topic in request.topics for each in topic.partitions)
            found = ListOffsetsPartitionResponse(offset=self.end if asked.timestamp == -1 else 0)
            listed = ListOffsetsResponse(
                topics=[ListOffsetsTopicResponse(name="t", partitions=[found])], throttle_time_ms=0
            )
            return cast("S", listed)
        if self.requests:
            await asyncio.get_running_loop().create_future()
        self.requests.append(cast("FetchRequest", request))
        told = (
            PartitionData(error_code=ErrorCode.offset_out_of_range)
            if self._is_shorter
            else PartitionData(diverging_epoch=EpochEndOffset(epoch=0, end_offset=self.end))
        )
        topics = [FetchableTopicResponse(topic_id=TOPIC, partitions=[told])]
        return cast("S", FetchResponse(session_id=SESSION, responses=topics))


class Checkpointed(Around):
    """Writes down how far the log is on the disk, as long as there is power. A flush ends meanwhile."""

    def __init__(self, config: BrokerConfig, disk: SimulatedDisk, log: Log) -> None:
        super().__init__(config)
        self._disk = disk
        self._log = log
        self._flushes = [log.prepare_flush(0)]
        self.recovery_point = log.recovery_point

    async def checkpoint(self) -> None:
        while self._flushes:
            self._log.complete_flush(FlushResult(self._flushes.pop(), None))
        try:
            self._disk.step()
        except PowerLossError:
            raise OSError("the power went") from None
        self.recovery_point = self._log.recovery_point


@pytest.mark.parametrize("is_shorter", [False, True])
async def test_no_checkpoint_says_of_what_is_cut_off_that_it_is_on_the_disk(
    is_shorter: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Else recovery trusts what came in its place, of which parts were on the disk when the power went."""
    caplog.set_level("CRITICAL")
    config = load_settings(Sources(assignments=["replica.fetch.backoff.ms=600000"])).config
    for step in itertools.count():
        disk = SimulatedDisk(step)
        follower = _follower(5, disk=disk)
        for number in range(40):
            follower.append(batch(base_offset=number, timestamp=1_000 + number), 0, 0, 2_000_000)
        follower.log.flush()
        around = Checkpointed(config, disk, follower.log)
        assert around.recovery_point == 40
        disk.power_loss_at = disk.steps + step
        fetcher = Fetcher(around, 1, DivergingLeader(7, is_shorter=is_shorter))
        fetcher.add(follower)
        await _turns()
        await fetcher.stop()
        if disk.steps < disk.power_loss_at:
            break
        for _ in range(2):
            disk.lose_power()
            disk.restart()
            log = open_at(disk, small_segments(), clean=False, recovery_point=around.recovery_point)
            kept = [
                header.base_offset
                for segment in log.local.segments
                for _, header in iter_headers(segment.file.pread(segment.size, 0))
            ]
            assert kept == list(range(log.log_end_offset)), f"step {step}"
            assert len(kept) >= 7
            # What it gets next is not on the disk before there is another checkpoint.
            for number in range(log.log_end_offset, 60):
                copied = batch(base_offset=number, timestamp=1_000 + number)
                log.append_as_follower(copied, 0, 2_000_000)
    assert follower.log.log_end_offset == 7
    assert step > 5
