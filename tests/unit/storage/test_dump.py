"""Dumping files of a data folder: every kind, and damage anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ottla.records.codec import ControlType, Record, encode_batch, encode_end_transaction_marker
from ottla.records.markers import ControlMarker
from ottla.storage.dump import (
    AbortedFact,
    BatchFact,
    CheckpointFact,
    EpochFact,
    Fact,
    IndexFact,
    ProducerFact,
    Stopped,
    TimeIndexFact,
    UnknownFileError,
    dump,
)
from ottla.storage.fs import OsFileSystem
from ottla.storage.local.txn_index import AbortedTxn, encode_aborted
from ottla.storage.producer_snapshots import encode_snapshot
from ottla.storage.producer_state import BatchMetadata, ProducerEntry

BASE = "00000000000000000100"
RECORDS = (Record(100, 5, b"k", b"v" * 50, (("h", None),)), Record(101, 6, None, b"w"))
BATCH = encode_batch(RECORDS, base_offset=100, codec=1, leader_epoch=3)
MARKER = encode_end_transaction_marker(
    ControlType.abort, base_offset=102, timestamp=9, producer_id=1, producer_epoch=2, coordinator_epoch=4
)
LOG = BATCH + MARKER
# An offset and a time index that Apache Kafka 4.3 wrote for a segment with base offset 0.
KAFKA_INDEX = bytes.fromhex("000004af000479010000070700048f740000095f0004df4a00000bb7000504f9")
KAFKA_TIMEINDEX = bytes.fromhex(
    "000001a1facb725c000004af000001a1facb747100000707000001a1facb768d0000095f000001a1facb789900000bb7"
)


def facts(tmp_path: Path, name: str, data: bytes, *, with_records: bool = False) -> list[Fact]:
    (tmp_path / name).write_bytes(data)
    return list(dump(OsFileSystem(), str(tmp_path / name), with_records=with_records))


class TestSegment:
    def test_batches_with_their_records(self, tmp_path: Path) -> None:
        data, marker = facts(tmp_path, BASE + ".log", LOG, with_records=True)
        assert isinstance(data, BatchFact)
        assert isinstance(marker, BatchFact)
        assert (data.position, data.is_crc_valid, data.records, data.error) == (0, True, RECORDS, None)
        assert (data.header.base_offset, data.header.leader_epoch, data.marker) == (100, 3, None)
        assert (marker.position, marker.marker) == (len(BATCH), ControlMarker(False, 4, 9))

    def test_records_only_when_asked_for(self, tmp_path: Path) -> None:
        assert [f.records for f in facts(tmp_path, BASE + ".log", LOG) if isinstance(f, BatchFact)] == [
            None
        ] * 2

    @pytest.mark.parametrize("suffix", [".cleaned", ".swap", ".deleted"])
    def test_segments_in_between_states_read_alike(self, tmp_path: Path, suffix: str) -> None:
        assert len(facts(tmp_path, BASE + ".log" + suffix, LOG)) == 2

    def test_a_wrong_checksum_is_shown_and_reading_goes_on(self, tmp_path: Path) -> None:
        damaged = bytearray(LOG)
        damaged[len(BATCH) - 1] ^= 1
        data, marker = facts(tmp_path, BASE + ".log", bytes(damaged), with_records=True)
        assert isinstance(data, BatchFact)
        assert isinstance(marker, BatchFact)
        assert (data.is_crc_valid, data.records) == (False, None)
        assert data.error is not None
        assert marker.is_crc_valid

    @pytest.mark.parametrize("cut", [1, 40, 61, 77])
    def test_a_torn_end_is_told(self, tmp_path: Path, cut: int) -> None:
        data, stopped = facts(tmp_path, BASE + ".log", LOG[: len(BATCH) + cut])
        assert isinstance(data, BatchFact)
        assert isinstance(stopped, Stopped)
        assert stopped.position == len(BATCH)

    @pytest.mark.parametrize(
        ("at", "value", "reason"),
        [(16, b"\x01", "magic 1"), (8, b"\xff" * 4, "says it has 11 bytes"), (8, b"\x7f\xff", "cut off")],
    )
    def test_no_batch_is_told(self, tmp_path: Path, at: int, value: bytes, reason: str) -> None:
        damaged = LOG[: len(BATCH) + at] + value + LOG[len(BATCH) + at + len(value) :]
        _, stopped = facts(tmp_path, BASE + ".log", damaged)
        assert isinstance(stopped, Stopped)
        assert stopped.position == len(BATCH)
        assert reason in stopped.reason

    def test_batches_across_the_read_size(self, tmp_path: Path) -> None:
        large = encode_batch([Record(0, 0, None, b"x" * 700_000)])
        larger = encode_batch([Record(0, 0, None, b"x" * 2_500_000)])
        found = facts(tmp_path, BASE + ".log", large * 3 + larger + LOG, with_records=True)
        assert [type(fact) for fact in found] == [BatchFact] * 6
        assert all(isinstance(f, BatchFact) and f.is_crc_valid and f.records for f in found)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
    @given(st.integers(0, len(LOG) - 1), st.integers(1, 255), st.booleans())
    def test_any_damage_ends_in_facts(self, tmp_path: Path, at: int, flip: int, cut: bool) -> None:
        damaged = bytearray(LOG)
        damaged[at] ^= flip
        found = facts(
            tmp_path, BASE + ".log", bytes(damaged[: at + 1] if cut else damaged), with_records=True
        )
        assert all(isinstance(fact, BatchFact | Stopped) for fact in found)


class TestIndexes:
    def test_kafkas_offset_index(self, tmp_path: Path) -> None:
        found = facts(tmp_path, f"{0:020d}.index", KAFKA_INDEX)
        assert found == [
            IndexFact(1199, 293121),
            IndexFact(1799, 298868),
            IndexFact(2399, 319306),
            IndexFact(2999, 328953),
        ]

    def test_kafkas_time_index(self, tmp_path: Path) -> None:
        first, *_, last = facts(tmp_path, BASE + ".timeindex", KAFKA_TIMEINDEX)
        assert (first, last) == (
            TimeIndexFact(1795208999516, 100 + 1199),
            TimeIndexFact(1795209001113, 100 + 2999),
        )

    @pytest.mark.parametrize(("name", "index"), [(".index", KAFKA_INDEX), (".timeindex", KAFKA_TIMEINDEX)])
    def test_allocated_but_unused_room_is_passed_over(self, tmp_path: Path, name: str, index: bytes) -> None:
        assert len(facts(tmp_path, BASE + name, index + bytes(120))) == 4
        assert facts(tmp_path, BASE + name, bytes(120)) == []

    @pytest.mark.parametrize(("name", "index"), [(".index", KAFKA_INDEX), (".timeindex", KAFKA_TIMEINDEX)])
    def test_a_torn_entry_is_told(self, tmp_path: Path, name: str, index: bytes) -> None:
        *entries, stopped = facts(tmp_path, BASE + name, index[:-1])
        assert len(entries) == 3
        assert isinstance(stopped, Stopped)

    def test_aborted_transactions(self, tmp_path: Path) -> None:
        txn = AbortedTxn(1, 4, 7, 8)
        assert facts(tmp_path, BASE + ".txnindex", encode_aborted(txn)) == [AbortedFact(txn)]
        _, stopped = facts(tmp_path, BASE + ".txnindex", encode_aborted(txn) + b"\x00\x07" + bytes(40))
        assert isinstance(stopped, Stopped)
        assert (stopped.position, "version 7" in stopped.reason) == (34, True)


class TestWholeFiles:
    SNAPSHOT = encode_snapshot(
        [
            ProducerEntry(1, 2, 3, 99, 7, (BatchMetadata(4, 8, 0, 99),)),
            ProducerEntry(2, 0, 1, 50),
        ]
    )

    def test_a_snapshot(self, tmp_path: Path) -> None:
        assert facts(tmp_path, BASE + ".snapshot", self.SNAPSHOT) == [
            ProducerFact(1, 2, 3, 4, 8, 99, 7),
            ProducerFact(2, 0, 1, -1, -1, 50, -1),
        ]
        (stopped,) = facts(tmp_path, BASE + ".snapshot", self.SNAPSHOT[:-1])
        assert isinstance(stopped, Stopped)

    def test_checkpoints(self, tmp_path: Path) -> None:
        assert facts(tmp_path, "leader-epoch-checkpoint", b"0\n2\n0 0\n3 17\n") == [
            EpochFact(0, 0),
            EpochFact(3, 17),
        ]
        assert facts(tmp_path, "replication-offset-checkpoint", b"0\n1\nt 2 17\n") == [
            CheckpointFact("t", 2, 17)
        ]
        (stopped,) = facts(tmp_path, "cleaner-offset-checkpoint", b"0\n2\nt 2 17\n")
        assert isinstance(stopped, Stopped)

    @pytest.mark.parametrize("name", ["notes.txt", "x.index", "meta.properties"])
    def test_other_files_are_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(UnknownFileError, match=name):
            facts(tmp_path, name, b"")

    def test_a_missing_file_is_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            list(dump(OsFileSystem(), str(tmp_path / (BASE + ".log"))))
        assert list(tmp_path.iterdir()) == []
