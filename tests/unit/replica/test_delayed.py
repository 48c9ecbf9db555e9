"""A fetch that waits: what wakes it, when it gives up, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from tests.raw_client import FETCH, RawClient, connect
from tests.running_broker import Topic

from ottla.records.codec import Record, encode_batch
from ottla.replica.delayed import DelayedFetch
from ottla.replica.partition import Waiter
from ottla.testing import InProcessBroker

BATCH = encode_batch([Record(0, 1, None, b"value")])
NEVER_MS = 600_000


class FakePartition:
    def __init__(self) -> None:
        self.waiters: set[Waiter] = set()

    def add_waiter(self, waiter: Waiter) -> None:
        self.waiters.add(waiter)

    def remove_waiter(self, waiter: Waiter) -> None:
        self.waiters.discard(waiter)

    def append(self, size: int) -> None:
        for waiter in tuple(self.waiters):
            waiter.appended(size)


def wait_for(
    partitions: list[FakePartition], missing_bytes: int, max_wait_ms: int = NEVER_MS, answer: Any = "answer"
) -> asyncio.Future[Any]:
    def complete(_is_last: bool) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return DelayedFetch(partitions, missing_bytes, max_wait_ms, complete).future


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_woken_when_enough_bytes_came_from_all_partitions_together() -> None:
    partitions = [FakePartition(), FakePartition()]
    future = wait_for(partitions, 100)
    partitions[0].append(60)
    await settle()
    assert not future.done()
    partitions[1].append(40)
    assert not future.done(), "the rest of this turn may append more"
    await settle()
    assert future.result() == "answer"
    assert partitions[0].waiters == partitions[1].waiters == set()


async def test_woken_when_a_partition_is_gone() -> None:
    partition = FakePartition()
    future = wait_for([partition], 100)
    partition.append(0)
    await settle()
    assert future.done()


async def test_what_came_in_one_turn_is_read_once_and_for_those_alone_who_still_wait() -> None:
    reads: list[str] = []
    partition = FakePartition()
    here = DelayedFetch([partition], 1, NEVER_MS, lambda _: reads.append("here") or "answer").future
    gone = DelayedFetch([partition], 1, NEVER_MS, lambda _: reads.append("gone") or "answer").future
    for _ in range(3):
        partition.append(1)
    gone.cancel()
    await settle()
    assert here.done()
    assert reads == ["here"]


async def test_completed_by_its_deadline() -> None:
    partition = FakePartition()
    future = wait_for([partition], 100, max_wait_ms=1)
    assert await asyncio.wait_for(future, 5) == "answer"
    assert partition.waiters == set()


async def test_a_fetch_that_is_answered_keeps_nothing_until_its_deadline() -> None:
    class Request:
        pass

    request, partition = Request(), FakePartition()
    kept = weakref.ref(request)
    future = DelayedFetch([partition], 1, NEVER_MS, lambda _is_last, _kept=request: "answer").future
    partition.append(1)
    await future
    del request
    await settle()
    gc.collect()
    assert kept() is None


async def test_a_failure_reaches_who_waits() -> None:
    partition = FakePartition()
    future = wait_for([partition], 1, answer=ZeroDivisionError())
    partition.append(1)
    with pytest.raises(ZeroDivisionError):
        await future


async def test_a_cancelled_fetch_is_forgotten() -> None:
    partition = FakePartition()
    future = wait_for([partition], 100)
    partition.append(100)
    future.cancel()
    await settle()
    assert partition.waiters == set()


async def test_an_append_wakes_the_fetch_of_another_connection(
    broker: InProcessBroker, client: RawClient, topic: Topic
) -> None:
    async with connect(broker.host, broker.port) as consumer:
        consumer.send(FETCH, 12, topic.fetch_request(0, max_wait_ms=NEVER_MS, min_bytes=1))
        await topic.produce(BATCH, partition=1)
        await topic.produce(BATCH, partition=0)
        response = await asyncio.wait_for(consumer.receive(FETCH, 12), 10)
    assert len(response["responses"][0]["partitions"][0]["records"]) == len(BATCH)


async def test_min_bytes_are_waited_for(broker: InProcessBroker, client: RawClient, topic: Topic) -> None:
    async with connect(broker.host, broker.port) as consumer:
        consumer.send(FETCH, 12, topic.fetch_request(0, max_wait_ms=NEVER_MS, min_bytes=3 * len(BATCH)))
        for _ in range(3):
            await topic.produce(BATCH)
        response = await asyncio.wait_for(consumer.receive(FETCH, 12), 10)
    assert len(response["responses"][0]["partitions"][0]["records"]) == 3 * len(BATCH)


async def test_the_deadline_answers_with_what_there_is(topic: Topic) -> None:
    assert (await topic.fetch(0, max_wait_ms=5, min_bytes=1))["records"] == b""
    await topic.produce(BATCH)
    partition = await topic.fetch(0, max_wait_ms=5, min_bytes=10 * len(BATCH))
    assert len(partition["records"]) == len(BATCH)


async def test_an_error_is_not_waited_with(topic: Topic) -> None:
    partition = await asyncio.wait_for(topic.fetch(99, max_wait_ms=NEVER_MS, min_bytes=1), 10)
    assert partition["error_code"] == 1


async def test_deleting_the_topic_wakes_its_fetches(
    broker: InProcessBroker, client: RawClient, topic: Topic
) -> None:
    async with connect(broker.host, broker.port) as consumer:
        consumer.send(FETCH, 12, topic.fetch_request(0, max_wait_ms=NEVER_MS, min_bytes=1))
        await client.call(20, 5, {"topic_names": [topic.name], "timeout_ms": 1000})
        response = await asyncio.wait_for(consumer.receive(FETCH, 12), 10)
    assert response["responses"][0]["partitions"][0]["error_code"] == 3


async def test_a_client_that_leaves_while_it_waits_is_no_burden(
    broker: InProcessBroker, client: RawClient, topic: Topic
) -> None:
    async with connect(broker.host, broker.port) as consumer:
        consumer.send(FETCH, 12, topic.fetch_request(0, max_wait_ms=NEVER_MS, min_bytes=1))
        await consumer.writer.drain()
    assert (await topic.produce(BATCH))["error_code"] == 0
    assert len((await topic.fetch(0))["records"]) == len(BATCH)
