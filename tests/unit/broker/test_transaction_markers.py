"""How a transaction ends in a partition: its marker, and what its readers then see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.raw_client import FETCH, LIST_OFFSETS, PRODUCE, RawClient, connect
from tests.running_broker import Topic, create_topic

from ottla.protocol.errors import ErrorCode
from ottla.records.batch import iter_headers

from .transactions import T0, WRITE_TXN_MARKERS, Coordinator, batch, broker_with, end, produce, request

NONE = ErrorCode.none
READ_COMMITTED = 1
DELETE_RECORDS, DESCRIBE_PRODUCERS, FIND_COORDINATOR = 21, 61, 10
NEVER_MS = 600_000


@pytest.fixture
async def coordinator() -> Coordinator:
    return Coordinator()


@pytest.fixture
async def client(coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RawClient]:
    async with broker_with(coordinator, monkeypatch) as connected:
        yield connected


@pytest.fixture
async def topic(client: RawClient) -> Topic:
    return await create_topic(client, partitions=2)


async def read(topic: Topic, offset: int = 0) -> tuple[list[int], int, list[tuple[int, int]]]:
    """Base offsets of the batches that a reader of committed records is given, the last stable offset, and
    what it has to skip.
    """
    partition = await topic.fetch(offset, isolation_level=READ_COMMITTED)
    found = [header.base_offset for _, header in iter_headers(partition["records"])]
    aborted = [(each["producer_id"], each["first_offset"]) for each in partition["aborted_transactions"]]
    return found, partition["last_stable_offset"], aborted


async def latest(client: RawClient, topic: Topic, isolation_level: int, timestamp: int = -1) -> int:
    asked = {"partition_index": 0, "timestamp": timestamp, "current_leader_epoch": -1}
    response = await client.call(
        LIST_OFFSETS,
        7,
        {
            "replica_id": -1,
            "isolation_level": isolation_level,
            "topics": [{"name": topic.name, "partitions": [asked]}],
        },
    )
    return int(response["topics"][0]["partitions"][0]["offset"])


async def test_readers_of_committed_records_see_a_transaction_when_it_is_committed(
    client: RawClient, topic: Topic
) -> None:
    await produce(client, topic, batch(0))
    assert await read(topic) == ([], 0, [])
    assert [await latest(client, topic, level) for level in (0, 1)] == [1, 0]
    assert [await latest(client, topic, level, T0) for level in (0, 1)] == [0, -1]
    assert await end(client, topic.name) == [NONE]
    assert await read(topic) == ([0, 1], 2, [])
    assert [await latest(client, topic, level) for level in (0, 1)] == [2, 2]
    assert [await latest(client, topic, level, T0) for level in (0, 1)] == [0, 0]


async def test_what_was_aborted_is_told_to_them(client: RawClient, topic: Topic) -> None:
    await produce(client, topic, batch(0))
    await produce(client, topic, batch(0, producer_id=8))
    assert await end(client, topic.name, committed=False, producer_id=8) == [NONE]
    assert await read(topic) == ([], 0, [])
    assert await end(client, topic.name, committed=True) == [NONE]
    assert await read(topic) == ([0, 1, 2, 3], 4, [(8, 1)])
    assert await read(topic, 3) == ([3], 4, [])


async def test_a_marker_of_the_same_epoch_is_refused_in_transaction_version_2(
    client: RawClient, topic: Topic
) -> None:
    await produce(client, topic, batch(0, producer_epoch=4))
    fenced = [ErrorCode.invalid_producer_epoch]
    assert await end(client, topic.name, epoch=3) == fenced
    assert await end(client, topic.name, epoch=4, transaction_version=2) == fenced
    assert await end(client, topic.name, epoch=5, transaction_version=2) == [NONE]
    assert await end(client, topic.name, epoch=5, transaction_version=2) == [NONE], "once more, unanswered"
    assert await end(client, topic.name, epoch=4, transaction_version=2) == fenced
    assert await produce(client, topic, batch(1, producer_epoch=4)) == [
        (ErrorCode.invalid_producer_epoch, -1)
    ]


async def test_a_marker_of_an_older_coordinator_is_refused(client: RawClient, topic: Topic) -> None:
    assert await end(client, topic.name, coordinator_epoch=5) == [NONE]
    fenced = [ErrorCode.transaction_coordinator_fenced]
    assert await end(client, topic.name, coordinator_epoch=4) == fenced


async def test_each_partition_has_its_own_result(client: RawClient, topic: Topic) -> None:
    await produce(client, topic, batch(0, producer_epoch=1))
    unknown = ErrorCode.unknown_topic_or_partition
    codes = await end(client, topic.name, partitions=(0, 1, 2))
    assert codes == [ErrorCode.invalid_producer_epoch, NONE, unknown]
    assert await end(client, "no-such-topic") == [unknown]
    response = await client.call(WRITE_TXN_MARKERS, 1, {"markers": []})
    assert response["markers"] == []


async def test_results_are_told_by_producer(client: RawClient, topic: Topic) -> None:
    def marker(producer_id: int, index: int) -> dict[str, Any]:
        topics = [{"name": topic.name, "partition_indexes": [index]}]
        return {"producer_id": producer_id, "producer_epoch": 0, "topics": topics, "coordinator_epoch": 0}

    asked = [marker(7, 0), marker(8, 0), marker(7, 1), marker(8, 5)]
    response = await client.call(WRITE_TXN_MARKERS, 1, {"markers": asked})
    told = {
        result["producer_id"]: {
            each["partition_index"]: each["error_code"] for each in result["topics"][0]["partitions"]
        }
        for result in response["markers"]
    }
    assert told == {7: {0: 0, 1: 0}, 8: {0: 0, 5: ErrorCode.unknown_topic_or_partition}}


async def test_others_get_their_turn_between_the_markers_of_very_many_partitions(
    client: RawClient, coordinator: Coordinator
) -> None:
    topic = await create_topic(client, partitions=300)
    assert coordinator.partitions is not None
    hosted = coordinator.partitions.of_topic(topic.name)
    ending = asyncio.ensure_future(end(client, topic.name, partitions=[*range(300), 300]))
    had, most, turns = 0, 0, 0
    while not ending.done():
        await asyncio.sleep(0)
        have = sum(each.log.log_end_offset for each in hosted)
        most, turns, had = max(most, have - had), turns + (have > had), have
    assert await ending == [NONE] * 300 + [ErrorCode.unknown_topic_or_partition]
    assert had == 300
    assert most <= 64
    assert turns >= 4


async def test_a_marker_goes_to_the_groups_that_have_the_transactions_offsets(client: RawClient) -> None:
    assert await end(client, "__consumer_offsets") == [ErrorCode.unknown_topic_or_partition]
    while True:
        found = await client.call(FIND_COORDINATOR, 4, {"key_type": 0, "coordinator_keys": ["g"]})
        if not found["coordinators"][0]["error_code"]:
            break
    assert await end(client, "__consumer_offsets") == [NONE]
    assert await end(client, "__consumer_offsets", coordinator_epoch=-1) == [
        ErrorCode.transaction_coordinator_fenced
    ]


async def test_producers_are_described_with_their_transactions(client: RawClient, topic: Topic) -> None:
    async def described() -> dict[str, Any]:
        asked = {"topics": [{"name": topic.name, "partition_indexes": [0]}]}
        response = await client.call(DESCRIBE_PRODUCERS, 0, asked)
        (producer,) = response["topics"][0]["partitions"][0]["active_producers"]
        return dict(producer)

    await produce(client, topic, batch(0))
    await produce(client, topic, batch(1))
    expected = {
        "producer_id": 7,
        "producer_epoch": 0,
        "last_sequence": 1,
        "last_timestamp": T0,
        "coordinator_epoch": -1,
        "current_txn_start_offset": 0,
    }
    assert await described() == expected
    await end(client, topic.name, epoch=1, coordinator_epoch=3)
    after = await described()
    assert after.pop("last_timestamp") > T0
    ended = {"producer_epoch": 1, "last_sequence": -1, "coordinator_epoch": 3, "current_txn_start_offset": -1}
    assert after == {"producer_id": 7, **ended}


async def test_deleted_records_of_an_open_transaction_hold_nothing_back(
    client: RawClient, topic: Topic
) -> None:
    for sequence in range(3):
        await produce(client, topic, batch(sequence))
    partitions = [{"partition_index": 0, "offset": 2}]
    asked = {"topics": [{"name": topic.name, "partitions": partitions}], "timeout_ms": 1000}
    await client.call(DELETE_RECORDS, 2, asked)
    assert await read(topic, 2) == ([], 2, [])
    await end(client, topic.name)
    assert await read(topic, 2) == ([2, 3], 4, [])


@pytest.mark.parametrize("in_session", [False, True])
async def test_the_end_of_a_transaction_wakes_who_waits_for_all_of_it(
    coordinator: Coordinator, client: RawClient, topic: Topic, in_session: bool
) -> None:
    """The marker has a few bytes, what it frees many."""
    await produce(client, topic, batch(0, value=b"x" * 5_000))
    async with connect(*coordinator.address) as consumer:
        waiting = Consumer(consumer, topic, in_session)
        await waiting.fetch()
        await produce(client, topic, batch(1, value=b"x" * 5_000))
        await asyncio.sleep(0.05)
        assert waiting.answer is not None
        assert not waiting.answer.done(), "nothing is stable yet"
        await end(client, topic.name)
        assert len(await waiting.records()) > 10_000


async def test_what_was_written_while_it_waited_counts_once_it_is_stable(
    coordinator: Coordinator, client: RawClient, topic: Topic
) -> None:
    async with connect(*coordinator.address) as consumer:
        waiting = Consumer(consumer, topic, in_session=True)
        await waiting.fetch()
        await produce(client, topic, batch(0, value=b"x" * 20_000))
        await end(client, topic.name)
        assert len(await waiting.records()) > 20_000


class Consumer:
    """Asks for at least 10,000 bytes of committed records from offset 0, and waits for good."""

    def __init__(self, client: RawClient, topic: Topic, in_session: bool) -> None:
        self._client = client
        self._topic = topic
        self._in_session = in_session
        self.answer: asyncio.Task[Mapping[str, Any]] | None = None

    async def fetch(self) -> None:
        asked = self._topic.fetch_request(
            0, max_wait_ms=NEVER_MS, min_bytes=10_000, isolation_level=READ_COMMITTED
        )
        if self._in_session:
            opened = await self._client.call(FETCH, 12, {**asked, "session_epoch": 0, "max_wait_ms": 0})
            more = {"session_id": opened["session_id"], "session_epoch": 1, "topics": []}
            asked = {**asked, **more}
        self._client.send(FETCH, 12, asked)
        self.answer = asyncio.create_task(self._client.receive(FETCH, 12))
        await asyncio.sleep(0.02)

    async def records(self) -> bytes:
        assert self.answer is not None
        response = await asyncio.wait_for(self.answer, 10)
        return bytes(response["responses"][0]["partitions"][0]["records"])


async def test_a_batch_that_comes_after_the_abort_is_refused(client: RawClient, topic: Topic) -> None:
    """While the first partition is asked about, the transaction of the second one ends."""
    coordinator_asked = {0: batch(0), 1: batch(1)}
    await produce(client, topic, {1: batch(0)})
    client.send(PRODUCE, 13, request(topic, coordinator_asked))
    await client.receive(PRODUCE, 13)
    await end(client, topic.name, committed=False, epoch=1, transaction_version=2, partitions=(0, 1))
    refused = (ErrorCode.invalid_producer_epoch, -1)
    assert await produce(client, topic, {0: batch(1), 1: batch(2)}) == [refused, refused]
