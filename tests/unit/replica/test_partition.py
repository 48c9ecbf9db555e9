"""A partition that others replicate too: what is committed, and who waits for it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.unit.replica.neighbours import Neighbours
from tests.unit.storage.logs import batch, config, open_at

from ottla.config.broker import broker_config
from ottla.metadata.model import PartitionState
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.codec import ControlType, encode_end_transaction_marker
from ottla.replica.delayed import DelayedProduce, Unfinished
from ottla.replica.group_commit import GroupCommit
from ottla.replica.partition import READ_COMMITTED, Partition
from ottla.replica.partitions import validation_options
from ottla.replica.traffic import TopicTraffic
from ottla.storage.fs import OsFileSystem
from ottla.storage.log import Log

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


def partition(
    tmp_path: Path,
    state: PartitionState,
    sync_soon: Callable[[Log], None] = lambda _log: None,
    **overrides: object,
) -> Partition:
    topic_config = config(**overrides)
    log = open_at(OsFileSystem(64), topic_config, directory=str(tmp_path / "t-0"))
    options = validation_options(topic_config, broker_config())
    return Partition("t", UUID(int=1), 0, log, state, options, sync_soon, Neighbours(), TopicTraffic())


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


def test_all_who_wait_are_told_of_appends_and_changes(tmp_path: Path) -> None:
    alone = partition(tmp_path, ALONE)
    first, second = Waiting(), Waiting()
    alone.touch()
    alone.add_waiter(first)
    alone.add_waiter(second)
    append(alone)
    alone.remove_waiter(first)
    alone.touch()
    alone.close()
    assert (first.sizes, second.sizes) == ([len(batch(2))], [len(batch(2)), -1, 0])
    alone.remove_waiter(second)
    alone.remove_waiter(second)


def test_with_others_in_sync_nothing_is_readable_before_they_have_it(tmp_path: Path) -> None:
    led = partition(tmp_path, BOTH)
    waiting = Waiting()
    led.add_waiter(waiting)
    append(led)
    append(led)
    assert (led.high_watermark, led.log.log_end_offset, waiting.sizes) == (0, 4, [])
    assert led.read(0, 1 << 20, 0, min_one=True).records == b""
    both = 2 * len(batch(2))
    led.advance_high_watermark(2)
    assert (led.high_watermark, waiting.sizes) == (2, [both])
    led.advance_high_watermark(2)
    led.advance_high_watermark(1)
    assert (led.high_watermark, waiting.sizes) == (2, [both])
    led.advance_high_watermark(4)
    append(led)
    led.advance_high_watermark(6)
    assert waiting.sizes == [both, 1, len(batch(2))], "0 would say that the partition went away"
    with pytest.raises(ValueError, match="high watermark 7"):
        led.advance_high_watermark(7)


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


def test_a_changed_configuration_holds_for_the_next_append(tmp_path: Path) -> None:
    led = partition(tmp_path, LEFT_ALONE)
    append(led)
    changed = config(max_message_bytes=20, min_insync_replicas=2)
    led.reconfigure(changed, validation_options(changed, broker_config()))
    with pytest.raises(KafkaError, match="not_enough_replicas"):
        append(led)
    with pytest.raises(KafkaError, match="message_too_large"):
        append(led, acks=1)


def test_a_flush_is_asked_for_as_often_as_flush_messages_says(tmp_path: Path) -> None:
    led = partition(tmp_path, ALONE, flush_messages=4)
    durable = [led.append(batch(2), NOW_MS, acks=1)[2] for _ in range(2)]
    assert durable == [False, True]


def test_coordinators_number_their_records_in_no_sequence(tmp_path: Path) -> None:
    """Offsets that are committed in a transaction have its producer's id and epoch, and no sequence."""
    led = partition(tmp_path, ALONE)
    offsets = batch(1, producer_id=7, producer_epoch=0, base_sequence=-1, is_transactional=True)
    assert [led.append_own(offsets, NOW_MS) for _ in range(3)] == [0, 1, 2]


