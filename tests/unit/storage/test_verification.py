"""A transaction is in its log only if its coordinator knows of it (KIP-890)."""

from __future__ import annotations

import pytest

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.markers import ControlMarker
from ottla.storage.producer_state import BatchMetadata, ProducerState
from ottla.storage.verification import EXEMPT, Verification

from .test_producer_state import PRODUCER, header, marker_header

NOW_MS = 5_000


class Log:
    """What the leader of a partition does with the batches of one producer."""

    def __init__(self) -> None:
        self.state = ProducerState("t-0")

    def begin(self, sequence: int = 0, epoch: int = 0, *, adds: bool = False) -> Verification | None:
        return self.state.begin_verification(PRODUCER, epoch, sequence, NOW_MS, adds_partition=adds)

    def append(
        self, sequence: int, verification: Verification | None = None, *, epoch: int = 0, count: int = 1
    ) -> BatchMetadata | int:
        batch = header(sequence, count, epoch=epoch, transactional=True)
        offset = self.state.map_end_offset
        repeated = self.state.check_transactional(batch, offset, verification)
        if repeated is not None:
            return repeated
        self.state.update(batch, offset, NOW_MS)
        self.state.map_end_offset += count
        return offset

    def end(self, *, epoch: int = 0) -> None:
        marker = ControlMarker(is_commit=False, coordinator_epoch=0, timestamp=NOW_MS)
        self.state.end_transaction(marker_header(epoch=epoch), marker, self.state.map_end_offset)
        self.state.map_end_offset += 1

    def refusal(
        self, sequence: int, verification: Verification | None = None, *, epoch: int = 0
    ) -> ErrorCode:
        with pytest.raises(KafkaError) as raised:
            self.append(sequence, verification, epoch=epoch)
        return raised.value.code


@pytest.fixture
def log() -> Log:
    return Log()


def test_only_the_first_batch_of_a_transaction_is_verified(log: Log) -> None:
    assert log.refusal(0) is ErrorCode.invalid_txn_state
    guard = log.begin()
    assert guard is not None
    assert log.append(0, guard) == 0
    assert log.begin(1) is None
    assert log.append(1) == 1
    log.end()
    assert log.refusal(2) is ErrorCode.invalid_txn_state
    assert log.begin(2) is not None


def test_an_answer_from_before_a_marker_means_nothing(log: Log) -> None:
    guard = log.begin()
    log.end()
    assert log.refusal(0, guard) is ErrorCode.invalid_txn_state
    again = log.begin()
    assert log.refusal(0, guard) is ErrorCode.invalid_txn_state
    assert log.append(0, again) == 1


def test_the_marker_of_the_last_transaction_leaves_the_question_of_the_next(log: Log) -> None:
    """In transaction version 2 the next one has the epoch of the last one's marker."""
    log.append(0, log.begin(adds=True))
    guard = log.begin(0, 1, adds=True)
    log.end(epoch=1)
    assert log.append(0, guard, epoch=1) == 2

    older = log.begin(1, 2)
    log.end(epoch=2)
    assert log.refusal(0, older, epoch=2) is ErrorCode.invalid_txn_state, (
        "not of a client that adds by itself"
    )


def test_an_exempt_batch_needs_no_answer(log: Log) -> None:
    assert log.append(0, EXEMPT) == 0
    log.end(epoch=1)
    assert log.refusal(1, EXEMPT) is ErrorCode.invalid_producer_epoch


def test_a_fenced_producer_is_not_asked_about(log: Log) -> None:
    log.append(0, log.begin(0, 3), epoch=3)
    with pytest.raises(KafkaError) as raised:
        log.begin(0, 2)
    assert raised.value.code is ErrorCode.invalid_producer_epoch
    assert log.refusal(0, EXEMPT, epoch=2) is ErrorCode.invalid_producer_epoch
    assert log.begin(0, 4) is not None, "a later epoch is another transaction"


def test_a_repeated_batch_is_recognised_before_anything_is_asked(log: Log) -> None:
    log.append(0, log.begin(), count=3)
    log.end()
    repeated = header(0, 3, transactional=True)
    assert log.state.check_transactional(repeated, 4, None) == BatchMetadata(2, 2, 2, NOW_MS)


def test_nothing_is_written_above_the_lowest_number_that_waits(log: Log) -> None:
    """Else the batch below it could never follow, and its producer would try for good."""
    guard = log.begin(5)
    assert log.begin(3) is guard
    assert log.begin(4) is guard
    assert log.refusal(4, guard) is ErrorCode.out_of_order_sequence_number
    assert log.append(3, guard) == 0, "an unknown producer may begin anywhere"
    assert log.append(4) == 1

    fresh = Log()
    guard = fresh.begin(5, 1)
    assert fresh.begin(7, 2) is guard
    assert fresh.begin(1, 1) is guard, "of an epoch that is over"
    assert fresh.append(7, guard, epoch=2) == 0


def test_a_producer_that_adds_partitions_begins_with_zero(log: Log) -> None:
    guard = log.begin(4, adds=True)
    assert log.refusal(4, guard) is ErrorCode.out_of_order_sequence_number
    log.begin(0, adds=True)
    assert log.append(0, guard) == 0


def test_questions_that_led_to_nothing_are_forgotten(log: Log) -> None:
    guard = log.begin()
    log.state.remove_expired(NOW_MS + 99, 100)
    log.state.check_verified(PRODUCER, 0, guard)
    log.state.remove_expired(NOW_MS + 100, 100)
    with pytest.raises(KafkaError, match="invalid_txn_state"):
        log.state.check_verified(PRODUCER, 0, guard)


def test_a_refusal_for_good_takes_the_guard_away_unless_it_is_anothers(log: Log) -> None:
    guard = log.begin(3)
    assert guard is not None
    log.state.verification_refused(PRODUCER, 0, guard)
    assert log.refusal(3, guard) is ErrorCode.invalid_txn_state
    again = log.begin(4)
    log.state.verification_refused(PRODUCER, 0, guard)
    assert log.append(4, again) == 0


def test_the_refusal_of_a_zombie_leaves_the_question_of_who_fenced_it(log: Log) -> None:
    zombies = log.begin(3, 5, adds=True)
    guard = log.begin(0, 6, adds=True)
    assert zombies is not None
    assert guard is not None
    log.state.verification_refused(PRODUCER, 5, zombies)
    log.state.verification_refused(PRODUCER, 4, guard)
    assert log.append(0, guard, epoch=6) == 0


def test_guards_are_bounded(log: Log) -> None:
    first, last = log.begin(), None
    for producer_id in range(100, 1_100):
        last = log.state.begin_verification(producer_id, 0, 0, NOW_MS, adds_partition=False)
    assert log.refusal(0, first) is ErrorCode.invalid_txn_state
    log.state.check_verified(1_099, 0, last)
