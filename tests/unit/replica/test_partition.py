"""A partition that others replicate too: what is committed, and who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.unit.storage.logs import batch, config, open_at

from ottla.config.broker import broker_config
from ottla.metadata.model import PartitionState
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.replica.delayed import DelayedProduce, Unfinished
from ottla.replica.group_commit import GroupCommit
from ottla.replica.partition import Partition
from ottla.replica.partitions import validation_options
from ottla.storage.fs import OsFileSystem

NEVER_MS = 600_000
NOW_MS = 2_000_000
ALONE = PartitionState(replicas=(1,), isr=(1,), leader=1)
BOTH = PartitionState(replicas=(1, 2), isr=(1, 2), leader=1)
LEFT_ALONE = PartitionState(replicas=(1, 2), isr=(1,), leader=1)


class Waiting:
    def __init__(self) -> None:
        self.sizes: list[int] = []

    def appended(self, size: int) -> None:
        self.sizes.append(size)

    def touched(self) -> None:
        self.sizes.append(-1)


@pytest.fixture
def commit() -> Iterator[GroupCommit]:
    with ThreadPoolExecutor(1) as pool:
        yield GroupCommit(pool)


def partition(tmp_path: Path, state: PartitionState, **overrides: object) -> Partition:
    topic_config = config(**overrides)
    log = open_at(OsFileSystem(64), topic_config, directory=str(tmp_path / "t-0"))
    options = validation_options(topic_config, broker_config())
    return Partition("t", UUID(int=1), 0, log, state, options, lambda _log: None)


def append(to: Partition, acks: int = -1) -> int:
    """The offset behind what was appended."""
    to.append(batch(2), NOW_MS, acks=acks)
    return to.log.log_end_offset


def test_alone_everything_is_committed_at_once(tmp_path: Path) -> None:
    alone = partition(tmp_path, ALONE)
    waiting = Waiting()
    alone.add_waiter(waiting)
    append(alone)
    assert (alone.high_watermark, alone.last_stable_offset) == (2, 2)
    assert waiting.sizes == [len(batch(2))]


def test_with_others_in_sync_nothing_is_readable_before_they_have_it(tmp_path: Path) -> None:
    led = partition(tmp_path, BOTH)
    waiting = Waiting()
    led.add_waiter(waiting)
    append(led)
    append(led)
    assert (led.high_watermark, led.log.log_end_offset, waiting.sizes) == (0, 4, [])
    assert led.read(0, 1 << 20, 0, min_one=True).records == b""
    led.advance_high_watermark(2)
    assert (led.high_watermark, len(waiting.sizes)) == (2, 1)
    led.advance_high_watermark(2)
    led.advance_high_watermark(1)
    assert (led.high_watermark, len(waiting.sizes)) == (2, 1)
    with pytest.raises(ValueError, match="high watermark 5"):
        led.advance_high_watermark(5)


def test_what_waits_is_committed_when_the_others_fall_out_of_sync(tmp_path: Path) -> None:
    led = partition(tmp_path, BOTH)
    append(led)
    led.take_state(LEFT_ALONE)
    assert led.high_watermark == 2


@pytest.mark.parametrize(
    ("state", "asked", "is_enough"),
    [(ALONE, 1, True), (ALONE, 3, True), (BOTH, 2, True), (LEFT_ALONE, 2, False), (LEFT_ALONE, 1, True)],
)
def test_as_many_are_in_sync_as_are_asked_for_and_there_are(
    tmp_path: Path, state: PartitionState, asked: int, is_enough: bool
) -> None:
    led = partition(tmp_path, state, min_insync_replicas=asked)
    append(led, acks=1)
    if is_enough:
        append(led)
    else:
        with pytest.raises(KafkaError, match="not_enough_replicas"):
            append(led)
        led.take_state(BOTH)
        append(led)


# -- produces that wait


def produce(
    commit: GroupCommit, *unfinished: Unfinished, timeout_ms: int = NEVER_MS
) -> asyncio.Future[dict[int, ErrorCode]]:
    def complete(failures: Mapping[int, KafkaError]) -> Any:
        return {number: error.code for number, error in failures.items()}

    return DelayedProduce(unfinished, timeout_ms, commit, complete).future


def replicated(number: int, led: Partition, *, durable: bool = False) -> Unfinished:
    return Unfinished(number, led, append(led), must_be_replicated=True, must_be_durable=durable)


async def settle(commit: GroupCommit) -> None:
    await commit.finish()
    for _ in range(3):
        await asyncio.sleep(0)


async def test_answered_when_all_partitions_are_replicated(tmp_path: Path, commit: GroupCommit) -> None:
    first, second = partition(tmp_path / "a", BOTH), partition(tmp_path / "b", BOTH)
    future = produce(commit, replicated(0, first), replicated(1, second))
    first.advance_high_watermark(2)
    second.advance_high_watermark(1)
    assert not future.done()
    second.advance_high_watermark(2)
    assert future.result() == {}
    assert first._waiters is second._waiters is None


async def test_replicas_and_the_disk_are_waited_for_in_either_order(
    tmp_path: Path, commit: GroupCommit
) -> None:
    led = partition(tmp_path, BOTH)
    future = produce(commit, replicated(0, led, durable=True))
    led.advance_high_watermark(2)
    assert not future.done(), "it is not on the disk yet"
    await settle(commit)
    assert future.result() == {}
    future = produce(commit, replicated(0, led, durable=True))
    await settle(commit)
    assert not future.done(), "it is not replicated yet"
    led.advance_high_watermark(4)
    assert future.result() == {}


async def test_what_is_not_replicated_in_time_is_named(tmp_path: Path, commit: GroupCommit) -> None:
    first, second = partition(tmp_path / "a", BOTH), partition(tmp_path / "b", BOTH)
    future = produce(commit, replicated(0, first), replicated(1, second), timeout_ms=1)
    first.advance_high_watermark(2)
    assert await asyncio.wait_for(future, 10) == {1: ErrorCode.request_timed_out}
    assert second._waiters is None


async def test_a_partition_that_goes_away_answers(tmp_path: Path, commit: GroupCommit) -> None:
    first, second = partition(tmp_path / "a", BOTH), partition(tmp_path / "b", BOTH)
    future = produce(commit, replicated(0, first), replicated(1, second))
    first.close()
    assert not future.done()
    second.advance_high_watermark(2)
    assert future.result() == {0: ErrorCode.not_leader_or_follower}


async def test_a_client_that_goes_away_leaves_nobody_waiting(tmp_path: Path, commit: GroupCommit) -> None:
    led = partition(tmp_path, BOTH)
    future = produce(commit, replicated(0, led, durable=True))
    future.cancel()
    await settle(commit)
    assert led._waiters is None
    led.advance_high_watermark(2)
