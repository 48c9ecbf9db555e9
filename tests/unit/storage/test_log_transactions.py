"""Transactions in a log, whichever way its records came: from a client, a coordinator, a leader, a crash."""

from __future__ import annotations

from typing import Any

import pytest

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import parse_header
from ottla.records.codec import ControlType, Record, encode_batch, encode_end_transaction_marker
from ottla.storage.errors import LogStorageError
from ottla.storage.log import Log
from ottla.storage.names import SNAPSHOT, TXNINDEX

from . import logs
from .logs import DIRECTORY, append_one, batch, open_at, read_all, small_segments
from .simulated_disk import SimulatedDisk

ABORT, COMMIT = ControlType.abort, ControlType.commit


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.fixture
def log(disk: SimulatedDisk) -> Log:
    return open_at(disk, small_segments())


def txn(sequence: int, producer_id: int = 9, *, count: int = 1, base_offset: int = 0) -> bytes:
    return batch(
        count,
        producer_id=producer_id,
        producer_epoch=0,
        base_sequence=sequence,
        is_transactional=True,
        base_offset=base_offset,
        leader_epoch=0,
    )


def marker(kind: ControlType, producer_id: int = 9, *, base_offset: int = 0, **options: int) -> bytes:
    return encode_end_transaction_marker(
        kind,
        **{"producer_id": producer_id, "producer_epoch": 0, "coordinator_epoch": 1, **options},
        timestamp=2_000,
        base_offset=base_offset,
        leader_epoch=0,
    )


def plain(*, base_offset: int = 0) -> bytes:
    return batch(base_offset=base_offset, leader_epoch=0)


def append(log: Log, *batches: bytes) -> None:
    """As a leader whose followers have not fetched yet."""
    for each in batches:
        append_one(log, each)


def offsets(log: Log) -> tuple[int, int]:
    return log.high_watermark, log.last_stable_offset


def aborted(log: Log, offset: int = 0) -> list[tuple[int, int, int, int]]:
    read = log.read(offset, logs.MAX_BYTES, log.log_end_offset)
    return [tuple(each) for each in log.aborted_transactions(offset, read)]


def test_a_transaction_is_stable_once_its_marker_is_committed(log: Log) -> None:
    append(log, txn(0), marker(COMMIT), plain())
    assert offsets(log) == (0, 0)
    assert log.advance_high_watermark(1)
    assert offsets(log) == (1, 0)
    log.advance_high_watermark(2)
    assert offsets(log) == (2, 2)
    log.advance_high_watermark(3)
    assert offsets(log) == (3, 3)
    assert not log.advance_high_watermark(2)
    assert offsets(log) == (3, 3)
    with pytest.raises(ValueError, match="high watermark 4 of t-0, which ends at 3"):
        log.advance_high_watermark(4)


def test_a_followers_transactions_become_stable(log: Log) -> None:
    records = txn(0) + marker(COMMIT, base_offset=1) + plain(base_offset=2)
    log.append_as_follower(records, 0, logs.NOW_MS)
    assert offsets(log) == (0, 0)
    log.update_high_watermark(3)
    assert offsets(log) == (3, 3)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("checkpointed", [0, 3])
def test_a_log_opened_again_has_its_stable_offset(
    disk: SimulatedDisk, log: Log, clean: bool, checkpointed: int
) -> None:
    append(log, txn(0), marker(COMMIT), plain())
    log.close(flush=clean)
    log = open_at(disk, small_segments(), clean=clean, high_watermark=checkpointed)
    assert offsets(log) == (checkpointed, checkpointed)
    log.advance_high_watermark(3)
    assert offsets(log) == (3, 3)


@pytest.mark.parametrize("clean", [True, False])
def test_an_open_transaction_outlives_a_stop(disk: SimulatedDisk, log: Log, clean: bool) -> None:
    append(log, plain(), txn(0), plain())
    log.close(flush=clean)
    log = open_at(disk, small_segments(), clean=clean, high_watermark=3)
    assert offsets(log) == (3, 1)
    append(log, marker(ABORT))
    assert aborted(log) == [(9, 1, 3, 4)]
    log.advance_high_watermark(4)
    assert offsets(log) == (4, 4)


def test_a_checkpointed_high_watermark_is_kept_inside_the_log(disk: SimulatedDisk, log: Log) -> None:
    append(log, *(plain() for _ in range(3)))
    log.close()
    for checkpointed, expected in ((-1, 1), (0, 1), (2, 2), (3, 3), (99, 3)):
        opened = open_at(disk, small_segments(), log_start_offset=1, high_watermark=checkpointed)
        assert opened.high_watermark == expected


