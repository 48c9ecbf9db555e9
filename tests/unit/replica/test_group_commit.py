"""Group commit: nobody is answered before the sync that covers them, and one sync covers many."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.raw_client import METADATA, PRODUCE, connect
from tests.running_broker import create_topic

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.codec import Record, encode_batch
from ottla.replica.group_commit import GroupCommit
from ottla.testing import run_broker_async


class FakeLog:
    """Syncs up to its end at the time of `prepare_flush`; a sync blocks while `gate` is closed."""

    def __init__(self) -> None:
        self.end = 0
        self.synced = 0
        self.syncs = 0
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False
        self.is_closed = False

    def prepare_flush(self) -> Callable[[], int]:
        if self.is_closed:
            raise KafkaError(ErrorCode.kafka_storage_error, "closed")
        upto = self.end

        def flush() -> int:
            self.gate.wait(10)
            self.syncs += 1
            return upto

        return flush

    def complete_flush(self, upto: int) -> None:
        if self.fails:
            raise KafkaError(ErrorCode.kafka_storage_error, "no space")
        self.synced = max(self.synced, upto)


@pytest.fixture
def commit() -> Iterator[GroupCommit]:
    with ThreadPoolExecutor(1) as pool:
        yield GroupCommit(pool)


def failed_logs(failures: Mapping[Any, KafkaError]) -> list[Any]:
    return list(failures)


async def append(commit: GroupCommit, log: Any) -> int:
    log.end += 1
    mine = log.end
    assert await commit.when_durable([log], failed_logs) == []
    assert log.synced >= mine
    return int(mine)


async def test_an_answer_waits_for_its_sync(commit: GroupCommit) -> None:
    log = FakeLog()
    log.gate.clear()
    waiting = asyncio.ensure_future(append(commit, log))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    log.gate.set()
    assert await waiting == 1


async def test_those_that_come_during_a_sync_share_the_next(commit: GroupCommit) -> None:
    log = FakeLog()
    log.gate.clear()
    first = asyncio.ensure_future(append(commit, log))
    await asyncio.sleep(0.01)
    rest: list[asyncio.Future[int]] = []
    for _ in range(5):
        rest += [asyncio.ensure_future(append(commit, log)) for _ in range(10)]
        await asyncio.sleep(0.01)
    assert log.syncs == 0
    log.gate.set()
    await asyncio.gather(first, *rest)
    assert log.syncs == 2


async def test_it_starts_again_after_it_ran_dry(commit: GroupCommit) -> None:
    log = FakeLog()
    for expected in (1, 2, 3):
        assert await append(commit, log) == expected


async def test_answers_come_in_the_order_of_the_appends(commit: GroupCommit) -> None:
    log: Any = FakeLog()
    answered: list[int] = []
    waiting = [commit.when_durable([log], lambda _, n=number: answered.append(n)) for number in range(20)]
    await asyncio.gather(*waiting)
    assert answered == list(range(20))


async def test_only_those_who_wrote_to_a_log_hear_that_it_failed(commit: GroupCommit) -> None:
    bad, good = FakeLog(), FakeLog()
    logs: list[Any] = [bad, good]
    bad.fails = True
    both = commit.when_durable(logs, failed_logs)
    one = commit.when_durable(logs[1:], failed_logs)
    assert await both == [bad]
    assert await one == []
    bad.fails = False
    assert await append(commit, bad) == 1


async def test_a_log_that_was_closed_meanwhile(commit: GroupCommit) -> None:
    closed, other = FakeLog(), FakeLog()
    closed.is_closed = True
    logs: list[Any] = [closed, other]
    assert await commit.when_durable(logs, failed_logs) == [closed]
    assert other.syncs == 1


async def test_whatever_keeps_a_sync_from_being_done_nobody_is_told_that_it_was(commit: GroupCommit) -> None:
    log: Any = FakeLog()

    def lack() -> Callable[[], int]:
        raise MemoryError

    log.prepare_flush, prepare = lack, log.prepare_flush
    assert await commit.when_durable([log], failed_logs) == [log]
    log.prepare_flush = prepare
    assert await append(commit, log) == 1


async def test_a_failing_answer_concerns_its_own_future(commit: GroupCommit) -> None:
    log: Any = FakeLog()

    def fail(_failures: Mapping[Any, KafkaError]) -> None:
        raise ZeroDivisionError

    failing, good = commit.when_durable([log], fail), commit.when_durable([log], failed_logs)
    assert await good == []
    with pytest.raises(ZeroDivisionError):
        await failing


async def test_who_went_away_is_passed_over(commit: GroupCommit) -> None:
    log: Any = FakeLog()
    gone, here = commit.when_durable([log], failed_logs), commit.when_durable([log], failed_logs)
    gone.cancel()
    assert await here == []


async def test_over_the_wire_answers_come_in_order() -> None:
    batch = encode_batch([Record(0, 1, None, b"value")])
    async with (
        run_broker_async({"ottla.acks.all.flush": True}) as broker,
        connect(broker.host, broker.port) as client,
    ):
        topic = await create_topic(client)
        data = {"name": topic.name, "partition_data": [{"index": 0, "records": batch}]}
        for _ in range(20):
            client.send(PRODUCE, 8, {"acks": -1, "timeout_ms": 1000, "topic_data": [data]})
        client.send(METADATA, 8, {"topics": []})
        for expected in range(20):
            response = await client.receive(PRODUCE, 8)
            assert response["responses"][0]["partition_responses"][0]["base_offset"] == expected
        assert (await client.receive(METADATA, 8))["brokers"]
