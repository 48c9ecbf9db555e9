"""Opening, closing, flushing, cutting and clearing a log."""

from __future__ import annotations

from uuid import UUID

import pytest

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.storage.cleaner.output import SegmentWriter
from ottla.storage.cleaner.policy import cleaning_facts
from ottla.storage.errors import LogStorageError
from ottla.storage.fs import TEMPORARY
from ottla.storage.lifecycle import close_logs
from ottla.storage.log import Log
from ottla.storage.names import CLEANED, DELETED, INDEX, LOG, SWAP, TIMEINDEX

from . import logs
from .logs import DIRECTORY, append, batch, environment_of, offsets, open_at, read_all, small_segments
from .simulated_disk import SimulatedDisk

TOPIC_ID = UUID(int=7)


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.fixture
def log(disk: SimulatedDisk) -> Log:
    return open_at(disk, small_segments())


def names(disk: SimulatedDisk, suffix: str = "") -> list[str]:
    return sorted(name for name in disk.listdir(DIRECTORY) if name.endswith(suffix))


class ReadCounter(SimulatedDisk):
    """Says which files' contents were looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.read: set[str] = set()

    def read_bytes(self, path: str) -> bytes:
        self.read.add(path)
        return super().read_bytes(path)

    def inode(self, path: str, *, create: bool = False):  # type: ignore[no-untyped-def]
        if create:
            self.read.add(path)
        return super().inode(path, create=create)


def test_a_clean_stop_opens_again_without_reading_records() -> None:
    disk = ReadCounter()
    log = open_at(disk, small_segments())
    append(log, *(batch(2) for _ in range(40)))
    log.close()
    disk.read.clear()
    log = open_at(disk, small_segments())
    assert log.log_end_offset == 80
    assert log.recovery_point == 80
    assert not [path for path in disk.read if path.endswith(LOG)]
    assert offsets(log) == list(range(80))
    append(log, batch())
    assert log.log_end_offset == 81


def test_a_closed_log_does_not_write_into_the_one_that_took_its_place(disk: SimulatedDisk) -> None:
    old = open_at(disk, small_segments())
    append(old, batch(2), batch(2))
    old.close(flush=False)
    for name in disk.listdir(DIRECTORY):
        disk.unlink(f"{DIRECTORY}/{name}")
    new = open_at(disk, small_segments())
    append(new, batch(3))
    with pytest.raises(LogStorageError):
        append(old, batch(5))
    assert offsets(new) == [0, 1, 2]
    append(new, batch())
    assert offsets(new) == [0, 1, 2, 3]


def test_without_a_snapshot_the_end_is_found_behind_the_last_index_entry(disk: SimulatedDisk) -> None:
    log = open_at(disk, small_segments())
    append(log, *(batch(2) for _ in range(9)))
    log.close()
    for name in names(disk, ".snapshot"):
        disk.unlink(f"{DIRECTORY}/{name}")
    assert open_at(disk, small_segments()).log_end_offset == 18


def test_indexes_that_are_missing_or_damaged_are_rebuilt(disk: SimulatedDisk) -> None:
    log = open_at(disk, small_segments())
    append(log, *(batch(2, timestamp=1_000 + number) for number in range(40)))
    expected = [
        (list(segment.offset_index().entries()), list(segment.time_index().entries()))
        for segment in log.segments
    ]
    log.close()
    expected = [(list(s.offset_index().entries()), list(s.time_index().entries())) for s in log.segments]
    log.close()
    disk.write_bytes(log.segments[0].path(INDEX), b"\0\0\0\x09" * 4)
    disk.write_bytes(log.segments[1].path(TIMEINDEX), b"12345")
    disk.unlink(log.segments[2].path(INDEX))
    log = open_at(disk, small_segments())
    assert offsets(log) == list(range(80))
    assert [
        (list(s.offset_index().entries()), list(s.time_index().entries())) for s in log.segments
    ] == expected


def test_kafkas_preallocated_index_ends_are_ignored(disk: SimulatedDisk) -> None:
    log = open_at(disk, small_segments())
    append(log, *(batch(2) for _ in range(40)))
    log.close()
    for segment in log.segments:
        disk.write_bytes(segment.path(INDEX), disk.read_bytes(segment.path(INDEX)) + bytes(80))
        disk.write_bytes(segment.path(TIMEINDEX), disk.read_bytes(segment.path(TIMEINDEX)) + bytes(120))
    log = open_at(disk, small_segments())
    assert offsets(log) == list(range(80))
    assert log.max_timestamp_offset() == (1_001, 1, 0)


@pytest.mark.parametrize("damage", ["cut", "flip", "garbage"])
def test_a_torn_tail_is_cut(disk: SimulatedDisk, damage: str) -> None:
    log = open_at(disk, small_segments())
    append(log, *(batch(2) for _ in range(8)))
    path = log.local.active.log_path
    data = bytearray(disk.read_bytes(path))
    if damage == "cut":
        del data[-3:]
    elif damage == "flip":
        data[-3] ^= 1
    else:
        data += b"\0" * 100
    disk.write_bytes(path, bytes(data))
    log = open_at(disk, small_segments(), clean=False)
    assert log.log_end_offset == (16 if damage == "garbage" else 14)
    assert offsets(log) == list(range(log.log_end_offset))
    append(log, batch())
    assert offsets(log) == list(range(log.log_end_offset))


def test_what_follows_a_damaged_segment_is_dropped(disk: SimulatedDisk) -> None:
    log = open_at(disk, small_segments())
    append(log, *(batch(2) for _ in range(30)))
    second = log.segments[1]
    data = bytearray(disk.read_bytes(second.log_path))
    data[70] ^= 1
    disk.write_bytes(second.log_path, bytes(data))
    log = open_at(disk, small_segments(), clean=False)
    assert log.log_end_offset == second.base_offset
    assert [segment.base_offset for segment in log.segments] == [0, second.base_offset]


def test_segments_before_the_recovery_point_are_not_read_again() -> None:
    disk = ReadCounter()
    log = open_at(disk, small_segments())
    append(log, *(batch(2) for _ in range(30)))
    log.flush()
    recovery_point = log.recovery_point
    last_flushed = log.local.active.base_offset
    append(log, *(batch(2) for _ in range(30)))
    disk.read.clear()
    log = open_at(disk, small_segments(), clean=False, recovery_point=recovery_point)
    read = {path for path in disk.read if path.endswith(LOG)}
    assert read == {segment.log_path for segment in log.segments if segment.base_offset >= last_flushed}
    assert log.log_end_offset == 120


@pytest.mark.parametrize("past", [0, 1, 2])
def test_a_segment_that_ends_before_the_last_flushed_record_is_not_read_again(past: int) -> None:
    disk = ReadCounter()
    log = open_at(disk, small_segments())
    append(log, *(batch(1) for _ in range(30)))
    log.flush()
    last = log.segments.active
    before = log.segments[len(log.segments) - 2]
    assert log.log_end_offset - last.base_offset >= 2
    disk.read.clear()
    log = open_at(disk, small_segments(), clean=False, recovery_point=last.base_offset + past)
    read = {path for path in disk.read if path.endswith(LOG)}
    # At the very end of a segment its indexes may have been left behind, which are synced after it.
    assert read == ({before.log_path, last.log_path} if past == 0 else {last.log_path})
    assert log.log_end_offset == 30


def test_a_folder_of_another_topic_is_refused(disk: SimulatedDisk) -> None:
    open_at(disk, small_segments(), topic_id=TOPIC_ID).close()
    open_at(disk, small_segments(), topic_id=TOPIC_ID).close()
    with pytest.raises(KafkaError) as error:
        open_at(disk, small_segments(), topic_id=UUID(int=8))
    assert error.value.code == ErrorCode.inconsistent_topic_id


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("size", [None, 0, 34])
def test_a_folder_does_without_a_torn_topic_id(disk: SimulatedDisk, clean: bool, size: int | None) -> None:
    log = open_at(disk, small_segments(), topic_id=TOPIC_ID)
    append(log, *(batch(2) for _ in range(5)))
    log.close()
    path = f"{DIRECTORY}/partition.metadata"
    whole = disk.read_bytes(path)
    if size is None:
        disk.unlink(path)
    else:
        disk.write_bytes(path, whole[:size])
    disk.write_bytes(path + TEMPORARY, b"version")
    log = open_at(disk, small_segments(), clean=clean, topic_id=TOPIC_ID)
    assert offsets(log) == list(range(10))
    assert disk.read_bytes(path) == whole
    assert not disk.exists(path + TEMPORARY)
    append(log, batch())
    log.flush()
    disk.lose_power()
    disk.restart()
    assert disk.read_bytes(path) == whole


@pytest.mark.parametrize("clean", [False, True])
def test_leader_epochs_that_do_not_read_are_found_in_the_records(disk: SimulatedDisk, clean: bool) -> None:
    log = open_at(disk, small_segments())
    for number in range(40):
        append(log, batch(2), leader_epoch=number // 13)
    assert len(log.segments) == 6
    expected = ((0, 0), (1, 26), (2, 52), (3, 78))
    assert log.leader_epochs.entries == expected
    log.close()
    disk.write_bytes(log.leader_epochs.path, b"0\n4\n0 0\n1 2")
    log = open_at(disk, small_segments(), clean=clean, recovery_point=log.recovery_point)
    assert log.leader_epochs.entries == expected
    append(log, batch(), leader_epoch=3)
    assert disk.read_bytes(log.leader_epochs.path) == b"0\n4\n0 0\n1 26\n2 52\n3 78\n"


def test_a_flush_moves_the_recovery_point_when_it_is_complete(log: Log) -> None:
    append(log, batch(5))
    flush = log.prepare_flush()
    append(log, batch(5))
    assert log.recovery_point == 0
    log.complete_flush(flush())
    assert log.recovery_point == 5
    assert log.local.unflushed_records == 5


def test_a_flush_from_before_a_truncation_says_nothing(log: Log) -> None:
    append(log, batch(5))
    flush = log.prepare_flush()
    log.truncate_to(0, logs.NOW_MS)
    append(log, batch(5))
    log.complete_flush(flush())
    assert log.recovery_point == 0


def test_flush_messages_and_flush_ms_ask_for_a_flush(disk: SimulatedDisk) -> None:
    log = open_at(disk, small_segments(flush_messages=3, flush_ms=1_000))
    assert not log.local.needs_flush(logs.NOW_MS + 5_000)
    append(log, batch(2))
    assert not log.local.needs_flush(logs.NOW_MS + 999)
    assert log.local.needs_flush(logs.NOW_MS + 1_000)
    append(log, batch(1))
    assert log.local.needs_flush(logs.NOW_MS)
    log.flush(logs.NOW_MS + 2_000)
    append(log, batch(2))
    assert not log.local.needs_flush(logs.NOW_MS + 2_500)


def test_after_a_failed_sync_nothing_is_appended_but_reads_go_on(disk: SimulatedDisk, log: Log) -> None:
    append(log, batch(2))
    disk.fails_to_sync = True
    with pytest.raises(LogStorageError):
        log.flush()
    disk.fails_to_sync = False
    with pytest.raises(LogStorageError):
        append(log, batch())
    with pytest.raises(LogStorageError):
        log.flush()
    assert offsets(log) == [0, 1]
    assert log.recovery_point == 0


@pytest.mark.parametrize("count", [3, 50])
def test_logs_that_cannot_be_synced_do_not_close_cleanly(disk: SimulatedDisk, count: int) -> None:
    logs_to_close = [open_at(disk, small_segments(), directory=f"/data/u-{n}") for n in range(count)]
    append(logs_to_close[0], batch())
    disk.fails_to_sync = True
    assert len(close_logs(disk, logs_to_close)) == count
    disk.fails_to_sync = False
    again = [open_at(disk, small_segments(), directory=f"/data/u-{n}", clean=False) for n in range(count)]
    assert [log.log_end_offset for log in again] == [1] + [0] * (count - 1)
    assert close_logs(disk, again) == close_logs(disk, again) == []


@pytest.mark.parametrize("truncation_fails", [False, True])
def test_a_full_disk_refuses_and_harms_nothing(disk: SimulatedDisk, truncation_fails: bool) -> None:
    log = open_at(disk, small_segments(segment_bytes=1 << 20))
    append(log, *(batch(2) for _ in range(5)))
    used = sum(disk.size(f"{DIRECTORY}/{name}") for name in disk.listdir(DIRECTORY))
    for spare in (0, 1, 30, 70):
        disk.capacity = used + spare
        disk.fails_to_truncate = truncation_fails
        with pytest.raises(LogStorageError) as error:
            append(log, batch(2, value=b"y" * 50))
        assert error.value.code == ErrorCode.kafka_storage_error
        disk.fails_to_truncate = False
        assert offsets(log) == list(range(10))
    disk.capacity = None
    append(log, batch(2))
    assert offsets(log) == list(range(12))
    log.close()
    assert disk.size(log.local.active.log_path) == log.local.active.size
    assert offsets(open_at(disk, small_segments())) == list(range(12))


def test_a_full_disk_at_a_roll_harms_nothing(disk: SimulatedDisk, log: Log) -> None:
    append(log, *(batch(2) for _ in range(6)))
    segments = len(log.segments)
    disk.capacity = sum(disk.size(f"{DIRECTORY}/{name}") for name in disk.listdir(DIRECTORY))
    for _ in range(3):
        with pytest.raises(LogStorageError):
            append(log, batch(value=b"z" * 300))
        assert offsets(log) == list(range(12))
    disk.capacity = None
    append(log, *(batch(2) for _ in range(6)))
    assert offsets(log) == list(range(24))
    assert len(log.segments) > segments
    assert offsets(open_at(disk, small_segments(), clean=False)) == list(range(24))


def test_truncation_cuts_whole_batches(disk: SimulatedDisk) -> None:
    for offset in range(0, 61, 5):
        log = open_at(disk, small_segments(), directory=f"/data/t-{offset}")
        append(log, *(batch(3, timestamp=1_000 * number) for number in range(20)), leader_epoch=1)
        assert log.truncate_to(offset, logs.NOW_MS) == (offset < 60)
        kept = offset // 3 * 3
        assert log.log_end_offset == offset
        assert offsets(log) == list(range(kept))
        newest = log.max_timestamp_offset()
        assert (newest.timestamp if newest else None) == (read_all(log)[-1].timestamp if kept else None)
        assert append(log, batch(2), leader_epoch=2) == [offset]
        assert offsets(log) == [*range(kept), offset, offset + 1]
        assert log.end_offset_for_epoch(2) == (2, offset + 2)
        log.close()


def test_a_log_starts_anew(disk: SimulatedDisk, log: Log) -> None:
    append(log, *(batch(3) for _ in range(20)))
    log.truncate_fully_and_start_at(1_000, logs.NOW_MS)
    assert (log.log_start_offset, log.log_end_offset, log.size) == (1_000, 1_000, 0)
    assert log.leader_epochs.entries == ()
    assert append(log, batch()) == [1_000]
    assert names(disk, LOG) == ["00000000000000001000.log"]
    assert offsets(log) == [1_000]


def test_records_are_deleted_up_to_the_high_watermark(log: Log) -> None:
    append(log, *(batch(3) for _ in range(20)))
    log.update_high_watermark(40)
    with pytest.raises(KafkaError):
        log.delete_records(41)
    assert log.delete_records(40) == 40
    assert log.delete_records(5) == 40
    log.advance_high_watermark(60)
    assert log.apply_retention(logs.NOW_MS) > 0
    assert log.segments.first.base_offset <= 40
    assert offsets(log)[0] == 40


def test_a_deleted_start_does_not_come_back(disk: SimulatedDisk, log: Log) -> None:
    append(log, *(batch(3) for _ in range(20)))
    log.delete_records(30)
    log.close()
    log = open_at(disk, small_segments(), log_start_offset=30)
    assert log.log_start_offset == 30
    log.close()
    log = open_at(disk, small_segments(), log_start_offset=100)
    assert (log.log_start_offset, log.log_end_offset) == (100, 100)


def test_deleted_segments_are_renamed_then_removed(disk: SimulatedDisk) -> None:
    environment = environment_of(disk)
    log = open_at(disk, small_segments(retention_bytes=700, file_delete_delay_ms=60), environment=environment)
    append(log, *(batch(3) for _ in range(20)))
    removed = log.apply_retention(logs.NOW_MS)
    assert removed > 0
    assert len(names(disk, LOG + DELETED)) == removed
    assert 700 <= log.size < 700 + 600
    assert environment.removals.take_due(logs.NOW_MS + 59) == []
    for path in environment.removals.take_due(logs.NOW_MS + 60):
        disk.unlink(path)
    assert names(disk, DELETED) == []
    assert len(environment.removals) == 0
    assert offsets(log)[0] == log.log_start_offset == log.segments.first.base_offset


def test_nothing_above_the_high_watermark_expires(disk: SimulatedDisk) -> None:
    log = open_at(disk, small_segments(retention_ms=10))
    append(log, *(batch(3) for _ in range(20)))
    first_end = log.segments[1].base_offset
    log.update_high_watermark(first_end - 1)
    assert log.apply_retention(logs.NOW_MS) == 0
    log.advance_high_watermark(first_end)
    assert log.apply_retention(logs.NOW_MS) == 1
    assert log.log_start_offset == first_end


def test_without_a_limit_nothing_expires(disk: SimulatedDisk) -> None:
    log = open_at(disk, small_segments(retention_ms=-1, retention_bytes=-1))
    append(log, *(batch(3, timestamp=1) for _ in range(20)))
    assert log.apply_retention(logs.NOW_MS) == 0
    log.delete_records(30)
    assert log.apply_retention(logs.NOW_MS) > 0
    assert offsets(log) == list(range(30, 60))


def test_a_log_may_expire_whole(disk: SimulatedDisk) -> None:
    log = open_at(disk, small_segments(retention_ms=10))
    append(log, *(batch(3) for _ in range(20)))
    log.apply_retention(logs.NOW_MS)
    assert (log.log_start_offset, log.log_end_offset, log.size) == (60, 60, 0)
    assert log.apply_retention(logs.NOW_MS) == 0
    assert append(log, batch()) == [60]


def test_a_compacted_log_keeps_what_is_old(disk: SimulatedDisk) -> None:
    compacted = small_segments(retention_ms=10, retention_bytes=1, cleanup_policy=frozenset({"compact"}))
    log = open_at(disk, compacted)
    append(log, *(batch(3) for _ in range(20)))
    assert log.apply_retention(logs.NOW_MS) == 0


def test_segments_without_timestamps_expire_by_when_they_were_written(disk: SimulatedDisk) -> None:
    log = open_at(disk, small_segments(retention_ms=100))
    disk.now_ms = logs.NOW_MS
    append(log, *(batch(1, timestamp=-1) for _ in range(20)))
    disk.set_modified_ms(log.segments[0].log_path, logs.NOW_MS - 101)
    for segment in list(log.segments)[1:]:
        disk.set_modified_ms(segment.log_path, logs.NOW_MS)
    assert log.apply_retention(logs.NOW_MS) == 1


def test_leftovers_of_a_deletion_are_removed(disk: SimulatedDisk, log: Log) -> None:
    append(log, batch())
    log.close()
    disk.write_bytes(f"{DIRECTORY}/{77:020d}{LOG}{DELETED}", b"x")
    disk.write_bytes(f"{DIRECTORY}/{77:020d}{INDEX}", b"x")
    disk.write_bytes(f"{DIRECTORY}/{77:020d}{LOG}{CLEANED}", b"x")
    open_at(disk, small_segments())
    assert not [name for name in disk.listdir(DIRECTORY) if name.startswith(f"{77:020d}")]


def test_swap_files_behind_a_cleaned_one_are_undone(disk: SimulatedDisk, log: Log) -> None:
    append(log, batch(3))
    log.close()
    data = batch()
    disk.write_bytes(f"{DIRECTORY}/{0:020d}{LOG}{SWAP}", data)
    disk.write_bytes(f"{DIRECTORY}/{0:020d}{INDEX}{CLEANED}", b"")
    assert offsets(open_at(disk, small_segments(), clean=False)) == [0, 1, 2]
    assert names(disk, SWAP) == names(disk, CLEANED) == []


def test_a_second_flush_does_not_rely_on_one_under_way(disk: SimulatedDisk, log: Log) -> None:
    append(log, *(batch(2) for _ in range(20)))
    first = log.prepare_flush()
    second = log.prepare_flush()
    log.complete_flush(second())
    assert log.recovery_point == 40
    disk.lose_power()
    disk.restart()
    assert offsets(open_at(disk, small_segments(), clean=False, recovery_point=40)) == list(range(40))
    assert first.end_offset == 40


def test_a_deleted_folder_does_not_fail_a_flush(disk: SimulatedDisk, log: Log) -> None:
    append(log, *(batch(2) for _ in range(20)))
    flush = log.prepare_flush()
    log.close(flush=False)
    for name in disk.listdir(DIRECTORY):
        disk.unlink(f"{DIRECTORY}/{name}")
    disk.remove_dir(DIRECTORY)
    assert flush().error is None


def test_segments_cleaned_before_a_truncation_are_discarded(disk: SimulatedDisk, log: Log) -> None:
    append(log, *(batch(2) for _ in range(20)))
    facts = cleaning_facts(log)
    writer = SegmentWriter(disk, log.local.directory, 0, index_interval_bytes=100)
    writer.finish(1)
    log.truncate_to(2, logs.NOW_MS)
    append(log, *(batch(2) for _ in range(20)))
    assert not log.replace_segments((0,), (facts.segments[0].base_offset,), facts.generation, logs.NOW_MS)
    assert offsets(log) == list(range(42))
    assert names(disk, CLEANED) == []
