"""Appending to a log and reading from it."""

from __future__ import annotations

from random import Random

import pytest

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import has_valid_crc, parse_header
from ottla.records.codec import ControlType, encode_end_transaction_marker
from ottla.records.compression import Codec
from ottla.storage.local.indexes import IndexCache
from ottla.storage.log import Log

from . import logs
from .logs import (
    append,
    append_one,
    batch,
    config,
    environment_of,
    offsets,
    open_at,
    read_all,
    small_segments,
)
from .simulated_disk import SimulatedDisk, SimulatedFile


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.fixture
def log(disk: SimulatedDisk) -> Log:
    return open_at(disk, small_segments())


def code_of(error: pytest.ExceptionInfo[KafkaError]) -> ErrorCode:
    return error.value.code


def test_batches_get_the_next_offsets_and_the_epoch(log: Log) -> None:
    assert append_one(log, batch(3), 7, logs.NOW_MS) == (0, None)
    assert append_one(log, batch(2), 7, logs.NOW_MS) == (3, None)
    header = parse_header(log.read(3, 1_000, 5).records)
    assert (header.base_offset, header.leader_epoch, header.last_offset) == (3, 7, 4)
    assert log.log_end_offset == 5
    assert log.leader_epochs.entries == ((7, 0),)


def test_the_client_bytes_are_not_touched(log: Log) -> None:
    sent = batch(2)
    view = memoryview(bytearray(sent))
    append_one(log, view, 5, logs.NOW_MS)
    assert view == sent


