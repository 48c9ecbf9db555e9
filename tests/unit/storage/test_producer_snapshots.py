"""Producer snapshots: Kafka's bytes, damage, and which files stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from ottla.records.batch import iter_headers
from ottla.records.markers import parse_control_marker
from ottla.storage.fs import OsFileSystem
from ottla.storage.producer_snapshots import (
    CorruptSnapshotError,
    ProducerSnapshots,
    decode_snapshot,
    encode_snapshot,
)
from ottla.storage.producer_state import BatchMetadata, ProducerEntry, ProducerState

# What Apache Kafka 4.3 wrote: a log with two transactions of producer 1, the second one aborted, and an open
# one of producer 2; and the snapshot of its state at the end.
KAFKA_LOG = bytes.fromhex(
    "0000000000000008000000520000000002dfb6b0a3001000000002000001a1facb6e26000001a1facb6e260000000000"
    "0000010000000000060000000314000000046b300474320014000002046b310474320014000004046b32047432000000"
    "00000000000b0000004200000000020657b15a003000000000000001a1facb6e42000001a1facb6e4200000000000000"
    "010000ffffffff000000012000000008000000010c00000000000000000000000000000c00000052000000000216758d"
    "f5001000000002000001a1facb6e42000001a1facb6e4200000000000000010000000000090000000314000000046b30"
    "0474330014000002046b310474330014000004046b3204743300000000000000000f000000420000000002c26649ee00"
    "3000000000000001a1facb6e48000001a1facb6e4800000000000000010000ffffffff00000001200000000800000000"
    "0c0000000000000000000000000000100000003d0000000002265d0749001000000000000001a1facb704d000001a1fa"
    "cb704d00000000000000020000000000000000000116000000086f70656e026f00"
)
KAFKA_SNAPSHOT = bytes.fromhex(
    "0001bba4c44100000002000000000000000100000000000b000000000000000e00000002000001a1facb6e4800000000"
    "ffffffffffffffff0000000000000002000000000000000000000000001000000000000001a1facb704dffffffff0000"
    "000000000010"
)
DAY_MS = 86_400_000
NOW_MS = 0x1A1FACB704D


@pytest.fixture
def fs() -> OsFileSystem:
    return OsFileSystem()


def replayed() -> ProducerState:
    state = ProducerState("txn-0")
    for pos, header in iter_headers(KAFKA_LOG):
        batch = KAFKA_LOG[pos : pos + header.size]
        state.replay(header, parse_control_marker(header, batch) if header.is_control else None)
        state.map_end_offset = header.next_offset
    return state


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class TestFormat:
    def test_replaying_kafkas_log_gives_kafkas_snapshot(self) -> None:
        assert encode_snapshot(replayed().producers.values()) == KAFKA_SNAPSHOT

    def test_kafkas_snapshot_reads(self) -> None:
        first, second = decode_snapshot(KAFKA_SNAPSHOT)
        assert first.batches == (BatchMetadata(11, 14, 2, NOW_MS - 0x205),)
        assert (first.producer_epoch, first.coordinator_epoch, first.current_txn_first_offset) == (0, 0, None)
        assert (second.producer_id, second.current_txn_first_offset, second.last_sequence) == (2, 16, 0)

    def test_only_the_last_batch_is_kept(self) -> None:
        batches = tuple(BatchMetadata(number, number * 10, 0, number) for number in range(3))
        entry = ProducerEntry(5, 0, -1, 2, None, batches)
        (read,) = decode_snapshot(encode_snapshot([entry]))
        assert read.batches == (batches[-1],)

    def test_a_producer_with_only_a_marker_comes_back_without_batches(self) -> None:
        entry = ProducerEntry(5, producer_epoch=3, coordinator_epoch=1, last_timestamp=9)
        (read,) = decode_snapshot(encode_snapshot([entry]))
        assert (read.batches, read.last_sequence, read.last_timestamp, read.producer_epoch) == ((), -1, 9, 3)

    @pytest.mark.parametrize("size", [0, 1, 9, len(KAFKA_SNAPSHOT) - 1])
    def test_a_cut_off_one_is_corrupt(self, size: int) -> None:
        with pytest.raises(CorruptSnapshotError):
            decode_snapshot(KAFKA_SNAPSHOT[:size])

    @pytest.mark.parametrize("pos", [0, 1, 3, 6, 40])
    def test_a_flipped_bit_is_corrupt(self, pos: int) -> None:
        damaged = bytearray(KAFKA_SNAPSHOT)
        damaged[pos] ^= 1
        with pytest.raises(CorruptSnapshotError):
            decode_snapshot(bytes(damaged))


class TestFiles:
    def reload(self, snapshots: ProducerSnapshots, log_start: int, log_end: int) -> ProducerState:
        state = ProducerState("txn-0")
        snapshots.reload(state, log_start, log_end)
        return state

    def take(self, snapshots: ProducerSnapshots, *offsets: int) -> None:
        state = replayed()
        for offset in offsets:
            state.map_end_offset = offset
            assert snapshots.take(state, sync=True) == offset

    def test_a_snapshot_is_taken_once_for_an_offset(self, fs: OsFileSystem, tmp_path: Path) -> None:
        snapshots = ProducerSnapshots(fs, str(tmp_path))
        state = replayed()
        assert snapshots.take(state, sync=False) == 17
        assert snapshots.take(state, sync=True) is None
        assert (tmp_path / "00000000000000000017.snapshot").read_bytes() == KAFKA_SNAPSHOT

    def test_the_newest_one_in_the_log_is_loaded(self, fs: OsFileSystem, tmp_path: Path) -> None:
        self.take(ProducerSnapshots(fs, str(tmp_path)), 5, 17, 30)
        state = self.reload(ProducerSnapshots(fs, str(tmp_path), (30, 5, 17)), 5, 20)
        assert state.map_end_offset == 17
        assert state.first_undecided_offset == 16
        assert names(tmp_path) == ["00000000000000000017.snapshot"]

    def test_a_corrupt_one_is_dropped_for_the_one_before(self, fs: OsFileSystem, tmp_path: Path) -> None:
        self.take(ProducerSnapshots(fs, str(tmp_path)), 17, 18)
        (tmp_path / "00000000000000000018.snapshot").write_bytes(KAFKA_SNAPSHOT[:-1])
        assert self.reload(ProducerSnapshots(fs, str(tmp_path), (17, 18)), 0, 18).map_end_offset == 17
        assert names(tmp_path) == ["00000000000000000017.snapshot"]

    def test_without_any_the_log_is_replayed_from_its_start(self, fs: OsFileSystem, tmp_path: Path) -> None:
        snapshots = ProducerSnapshots(fs, str(tmp_path))
        state = self.reload(snapshots, 3, 18)
        assert (state.map_end_offset, state.is_empty) == (3, True)
        assert snapshots.take(state, sync=True) is None

    def test_nothing_is_reloaded_when_the_log_end_stays(self, fs: OsFileSystem, tmp_path: Path) -> None:
        state = replayed()
        ProducerSnapshots(fs, str(tmp_path)).reload(state, 12, 17)
        assert sorted(state.producers) == [1, 2]

    def test_after_a_restart_at_an_offset_nothing_is_left(self, fs: OsFileSystem, tmp_path: Path) -> None:
        snapshots = ProducerSnapshots(fs, str(tmp_path))
        self.take(snapshots, 5, 17)
        state = replayed()
        snapshots.restart(state, 3)
        assert (state.is_empty, state.map_end_offset, snapshots.latest) == (True, 3, None)
        assert names(tmp_path) == []
        assert snapshots.take(state, sync=True) == 3

    def test_strays_go_but_not_the_one_of_a_clean_stop(self, fs: OsFileSystem, tmp_path: Path) -> None:
        snapshots = ProducerSnapshots(fs, str(tmp_path))
        self.take(snapshots, 5, 10, 12, 20, 25)
        snapshots.delete_strays([0, 10, 20])
        assert snapshots.offsets == (10, 20, 25)
        snapshots.delete_at(10)
        snapshots.delete_before(25)
        assert names(tmp_path) == ["00000000000000000025.snapshot"]

    def test_a_stray_before_the_last_segment_goes_too(self, fs: OsFileSystem, tmp_path: Path) -> None:
        snapshots = ProducerSnapshots(fs, str(tmp_path))
        self.take(snapshots, 5, 15)
        snapshots.delete_strays([0, 20])
        assert names(tmp_path) == []
