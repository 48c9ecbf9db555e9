"""Compaction over segments on disk: what stays, byte for byte, and what never changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.storage.logs import cleaner_settings

from ottla.config.broker import broker_config
from ottla.config.topic import topic_config
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import BatchHeader, has_valid_crc, iter_headers
from ottla.records.codec import ControlType, Record, decode_batch, encode_batch, encode_end_transaction_marker
from ottla.records.compression import Codec
from ottla.records.markers import parse_control_marker
from ottla.storage.cleaner.cleaning import CleanedGroup, CleanerSettings, CleaningFinished, clean
from ottla.storage.cleaner.policy import CleaningFacts, SegmentFacts, plan_cleaning
from ottla.storage.fs import OsFileSystem
from ottla.storage.local.txn_index import AbortedTxn, TransactionIndex, decode_aborted
from ottla.storage.names import CLEANED, INDEX, LOG, TIMEINDEX, TXNINDEX
from ottla.storage.producer_state import ProducerState

DELETE_RETENTION_MS = 100
NOW_MS = 10_000
LIMIT = 1 << 20
SETTINGS = cleaner_settings(io_buffer_size=256)


@dataclass
class Segments:
    """A log of whole segments in a folder; `cut` closes the active one."""

    directory: Path
    bases: list[int] = field(default_factory=lambda: [0])
    end: int = 0
    next_dirty: int | None = None
    producers: ProducerState = field(default_factory=lambda: ProducerState("t-0"))
    high_watermark: int | None = None
    segment_bytes: int = 1 << 30

    def path(self, base_offset: int, suffix: str = LOG) -> Path:
        return self.directory / f"{base_offset:020d}{suffix}"

    def write(self, batch: bytes) -> None:
        with self.path(self.bases[-1]).open("ab") as file:
            file.write(batch)
        ((_, header),) = iter_headers(batch)
        self.end = header.next_offset
        marker = parse_control_marker(header, batch) if header.is_control else None
        completed = self.producers.replay(header, marker)
        if completed is not None and completed.is_aborted:
            index = TransactionIndex(OsFileSystem(), str(self.path(self.bases[-1], TXNINDEX)))
            index.append(AbortedTxn(*completed[:4]))

    def append(self, *pairs: tuple[str, str | None], timestamp: int = 1, **options: int | bool) -> None:
        records = [
            Record(self.end + i, timestamp, key.encode(), None if value is None else value.encode())
            for i, (key, value) in enumerate(pairs)
        ]
        self.write(encode_batch(records, base_offset=self.end, **options))  # type: ignore[arg-type]

    def end_transaction(self, kind: ControlType, producer_id: int) -> None:
        self.write(
            encode_end_transaction_marker(
                kind,
                base_offset=self.end,
                timestamp=1,
                producer_id=producer_id,
                producer_epoch=0,
                coordinator_epoch=0,
            )
        )

    def cut(self) -> None:
        self.path(self.bases[-1]).touch()
        if self.end > self.bases[-1]:
            self.bases.append(self.end)
            self.path(self.end).touch()

    def facts(self) -> CleaningFacts:
        high_watermark = self.end if self.high_watermark is None else self.high_watermark
        overrides = {
            "cleanup.policy": "compact",
            "delete.retention.ms": str(DELETE_RETENTION_MS),
            "min.cleanable.dirty.ratio": "0",
        }
        return CleaningFacts(
            directory=str(self.directory),
            generation=0,
            segments=tuple(SegmentFacts(b, self.path(b).stat().st_size, 5, 1, 1) for b in self.bases[:-1]),
            active_base_offset=self.bases[-1],
            log_start_offset=0,
            log_end_offset=self.end,
            high_watermark=high_watermark,
            last_stable_offset=min(high_watermark, self.producers.first_undecided_offset or high_watermark),
            last_records=self.producers.last_records(),
            config=topic_config(overrides, broker_config())._replace(segment_bytes=self.segment_bytes),
        )

    def clean(self, now_ms: int = NOW_MS, settings: CleanerSettings = SETTINGS) -> None:
        plan = plan_cleaning(self.facts(), self.next_dirty, now_ms)
        for step in clean(OsFileSystem(), plan, settings, now_ms):
            if isinstance(step, CleanedGroup):
                self.swap(step)
            elif isinstance(step, CleaningFinished):
                self.next_dirty = step.next_dirty_offset

    def swap(self, group: CleanedGroup) -> None:
        assert group.bytes_before == sum(self.path(b).stat().st_size for b in group.old_base_offsets)
        for base_offset in group.old_base_offsets:
            self.path(base_offset).unlink()
            self.path(base_offset, TXNINDEX).unlink(missing_ok=True)
        for base_offset in group.new_base_offsets:
            for suffix in (LOG, INDEX, TIMEINDEX):
                self.path(base_offset, suffix + CLEANED).rename(self.path(base_offset, suffix))
            if self.path(base_offset, TXNINDEX + CLEANED).exists():
                self.path(base_offset, TXNINDEX + CLEANED).rename(self.path(base_offset, TXNINDEX))
        assert group.bytes_after == sum(self.path(b).stat().st_size for b in group.new_base_offsets)
        self.bases = sorted({*self.bases} - {*group.old_base_offsets} | {*group.new_base_offsets})

    def batches(self) -> list[tuple[BatchHeader, bytes]]:
        found = []
        for base_offset in self.bases:
            data = self.path(base_offset).read_bytes()
            for pos, header in iter_headers(data, allow_partial=False):
                assert has_valid_crc(data, header, pos)
                found.append((header, data[pos : pos + header.size]))
        return found

    def records(self) -> list[Record]:
        """The data records that are left."""
        return [
            record
            for header, batch in self.batches()
            if not header.is_control
            for record in decode_batch(batch, max_bytes=LIMIT)
        ]

    def left(self) -> dict[int, tuple[str, str | None]]:
        return {
            r.offset: ((r.key or b"").decode(), None if r.value is None else r.value.decode())
            for r in self.records()
        }

    def aborted(self) -> list[AbortedTxn]:
        paths = (self.path(base_offset, TXNINDEX) for base_offset in self.bases)
        return [txn for path in paths if path.exists() for txn in decode_aborted(path.read_bytes())]

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.directory.iterdir())}


@pytest.fixture
def log(tmp_path: Path) -> Segments:
    return Segments(tmp_path)


class TestKeys:
    def test_each_key_keeps_its_newest_record(self, log: Segments) -> None:
        log.append(("a", "1"), ("b", "1"), ("a", "2"))
        log.cut()
        log.append(("c", "1"), ("a", "3"))
        log.cut()
        log.clean()
        assert log.left() == {1: ("b", "1"), 3: ("c", "1"), 4: ("a", "3")}
        assert log.next_dirty == 5

    def test_the_active_segment_neither_changes_nor_counts(self, log: Segments) -> None:
        log.append(("a", "1"))
        log.cut()
        log.append(("a", "2"))
        log.clean()
        assert log.left() == {0: ("a", "1"), 1: ("a", "2")}

    def test_records_above_the_high_watermark_do_not_count(self, log: Segments) -> None:
        log.append(("a", "1"))
        log.cut()
        log.append(("a", "2"))
        log.cut()
        log.high_watermark = 1
        log.clean()
        assert log.left() == {0: ("a", "1"), 1: ("a", "2")}

    def test_a_newer_dirty_record_removes_a_clean_one(self, log: Segments) -> None:
        log.append(("a", "1"), ("b", "1"))
        log.cut()
        log.clean()
        log.append(("b", "2"))
        log.cut()
        log.clean()
        assert log.left() == {0: ("a", "1"), 2: ("b", "2")}

    @pytest.mark.parametrize("codec", list(Codec))
    @pytest.mark.parametrize("timestamp_type", [0, 1])
    def test_a_thinned_batch_keeps_all_but_the_records(
        self, log: Segments, codec: Codec, timestamp_type: int
    ) -> None:
        options = {"codec": codec, "timestamp_type": timestamp_type, "leader_epoch": 4, "base_sequence": 7}
        log.append(("a", "x" * 300), ("b", "y" * 300), ("a", "z"), producer_id=9, producer_epoch=2, **options)
        (before, _), *_ = log.batches()
        log.cut()
        log.append(("a", "newest"))
        log.cut()
        log.clean()
        (after, batch), *_ = log.batches()
        kept = {"batch_length": after.batch_length, "crc": after.crc, "record_count": 1}
        assert after == before._replace(**kept)
        (record,) = decode_batch(batch, max_bytes=LIMIT)
        assert record == Record(1, 1, b"b", b"y" * 300, ())

    def test_an_untouched_batch_keeps_its_very_bytes(self, log: Segments) -> None:
        log.append(("a", "1"), ("b", "1"), codec=Codec.zstd)
        before = log.path(0).read_bytes()
        log.cut()
        log.clean()
        assert log.path(0).read_bytes() == before

    def test_long_keys_are_told_apart(self, log: Segments) -> None:
        long = "k" * 40
        log.append((long + "1", "1"), (long + "2", "1"), (long + "1", "2"))
        log.cut()
        log.clean()
        assert log.left() == {1: (long + "2", "1"), 2: (long + "1", "2")}


class TestTombstones:
    def test_one_stays_for_its_time_and_then_goes(self, log: Segments) -> None:
        log.append(("a", "1"), ("b", "1"), ("a", None))
        log.cut()
        log.append(("z", "1"))
        log.cut()
        log.clean(NOW_MS)
        assert log.left() == {1: ("b", "1"), 2: ("a", None), 3: ("z", "1")}
        assert log.batches()[0][0].delete_horizon_ms == NOW_MS + DELETE_RETENTION_MS
        assert [r.timestamp for r in log.records()] == [1, 1, 1]
        for now_ms, is_kept in (
            (NOW_MS + DELETE_RETENTION_MS - 1, True),
            (NOW_MS + DELETE_RETENTION_MS, False),
        ):
            log.append(("z", "1"))
            log.cut()
            log.clean(now_ms)
            assert (2 in log.left()) is is_kept
        assert log.batches()[0][0].delete_horizon_ms == NOW_MS + DELETE_RETENTION_MS


class TestTransactions:
    def test_aborted_records_go_and_the_marker_follows_later(self, log: Segments) -> None:
        log.append(("a", "committed"))
        log.append(("a", "aborted"), producer_id=1, producer_epoch=0, base_sequence=0, is_transactional=True)
        log.end_transaction(ControlType.abort, 1)
        log.append(("b", "2"), producer_id=1, producer_epoch=0, base_sequence=1, is_transactional=True)
        log.end_transaction(ControlType.commit, 1)
        log.append(("z", "1"))
        log.cut()
        log.clean(NOW_MS)
        assert log.left() == {0: ("a", "committed"), 3: ("b", "2"), 5: ("z", "1")}
        # The marker was still needed when this cleaning began, so its horizon is only set by the next one.
        assert [h.base_offset for h, _ in log.batches()] == [0, 2, 3, 4, 5]
        assert log.aborted() == [AbortedTxn(1, 1, 2, 3)]
        log.append(("z", "2"))
        log.cut()
        log.clean(NOW_MS)
        assert log.batches()[1][0].delete_horizon_ms == NOW_MS + DELETE_RETENTION_MS
        assert log.aborted() == []
        log.append(("z", "3"))
        log.cut()
        log.clean(NOW_MS + DELETE_RETENTION_MS)
        assert [h.base_offset for h, _ in log.batches() if h.is_control] == [4]
        assert log.left() == {0: ("a", "committed"), 3: ("b", "2"), 7: ("z", "3")}

    def test_a_commit_marker_stays_while_records_of_its_transaction_do(self, log: Segments) -> None:
        log.append(("a", "1"), producer_id=1, producer_epoch=0, base_sequence=0, is_transactional=True)
        log.end_transaction(ControlType.commit, 1)
        for now_ms in (NOW_MS, NOW_MS * 2, NOW_MS * 3):
            log.append(("z", "1"))
            log.cut()
            log.clean(now_ms)
        assert [h.base_offset for h, _ in log.batches() if h.is_control] == [1]

    def test_an_abort_beyond_the_cleaned_segments_is_known(self, log: Segments) -> None:
        log.append(("a", "aborted"), producer_id=1, producer_epoch=0, base_sequence=0, is_transactional=True)
        log.append(("b", "aborted"), producer_id=1, producer_epoch=0, base_sequence=1, is_transactional=True)
        log.cut()
        log.end_transaction(ControlType.abort, 1)
        log.clean()
        assert log.left() == {}
        assert log.aborted() == [AbortedTxn(1, 0, 2, 3)]

    def test_an_open_transaction_stops_the_cleaner(self, log: Segments) -> None:
        log.append(("a", "1"))
        log.append(("a", "2"), producer_id=1, producer_epoch=0, base_sequence=0, is_transactional=True)
        log.cut()
        before = log.files()
        log.clean()
        assert log.files() == before


class TestProducers:
    def test_the_last_batch_of_a_known_producer_stays_empty(self, log: Segments) -> None:
        log.append(("a", "1"), ("b", "1"), producer_id=1, producer_epoch=0, base_sequence=0, codec=Codec.gzip)
        log.append(("a", "2"), ("b", "2"), producer_id=1, producer_epoch=0, base_sequence=2, codec=Codec.gzip)
        log.append(("a", "3"), ("b", "3"))
        log.cut()
        log.clean()
        (empty, batch), (rest, _) = log.batches()
        assert (empty.base_offset, empty.last_offset, empty.base_sequence, empty.last_sequence) == (
            2,
            3,
            2,
            3,
        )
        assert (empty.record_count, empty.codec, empty.max_timestamp, len(batch)) == (0, 0, 1, 61)
        assert rest.base_offset == 4
        rebuilt = ProducerState("t-0")
        for header, _ in log.batches():
            rebuilt.replay(header, None)
        assert rebuilt.describe() == log.producers.describe()

    def test_it_goes_with_the_producer(self, log: Segments) -> None:
        log.append(("a", "1"), producer_id=1, producer_epoch=0, base_sequence=0)
        log.append(("a", "2"))
        log.cut()
        log.producers.clear(log.end)
        log.clean()
        assert [header.base_offset for header, _ in log.batches()] == [1]


class TestSegments:
    def test_small_neighbours_become_one_with_the_newest_ones_age(self, log: Segments) -> None:
        for value in range(5):
            log.append(("a", str(value)), (f"b{value}", "1"))
            log.cut()
        log.clean()
        assert log.bases == [0, 10]
        assert log.path(0).stat().st_mtime_ns == 5_000_000

    def test_an_aborted_transaction_at_its_end_leaves_its_offset(self, log: Segments) -> None:
        log.append(("a", "1"), producer_id=1, producer_epoch=0, base_sequence=0, is_transactional=True)
        log.end_transaction(ControlType.abort, 1)
        log.producers.clear(log.end)
        log.cut()
        log.clean(NOW_MS)
        log.clean(NOW_MS * 2)
        assert [header.next_offset for header, _ in log.batches()] == [log.end]

    def test_a_segment_that_becomes_empty_still_says_where_it_ends(self, log: Segments) -> None:
        log.segment_bytes = 1
        log.append(("a", "1"))
        log.append(("a", "2"), producer_id=1, producer_epoch=0, base_sequence=0, leader_epoch=3)
        log.cut()
        log.append(("a", "3"))
        log.cut()
        log.producers.clear(log.end)
        for _ in range(2):
            log.clean()
            assert [log.path(base_offset).stat().st_size for base_offset in log.bases[:2]] == [61, 70]
            ((empty, _), *_) = log.batches()
            assert (empty.base_offset, empty.leader_epoch, empty.producer_id) == (1, 3, -1)
            log.append(("z", "1"))
            log.cut()

    @pytest.mark.parametrize("buffer_size", [0, 100])
    def test_a_batch_larger_than_the_buffer_is_read_whole(self, log: Segments, buffer_size: int) -> None:
        log.append(("a", "x" * 5000), ("b", "y" * 5000))
        log.append(("a", "1"))
        log.cut()
        log.clean(settings=cleaner_settings(io_buffer_size=buffer_size))
        assert sorted(log.left()) == [1, 2]

    def test_little_memory_means_several_cleanings(self, log: Segments) -> None:
        for round_ in range(3):
            for key in range(8):
                log.append((f"key{key}", str(round_)))
            log.cut()
        seen = []
        while log.next_dirty != log.end:
            log.clean(settings=cleaner_settings(dedupe_buffer_size=1200, io_buffer_size=256))
            seen.append(log.next_dirty)
            assert seen == sorted(set(seen)), "each cleaning gets on"
        assert len(seen) > 1
        assert log.left() == {16 + key: (f"key{key}", "2") for key in range(8)}

    def test_only_a_share_of_the_memory_may_fill(self, log: Segments) -> None:
        for key in range(8):
            log.append((f"key{key}", "1"))
        log.cut()
        log.clean(settings=cleaner_settings(dedupe_buffer_size=10_000, dedupe_buffer_load_factor=0.01))
        assert log.next_dirty is not None
        assert 0 < log.next_dirty < log.end
        log.clean(settings=cleaner_settings(dedupe_buffer_size=10_000))
        assert log.next_dirty == log.end

    @pytest.mark.parametrize("position", [8, 16, 40, 70])
    def test_a_damaged_segment_is_reported_and_left_alone(self, log: Segments, position: int) -> None:
        log.append(("a", "1"), ("a", "2"))
        log.cut()
        data = bytearray(log.path(0).read_bytes())
        data[position] ^= 0x55
        log.path(0).write_bytes(data)
        before = log.files()
        with pytest.raises(KafkaError) as raised:
            log.clean()
        assert raised.value.code is ErrorCode.corrupt_message
        assert log.files() == before

    def test_stopping_half_way_leaves_nothing_behind(self, log: Segments) -> None:
        log.append(("a", "1"), producer_id=1, producer_epoch=0, base_sequence=0, is_transactional=True)
        log.end_transaction(ControlType.abort, 1)
        for value in range(20):
            log.append(("a", str(value)))
        log.cut()
        before = log.files()
        plan = plan_cleaning(log.facts(), None, NOW_MS)
        count = sum(1 for _ in clean(OsFileSystem(), plan, SETTINGS, NOW_MS))
        for name in set(log.files()) - set(before):
            (log.directory / name).unlink()
        for stop in range(count - 2):  # the last two are the finished group and the end
            steps = clean(OsFileSystem(), plan, SETTINGS, NOW_MS)
            for _ in range(stop + 1):
                next(steps)
            steps.close()
            assert log.files() == before

    def test_a_segment_that_retention_removed_is_not_recreated(self, log: Segments) -> None:
        log.append(("a", "1"))
        log.cut()
        plan = plan_cleaning(log.facts(), None, NOW_MS)
        log.path(0).unlink()
        before = log.files()
        with pytest.raises(FileNotFoundError):
            list(clean(OsFileSystem(), plan, SETTINGS, NOW_MS))
        assert log.files() == before


batch_strategy = st.tuples(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.one_of(st.none(), st.text("xy", max_size=3))),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(list(Codec)),
    st.integers(-1, 1),  # producer id
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.lists(batch_strategy, min_size=1, max_size=3), min_size=1, max_size=3),
        min_size=1,
        max_size=4,
    )
)
def test_the_log_keeps_exactly_the_newest_of_each_key(
    rounds: list[list[list[tuple[list[tuple[str, str | None]], Codec, int]]]],
) -> None:
    with TemporaryDirectory() as directory:
        log = Segments(Path(directory))
        history: list[tuple[int, str, str | None]] = []
        sequences = {0: 0, 1: 0}
        headers: dict[int, BatchHeader] = {}
        for segments in rounds:
            for batches in segments:
                for pairs, codec, producer_id in batches:
                    history += [(log.end + i, key, value) for i, (key, value) in enumerate(pairs)]
                    options: dict[str, int] = {}
                    if producer_id >= 0:
                        options = {"producer_id": producer_id, "producer_epoch": 0}
                        options["base_sequence"] = sequences[producer_id]
                        sequences[producer_id] += len(pairs)
                    log.append(*pairs, codec=codec, **options)
                log.cut()
            headers |= {h.base_offset: h for h, _ in log.batches() if h.base_offset not in headers}
            log.clean()  # always at the same time, so that tombstones stay
            newest = {key: (offset, value) for offset, key, value in history}
            assert log.left() == {offset: (key, value) for key, (offset, value) in newest.items()}
        for header, _ in log.batches():
            original = headers[header.base_offset]
            assert (header.last_offset, header.last_sequence) == (
                original.last_offset,
                original.last_sequence,
            )
        rebuilt = ProducerState("t-0")
        for header, _ in log.batches():
            rebuilt.replay(header, None)
        assert sorted(rebuilt.describe()) == sorted(log.producers.describe())
        # Cleaned again from the start it comes out the same; later without its tombstones.
        log.next_dirty = 0
        before = [batch for _, batch in log.batches()]
        log.clean()
        assert [batch for _, batch in log.batches()] == before
        log.next_dirty = 0
        log.clean(NOW_MS + DELETE_RETENTION_MS)
        assert log.left() == {o: (key, value) for key, (o, value) in newest.items() if value is not None}