def test_every_record_comes_back_over_all_segments(log: Log) -> None:
    append(log, *(batch(2, value=b"%d" % number) for number in range(50)))
    assert len(log.segments) > 3
    assert [(record.offset, record.value) for record in read_all(log)] == [
        (number, b"%d" % (number // 2)) for number in range(100)
    ]


@pytest.mark.parametrize("max_bytes", [0, 1, 61, 100, 150, 10_000])
def test_a_read_begins_with_the_batch_that_holds_the_offset(log: Log, max_bytes: int) -> None:
    append(log, *(batch(3, value=b"x" * 20) for _ in range(20)))
    size = len(batch(3, value=b"x" * 20))
    for offset in range(60):
        read = log.read(offset, max_bytes, 60)
        header = parse_header(read.records)
        assert header.base_offset == offset // 3 * 3
        assert len(read.records) >= size
        assert len(read.records) <= max(max_bytes, size)


@pytest.mark.parametrize("value", [b"v", b"v" * 20_000])
def test_without_min_one_a_first_batch_that_does_not_fit_is_not_read(
    disk: SimulatedDisk, value: bytes
) -> None:
    """A reader could do nothing with a part of it; a part of a later one costs nothing to send."""
    log = open_at(disk, config(segment_bytes=1 << 20))
    append(log, batch(value=value), batch(value=value))
    size = parse_header(log.read(0, 1, 2).records).size
    for max_bytes in (0, 10, 61, size - 1):
        assert len(log.read(0, max_bytes, 2, min_one=False).records) == 0
        assert len(log.read(0, max_bytes, 2).records) == size
    for max_bytes in (size, size + 10):
        assert len(log.read(0, max_bytes, 2, min_one=False).records) == max_bytes


def test_a_large_first_batch_comes_whole(disk: SimulatedDisk) -> None:
    log = open_at(disk, config(index_interval_bytes=4096))
    append(log, batch(), batch(value=b"x" * 100_000), batch())
    for offset in range(2):
        header = parse_header(log.read(offset, 1_000, 3).records)
        assert header.base_offset == offset
        assert len(log.read(offset, 1_000, 3).records) >= header.size


def test_batches_of_all_sizes_are_found(disk: SimulatedDisk) -> None:
    log = open_at(disk, config(index_interval_bytes=4096))
    random = Random(1)
    for _ in range(60):
        append(log, batch(random.randrange(1, 4), value=bytes(random.choice((1, 50, 900, 5_000, 20_000)))))
    starts = [
        parse_header(log.read(offset, 1, log.log_end_offset).records) for offset in range(log.log_end_offset)
    ]
    for offset, header in enumerate(starts):
        assert header.base_offset <= offset <= header.last_offset
        for max_bytes in (0, 1, 30, 61, 1_000, 9_000, 50_000):
            read = log.read(offset, max_bytes, log.log_end_offset, min_one=False)
            assert len(read.records) <= max_bytes
            assert bool(len(read.records)) == (max_bytes >= header.size)
            if max_bytes >= header.size:
                assert parse_header(read.records) == header
            whole = log.read(offset, max_bytes, log.log_end_offset)
            assert len(whole.records) >= header.size
            assert has_valid_crc(bytes(whole.records), header)


def test_nothing_past_the_upper_bound_is_read(log: Log) -> None:
    append(log, *(batch(2) for _ in range(30)))
    for bound in range(0, 61, 2):
        for offset in range(0, bound, 3):
            last = None
            read = log.read(offset, logs.MAX_BYTES, bound)
            position = 0
            while position < len(read.records):
                last = parse_header(read.records, position)
                position += last.size
            assert last is not None
            assert last.next_offset <= bound
        assert log.read(min(bound + 1, 60), logs.MAX_BYTES, bound).records == b""


def test_offsets_out_of_range_are_refused(log: Log) -> None:
    append(log, *(batch(2) for _ in range(10)))
    log.delete_records(4)
    for offset in (-1, 3, 21):
        with pytest.raises(KafkaError) as error:
            log.read(offset, 100, 20)
        assert code_of(error) == ErrorCode.offset_out_of_range
    assert log.read(20, 100, 20).records == log.read(20, 100, 25).records == b""


def test_a_reader_at_the_end_goes_on_where_it_was(log: Log) -> None:
    for number in range(100):
        end_offset = log.log_end_offset
        assert log.read(end_offset, 1_000, end_offset).records == b""
        append(log, batch(1 + number % 3))
        read = log.read(end_offset, 1_000, log.log_end_offset)
        assert parse_header(read.records).base_offset == end_offset


def test_what_one_reader_found_the_next_need_not_search(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, *(batch(2, value=b"x" * 40) for _ in range(8)))
    reads: list[int] = []
    pread = SimulatedFile.pread
    monkeypatch.setattr(SimulatedFile, "pread", lambda file, *at: reads.append(at[1]) or pread(file, *at))
    first = log.read(5, 200, 16)
    assert len(reads) > 1
    reads.clear()
    assert log.read(5, 200, 16) == first
    assert len(reads) == 1


def test_a_batch_larger_than_a_segment_is_refused(log: Log) -> None:
    with pytest.raises(KafkaError) as error:
        append(log, batch(value=b"x" * 700))
    assert code_of(error) == ErrorCode.record_list_too_large
    assert (log.log_end_offset, log.size) == (0, 0)


def test_an_empty_segment_is_not_rolled(log: Log) -> None:
    for segments in (1, 2):
        log.roll(logs.NOW_MS)
        log.roll(logs.NOW_MS)
        assert len(log.segments) == segments
        append(log, batch())


def test_segments_end_by_the_age_of_their_records(disk: SimulatedDisk) -> None:
    log = open_at(disk, config(segment_ms=1_000))
    append(log, batch(timestamp=5_000), batch(timestamp=6_000), batch(timestamp=6_001))
    assert [segment.base_offset for segment in log.segments] == [0, 2]


def test_a_segment_that_was_emptied_is_as_old_as_its_next_record(disk: SimulatedDisk) -> None:
    log = open_at(disk, config(segment_ms=1_000))
    append(log, batch(timestamp=5_000), batch(timestamp=5_100))
    log.truncate_to(1, logs.NOW_MS)
    append(log, batch(timestamp=6_001))
    assert [segment.base_offset for segment in log.segments] == [0, 1]
    log.truncate_to(0, logs.NOW_MS)
    append(log, batch(timestamp=9_000), batch(timestamp=9_900))
    assert [segment.base_offset for segment in log.segments] == [0]


def test_segments_without_timestamps_end_by_the_clock(disk: SimulatedDisk) -> None:
    log = open_at(disk, config(segment_ms=1_000))
    append_one(log, batch(timestamp=-1), 0, logs.NOW_MS + 1_000)
    append_one(log, batch(timestamp=-1), 0, logs.NOW_MS + 1_000)
    append_one(log, batch(timestamp=-1), 0, logs.NOW_MS + 1_001)
    assert [segment.base_offset for segment in log.segments] == [0, 2]


def test_segments_end_when_an_index_is_full(disk: SimulatedDisk) -> None:
    log = open_at(disk, small_segments(segment_bytes=1 << 30, index_interval_bytes=0, segment_index_bytes=40))
    append(log, *(batch(timestamp=number) for number in range(20)))
    assert len(log.segments) > 3
    for segment in list(log.segments)[:-1]:
        assert disk.size(segment.path(".index")) <= 40
        assert disk.size(segment.path(".timeindex")) <= 40
    assert offsets(log) == list(range(20))


def test_segments_end_when_the_offset_index_alone_is_full(disk: SimulatedDisk) -> None:
    log = open_at(disk, small_segments(segment_bytes=1 << 30, index_interval_bytes=0, segment_index_bytes=40))
    append(log, *(batch(timestamp=1_000) for _ in range(20)))
    log.roll(logs.NOW_MS)
    # The first batch of a segment has no entry: five more fill 40 bytes.
    assert [segment.base_offset for segment in log.segments] == [0, 6, 12, 18, 20]
    assert [disk.size(segment.path(".index")) for segment in list(log.segments)[:3]] == [40, 40, 40]


def test_segments_end_before_relative_offsets_overflow(log: Log) -> None:
    append(log, batch())
    near, far = 2**31, 2**32
    log.append_as_follower(batch(base_offset=near, leader_epoch=0), 9, logs.NOW_MS)
    log.append_as_follower(batch(base_offset=far, leader_epoch=0), 9, logs.NOW_MS)
    log.append_as_follower(batch(base_offset=far + 2**31, leader_epoch=0), 9, logs.NOW_MS)
    assert [segment.base_offset for segment in log.segments] == [0, 1, near + 1, far + 1]
    log.append_as_follower(batch(base_offset=far * 3, leader_epoch=0), 9, logs.NOW_MS)
    assert log.segments.active.base_offset == far * 3
    assert offsets(log) == [0, near, far, far + 2**31, far * 3]


def test_a_changed_configuration_counts_from_the_next_append(log: Log) -> None:
    append(log, *(batch() for _ in range(3)))
    log.local.reconfigure(small_segments(segment_bytes=100))
    append(log, batch())
    assert [segment.base_offset for segment in log.segments] == [0, 3]


def test_a_follower_keeps_offsets_and_epochs(log: Log) -> None:
    records = batch(2, base_offset=5, leader_epoch=3) + batch(1, base_offset=9, leader_epoch=4)
    assert log.append_as_follower(records, 9, logs.NOW_MS) == 10
    assert offsets(log) == [5, 6, 9]
    assert log.leader_epochs.entries == ((3, 5), (4, 9))
    with pytest.raises(KafkaError) as error:
        log.append_as_follower(batch(1, base_offset=9), 9, logs.NOW_MS)
    assert code_of(error) == ErrorCode.corrupt_message


def test_a_read_in_a_gap_begins_behind_it(log: Log) -> None:
    log.append_as_follower(batch(base_offset=5, leader_epoch=0) + batch(base_offset=90, leader_epoch=0), 9, 0)
    log.roll(logs.NOW_MS, 95)
    log.append_as_follower(batch(base_offset=100, leader_epoch=0), 9, 0)
    for offset, found in ((0, 5), (5, 5), (6, 90), (90, 90), (91, 100), (96, 100), (100, 100)):
        assert parse_header(log.read(offset, 1_000, 101).records).base_offset == found


def test_a_leader_epoch_ends_where_the_next_begins(log: Log) -> None:
    append(log, batch(5), leader_epoch=1)
    append(log, batch(5), leader_epoch=4)
    assert log.end_offset_for_epoch(1) == (1, 5)
    assert log.end_offset_for_epoch(3) == (1, 5)
    assert log.end_offset_for_epoch(4) == (4, 10)
    assert log.end_offset_for_epoch(5) == (-1, -1)


def test_becoming_leader_begins_an_epoch_without_records(disk: SimulatedDisk) -> None:
    log = open_at(disk, small_segments())
    log.begin_leader_epoch(4)
    assert log.leader_epochs.epoch_for(0) == 4
    assert log.end_offset_for_epoch(4) == (4, 0)
    append(log, batch(3), leader_epoch=4)
    log.begin_leader_epoch(6)
    assert log.leader_epochs.entries == ((4, 0), (6, 3))
    assert log.end_offset_for_epoch(4) == (4, 3)
    append(log, batch(), leader_epoch=6)
    log.close(flush=False)
    log = open_at(disk, small_segments())
    log.begin_leader_epoch(6)
    assert log.leader_epochs.entries == ((4, 0), (6, 3))


def test_the_epoch_of_a_leader_without_records_goes_with_it(log: Log) -> None:
    append(log, batch(3), leader_epoch=4)
    log.begin_leader_epoch(6)
    assert not log.truncate_to(3, logs.NOW_MS)
    assert log.leader_epochs.entries == ((4, 0),)


def test_becoming_leader_reads_and_writes_nothing(disk: SimulatedDisk) -> None:
    append(open_at(disk, small_segments()), batch())
    log = open_at(disk, small_segments())
    disk.read_bytes = None  # type: ignore[assignment,method-assign]
    steps = disk.steps
    log.begin_leader_epoch(3)
    assert disk.steps == steps


def producer_batch(sequence: int, *, epoch: int = 0, count: int = 1, **options: bool) -> bytes:
    return batch(count, producer_id=9, producer_epoch=epoch, base_sequence=sequence, **options)


def test_a_repeated_batch_is_answered_and_not_written(log: Log) -> None:
    append(log, producer_batch(0, count=2), batch(), producer_batch(2))
    size = log.size
    offset, repeated = append_one(log, producer_batch(0, count=2), 0, logs.NOW_MS)
    assert offset == 0
    assert repeated is not None
    assert (repeated.last_offset, repeated.timestamp) == (1, 1_001)
    assert (log.size, log.log_end_offset) == (size, 4)


@pytest.mark.parametrize("producer_id", [0, 1])
@pytest.mark.parametrize("codec", list(Codec))
def test_any_producer_and_codec_is_known_again(disk: SimulatedDisk, producer_id: int, codec: Codec) -> None:
    log = open_at(disk, config())
    follower = open_at(disk, config(), directory="/data/u-0")
    for sequence in range(3):
        options = {"producer_id": producer_id, "producer_epoch": 0, "base_sequence": sequence}
        one = batch(codec=codec, **options)
        assert append_one(log, one)[1] is None
        offset, repeated = append_one(log, one)
        assert offset == sequence
        assert repeated is not None
        follower.append_as_follower(bytes(log.read(sequence, 1_000, sequence + 1).records), 0, logs.NOW_MS)
    assert follower.producer_state.describe() == log.producer_state.describe()
    assert [each.producer_id for each in log.producer_state.describe()] == [producer_id]


def test_a_gap_in_the_sequence_is_refused(log: Log) -> None:
    append(log, producer_batch(0))
    with pytest.raises(KafkaError) as error:
        append(log, producer_batch(5))
    assert code_of(error) == ErrorCode.out_of_order_sequence_number
    with pytest.raises(KafkaError) as error:
        append(log, producer_batch(1, epoch=-1))
    assert code_of(error) == ErrorCode.invalid_producer_epoch


@pytest.mark.parametrize("clean", [True, False])
def test_producers_are_known_after_opening_again(disk: SimulatedDisk, clean: bool) -> None:
    log = open_at(disk, small_segments())
    append(log, *(producer_batch(number) for number in range(20)))
    log.close(flush=clean)
    log = open_at(disk, small_segments(), clean=clean)
    assert append_one(log, producer_batch(19), 0, logs.NOW_MS)[1] is not None
    assert append_one(log, producer_batch(20), 0, logs.NOW_MS)[1] is None


def marker(kind: ControlType) -> bytes:
    return encode_end_transaction_marker(
        kind, producer_id=9, producer_epoch=0, coordinator_epoch=1, timestamp=2_000, base_offset=0
    )


@pytest.mark.parametrize("clean", [True, False])
def test_readers_of_committed_records_learn_what_was_aborted(disk: SimulatedDisk, clean: bool) -> None:
    log = open_at(disk, small_segments())
    append(log, producer_batch(0, is_transactional=True), batch())
    log.advance_high_watermark(log.log_end_offset)
    assert log.last_stable_offset == 0
    append(log, marker(ControlType.abort))
    log.advance_high_watermark(log.log_end_offset)
    assert log.last_stable_offset == log.log_end_offset
    append(log, producer_batch(1, is_transactional=True), *(batch() for _ in range(20)))
    append(log, marker(ControlType.commit))
    log.close(flush=clean)
    log = open_at(disk, small_segments(), clean=clean)
    read = log.read(0, 100, log.log_end_offset)
    assert [(txn.producer_id, txn.first_offset) for txn in log.aborted_transactions(0, read)] == [(9, 0)]
    read = log.read(3, 100, log.log_end_offset)
    assert log.aborted_transactions(3, read) == []


def test_records_are_found_by_timestamp(log: Log) -> None:
    times = [1_000, 5_000, 3_000, 9_000, 9_000, 2_000] * 5
    append(log, *(batch(2, timestamp=time) for time in times))
    all_times = [record.timestamp for record in read_all(log)]
    for wanted in range(900, 9_200, 50):
        expected = next((number for number, time in enumerate(all_times) if time >= wanted), None)
        found = log.offset_for_timestamp(wanted)
        assert (None if found is None else found.offset) == expected
        if found is not None and expected is not None:
            assert found.timestamp == all_times[expected]
    newest = log.max_timestamp_offset()
    assert newest is not None
    assert (newest.timestamp, newest.offset) == (9_001, all_times.index(9_001))


def test_an_empty_log_has_no_timestamps(log: Log) -> None:
    assert log.offset_for_timestamp(0) is None
    assert log.max_timestamp_offset() is None


def test_records_without_timestamps_are_not_found_by_them(log: Log) -> None:
    append(log, *(batch(timestamp=-1) for _ in range(3)))
    assert log.max_timestamp_offset() is None
    assert log.offset_for_timestamp(0) is None


def test_timestamps_before_the_log_start_are_not_found(log: Log) -> None:
    append(log, *(batch(timestamp=time) for time in (9_000, 1_000, 5_000)))
    log.delete_records(1)
    found = log.offset_for_timestamp(500)
    assert found is not None
    assert (found.timestamp, found.offset) == (1_000, 1)


def test_indexes_leave_memory_when_their_bound_is_reached(disk: SimulatedDisk) -> None:
    cache = IndexCache(max_bytes=40)
    log = open_at(disk, small_segments(), environment=environment_of(disk, index_cache=cache))
    append(log, *(batch(2) for _ in range(60)))
    assert offsets(log) == list(range(120))
    assert log.offset_for_timestamp(1_001) == (1_001, 1, 0)
    assert cache.used_bytes <= 40 + 2 * 12 * 8
    append(log, *(batch(2) for _ in range(60)))
    assert offsets(log) == list(range(240))


def test_an_index_that_cannot_be_rebuilt_refuses_an_append_before_anything_is_written(
    disk: SimulatedDisk,
) -> None:
    log = open_at(disk, small_segments())
    append(log, batch(2), batch(2))
    log.close()
    disk.unlink(f"{logs.DIRECTORY}/{0:020}.timeindex")
    log = open_at(disk, small_segments())
    disk.fails_to_sync = True
    size = log.local.active.size
    for _ in range(2):
        with pytest.raises(KafkaError) as error:
            append(log, batch())
        assert code_of(error) is ErrorCode.kafka_storage_error
        disk.unlink(f"{logs.DIRECTORY}/{0:020}.timeindex")
        log = open_at(disk, small_segments())
    assert disk.size(f"{logs.DIRECTORY}/{0:020}.log") == size
    disk.fails_to_sync = False
    append(log, batch())
    assert offsets(log) == list(range(5))


def test_an_index_that_cannot_be_read_again_does_not_undo_an_append(disk: SimulatedDisk) -> None:
    """The batch is written by then: whoever was told otherwise would write over its offsets."""
    log = open_at(disk, small_segments(segment_bytes=100_000))
    active = log.local.active
    for number in range(40):
        if number == 20:
            for index in (active.offset_index(), active.time_index()):
                assert index.unload()  # as when others need the memory
                disk.unlink(index.path)
            disk.fails_to_sync = True
        append(log, batch(1))
        if number == 30:
            disk.fails_to_sync = False
    assert offsets(log) == list(range(40))
    log.close()
    assert offsets(open_at(disk, small_segments(), clean=False)) == list(range(40))
