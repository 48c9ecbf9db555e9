"""Power lost at every point of a log's life: what was flushed is there, whole, and the log goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from uuid import UUID

import pytest

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import CRC, LAST_OFFSET_DELTA, compute_crc, iter_headers
from ottla.records.codec import Record
from ottla.storage.cleaner.output import SegmentWriter
from ottla.storage.fs import TEMPORARY, FileSystem
from ottla.storage.lifecycle import close_logs
from ottla.storage.log import Log
from ottla.storage.names import DELETED, INDEX, TIMEINDEX

from . import logs
from .logs import DIRECTORY, append, append_one, batch, config, open_at, read_all, small_segments
from .simulated_disk import PowerLossError, SimulatedDisk

CONFIG = small_segments(segment_bytes=500, retention_bytes=1_200)
TOPIC_ID = UUID(int=7)


class Life:
    """A log's life until the power goes, and what its owner knows to be safe."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self.disk = disk
        self.log: Log | None = None
        self.written: dict[int, Record] = {}
        self.next_offset = 0
        self.recovery_point = 0
        self.log_start_offset = 0
        self.may_start_at = 0
        self.sequence = 0

    def run(self) -> None:
        """Appends, rolls, flushes, retention, a clean stop and an opening, twice over."""
        for _ in range(2):
            self.log = log = open_at(
                self.disk,
                CONFIG,
                clean=True,
                recovery_point=self.recovery_point,
                log_start_offset=self.log_start_offset,
                topic_id=TOPIC_ID,
            )
            for number in range(24):
                self.append(log, number)
                if number % 5 == 4:
                    self.flush(log)
            self.may_start_at = log.log_end_offset
            log.update_high_watermark(self.recovery_point)
            log.apply_retention(logs.NOW_MS)
            for path in log.local.environment.removals.take_due(logs.NOW_MS):
                self.disk.unlink(path)
            self.append(log, 1)
            log.close()
            self.recovery_point = log.recovery_point
            self.log_start_offset = log.log_start_offset

    def append(self, log: Log, number: int) -> None:
        count = number % 3 + 1
        value = b"%d" % number
        options = {}
        if number % 2:
            options = {"producer_id": 3, "producer_epoch": 0, "base_sequence": self.sequence}
            self.sequence += count
        # Written or not, these are the only records that may be found at those offsets.
        for index in range(count):
            self.written[self.next_offset + index] = Record(
                self.next_offset + index, 1_000 + number + index, None, value, ()
            )
        append_one(log, batch(count, 1_000 + number, value, **options), number // 10, logs.NOW_MS)
        self.next_offset += count

    def flush(self, log: Log) -> None:
        log.flush()
        self.recovery_point = log.recovery_point


def steps_of(life: Callable[[SimulatedDisk], object]) -> int:
    disk = SimulatedDisk()
    life(disk)
    return disk.steps


STEPS = steps_of(lambda disk: Life(disk).run())


def check(life: Life) -> None:
    if life.recovery_point:
        with pytest.raises(KafkaError) as refused:
            open_at(life.disk, CONFIG, clean=False, topic_id=UUID(int=8))
        assert refused.value.code is ErrorCode.inconsistent_topic_id
    log = open_at(
        life.disk,
        CONFIG,
        clean=False,
        recovery_point=life.recovery_point,
        log_start_offset=life.log_start_offset,
        topic_id=TOPIC_ID,
    )
    assert life.recovery_point <= log.log_end_offset <= max(life.written, default=-1) + 1
    assert log.log_start_offset <= life.may_start_at
    found = read_all(log)
    first = found[0].offset if found else log.log_end_offset
    assert first == log.log_start_offset
    assert found == [life.written[record.offset] for record in found]
    assert [record.offset for record in found] == list(range(first, log.log_end_offset))
    check_indexes(log)
    epochs = log.leader_epochs.entries
    assert all(entry.start_offset < log.log_end_offset for entry in epochs)
    append(log, batch(2), leader_epoch=9)
    log.close()
    again = open_at(life.disk, CONFIG, clean=True, log_start_offset=log.log_start_offset, topic_id=TOPIC_ID)
    assert len(read_all(again)) == len(found) + 2
    assert not [name for name in life.disk.listdir(DIRECTORY) if name.endswith((DELETED, TEMPORARY))]


def check_indexes(log: Log) -> None:
    """An index that was not rebuilt answers as a rebuilt one does."""
    for segment in log.segments:
        offsets = range(segment.base_offset, log.log_end_offset)
        before = [segment.position_of(offset) for offset in offsets]
        max_timestamp = (segment.max_timestamp, segment.max_timestamp_offset)
        segment.rebuild_indexes()
        assert [segment.position_of(offset) for offset in offsets] == before
        assert (segment.max_timestamp, segment.max_timestamp_offset) == max_timestamp


@pytest.mark.parametrize("part", range(4))
def test_no_flushed_record_is_lost_wherever_the_power_goes(part: int) -> None:
    for step in range(part, STEPS, 4):
        for seed in (step, step + 10_000):
            disk = SimulatedDisk(seed)
            disk.power_loss_at = step
            life = Life(disk)
            with suppress(PowerLossError):
                life.run()
            disk.lose_power()
            disk.restart()
            check(life)


@pytest.mark.parametrize(
    ("base_offset", "delta"), [(0, 0), (1, 1), (0, 5), (2, -1), (2, 2**31), (2**31 - 1, 1)]
)
def test_recovery_cuts_what_is_whole_but_out_of_order(base_offset: int, delta: int) -> None:
    disk = SimulatedDisk()
    log = open_at(disk, CONFIG)
    append(log, batch(2))
    bad = bytearray(batch(2, base_offset=base_offset, leader_epoch=0))
    bad[LAST_OFFSET_DELTA : LAST_OFFSET_DELTA + 4] = (delta % 2**32).to_bytes(4, "big")
    bad[CRC : CRC + 4] = compute_crc(bytes(bad)).to_bytes(4, "big")
    path = log.segments.active.log_path
    sound = disk.read_bytes(path)
    disk.write_bytes(path, sound + bytes(bad) + batch(2, base_offset=4, leader_epoch=0))
    log = open_at(disk, CONFIG, clean=False)
    assert log.log_end_offset == 2
    assert disk.read_bytes(path) == sound
    assert append(log, batch()) == [2]


def disk_of(log: Log) -> FileSystem:
    return log.local.environment.fs


def filled_log(disk: SimulatedDisk) -> Log:
    log = open_at(disk, CONFIG)
    append(log, *(batch(2, 1_000 + number, b"%d" % number) for number in range(30)))
    log.close()
    log = open_at(disk, CONFIG, recovery_point=log.recovery_point)
    assert len(log.segments) > 4
    return log


def test_recovery_keeps_large_batches_and_the_largest_offsets() -> None:
    disk = SimulatedDisk()
    log = open_at(disk, config())
    sizes = (10, 300_000, 20, 700_000, 300_000, 30)
    append(log, *(batch(value=bytes([number]) * size) for number, size in enumerate(sizes)))
    far = batch(2, base_offset=2**31 - 2, leader_epoch=0)
    log.append_as_follower(far, 0, logs.NOW_MS)
    expected = read_all(log)
    assert len(expected) == len(sizes) + 2
    log = open_at(disk, config(), clean=False)
    assert read_all(log) == expected
    assert log.log_end_offset == 2**31


def replace_three_segments(log: Log) -> None:
    """Compact segments 0 to 2 into two, leaving every third batch, the last one included."""
    old = list(log.segments)[:3]
    kept = []
    for segment in old:
        data = segment.file.pread(segment.size, 0)
        kept += [(data[pos : pos + header.size], header) for pos, header in iter_headers(data)]
    kept = kept[::-3][::-1]
    half = len(kept) // 2
    new = []
    for base_offset, part in ((0, kept[:half]), (kept[half][1].base_offset, kept[half:])):
        writer = SegmentWriter(
            log.local.environment.fs, log.local.directory, base_offset, index_interval_bytes=100
        )
        for data, header in part:
            writer.append(data, header)
        assert writer.finish(5_000) == sum(len(data) for data, _ in part)
        new.append(base_offset)
    log.replace_segments(new, [segment.base_offset for segment in old], 0, logs.NOW_MS)


def test_compacted_segments_take_the_place_of_old_ones() -> None:
    disk = SimulatedDisk()
    log = filled_log(disk)
    before = read_all(log)
    old_end = log.segments[3].base_offset
    replace_three_segments(log)
    after = read_all(log)
    kept = [record for record in after if record.offset < old_end]
    assert 0 < len(kept) < old_end
    assert after == [record for record in before if record in after]
    assert [r for r in after if r.offset >= old_end] == [r for r in before if r.offset >= old_end]
    assert disk.modified_ms(log.segments.first.log_path) == 5_000
    check_indexes(log)
    log.close()
    assert read_all(open_at(disk, CONFIG)) == after


def test_a_swap_replaces_only_the_segments_that_it_covers() -> None:
    disk = SimulatedDisk()
    log = filled_log(disk)
    third, fourth, end = log.segments[2].base_offset, log.segments[3].base_offset, log.log_end_offset
    log.close()
    compacted = batch(1, base_offset=third, leader_epoch=0)
    disk.write_bytes(f"{DIRECTORY}/{third:020d}.log.swap", compacted)
    log = open_at(disk, CONFIG, clean=False, recovery_point=end)
    assert [record.offset for record in read_all(log)] == [*range(third + 1), *range(fourth, end)]


def crashes() -> Iterator[tuple[SimulatedDisk, int]]:
    disk = SimulatedDisk()
    log = filled_log(disk)
    start = disk.steps
    replace_three_segments(log)
    for step in range(disk.steps - start):
        disk = SimulatedDisk(step)
        yield disk, step


@pytest.mark.parametrize("clean", [False, True])
def test_a_replacement_happens_whole_or_not_at_all(clean: bool) -> None:
    disk = SimulatedDisk()
    log = filled_log(disk)
    old = read_all(log)
    replace_three_segments(log)
    new = read_all(log)
    outcomes = set()
    for disk, step in crashes():
        log = filled_log(disk)
        disk.sync_all()
        disk.power_loss_at = disk.steps + step
        with suppress(PowerLossError):
            replace_three_segments(log)
        disk.lose_power()
        disk.restart()
        log = open_at(disk, CONFIG, clean=clean, recovery_point=log.recovery_point)
        found = read_all(log)
        assert found in (old, new)
        outcomes.add(found == new)
        check_indexes(log)
        append(log, batch())
        assert read_all(log)[:-1] == found
    assert outcomes == {True, False}


def lose_the_end_of(log: Log, number: int) -> int:
    """Of a closed segment, as if that batch had not been on the disk; returns where the segment ends now."""
    segment = log.segments[number]
    data = segment.file.pread(segment.size, 0)
    position, last = list(iter_headers(data))[-1]
    disk_of(log).write_bytes(segment.log_path, data[:position])
    return last.base_offset


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_segment_is_cut_off_where_the_one_before_lost_its_end(number: int) -> None:
    disk = SimulatedDisk()
    log = filled_log(disk)
    end = lose_the_end_of(log, number)
    log = open_at(disk, CONFIG, clean=False, recovery_point=log.segments[number].base_offset)
    assert [record.offset for record in read_all(log)] == list(range(end))
    assert log.log_end_offset == end
    assert append(log, batch(2)) == [end]


@pytest.mark.parametrize("recovery_point", ["behind it", "unknown"])
def test_a_hole_is_left_where_it_may_be_what_compaction_left(recovery_point: str) -> None:
    """As Apache Kafka leaves them between segments: there what was flushed is not doubted."""
    disk = SimulatedDisk()
    log = filled_log(disk)
    end, lost = log.log_end_offset, log.segments[1].base_offset
    gone = lose_the_end_of(log, 0)
    log = open_at(disk, CONFIG, clean=False, recovery_point=lost if recovery_point == "behind it" else None)
    assert [record.offset for record in read_all(log)] == [*range(gone), *range(lost, end)]


def test_what_a_leader_has_compacted_is_no_hole_in_a_copy() -> None:
    """Offsets are missing in the middle of segments only."""
    disk = SimulatedDisk()
    log = open_at(disk, CONFIG)
    for offset in range(0, 300, 10):
        copied = batch(2, base_offset=offset, leader_epoch=0)
        log.append_as_follower(copied, 0, logs.NOW_MS)
    assert len(log.segments) > 4
    assert all(
        before.end_offset() == after.base_offset
        for before, after in zip(list(log.segments), list(log.segments)[1:], strict=False)
    )
    expected = read_all(log)
    assert [record.offset for record in expected[:4]] == [0, 1, 10, 11]
    assert read_all(open_at(disk, CONFIG, clean=False)) == expected


class Rewritten:
    """A follower's log that is cut and goes on otherwise, without a flush: twice, the second time deeper."""

    CUTS = (40, 20, 7)

    def __init__(self, disk: SimulatedDisk) -> None:
        self.disk = disk
        self.histories: list[dict[int, int]] = [{}]
        """Epochs by offset, of all that the log may have been"""
        self.recovery_point = self.safe = 0

    def run(self) -> None:
        log = open_at(self.disk, CONFIG, clean=True)
        self.fill(log, 0, epoch=1)
        log.flush()
        self.recovery_point = self.safe = log.recovery_point
        for epoch, cut in enumerate(self.CUTS, 2):
            self.safe = min(self.safe, cut)
            log.truncate_to(cut, logs.NOW_MS)
            self.recovery_point = min(self.recovery_point, log.recovery_point)
            self.histories.append({at: was for at, was in self.histories[-1].items() if at < cut})
            self.fill(log, cut, epoch)

    def fill(self, log: Log, offset: int, epoch: int) -> None:
        for at in range(offset, 60):
            self.histories[-1][at] = epoch
            copied = batch(base_offset=at, leader_epoch=epoch, timestamp=1_000 + at)
            log.append_as_follower(copied, epoch, logs.NOW_MS)

    def check(self, log: Log) -> None:
        found = [
            (header.base_offset, header.leader_epoch)
            for segment in log.segments
            for _, header in iter_headers(segment.file.pread(segment.size, 0))
        ]
        assert [offset for offset, _ in found] == list(range(log.log_end_offset))
        assert log.log_end_offset >= self.safe
        assert any(set(found) <= set(history.items()) for history in self.histories)
        assert all(log.leader_epochs.epoch_for(offset) == epoch for offset, epoch in found)
        check_indexes(log)


@pytest.mark.parametrize("part", range(4))
def test_nothing_that_was_cut_off_comes_back_behind_what_took_its_place(part: int) -> None:
    for step in range(part, steps_of(lambda disk: Rewritten(disk).run()), 4):
        disk = SimulatedDisk(step)
        disk.power_loss_at = step
        life = Rewritten(disk)
        with suppress(PowerLossError):
            life.run()
        disk.lose_power()
        disk.restart()
        log = open_at(disk, CONFIG, clean=False, recovery_point=life.recovery_point)
        life.check(log)
        # What recovery cut off stays away, too.
        end, life.recovery_point = log.log_end_offset, log.recovery_point
        history = life.histories[-1] = {
            header.base_offset: header.leader_epoch
            for segment in log.segments
            for _, header in iter_headers(segment.file.pread(segment.size, 0))
        }
        life.histories = [history]
        life.fill(log, end, epoch=9)
        disk.lose_power()
        disk.restart()
        log = open_at(disk, CONFIG, clean=False, recovery_point=life.recovery_point)
        life.check(log)


def test_a_truncation_cut_short_leaves_a_sound_log() -> None:
    def live(disk: SimulatedDisk) -> None:
        log = filled_log(disk)
        log.truncate_to(11, logs.NOW_MS)
        append(log, batch(1, 7_000))
        log.close()

    for step in range(steps_of(filled_log), steps_of(live)):
        disk = SimulatedDisk(step)
        disk.power_loss_at = step
        with suppress(PowerLossError):
            live(disk)
        disk.lose_power()
        disk.restart()
        log = open_at(disk, CONFIG, clean=False, recovery_point=10)
        found = read_all(log)
        assert [record.offset for record in found[:10]] == list(range(10))
        assert log.log_end_offset >= 10
        check_indexes(log)


@pytest.mark.parametrize("at_once", [False, True])
def test_what_a_clean_stop_synced_outlives_a_power_loss(at_once: bool) -> None:
    for seed in range(20):
        disk = SimulatedDisk(seed)
        log = open_at(disk, CONFIG)
        append(log, *(batch(2, 1_000 + number) for number in range(17)))
        if at_once:
            others = [open_at(disk, CONFIG, directory=f"/data/u-{number}") for number in range(40)]
            assert close_logs(disk, [log, *others]) == []
        else:
            log.close()
        assert log.recovery_point == 34
        disk.lose_power()
        disk.restart()
        log = open_at(disk, CONFIG, clean=True)
        assert [record.offset for record in read_all(log)] == list(range(34))
        assert log.leader_epochs.entries == ((0, 0),)
        check_indexes(log)


def test_indexes_that_recovery_rebuilt_are_synced_before_they_are_relied_on() -> None:
    """Else a torn time index makes a segment look old, and retention takes it away."""
    config = small_segments(retention_ms=10_000)
    for seed in range(30):
        disk = SimulatedDisk(seed)
        log = open_at(disk, config, clean=False)
        while len(log.local.segments) < 2:
            append(log, batch(2, logs.NOW_MS))
        recovery_point = log.local.active.base_offset
        log.flush()
        disk.lose_power()
        disk.restart()
        log = open_at(disk, config, clean=False, recovery_point=recovery_point)
        append(log, batch(2, logs.NOW_MS))
        log.flush()
        disk.lose_power()
        disk.restart()
        log = open_at(disk, config, clean=False, recovery_point=log.recovery_point)
        check_indexes(log)
        assert [segment.largest_timestamp() for segment in log.local.segments] == [logs.NOW_MS + 1] * 2
        log.update_high_watermark(log.log_end_offset)
        assert log.apply_retention(logs.NOW_MS) == 0


@pytest.mark.parametrize("kind", [INDEX, TIMEINDEX])
def test_an_index_that_did_not_read_is_rebuilt_for_good(kind: str) -> None:
    for seed in range(20):
        disk = SimulatedDisk(seed)
        log = open_at(disk, CONFIG)
        append(log, *(batch(2, 1_000 + number) for number in range(17)))
        log.close()
        disk.write_bytes(f"{DIRECTORY}/{0:020}{kind}", b"damaged")
        disk.sync_all()
        log = open_at(disk, CONFIG, clean=True)
        expected = log.local.segments.first.position_of(3), log.local.segments.first.max_timestamp
        disk.lose_power()
        disk.restart()
        log = open_at(disk, CONFIG, clean=False, recovery_point=log.recovery_point)
        found = log.local.segments.first.position_of(3), log.local.segments.first.max_timestamp
        assert found == expected
