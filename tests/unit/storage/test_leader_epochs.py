"""The leader-epoch cache against Kafka's rules and file format (KIP-101, KIP-279)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.storage.checkpoints import CorruptCheckpointError
from ottla.storage.fs import OsFileSystem
from ottla.storage.leader_epochs import LeaderEpochCache, decode_epochs


@pytest.fixture
def cache(tmp_path: Path) -> LeaderEpochCache:
    return LeaderEpochCache(OsFileSystem(), str(tmp_path))


def written(tmp_path: Path) -> str:
    return (tmp_path / "leader-epoch-checkpoint").read_text()


def fill(cache: LeaderEpochCache, *entries: tuple[int, int]) -> None:
    for epoch, start_offset in entries:
        cache.assign(epoch, start_offset)


def test_nothing_is_on_disk_before_the_first_epoch(cache: LeaderEpochCache, tmp_path: Path) -> None:
    assert (cache.entries, cache.latest_epoch) == ((), None)
    cache.flush()
    assert list(tmp_path.iterdir()) == []


def test_new_epochs_are_saved(cache: LeaderEpochCache, tmp_path: Path) -> None:
    assert cache.assign(0, 0)
    assert list(tmp_path.iterdir()) == []
    assert cache.save(), "the first is to be synced with its records"
    assert written(tmp_path) == "0\n1\n0 0\n"
    assert not cache.save()
    assert cache.assign(3, 17)
    assert not cache.save()
    assert written(tmp_path) == "0\n2\n0 0\n3 17\n"
    assert LeaderEpochCache(OsFileSystem(), str(tmp_path)).entries == ((0, 0), (3, 17))


@pytest.mark.parametrize("seed", range(10))
def test_what_was_cut_off_is_not_told_of_again(seed: int) -> None:
    """Though one epoch alone is left: recovery would believe the file, not the older epoch of the record."""
    disk = SimulatedDisk(seed)
    cache = LeaderEpochCache(disk, "/data")
    cache.assign(2, 0)
    assert cache.save()
    disk.sync_all()
    cache.truncate_from_end(0)
    cache.assign(1, 0)
    assert not cache.save(), "it is synced"
    disk.lose_power()
    disk.restart()
    assert LeaderEpochCache(disk, "/data").entries == ((1, 0),)


def test_the_same_epoch_is_written_once(cache: LeaderEpochCache, tmp_path: Path) -> None:
    cache.assign(2, 5)
    cache.save()
    (tmp_path / "leader-epoch-checkpoint").unlink()
    assert not cache.assign(2, 9)
    assert not cache.save()
    assert list(tmp_path.iterdir()) == []
    assert cache.entries == ((2, 5),)


def test_conflicting_entries_give_way(cache: LeaderEpochCache) -> None:
    fill(cache, (0, 0), (2, 10), (4, 20))
    assert cache.assign(3, 10)
    assert cache.entries == ((0, 0), (3, 10))


@pytest.mark.parametrize("entry", [(-1, 0), (0, -1)])
def test_negative_ones_are_refused(cache: LeaderEpochCache, entry: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="leader epoch"):
        cache.assign(*entry)


@pytest.mark.parametrize(
    ("epoch", "answer"),
    [
        (-1, (-1, -1)),  # nothing is known of no epoch
        (1, (1, 5)),  # older than all: its records ended where the first known one starts
        (2, (2, 10)),
        (3, (2, 10)),  # unknown between two: the one below
        (4, (4, 20)),
        (7, (7, 33)),  # the latest goes on to the end of the log
        (8, (-1, -1)),
    ],
)
def test_where_an_epoch_ended(cache: LeaderEpochCache, epoch: int, answer: tuple[int, int]) -> None:
    fill(cache, (2, 5), (4, 10), (7, 20))
    assert cache.end_offset_for(epoch, 33) == answer


def test_without_epochs_nothing_ended(cache: LeaderEpochCache) -> None:
    assert cache.end_offset_for(0, 33) == (-1, -1)
    assert cache.epoch_for(0) is None


def test_the_epoch_of_an_offset(cache: LeaderEpochCache) -> None:
    fill(cache, (2, 5), (4, 10))
    assert [cache.epoch_for(offset) for offset in (4, 5, 9, 10, 99)] == [None, 2, 2, 4, 4]


@pytest.mark.parametrize(
    ("offset", "left"),
    [
        (4, ((2, 5), (4, 10), (7, 20))),
        (5, ((2, 5), (4, 10), (7, 20))),
        (6, ((2, 6), (4, 10), (7, 20))),
        (10, ((4, 10), (7, 20))),
        (15, ((4, 15), (7, 20))),
        (50, ((7, 50),)),
    ],
)
def test_deleted_records_take_their_epochs(
    cache: LeaderEpochCache, offset: int, left: tuple[tuple[int, int], ...]
) -> None:
    fill(cache, (2, 5), (4, 10), (7, 20))
    cache.truncate_from_start(offset)
    assert cache.entries == left


@pytest.mark.parametrize(("offset", "left"), [(21, 3), (20, 2), (11, 2), (10, 1), (5, 0), (0, 0), (-1, 3)])
def test_truncated_records_take_their_epochs(cache: LeaderEpochCache, offset: int, left: int) -> None:
    fill(cache, (2, 5), (4, 10), (7, 20))
    cache.truncate_from_end(offset)
    assert cache.entries == ((2, 5), (4, 10), (7, 20))[:left]


def test_truncation_reaches_the_disk_with_a_flush(cache: LeaderEpochCache, tmp_path: Path) -> None:
    fill(cache, (2, 5), (4, 10))
    cache.flush()
    cache.truncate_from_end(10)
    assert written(tmp_path) == "0\n2\n2 5\n4 10\n"
    cache.flush()
    assert written(tmp_path) == "0\n1\n2 5\n"
    cache.clear()
    assert written(tmp_path) == "0\n0\n"


@pytest.mark.parametrize(
    "text", ["1\n0\n", "0\n1\n", "0\n1\n0\n", "0\n1\n0 x\n", "0\nx\n", "x", "0\n1\n0 0 0\n"]
)
def test_a_damaged_file_is_told(cache: LeaderEpochCache, tmp_path: Path, text: str) -> None:
    with pytest.raises(CorruptCheckpointError, match="leader-epoch-checkpoint"):
        decode_epochs(text.encode(), "leader-epoch-checkpoint")
    (tmp_path / "leader-epoch-checkpoint").write_text(text)
    assert cache.entries == (), "and made anew, here without records"
    cache.flush()
    assert written(tmp_path) == "0\n0\n"


class NullFileSystem(OsFileSystem):
    def read_bytes(self, path: str) -> bytes:
        raise FileNotFoundError(path)

    def write_atomic(self, path: str, data: bytes) -> None:
        self.written = data

    write_aside = write_atomic


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("assign"), st.integers(0, 9), st.integers(0, 30)),
            st.tuples(st.just("end"), st.integers(0, 30)),
            st.tuples(st.just("start"), st.integers(0, 30)),
        ),
        max_size=20,
    )
)
def test_both_columns_always_ascend_and_the_file_follows(steps: list[tuple[str, int, int]]) -> None:
    fs = NullFileSystem()
    cache = LeaderEpochCache(fs, "t-0")
    for action, *arguments in steps:
        {"assign": cache.assign, "end": cache.truncate_from_end, "start": cache.truncate_from_start}[action](
            *arguments
        )
        entries = cache.entries
        for before, after in pairwise(entries):
            assert before.epoch < after.epoch
            assert before.start_offset < after.start_offset
        if action == "assign":
            assert cache.latest_epoch == arguments[0]
        cache.flush()
        if entries:
            lines = [f"{epoch} {start}" for epoch, start in entries]
            assert fs.written.decode().splitlines()[2:] == lines