def test_a_truncated_marker_opens_its_transaction_again(log: Log) -> None:
    append(log, txn(0), txn(0, 8), marker(COMMIT, 8), marker(ABORT), plain())
    log.advance_high_watermark(5)
    assert offsets(log) == (5, 5)
    log.truncate_to(3, logs.NOW_MS)
    assert offsets(log) == (3, 0)
    assert aborted(log) == []
    append(log, marker(COMMIT))
    log.advance_high_watermark(4)
    assert offsets(log) == (4, 4)
    assert aborted(log) == []


def test_a_transaction_below_the_log_start_holds_nothing_back(log: Log) -> None:
    append(log, txn(0), *(plain() for _ in range(3)))
    log.advance_high_watermark(4)
    log.delete_records(2)
    assert offsets(log) == (4, 2)
    log.truncate_fully_and_start_at(10, logs.NOW_MS)
    assert offsets(log) == (10, 10)


def test_the_index_says_how_far_all_was_decided(log: Log) -> None:
    append(log, txn(0, 1), txn(0, 2), marker(ABORT, 2), marker(ABORT, 1))
    assert aborted(log) == [(2, 1, 2, 0), (1, 0, 3, 4)]


def test_only_what_was_aborted_in_the_part_that_was_read_is_told(log: Log) -> None:
    append(log, txn(0, 1), marker(ABORT, 1), plain())
    log.roll(logs.NOW_MS)
    append(log, txn(0, 2), marker(ABORT, 2))
    log.roll(logs.NOW_MS)
    append(log, txn(0, 3), marker(ABORT, 3))
    size = log.segments[0].size
    for offset, max_bytes, producers in ((0, size, [1]), (0, size + 1, [1]), (3, size, [2]), (5, size, [3])):
        read = log.read(offset, max_bytes, log.log_end_offset)
        assert [each.producer_id for each in log.aborted_transactions(offset, read)] == producers
    for offset, bound in ((7, 7), (4, 4)):
        nothing = log.read(offset, size, bound)
        assert nothing.records == b""
        assert log.aborted_transactions(offset, nothing) == []


class FullForTransactions(SimulatedDisk):
    """Has room for everything but entries of a transaction index."""

    is_full = True

    def open(self, path: str) -> Any:
        if self.is_full and path.endswith(TXNINDEX):
            raise OSError(28, "No space left on device")
        return super().open(path)


@pytest.mark.parametrize("as_follower", [False, True])
def test_an_abort_that_cannot_be_noted_is_never_taken_for_a_commit(as_follower: bool) -> None:
    disk = FullForTransactions()
    log = open_at(disk, small_segments())
    append(log, txn(0))
    abort = marker(ABORT, base_offset=1)
    with pytest.raises(LogStorageError):
        _ = log.append_as_follower(abort, 0, logs.NOW_MS) if as_follower else append_one(log, abort)
    log.advance_high_watermark(log.log_end_offset)
    assert offsets(log) == (2, 0)
    with pytest.raises(LogStorageError):
        append(log, plain())
    disk.is_full = False
    log = open_at(disk, small_segments(), clean=False, high_watermark=2)
    assert offsets(log) == (2, 2)
    assert aborted(log) == [(9, 0, 1, 2)]


@pytest.mark.parametrize("damage", [b"\0\1" + bytes(32), b"\0\0" + bytes(32)], ids=["version", "offset"])
@pytest.mark.parametrize("loses_snapshots", [False, True])
@pytest.mark.parametrize("clean", [True, False])
def test_a_damaged_index_is_rebuilt(
    disk: SimulatedDisk, log: Log, damage: bytes, loses_snapshots: bool, clean: bool
) -> None:
    append(log, txn(0), *(plain() for _ in range(6)))
    log.roll(logs.NOW_MS)
    append(log, marker(ABORT), *(plain() for _ in range(6)))
    log.roll(logs.NOW_MS)
    append(log, txn(1), plain())
    [noted] = [segment for segment in log.segments if segment.base_offset == 7]
    log.close()
    assert disk.exists(noted.path(TXNINDEX))
    disk.write_bytes(noted.path(TXNINDEX), damage)
    for name in disk.listdir(DIRECTORY):
        if loses_snapshots and name.endswith(SNAPSHOT):
            disk.unlink(f"{DIRECTORY}/{name}")
    snapshots = {name for name in disk.listdir(DIRECTORY) if name.endswith(SNAPSHOT)}
    log = open_at(disk, small_segments(), clean=clean, recovery_point=log.recovery_point, high_watermark=16)
    assert aborted(log) == [(9, 0, 7, 8)]
    assert offsets(log) == (16, 14)
    assert snapshots <= set(disk.listdir(DIRECTORY))
    log.flush()
    disk.lose_power()
    disk.restart()
    assert aborted(open_at(disk, small_segments(), clean=False, recovery_point=16)) == [(9, 0, 7, 8)]


