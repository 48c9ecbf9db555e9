"""What is kept of a batch, decided batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from ottla.records.batch import BatchHeader, iter_headers, parse_header
from ottla.records.codec import ControlType, Record, encode_batch, encode_end_transaction_marker
from ottla.records.markers import parse_control_marker
from ottla.storage.cleaner.filter import BatchFilter, CleanedTransactions, FilterContext, OffsetMap
from ottla.storage.local.txn_index import AbortedTxn
from ottla.storage.producer_state import LastRecord

NOW_MS = 1_000_000
RETENTION_MS = 1_000
ABORT, COMMIT = ControlType.abort, ControlType.commit


def data(base_offset: int, count: int = 1, *, producer_id: int = 1, transactional: bool = True) -> bytes:
    records = [Record(base_offset + i, 1, b"k%d" % (base_offset + i), b"v") for i in range(count)]
    return encode_batch(
        records,
        base_offset=base_offset,
        producer_id=producer_id,
        producer_epoch=0,
        base_sequence=0,
        is_transactional=transactional,
    )


def marker(base_offset: int, kind: ControlType = ABORT, *, producer_id: int = 1, epoch: int = 0) -> bytes:
    return encode_end_transaction_marker(
        kind,
        base_offset=base_offset,
        timestamp=1,
        producer_id=producer_id,
        producer_epoch=epoch,
        coordinator_epoch=0,
    )


def filtered(
    *batches: bytes,
    aborted: Iterable[AbortedTxn] = (),
    last_records: Mapping[int, LastRecord] | None = None,
    now_ms: int = NOW_MS,
) -> list[bytes]:
    context = FilterContext(last_records or {}, now_ms, RETENTION_MS, 1 << 20)
    offsets = OffsetMap(1 << 20)
    offsets.latest_offset = 500
    for batch in batches:
        header = parse_header(batch)
        for i in range(header.record_count):
            offsets.put(b"k%d" % (header.base_offset + i), header.base_offset + i)
    batch_filter = BatchFilter(context, offsets, CleanedTransactions(aborted))
    kept = (batch_filter.filter(parse_header(batch), batch) for batch in batches)
    return [batch for batch in kept if batch is not None]


def headers(batches: list[bytes]) -> list[BatchHeader]:
    return [header for _, header in iter_headers(b"".join(batches))]


def bases(batches: list[bytes]) -> list[int]:
    return [header.base_offset for header in headers(batches)]


def test_an_aborted_transaction_begins_inside_of_a_batch_that_holds_its_first_record() -> None:
    aborted = [AbortedTxn(1, 300, 303, 304)]
    assert bases(filtered(data(300, 3), marker(303), aborted=aborted)) == [303]


def test_each_aborted_transaction_begins_in_its_turn() -> None:
    aborted = [AbortedTxn(1, 10, 11, 12), AbortedTxn(2, 20, 21, 22), AbortedTxn(1, 30, 31, 32)]
    batches = (
        data(10),
        marker(11),
        data(20, producer_id=2),
        marker(21, producer_id=2),
        data(30),
        marker(31),
        data(40),
        marker(41, COMMIT),
    )
    assert bases(filtered(*batches, aborted=reversed(aborted))) == [11, 21, 31, 40, 41]
    transactions = CleanedTransactions(aborted)
    for batch in batches:
        header = parse_header(batch)
        if header.is_control:
            transactions.on_control_batch(header, parse_control_marker(header, batch))
        else:
            transactions.on_batch(header)
    assert transactions.take_retained() == aborted
    assert transactions.take_retained() == []


def test_plain_records_between_are_nobodys_transaction() -> None:
    aborted = [AbortedTxn(1, 10, 12, 13)]
    plain = data(11, transactional=False)
    assert bases(filtered(data(10), plain, marker(12), aborted=aborted)) == [11, 12]


@pytest.mark.parametrize(("after_ms", "is_kept"), [(-1, True), (0, False), (1, False)])
def test_a_marker_that_nothing_needs_stays_until_its_horizon(after_ms: int, is_kept: bool) -> None:
    [first] = filtered(marker(5, COMMIT))
    assert parse_header(first).delete_horizon_ms == NOW_MS + RETENTION_MS
    assert bool(filtered(first, now_ms=NOW_MS + RETENTION_MS + after_ms)) is is_kept


@pytest.mark.parametrize(("epoch", "is_kept"), [(2, False), (3, True), (4, False)])
def test_the_marker_that_carries_a_producers_epoch_stays_empty(epoch: int, is_kept: bool) -> None:
    last_records = {1: LastRecord(None, 3)}
    [with_horizon] = filtered(marker(5, COMMIT, epoch=epoch))
    left = filtered(with_horizon, last_records=last_records, now_ms=NOW_MS + RETENTION_MS)
    assert [(h.base_offset, h.record_count, h.producer_epoch) for h in headers(left)] == (
        [(5, 0, epoch)] if is_kept else []
    )


def test_a_producers_last_batch_is_told_by_its_last_offset() -> None:
    def with_newer_keys(*batches: bytes, last_data_offset: int) -> list[int]:
        context = FilterContext({1: LastRecord(last_data_offset, 0)}, NOW_MS, RETENTION_MS, 1 << 20)
        offsets = OffsetMap(1 << 20)
        offsets.latest_offset = 500
        for i in range(400):
            offsets.put(b"k%d" % i, 499)
        batch_filter = BatchFilter(context, offsets, CleanedTransactions(()))
        kept = [batch_filter.filter(parse_header(batch), batch) for batch in batches]
        return bases([batch for batch in kept if batch is not None])

    batches = [data(base, 3, transactional=False) for base in (300, 303, 306)]
    assert with_newer_keys(*batches, last_data_offset=305) == [303]
    assert with_newer_keys(*batches, last_data_offset=303) == []


def test_the_map_stays_within_its_bytes() -> None:
    offsets = OffsetMap(100_000)
    count = 0
    while not offsets.is_full:
        offsets.put(b"%d" % count, count)
        count += 1
    assert 400 < count < 700
    assert len(offsets) == count
    assert offsets.get(b"7") == 7
    assert offsets.get(b"unknown") == -1
    for size in (19, 20, 21):
        offsets.put(b"k" * size, size)
        assert offsets.get(b"k" * size) == size
