"""Offset and time index: Kafka's bytes, and lookups that agree with a search from the start."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.storage.local.indexes import (
    CorruptIndexError,
    IndexCache,
    OffsetIndex,
    TimeIndex,
    decode_offset_index,
    decode_time_index,
    encode_offset_index,
    encode_time_index,
)

BASE = 1_000
FOLDER = "/"


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


def offset_index(
    disk: SimulatedDisk, cache: IndexCache | None = None, base_offset: int = BASE
) -> OffsetIndex:
    return OffsetIndex(disk, cache or IndexCache(), "", base_offset)


def time_index(disk: SimulatedDisk, cache: IndexCache | None = None) -> TimeIndex:
    return TimeIndex(disk, cache or IndexCache(), "", BASE)


def test_the_offset_index_has_kafkas_format(disk: SimulatedDisk) -> None:
    index = offset_index(disk)
    index.reset()
    index.append(BASE + 5, 4_200)
    index.append(BASE + 70_000, 8_500)
    index.save()
    expected = bytes.fromhex("00000005 00001068 00011170 00002134")
    assert (
        disk.read_bytes(f"/{BASE:020d}.index")
        == expected
        == encode_offset_index([(5, 4_200), (70_000, 8_500)])
    )


def test_the_time_index_has_kafkas_format(disk: SimulatedDisk) -> None:
    index = time_index(disk)
    index.reset()
    index.append(1_700_000_000_000, BASE + 5)
    index.append(1_700_000_000_000, BASE + 9)
    index.append(1_700_000_000_001, BASE + 70_000)
    index.save()
    expected = bytes.fromhex("0000018bcfe56800 00000005 0000018bcfe56801 00011170")
    assert (
        disk.read_bytes(f"/{BASE:020d}.timeindex")
        == expected
        == encode_time_index([(1_700_000_000_000, 5), (1_700_000_000_001, 70_000)])
    )


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 5_000)), max_size=60),
    st.integers(BASE - 10, BASE + 3_000),
)
def test_an_offset_is_looked_up_as_from_the_start(steps: list[tuple[int, int]], wanted: int) -> None:
    index = offset_index(SimulatedDisk())
    index.reset()
    entries, offset, position = [], BASE, 0
    for offset_step, position_step in steps:
        offset += offset_step
        position += position_step
        entries.append((offset, position))
        index.append(offset, position)
    assert list(index.entries()) == entries
    below = [0] + [position for offset, position in entries if offset <= wanted]
    above = [position for offset, position in entries if offset > wanted]
    assert index.lookup(wanted) == (below[-1], above[0] - below[-1] if above else 0)
    middle = (below[-1] + (above[0] if above else below[-1])) // 2
    assert index.offset_after(middle) == next((o for o, p in entries if p >= middle), None)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=60),
    st.integers(-5, 50),
    st.integers(BASE, BASE + 600),
)
def test_a_timestamp_is_looked_up_as_from_the_start(
    steps: list[tuple[int, int]], wanted: int, cut: int
) -> None:
    index = time_index(SimulatedDisk())
    index.reset()
    entries: list[tuple[int, int]] = []
    offset = BASE
    for timestamp, offset_step in steps:
        offset += offset_step
        index.append(timestamp, offset)
        if not entries or timestamp > entries[-1][0]:
            entries.append((timestamp, offset))
    assert list(index.entries()) == entries
    assert index.last == (entries[-1] if entries else (-1, BASE))
    assert index.lookup(wanted) == next((o for t, o in reversed(entries) if t <= wanted), BASE)
    index.truncate(cut)
    assert list(index.entries()) == [(t, o) for t, o in entries if o < cut]


def test_an_index_survives_saving_truncating_and_loading(disk: SimulatedDisk) -> None:
    index = offset_index(disk)
    index.reset()
    for number in range(2_000):
        index.append(BASE + number, number * 10)
    assert disk.size(index.path) >= 1_000 * 8, "written in chunks as it grows"
    index.truncate(BASE + 500)
    index.append(BASE + 900, 99_999)
    index.save()
    again = offset_index(disk)
    again.load()
    assert list(again.entries()) == [*((BASE + n, n * 10) for n in range(500)), (BASE + 900, 99_999)]


def test_a_new_index_replaces_a_file_that_lies_there(disk: SimulatedDisk) -> None:
    disk.write_bytes(f"/{BASE:020d}.index", b"stale bytes, many of them")
    index = offset_index(disk)
    index.reset()
    index.save()
    assert disk.read_bytes(f"/{BASE:020d}.index") == b""


@pytest.mark.parametrize(
    "data", ["0000000500000001000000050000000a", "00000005000000010000", "0000000900000001" * 2]
)
def test_a_damaged_offset_index_is_told(disk: SimulatedDisk, data: str) -> None:
    disk.write_bytes(f"/{BASE:020d}.index", bytes.fromhex(data))
    with pytest.raises(CorruptIndexError):
        offset_index(disk).load()


def test_a_damaged_time_index_is_told(disk: SimulatedDisk) -> None:
    for entries in ([(5, 1), (5, 2)], [(5, 3), (6, 2)]):
        disk.write_bytes(f"/{BASE:020d}.timeindex", encode_time_index(entries))
        with pytest.raises(CorruptIndexError):
            time_index(disk).load()
    with pytest.raises(FileNotFoundError):
        TimeIndex(disk, IndexCache(), "", 5).load()


def test_preallocated_zeros_are_no_entries() -> None:
    assert list(decode_offset_index(encode_offset_index([(5, 7)]) + bytes(24))) == [5 << 32 | 7]
    for entries in ([(9, 4)], []):
        timestamps, offsets = decode_time_index(encode_time_index(entries) + bytes(36))
        assert list(zip(timestamps, offsets, strict=True)) == entries
    assert list(decode_time_index(encode_time_index([(0, 0)]))[0]) == [0], "a record with timestamp 0"


def test_the_cache_lets_go_of_what_is_too_much(disk: SimulatedDisk) -> None:
    cache = IndexCache(max_bytes=3 * 10 * 12)
    indexes = []
    for number in range(6):
        index = offset_index(disk, cache, number * 100)
        index.reset()
        for entry in range(10):
            index.append(number * 100 + entry, entry)
        cache.account(index)
        indexes.append(index)
    assert cache.used_bytes <= 3 * 10 * 12
    assert [index.is_loaded for index in indexes].count(True) == 3
    for number, index in enumerate(indexes):
        index.load()
        assert len(list(index.entries())) == 10
        assert next(index.entries()) == (number * 100, 0)


def test_the_cache_forgets_what_was_closed_and_holds_its_bound_when_all_are_in_use(
    disk: SimulatedDisk,
) -> None:
    cache = IndexCache(max_bytes=20 * 12)
    indexes = [offset_index(disk, cache, number * 100) for number in range(9)]
    for index in indexes:
        index.reset()
        for entry in range(10):
            index.append(index.base_offset + entry, entry)
        for each in indexes:
            each.recently_used = True
        cache.account(index)
        assert cache.used_bytes <= 20 * 12
    for index in indexes:
        index.close()
        index.close()
    assert cache.used_bytes == 0


def test_an_index_that_cannot_be_saved_stays_in_memory(disk: SimulatedDisk) -> None:
    cache = IndexCache(max_bytes=10)
    index = offset_index(disk, cache)
    index.reset()
    index.append(BASE + 1, 1)
    cache.account(index)
    disk.capacity = 0
    other = offset_index(disk, cache, 5)
    other.reset()
    other.append(9, 1)
    cache.account(other)
    assert index.is_loaded
    assert list(index.entries()) == [(BASE + 1, 1)]