def test_the_end_is_found_though_the_last_snapshot_is_gone(disk: SimulatedDisk, log: Log) -> None:
    append(log, *(plain() for _ in range(3)))
    log.roll(logs.NOW_MS)
    append(log, *(plain() for _ in range(3)))
    log.close()
    newest = max(name for name in disk.listdir(DIRECTORY) if name.endswith(SNAPSHOT))
    disk.unlink(f"{DIRECTORY}/{newest}")
    assert open_at(disk, small_segments()).log_end_offset == 6


def test_a_coordinator_appends_without_sequence_numbers(disk: SimulatedDisk, log: Log) -> None:
    records = [Record(0, 1_000, b"k", b"v")]
    own = encode_batch(
        records, producer_id=9, producer_epoch=3, base_sequence=-1, is_transactional=True, base_offset=0
    )
    header = parse_header(own)
    for _ in range(2):
        log.append(header, memoryview(own)[21:], 0, logs.NOW_MS, from_client=False)
    for clean in (True, False):
        [shown] = log.producer_state.describe()
        assert (shown.producer_epoch, shown.last_sequence, shown.current_txn_start_offset) == (3, -1, 0)
        log.close(flush=clean)
        log = open_at(disk, small_segments(), clean=clean)


def test_markers_are_fenced_by_the_transactions_version(log: Log) -> None:
    append(log, txn(0))
    same_epoch, next_epoch = (marker(COMMIT, producer_epoch=epoch) for epoch in (0, 1))
    with pytest.raises(KafkaError) as refused:
        log.append(
            parse_header(same_epoch), memoryview(same_epoch)[21:], 0, logs.NOW_MS, transaction_version=2
        )
    assert refused.value.code is ErrorCode.invalid_producer_epoch
    assert log.log_end_offset == 1
    log.append(parse_header(next_epoch), memoryview(next_epoch)[21:], 0, logs.NOW_MS, transaction_version=2)
    with pytest.raises(KafkaError) as refused:
        append(log, marker(COMMIT, producer_epoch=1, coordinator_epoch=0))
    assert refused.value.code is ErrorCode.transaction_coordinator_fenced
    assert log.log_end_offset == 2


def test_a_follower_takes_the_markers_that_its_leader_took(log: Log) -> None:
    log.append_as_follower(
        txn(0) + marker(COMMIT, base_offset=1, coordinator_epoch=5) + txn(1, base_offset=2), 0, logs.NOW_MS
    )
    stale = marker(ABORT, base_offset=3, coordinator_epoch=4)
    assert log.append_as_follower(stale, 0, logs.NOW_MS) == 4
    log.update_high_watermark(4)
    assert offsets(log) == (4, 4)
    assert aborted(log) == [(9, 2, 3, 4)]


def test_a_follower_refuses_what_is_damaged_before_it_writes(log: Log) -> None:
    log.append_as_follower(plain(), 0, logs.NOW_MS)
    damaged = bytearray(plain(base_offset=1))
    damaged[-1] ^= 1
    no_marker = encode_batch(
        [Record(1, 0, b"\0\0\0\0", b"")],
        base_offset=1,
        leader_epoch=0,
        producer_id=9,
        producer_epoch=0,
        is_transactional=True,
        is_control=True,
    )
    for records in (bytes(damaged), no_marker):
        with pytest.raises(KafkaError) as refused:
            log.append_as_follower(records, 0, logs.NOW_MS)
        assert refused.value.code is ErrorCode.corrupt_message
    assert [record.offset for record in read_all(log)] == [0]
    assert log.append_as_follower(plain(base_offset=1), 0, logs.NOW_MS) == 2


def test_a_follower_takes_nothing_of_a_later_leader(log: Log) -> None:
    first, later = plain(), batch(base_offset=1, leader_epoch=7)
    assert log.append_as_follower(first + later + plain(base_offset=2), 6, logs.NOW_MS) == 1
    assert log.leader_epochs.latest_epoch == 0
    assert log.append_as_follower(later, 7, logs.NOW_MS) == 2
    assert log.leader_epochs.latest_epoch == 7


def test_an_emptied_control_batch_is_no_data(log: Log) -> None:
    emptied = encode_batch(
        [],
        base_offset=1,
        last_offset=1,
        leader_epoch=0,
        producer_id=9,
        producer_epoch=5,
        is_transactional=True,
        is_control=True,
    )
    log.append_as_follower(plain() + emptied, 0, logs.NOW_MS)
    assert log.producer_state.describe() == []
    log.update_high_watermark(2)
    assert offsets(log) == (2, 2)
