"""Fetch sessions, the choice of nodes, errors, and the bound on what is fetched ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

import pytest

from ottla.client.core.fetch import Chunk, Fetcher, end_of
from ottla.client.core.fetch_session import FetchSettings
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.positions import LATEST_TIMESTAMP, OffsetReset, Phase, Position, Positions
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.fetch import (
    AbortedTransaction,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    LeaderIdAndEpoch,
    PartitionData,
)
from ottla.records.codec import Record, encode_batch

_IDS = {"t": UUID(int=1), "u": UUID(int=2)}
_NAMES = {topic_id: name for name, topic_id in _IDS.items()}


def _batch(offset: int, count: int = 1, *, epoch: int = 0, size: int = 10) -> bytes:
    batch = bytearray(
        encode_batch([Record(offset=i, timestamp=0, key=None, value=b"v" * size) for i in range(count)])
    )
    batch[:8] = offset.to_bytes(8, "big")
    batch[12:16] = epoch.to_bytes(4, "big")
    return bytes(batch)


class _World:
    """A fetcher of partitions 0 to 3 of `t`, at offset 0; even ones are led by node 0, odd ones by node 1."""

    def __init__(self, count: int = 1, reset: str = "earliest", *, ids: bool = True, **settings: int) -> None:
        self.now = 1000
        self.partitions = [TopicPartition("t", each) for each in range(count)]
        self.positions = Positions(OffsetReset(reset))
        self.positions.assign(self.partitions)
        for each in self.partitions:
            self.positions.seek(each, Position(0))
            self.positions.states[each].topic_id = _IDS["t"] if ids else None
        self.fetcher = Fetcher(FetchSettings(**settings), self.positions)
        self.nodes: Callable[[TopicPartition], int] = lambda each: each.partition % 2

    def requests(self) -> dict[int, FetchRequest]:
        return dict(self.fetcher.requests(lambda each: (self.nodes(each), 0), self.now))

    def answer(self, node: int, *parts: PartitionData, session: int = 7, error: int = 0):
        topic = FetchableTopicResponse(topic="t", topic_id=_IDS["t"], partitions=parts)
        response = FetchResponse(error_code=error, session_id=session, responses=[topic] if parts else [])
        return self.fetcher.received(node, response, self.now)

    def take_all(self) -> Iterable[Chunk]:
        while (chunk := self.fetcher.take()) is not None:
            self.fetcher.delivered(chunk)
            yield chunk


def _data(partition: int, records: bytes = b"", **more: object) -> PartitionData:
    return PartitionData(partition_index=partition, records=records, high_watermark=50, **more)


def _asked(request: FetchRequest) -> dict[tuple[str, int], int]:
    return {
        (topic.topic, each.partition): each.fetch_offset
        for topic in request.topics
        for each in topic.partitions
    }


def _forgotten(request: FetchRequest) -> list[tuple[str, int]]:
    return [(each.topic, p) for each in request.forgotten_topics_data for p in each.partitions]


def test_one_request_to_each_node_at_a_time() -> None:
    world = _World(3)
    requests = world.requests()
    assert {node: _asked(request) for node, request in requests.items()} == {
        0: {("t", 0): 0, ("t", 2): 0},
        1: {("t", 1): 0},
    }
    assert [topic.topic_id for topic in requests[0].topics] == [_IDS["t"]]
    assert world.requests() == {}
    world.answer(1)
    assert list(world.requests()) == [1]


def test_session_sends_only_what_changed() -> None:
    world = _World(3)
    first = world.requests()[0]
    assert (first.session_id, first.session_epoch) == (0, 0)
    world.answer(0, _data(0, _batch(0, 5)))
    second = world.requests()[0]
    assert (second.session_id, second.session_epoch) == (7, 1)
    assert _asked(second) == {("t", 0): 5}
    world.positions.states[world.partitions[2]].paused = True
    world.answer(0)
    third = world.requests()[0]
    assert third.session_epoch == 2
    assert _asked(third) == {}
    assert _forgotten(third) == [("t", 2)]


def test_broker_without_sessions_is_asked_in_full() -> None:
    world = _World()
    world.requests()
    world.answer(0, session=0)
    request = world.requests()[0]
    assert (request.session_id, request.session_epoch, _asked(request)) == (0, 0, {("t", 0): 0})


@pytest.mark.parametrize(
    ("code", "session"),
    [
        (ErrorCode.fetch_session_id_not_found, 0),
        (ErrorCode.invalid_fetch_session_epoch, 7),
        (ErrorCode.fetch_session_topic_id_error, 7),
        (ErrorCode.unknown_topic_id, 7),
    ],
)
def test_lost_session_begins_with_a_full_request(code: ErrorCode, session: int) -> None:
    world = _World()
    world.requests()
    world.answer(0)
    world.requests()
    world.answer(0, error=code)
    world.now += 100
    request = world.requests()[0]
    assert (request.session_id, request.session_epoch, _asked(request)) == (session, 0, {("t", 0): 0})


def test_what_comes_back_at_the_offset_that_the_session_knows_is_told_of_anew() -> None:
    """A broker leaves out what has no news since its last answer, for an assignment that is over."""
    world = _World(3)
    for _ in range(2):
        world.requests()
        world.answer(0, _data(0), _data(2))
    world.positions.assign(world.partitions[1:])
    world.positions.assign(world.partitions)
    world.positions.seek(world.partitions[0], Position(0))
    world.positions.states[world.partitions[0]].topic_id = _IDS["t"]
    anew = world.requests()[0]
    assert (anew.session_id, anew.session_epoch) == (7, 0)
    assert _asked(anew) == {("t", 0): 0, ("t", 2): 0}
    world.answer(0)
    assert world.requests()[0].session_epoch == 1


def test_no_answer_waits_and_begins_anew() -> None:
    world = _World()
    world.requests()
    world.answer(0)
    world.requests()
    world.fetcher.failed(0, world.now)
    assert world.requests() == {}
    assert world.fetcher.next_retry_ms(world.now) == world.now + 100
    world.now += 100
    request = world.requests()[0]
    assert (request.session_id, request.session_epoch, _asked(request)) == (7, 0, {("t", 0): 0})


def test_topics_without_ids_have_a_session_of_their_own_kind() -> None:
    world = _World(ids=False)
    assert _asked(world.requests()[0]) == {("t", 0): 0}
    assert world.fetcher.needs_names(0)
    topic = FetchableTopicResponse(topic="t", partitions=[_data(0, _batch(0))])
    world.fetcher.received(0, FetchResponse(session_id=7, responses=[topic]), world.now)
    world.positions.states[world.partitions[0]].topic_id = _IDS["t"]
    request = world.requests()[0]
    assert not world.fetcher.needs_names(0)
    assert (request.session_epoch, _asked(request)) == (0, {("t", 0): 1})


def test_topic_made_again_replaces_the_old_one_in_the_session() -> None:
    world = _World()
    world.requests()
    world.answer(0)
    world.positions.states[world.partitions[0]].topic_id = UUID(int=9)
    request = world.requests()[0]
    assert [each.topic_id for each in request.topics] == [UUID(int=9)]
    assert [each.topic_id for each in request.forgotten_topics_data] == [_IDS["t"]]


def test_records_come_in_order_and_are_asked_for_ahead() -> None:
    world = _World()
    world.requests()
    result = world.answer(0, _data(0, _batch(0, 5, epoch=3)))
    assert result.has_data
    assert _asked(world.requests()[0]) == {("t", 0): 5}
    world.answer(0, _data(0, _batch(5, 2, epoch=4)))
    chunks = list(world.take_all())
    assert [(each.offset, each.end) for each in chunks] == [(0, Position(5, 3)), (5, Position(7, 4))]
    assert world.positions.states[world.partitions[0]].high_watermark == 50


def test_partitions_take_turns() -> None:
    world = _World(4)
    world.nodes = lambda _: 0
    world.requests()
    world.answer(0, *[_data(each, _batch(0)) for each in range(4)])
    world.requests()
    world.answer(0, _data(0, _batch(1)), _data(1, _batch(1)))
    assert [each.partition.partition for each in world.take_all()] == [0, 1, 2, 3, 0, 1]


def test_slow_application_bounds_what_is_buffered_of_a_partition() -> None:
    world = _World(partition_max_bytes=100)
    for offset in range(5):
        request = world.requests()
        if not request:
            break
        world.answer(0, _data(0, _batch(offset)))
    assert offset == 2
    assert 100 <= world.fetcher.buffered < 200
    next(iter(world.take_all()))
    assert world.requests()


def test_buffers_of_all_nodes_together_are_bounded() -> None:
    world = _World(2, buffer_bytes=1000, max_bytes=700, partition_max_bytes=100)
    requests = world.requests()
    assert [each.max_bytes for each in requests.values()] == [700, 300]
    world.answer(0, _data(0, _batch(0, size=600)))
    assert world.requests() == {}
    world.answer(1)
    ((node, request),) = world.requests().items()
    assert (node, request.max_bytes) == (1, 1000 - world.fetcher.buffered)


def test_what_was_fetched_before_a_seek_is_dropped() -> None:
    world = _World()
    world.requests()
    world.answer(0, _data(0, _batch(0)))
    world.requests()
    world.positions.seek(world.partitions[0], Position(40))
    assert not world.answer(0, _data(0, _batch(1))).has_data
    assert not world.fetcher.has_data()
    assert _asked(world.requests()[0]) == {("t", 0): 40}
    assert world.fetcher.buffered == 0


def test_revoked_partition_leaves_no_bytes_behind() -> None:
    world = _World(3)
    world.requests()
    world.answer(0, _data(0, _batch(0)), _data(2, _batch(0)))
    world.positions.remove([world.partitions[0]])
    request = world.requests()[0]
    assert _forgotten(request) == [("t", 0)]
    assert [each.partition for each in world.take_all()] == [world.partitions[2]]
    assert world.fetcher.buffered == 0


def test_paused_partition_keeps_what_it_has_and_its_order() -> None:
    world = _World(3)
    world.requests()
    world.answer(0, _data(0, _batch(0)), _data(2, _batch(0)))
    world.requests()
    world.answer(0, _data(0, _batch(1)))
    state = world.positions.states[world.partitions[0]]
    state.paused = True
    assert [each.partition.partition for each in world.take_all()] == [2]
    assert _forgotten(world.requests()[0]) == [("t", 0)]
    state.paused = False
    assert [each.offset for each in world.take_all()] == [0, 1]


def test_what_did_not_fit_keeps_its_turn() -> None:
    world = _World(6)
    world.requests()
    world.answer(0, *(_data(each, _batch(0)) for each in (0, 2, 4)))
    first = world.fetcher.take()
    assert first is not None
    world.fetcher.give_back(first)
    second = world.fetcher.take()
    assert second is not None
    world.fetcher.give_back(second, keeps_turn=True)
    assert [each.partition.partition for each in world.take_all()] == [2, 4, 0]


def test_paused_partitions_keep_no_response_alive() -> None:
    world = _World(3)
    world.requests()
    response = memoryview(bytearray(_batch(0, 3)))
    world.answer(0, _data(0, response), _data(2, response))
    assert world.fetcher.detach(world.partitions[1]) is None
    kept = world.fetcher.detach(world.partitions[0])
    world.positions.states[world.partitions[2]].paused = True
    world.requests()
    world.positions.states[world.partitions[2]].paused = False
    first, other = world.take_all()
    assert first is kept
    assert first.records == other.records
    assert first.records.obj is not response.obj
    assert other.records.obj is response.obj


def test_what_comes_for_a_paused_partition_keeps_no_response_alive() -> None:
    world = _World(1)
    world.requests()
    state = world.positions.states[world.partitions[0]]
    state.paused = True
    response = memoryview(bytearray(_batch(0, 3)))
    world.answer(0, _data(0, response))
    state.paused = False
    (chunk,) = world.take_all()
    assert chunk.records == response
    assert chunk.records.obj is not response.obj


def test_aborted_transactions_come_with_the_chunk() -> None:
    world = _World(isolation_level=1)
    assert world.requests()[0].isolation_level == 1
    aborted = [AbortedTransaction(producer_id=4, first_offset=0)]
    world.answer(0, _data(0, _batch(0), aborted_transactions=aborted))
    assert [each.aborted for each in world.take_all()] == [[(4, 0)]]


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.not_leader_or_follower,
        ErrorCode.fenced_leader_epoch,
        ErrorCode.unknown_topic_or_partition,
        ErrorCode.unknown_topic_id,
        ErrorCode.kafka_storage_error,
        ErrorCode.offset_not_available,
    ],
)
def test_moved_partition_is_looked_up_and_tried_again(code: ErrorCode) -> None:
    world = _World()
    world.requests()
    leader = LeaderIdAndEpoch(leader_id=3, leader_epoch=9)
    result = world.answer(0, _data(0, error_code=code, current_leader=leader))
    assert result.stale_topics == ["t"]
    assert result.moved == {world.partitions[0]: (3, 9)}
    assert result.failures == []
    assert world.requests() == {}
    world.now += 100
    assert world.requests()


def test_authorization_is_told() -> None:
    world = _World()
    world.requests()
    (failure,) = world.answer(0, _data(0, error_code=ErrorCode.topic_authorization_failed)).failures
    assert (failure.partition, failure.code) == (world.partitions[0], ErrorCode.topic_authorization_failed)


@pytest.mark.parametrize("records", [b"\0" * 80, _batch(0)[:-1], b"x"])
def test_no_whole_batch_is_corrupt(records: bytes) -> None:
    world = _World()
    world.requests()
    (failure,) = world.answer(0, _data(0, records)).failures
    assert failure.code is ErrorCode.corrupt_message
    assert world.fetcher.buffered == 0


def test_records_that_lie_before_the_position_cannot_be_an_answer() -> None:
    world = _World()
    world.positions.seek(world.partitions[0], Position(10))
    world.requests()
    assert [each.code for each in world.answer(0, _data(0, _batch(0, 5))).failures] == [
        ErrorCode.corrupt_message
    ]


def test_out_of_range_resets_by_policy() -> None:
    world = _World(reset="latest")
    world.requests()
    world.answer(0, _data(0, error_code=ErrorCode.offset_out_of_range))
    state = world.positions.states[world.partitions[0]]
    assert (state.phase, state.reset_timestamp) == (Phase.reset, LATEST_TIMESTAMP)


def test_out_of_range_without_a_policy_is_told() -> None:
    world = _World(reset="none")
    world.requests()
    world.answer(0, _data(0, error_code=ErrorCode.offset_out_of_range))
    (error,) = world.positions.take_errors()
    assert (error.partition, error.position) == (world.partitions[0], Position(0))


def test_preferred_replica_is_asked_for_a_time() -> None:
    world = _World(client_rack="r")  # type: ignore[arg-type]
    assert world.requests()[0].rack_id == "r"
    world.answer(0, _data(0, preferred_read_replica=5))
    assert list(world.requests()) == [5]
    world.fetcher.failed(5, world.now)
    assert list(world.requests()) == [0]
    world.answer(0, _data(0, preferred_read_replica=6))
    world.now += 300_000
    assert list(world.requests()) == [0]


def test_follower_that_is_behind_sends_us_back_to_the_leader() -> None:
    world = _World()
    world.requests()
    world.answer(0, _data(0, preferred_read_replica=5))
    world.requests()
    world.answer(5, _data(0, error_code=ErrorCode.offset_out_of_range))
    assert list(world.requests()) == [0]
    assert world.positions.states[world.partitions[0]].phase is Phase.fetching


def test_sessions_are_ended() -> None:
    world = _World(2)
    world.requests()
    world.answer(0, session=7)
    ((node, request),) = world.fetcher.closing()
    assert (node, request.session_id, request.session_epoch) == (0, 7, -1)


def test_answer_for_what_was_not_asked_is_left_out() -> None:
    world = _World()
    world.requests()
    assert not world.answer(0, _data(3, _batch(0))).has_data


def test_end_is_that_of_the_last_whole_batch() -> None:
    records = _batch(3, 2, epoch=1) + _batch(5, 4, epoch=2) + _batch(9)[:-2]
    assert end_of(memoryview(records)) == Position(9, 2)
    assert end_of(memoryview(b"")) is None