def test_what_a_coordinator_writes_is_synced_as_often_as_flush_messages_says(tmp_path: Path) -> None:
    synced: list[Log] = []
    led = partition(tmp_path, ALONE, synced.append, flush_messages=2)
    led.append_own(batch(), NOW_MS)
    assert synced == []
    led.append_own(batch(), NOW_MS)
    assert synced == [led.log]


# -- what readers are told


def test_a_reader_of_committed_records_is_told_of_aborted_transactions(tmp_path: Path) -> None:
    led = partition(tmp_path, ALONE)
    append(led)
    producer = {"producer_id": 9, "producer_epoch": 0}
    led.append_own(batch(1, base_sequence=0, is_transactional=True, **producer), NOW_MS)
    assert len(led.read(0, 1 << 20, 0, min_one=True).records) > len(
        led.read(0, 1 << 20, READ_COMMITTED, min_one=True).records
    )
    led.append_own(
        encode_end_transaction_marker(
            ControlType.abort, **producer, coordinator_epoch=1, timestamp=1, base_offset=0
        ),
        NOW_MS,
    )
    read = led.read(0, 1 << 20, READ_COMMITTED, min_one=True)
    assert led.aborted_transactions(0, read) == [(9, 2)]
    end = led.log.log_end_offset
    assert led.aborted_transactions(end, led.read(end, 1 << 20, READ_COMMITTED, min_one=True)) == []


def test_a_reader_whose_log_differs_is_told_up_to_where_it_agrees(tmp_path: Path) -> None:
    led = partition(tmp_path, ALONE)
    append(led)
    led.take_state(replace(ALONE, leader_epoch=3))
    append(led)
    assert led.diverging_epoch(0, 2) is None
    assert led.diverging_epoch(3, 2) is None
    assert led.diverging_epoch(3, 4) is None
    assert led.diverging_epoch(0, 3) == (0, 2)
    assert led.diverging_epoch(1, 2) == (0, 2)
    assert led.diverging_epoch(3, 5) == (3, 4)
    with pytest.raises(KafkaError, match="offset_out_of_range"):
        led.diverging_epoch(4, 2)
    assert [led.epoch_of(offset) for offset in (-1, 0, 1, 2, 3)] == [-1, 0, 0, 3, 3]
    assert (led.end_of_epoch(1), led.end_of_epoch(3), led.end_of_epoch(4)) == ((0, 2), (3, 4), (-1, -1))


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


async def test_each_partition_is_waited_for_in_whatever_order_they_move(
    tmp_path: Path, commit: GroupCommit
) -> None:
    first, second, third = (partition(tmp_path / name, BOTH) for name in "abc")
    future = produce(commit, replicated(0, first), replicated(1, second), replicated(2, third))
    third.advance_high_watermark(2)
    first.advance_high_watermark(2)
    assert not future.done()
    second.advance_high_watermark(2)
    assert future.result() == {}


async def test_a_produce_that_is_answered_keeps_nothing_until_its_deadline(
    tmp_path: Path, commit: GroupCommit
) -> None:
    class Request:
        pass

    async def answered(state: PartitionState, **asked: bool) -> weakref.ref[Request]:
        led, request = partition(tmp_path / str(len(state.isr)), state), Request()
        append(led)
        unfinished = Unfinished(0, led, 2, **asked)
        future = DelayedProduce([unfinished], NEVER_MS, commit, lambda _failures, _kept=request: None).future
        led.advance_high_watermark(2)
        await asyncio.wait_for(future, 10)
        return weakref.ref(request)

    went_wrong: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: went_wrong.append(context))
    for kept in (
        await answered(BOTH, must_be_replicated=True, must_be_durable=True),
        await answered(ALONE, must_be_replicated=False, must_be_durable=True),
    ):
        await settle(commit)
        gc.collect()
        assert kept() is None
    assert went_wrong == []


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
    answers: list[Any] = []
    future = DelayedProduce([replicated(0, led, durable=True)], NEVER_MS, commit, answers.append).future
    future.cancel()
    await settle(commit)
    assert led._waiters is None
    led.advance_high_watermark(2)
    assert answers == []
