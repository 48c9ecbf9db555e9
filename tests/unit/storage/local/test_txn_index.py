"""The transaction index: Kafka's bytes, ranges and damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from ottla.storage.fs import OsFileSystem
from ottla.storage.local.txn_index import AbortedTxn, CorruptTransactionIndexError, TransactionIndex

# What Apache Kafka 4.3 wrote for two aborted transactions.
KAFKA_INDEX = bytes.fromhex(
    "00000000000000000001000000000000000400000000000000070000000000000008"
    "00000000000000000001000000000000000c000000000000000f0000000000000010"
)
FIRST, SECOND = AbortedTxn(1, 4, 7, 8), AbortedTxn(1, 12, 15, 16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "00000000000000000000.txnindex"


@pytest.fixture
def index(path: Path) -> TransactionIndex:
    return TransactionIndex(OsFileSystem(), str(path))


def test_it_writes_what_kafka_writes(index: TransactionIndex, path: Path) -> None:
    index.append(FIRST)
    index.append(SECOND)
    index.flush()
    assert path.read_bytes() == KAFKA_INDEX


def test_it_reads_what_kafka_wrote(index: TransactionIndex, path: Path) -> None:
    path.write_bytes(KAFKA_INDEX)
    assert index.entries == (FIRST, SECOND)


def test_no_file_without_entries(index: TransactionIndex, path: Path) -> None:
    assert index.entries == ()
    assert index.collect(0, 100) == ([], False)
    index.truncate(0)
    index.reset()
    index.flush()
    assert not path.exists()


def test_markers_ascend(index: TransactionIndex) -> None:
    index.append(SECOND)
    for earlier in (FIRST, SECOND):
        with pytest.raises(ValueError, match="not after"):
            index.append(earlier)


@pytest.mark.parametrize(
    ("start", "end", "found", "complete"),
    [
        (0, 4, [], True),
        (0, 5, [FIRST], True),
        (7, 8, [FIRST], True),
        (8, 9, [], True),
        (0, 12, [FIRST], True),
        (8, 16, [SECOND], True),
        (0, 17, [FIRST, SECOND], False),
        (16, 40, [], False),
    ],
)
def test_what_overlaps_with_a_fetch(
    index: TransactionIndex, path: Path, start: int, end: int, found: list[AbortedTxn], complete: bool
) -> None:
    path.write_bytes(KAFKA_INDEX)
    assert index.collect(start, end) == (found, complete)


@pytest.mark.parametrize(("offset", "left"), [(16, 2), (15, 1), (8, 1), (7, 0), (0, 0)])
def test_truncation_goes_by_the_marker(index: TransactionIndex, path: Path, offset: int, left: int) -> None:
    path.write_bytes(KAFKA_INDEX)
    index.truncate(offset)
    assert index.entries == (FIRST, SECOND)[:left]
    assert path.read_bytes() == KAFKA_INDEX[: 34 * left]
    if left < 2:
        index.append(SECOND)
        assert index.entries[-1] == SECOND


def test_a_torn_entry_is_ignored_and_overwritten(index: TransactionIndex, path: Path) -> None:
    path.write_bytes(KAFKA_INDEX[:50])
    assert index.entries == (FIRST,)
    index.append(SECOND)
    assert path.read_bytes() == KAFKA_INDEX


def test_an_unknown_version_is_corrupt_and_can_be_reset(index: TransactionIndex, path: Path) -> None:
    path.write_bytes(b"\x00\x01" + KAFKA_INDEX[2:])
    with pytest.raises(CorruptTransactionIndexError, match="version 1"):
        _ = index.entries
    index.reset()
    assert index.entries == ()
    assert path.read_bytes() == b""


def test_an_entry_before_the_segment_is_corrupt(index: TransactionIndex) -> None:
    index.append(FIRST)
    index.sanity_check(7)
    with pytest.raises(CorruptTransactionIndexError, match="before offset 8"):
        index.sanity_check(8)
