"""The runtime obeys any shard: what it appends, replays, times, and when it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.coordinator_harness import MemoryLog, MemoryTimers

from ottla.coordination.runtime import (
    CancelTimer,
    Client,
    CoordinatorRecord,
    CoordinatorRuntime,
    Effects,
    Pending,
    Producer,
    RecordTypes,
    RequestInfo,
    SetTimer,
    TimerKey,
)
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.records import group
from ottla.protocol.messages.records.group import OffsetCommitKey, OffsetCommitValue

ALARM: TimerKey = ("alarm",)


def record(number: int) -> CoordinatorRecord:
    key = OffsetCommitKey(group="g", topic="t", partition=0)
    return CoordinatorRecord(key, OffsetCommitValue(offset=number), 3)


@dataclass
class Register:
    """A shard that holds one number."""

    record_types = RecordTypes(group.RECORDS)
    number: int = 0
    parked: list[RequestInfo[int]] = field(default_factory=list)
    replayed: list[tuple[CoordinatorRecord, int, int, int]] = field(default_factory=list)

    def write(self, number: int, info: RequestInfo[int], _now_ms: int) -> Effects:
        if number < 0:
            raise KafkaError(ErrorCode.invalid_request)
        return Effects(records=[record(number)], producer=Producer(7, 0) if number > 99 else None).reply(
            info, number
        )

    def read(self, info: RequestInfo[int], _now_ms: int) -> Effects:
        return Effects.reply_with(info, self.number)

    def park(self, info: RequestInfo[int], now_ms: int) -> Effects:
        self.parked.append(info)
        return Effects(timers=[SetTimer(ALARM, now_ms + 5)])

    def replay(self, each: CoordinatorRecord, offset: int, timestamp_ms: int, producer_id: int = -1) -> None:
        assert isinstance(each.value, OffsetCommitValue)
        self.number = each.value.offset
        self.replayed.append((each, offset, timestamp_ms, producer_id))

    def replay_transaction_end(self, producer_id: int, *, committed: bool) -> None:
        raise NotImplementedError

    def on_loaded(self, now_ms: int) -> Effects:
        return Effects()

    def on_unloaded(self) -> Effects:
        effects = Effects(timers=[CancelTimer(ALARM)])
        for info in self.parked:
            effects.refuse(info, ErrorCode.not_coordinator)
        return effects

    def on_image(self, image: MetadataImage) -> Effects:
        return Effects(records=[record(1000)])

    def on_timer(self, key: TimerKey, now_ms: int) -> Effects:
        """Write, and answer the parked once that is known to be in the log."""

        def answer(error: KafkaError | None, _now_ms: int) -> Effects:
            effects = Effects()
            for info in self.parked:
                effects.reply(info, self.number) if error is None else effects.refuse(info, error.code)
            return effects

        return Effects(records=[record(42)], continuations=[answer])


class Run:
    """The runtime around a register."""

    def __init__(self, commit_timeout_ms: int | None = None) -> None:
        self.now_ms = 100
        self.set_back_ms = 0
        """By so much the time of day was set back."""
        self.log, self.timers, self.shard = MemoryLog(), MemoryTimers(), Register()
        self.runtime = CoordinatorRuntime(
            self.shard,
            self.log,
            self.timers,
            lambda: self.now_ms,
            lambda: self.now_ms + self.set_back_ms,
            commit_timeout_ms,
        )

    def ask(self, decide: Any) -> Pending[int]:
        answer: Pending[int] = Pending()
        self.runtime.request(RequestInfo(Client("c", "/h", 0), answer), decide)
        return answer

    def write(self, number: int) -> Pending[int]:
        return self.ask(lambda info, now_ms: self.shard.write(number, info, now_ms))

    def read(self) -> Pending[int]:
        return self.ask(self.shard.read)

    def run_timers(self, *, set_back_ms: int = 0) -> None:
        """Let the time of the first timer come, by a clock that is set back just before."""
        key = min(self.timers, key=self.timers.__getitem__)
        self.now_ms = self.timers.pop(key) - set_back_ms
        self.set_back_ms += set_back_ms
        self.runtime.on_timer(key)


@pytest.fixture
def run() -> Run:
    return Run()


def test_what_was_decided_is_replayed_as_it_is(run: Run) -> None:
    assert run.write(5).result() == 5
    assert run.write(100).result() == 100

    (first, *place), (second, *second_place) = run.shard.replayed
    assert (first, place) == (record(5), [0, 100, -1])
    assert (second, second_place) == (record(100), [1, 100, 7])
    assert run.read().result() == 100


def test_answers_wait_until_all_before_them_is_committed(run: Run) -> None:
    run.log.held_at = 0
    first, read, second = run.write(5), run.read(), run.write(6)
    assert [each.outcome for each in (first, read, second)] == [None] * 3

    run.log.held_at = 1
    run.runtime.committed()
    assert (first.outcome, read.outcome, second.outcome) == (5, 5, None)
    run.log.held_at = None
    run.runtime.committed()
    assert second.outcome == 6
    assert run.read().result() == 6


def test_answers_wait_for_so_long_for_what_is_not_committed() -> None:
    run = Run(commit_timeout_ms=50)
    run.log.held_at = 0
    first = run.write(5)
    run.now_ms += 20
    second = run.write(6)
    run.run_timers()
    assert (run.now_ms, second.outcome) == (150, None)
    with pytest.raises(KafkaError) as refused:
        first.result()
    assert refused.value.code is ErrorCode.coordinator_not_available
    run.log.held_at = None
    run.runtime.committed()
    assert second.outcome == 6
    run.run_timers()  # nobody waits any more
    assert not run.timers
    assert run.read().result() == 6


def test_an_answer_waits_no_longer_where_the_time_of_day_is_set_back() -> None:
    run = Run(commit_timeout_ms=50)
    run.log.held_at = 0
    waiting = run.write(5)
    run.run_timers(set_back_ms=3_600_000)
    assert isinstance(waiting.outcome, KafkaError)
    assert not run.timers


@pytest.mark.parametrize("set_back_ms", [-3_600_000, -5, 5, 40, 3_600_000])
def test_whoever_came_before_the_time_of_day_was_set_waits_as_long_as_others(set_back_ms: int) -> None:
    run = Run(commit_timeout_ms=50)
    run.log.held_at = 0
    first = run.write(5)
    run.now_ms += 20
    second = run.write(6)
    run.run_timers(set_back_ms=set_back_ms)
    assert isinstance(first.outcome, KafkaError)
    assert second.outcome is None
    assert [at - run.now_ms for at in run.timers.values()] == [20]
    run.run_timers()
    assert isinstance(second.outcome, KafkaError)


def test_what_was_loaded_has_to_be_committed_too(run: Run) -> None:
    run.log.held_at = 3
    run.runtime.loaded(4)
    read = run.read()
    assert read.outcome is None
    run.log.held_at = 4
    run.runtime.committed()
    assert read.outcome == 0


def test_answers_keep_their_order_behind_one_that_waits(run: Run) -> None:
    run.log.held_at = 0
    given: list[str] = []
    for name, answer in (("write", run.write(5)), ("read", run.read())):
        answer.on_given = lambda name=name: given.append(name)
    run.log.held_at = None
    assert run.read().outcome is None, "the earlier ones have not been handed out"
    run.runtime.committed()
    assert given == ["write", "read"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (ErrorCode.kafka_storage_error, ErrorCode.not_coordinator),
        (ErrorCode.not_enough_replicas, ErrorCode.coordinator_not_available),
        (ErrorCode.message_too_large, ErrorCode.unknown_server_error),
        (ErrorCode.unknown_server_error, ErrorCode.unknown_server_error),
    ],
)
def test_what_could_not_be_written_has_not_happened(run: Run, code: ErrorCode, told: ErrorCode) -> None:
    run.log.error = code
    with pytest.raises(KafkaError) as refused:
        run.write(5).result()
    assert refused.value.code is told
    assert not run.shard.replayed
    assert run.read().result() == 0


def test_a_refusal_changes_nothing(run: Run) -> None:
    with pytest.raises(KafkaError) as refused:
        run.write(-1).result()
    assert refused.value.code is ErrorCode.invalid_request
    assert not run.log.records


def test_continuations_answer_once_the_records_are_committed(run: Run) -> None:
    parked = run.ask(run.shard.park)
    assert run.timers == {ALARM: 105}
    run.log.held_at = 0
    run.runtime.on_timer(ALARM)
    assert run.shard.number == 42
    assert parked.outcome is None
    run.log.held_at = None
    run.runtime.committed()
    assert parked.outcome == 42


def test_continuations_are_told_of_a_failure(run: Run) -> None:
    parked = run.ask(run.shard.park)
    run.log.error = ErrorCode.kafka_storage_error
    run.runtime.on_timer(ALARM)
    with pytest.raises(KafkaError) as refused:
        parked.result()
    assert refused.value.code is ErrorCode.not_coordinator


def test_who_waits_for_what_will_not_be_committed_is_refused(run: Run) -> None:
    run.log.held_at = 0
    write, read = run.write(5), run.read()
    run.runtime.fail(KafkaError(ErrorCode.kafka_storage_error))
    for each in (write, read):
        with pytest.raises(KafkaError) as refused:
            each.result()
        assert refused.value.code is ErrorCode.not_coordinator


def test_unloading_refuses_the_parked_and_the_uncommitted(run: Run) -> None:
    parked = run.ask(run.shard.park)
    run.log.held_at = 0
    write = run.write(5)
    run.runtime.unload()
    for each in (parked, write):
        with pytest.raises(KafkaError) as refused:
            each.result()
        assert refused.value.code is ErrorCode.not_coordinator
    assert not run.timers


def test_a_changed_image_may_be_written_about(run: Run) -> None:
    run.runtime.on_image(MetadataImage())
    assert run.shard.number == 1000
    assert len(run.log) == 1
