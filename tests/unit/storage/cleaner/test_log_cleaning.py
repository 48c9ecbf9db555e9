"""The cleaner on a real log: while it is appended to, across reopening, and in a worker thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.unit.storage.logs import append_one, cleaner_settings, environment_of

from ottla.config.broker import broker_config
from ottla.config.topic import TopicConfig, topic_config
from ottla.records.batch import ATTRIBUTES, BatchHeader, iter_headers, parse_header
from ottla.records.codec import ControlType, Record, decode_batch, encode_batch, encode_end_transaction_marker
from ottla.storage.cleaner.cleaning import CleanedGroup, CleaningFinished, CleaningProgress, clean
from ottla.storage.cleaner.policy import CleaningPlan, cleaning_facts, plan_cleaning
from ottla.storage.fs import OsFileSystem
from ottla.storage.lifecycle import open_log
from ottla.storage.log import Log

NOW_MS = 1_000_000
ENVIRONMENT = environment_of(OsFileSystem())
CONFIG: TopicConfig = topic_config({"cleanup.policy": "compact", "delete.retention.ms": "0"}, broker_config())
PRODUCER = {"producer_id": 1, "producer_epoch": 0}


def open_at(directory: Path, *, clean_stop: bool = True) -> Log:
    return open_log(str(directory / "t-0"), "t-0", CONFIG, ENVIRONMENT, clean=clean_stop, now_ms=NOW_MS)


def append(log: Log, *pairs: tuple[bytes, bytes | None], **options: int | bool) -> int:
    records = [Record(i, NOW_MS, key, value) for i, (key, value) in enumerate(pairs)]
    batch = encode_batch(records, **options)  # type: ignore[arg-type]
    return append_one(log, batch, now_ms=NOW_MS)[0]


def abort(log: Log) -> None:
    batch = encode_end_transaction_marker(
        ControlType.abort,
        base_offset=0,
        timestamp=NOW_MS,
        producer_id=1,
        producer_epoch=0,
        coordinator_epoch=0,
    )
    log.append(parse_header(batch), memoryview(batch)[ATTRIBUTES:], 0, NOW_MS, from_client=False)


def contents(log: Log) -> list[tuple[BatchHeader, list[tuple[int, bytes | None, bytes | None]]]]:
    found = []
    offset = log.log_start_offset
    while offset < log.log_end_offset:
        read = bytes(log.read(offset, 1 << 20, log.log_end_offset).records)
        if not read:
            break
        for pos, header in iter_headers(read):
            records = decode_batch(read[pos : pos + header.size], max_bytes=1 << 20)
            found.append((header, [(r.offset, r.key, r.value) for r in records]))
            offset = header.next_offset
    return found


def records(log: Log) -> dict[int, tuple[bytes | None, bytes | None]]:
    return {o: (key, value) for header, rs in contents(log) if not header.is_control for o, key, value in rs}


def replace(log: Log, group: CleanedGroup, plan: CleaningPlan) -> bool:
    return log.replace_segments(group.new_base_offsets, group.old_base_offsets, plan.facts.generation, NOW_MS)


def clean_log(log: Log, first_dirty: int | None = None) -> int:
    log.advance_high_watermark(log.log_end_offset)
    plan = plan_cleaning(cleaning_facts(log), first_dirty, NOW_MS)
    for step in clean(OsFileSystem(), plan, cleaner_settings(), NOW_MS):
        if isinstance(step, CleanedGroup):
            replace(log, step, plan)
        elif isinstance(step, CleaningFinished):
            first_dirty = step.next_dirty_offset
    assert first_dirty is not None
    return first_dirty


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = open_at(tmp_path)
    append(log, (b"a", b"1"), (b"b", b"1"), base_sequence=0, **PRODUCER)
    append(log, (b"a", b"2"))
    log.roll(NOW_MS)
    append(log, (b"c", b"aborted"), base_sequence=2, is_transactional=True, **PRODUCER)
    abort(log)
    append(log, (b"b", b"2"))
    log.roll(NOW_MS)
    append(log, (b"a", b"active"))
    return log


NEWEST = {2: (b"a", b"2"), 5: (b"b", b"2"), 6: (b"a", b"active")}


def test_readers_see_the_cleaned_log_at_unchanged_offsets(log: Log, tmp_path: Path) -> None:
    assert (tmp_path / "t-0" / f"{3:020d}.snapshot").exists()
    assert clean_log(log) == 6
    assert records(log) == NEWEST
    assert [segment.base_offset for segment in log.segments] == [0, 6]
    assert sorted(path.name for path in tmp_path.glob("t-0/*.snapshot")) == [f"{6:020d}.snapshot"]
    assert log.log_end_offset == 7
    assert append(log, (b"d", b"1")) == 7


def test_it_opens_again_the_same_after_a_clean_stop_and_after_a_crash(log: Log, tmp_path: Path) -> None:
    clean_log(log)
    expected = contents(log)
    producers = log.producer_state.describe()
    log.close()
    for clean_stop in (True, False):
        log = open_at(tmp_path, clean_stop=clean_stop)
        assert contents(log) == expected
        assert log.producer_state.describe() == producers
        assert log.log_end_offset == 7
        log.close()


def test_no_crash_takes_what_compaction_left_for_a_loss(tmp_path: Path) -> None:
    """Also where the last records of segments went."""
    config = CONFIG._replace(segment_bytes=150)
    log = open_log(str(tmp_path / "t-0"), "t-0", config, ENVIRONMENT, clean=True, now_ms=NOW_MS)
    for number in range(20):
        append(log, (b"kept-%d" % number, b"1"))
        append(log, (b"replaced", b"%d" % number))
    clean_log(log)
    expected = contents(log)
    assert {o for o, (key, _) in records(log).items() if key == b"replaced"} == {37, 39}
    assert len(log.segments) > 5
    assert sum(header.record_count == 0 for header, _ in expected) > 5
    log.close()
    log = open_log(
        str(tmp_path / "t-0"), "t-0", config, ENVIRONMENT, clean=False, recovery_point=0, now_ms=NOW_MS
    )
    assert contents(log) == expected


def test_the_producer_goes_on_with_its_sequence(log: Log) -> None:
    clean_log(log)
    assert append(log, (b"x", b"1"), base_sequence=3, is_transactional=True, **PRODUCER) == 7
    abort(log)
    read = log.read(0, 1 << 20, log.log_end_offset)
    assert [txn.first_offset for txn in log.aborted_transactions(0, read)][:1] == [3]


def test_the_newest_timestamp_is_one_of_a_record_that_is_left(tmp_path: Path) -> None:
    log = open_at(tmp_path)
    records = [Record(i, NOW_MS + at, key, b"1") for i, (key, at) in enumerate(((b"a", 9), (b"b", 3)))]
    batch = encode_batch(records)
    log.append(parse_header(batch), memoryview(batch)[ATTRIBUTES:], 0, NOW_MS)
    append(log, (b"a", b"2"))
    log.roll(NOW_MS)
    append(log, (b"c", b"active"))
    newest = log.max_timestamp_offset()
    assert newest is not None
    assert (newest.timestamp, newest.offset) == (NOW_MS + 9, 0)
    clean_log(log)
    for _ in range(2):
        newest = log.max_timestamp_offset()
        assert newest is not None
        assert (newest.timestamp, newest.offset) == (NOW_MS + 3, 1)
        found = log.offset_for_timestamp(NOW_MS + 1)
        assert found is not None
        assert found.offset == 1
        assert log.offset_for_timestamp(NOW_MS + 4) is None
        log.close()
        log = open_at(tmp_path)


@pytest.mark.parametrize("first_dirty", [2, 3])
def test_only_what_is_dirty_is_read_for_its_keys(tmp_path: Path, first_dirty: int) -> None:
    log = open_at(tmp_path)
    for number in range(6):
        append(log, (b"k", b"%d" % number))
        log.roll(NOW_MS)
    log.advance_high_watermark(log.log_end_offset)
    plan = plan_cleaning(cleaning_facts(log), first_dirty, NOW_MS)
    steps = list(clean(OsFileSystem(), plan, cleaner_settings(), NOW_MS))
    read = [step.bytes_read for step in steps if isinstance(step, CleaningProgress)]
    sizes = [segment.size for segment in log.segments]
    assert sum(read) == sum(sizes[first_dirty:]) + sum(sizes), "once for the keys, once to be filtered"


def test_nothing_to_clean_leaves_everything(log: Log) -> None:
    checkpoint = clean_log(log)
    before = contents(log)
    assert clean_log(log, checkpoint) == checkpoint
    assert contents(log) == before


def test_appends_and_reads_go_on_while_a_worker_cleans(log: Log) -> None:
    log.advance_high_watermark(log.log_end_offset)
    plan = plan_cleaning(cleaning_facts(log), None, NOW_MS)
    steps = clean(OsFileSystem(), plan, cleaner_settings(io_buffer_size=64), NOW_MS)
    with ThreadPoolExecutor(1) as worker:
        while (step := worker.submit(next, steps, None).result()) is not None:
            append(log, (b"during", b"1"))
            assert records(log)[5] == (b"b", b"2")
            if isinstance(step, CleanedGroup):
                log.replace_segments(
                    step.new_base_offsets, step.old_base_offsets, plan.facts.generation, NOW_MS
                )
    left = records(log)
    assert {offset: left[offset] for offset in NEWEST} == NEWEST
    assert all(left[offset] == (b"during", b"1") for offset in range(7, log.log_end_offset))


def test_records_deleted_while_a_worker_cleans_stay_deleted(log: Log, tmp_path: Path) -> None:
    log.advance_high_watermark(log.log_end_offset)
    plan = plan_cleaning(cleaning_facts(log), None, NOW_MS)
    steps = list(clean(OsFileSystem(), plan, cleaner_settings(), NOW_MS))
    (group,) = (step for step in steps if isinstance(step, CleanedGroup))
    log.truncate_to(3, NOW_MS)
    assert not log.replace_segments(
        group.new_base_offsets, group.old_base_offsets, plan.facts.generation, NOW_MS
    )
    assert records(log) == {0: (b"a", b"1"), 1: (b"b", b"1"), 2: (b"a", b"2")}
    assert not list((tmp_path / "t-0").glob("*.cleaned"))


def test_it_goes_on_where_it_stopped(log: Log) -> None:
    checkpoint = clean_log(log)
    append(log, (b"b", b"3"))
    log.roll(NOW_MS)
    assert clean_log(log, checkpoint) == 8
    assert records(log) == {6: (b"a", b"active"), 7: (b"b", b"3")}


def test_a_cleaned_segment_keeps_its_indexes(tmp_path: Path) -> None:
    log = open_at(tmp_path)
    for number in range(200):
        append(log, (b"%d" % number, b"x" * 500))
    log.roll(NOW_MS)
    clean_log(log)
    assert records(log).keys() == set(range(200))
    for offset in (0, 57, 199):
        (first, _), *_ = iter_headers(bytes(log.read(offset, 1, log.log_end_offset).records))
        assert first == 0
    found = log.offset_for_timestamp(NOW_MS)
    assert found is not None
    assert found.offset == 0
