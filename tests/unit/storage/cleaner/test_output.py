"""New segments: what their indexes say, and where they are split."""

from __future__ import annotations

import pytest
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.config.broker import broker_config
from ottla.config.topic import topic_config
from ottla.records.batch import parse_header
from ottla.records.codec import Record, encode_batch
from ottla.storage.cleaner.filter import CleanedTransactions
from ottla.storage.cleaner.output import CleanedSegments, SegmentWriter
from ottla.storage.cleaner.policy import CleaningFacts, SegmentFacts, plan_cleaning
from ottla.storage.local.indexes import decode_offset_index, decode_time_index
from ottla.storage.local.txn_index import AbortedTxn, decode_aborted
from ottla.storage.names import CLEANED, INDEX, LOG, TIMEINDEX, TXNINDEX, segment_path

BASE = 0x1_0000_0101


@pytest.mark.parametrize("interval", [0, 200])
def test_the_indexes_of_a_new_segment_are_those_of_one_that_was_appended_to(interval: int) -> None:
    disk = SimulatedDisk()
    writer = SegmentWriter(disk, "/data", BASE, index_interval_bytes=interval)
    times = [5, 9, 7, 9, 12, 3, 14, 14]
    batches = []
    for number, timestamp in enumerate(times):
        offset = BASE + number * 10
        records = [Record(offset + i, timestamp, b"k", bytes(20)) for i in range(2)]
        batches.append(encode_batch(records, base_offset=offset))
        writer.append(batches[-1], parse_header(batches[-1]))
    assert writer.finish(77) == writer.size == sum(map(len, batches))

    positions, newest, since = [], [], 0
    position, best = 0, (-1, 0)
    for number, batch in enumerate(batches):
        last_offset = number * 10 + 1
        if times[number] > best[0]:
            best = (times[number], last_offset)
        if since > interval:
            positions.append((last_offset, position))
            if not newest or best[0] > newest[-1][0]:
                newest.append(best)
            since = 0
        since += len(batch)
        position += len(batch)
    if best[0] > newest[-1][0]:
        newest.append(best)

    def written(suffix: str) -> bytes:
        return disk.read_bytes(segment_path("/data", BASE, suffix + CLEANED))

    assert written(LOG) == b"".join(batches)
    found = [(entry >> 32, entry & 0xFFFF_FFFF) for entry in decode_offset_index(written(INDEX))]
    assert found == positions
    timestamps, offsets = decode_time_index(written(TIMEINDEX))
    assert list(zip(timestamps, offsets, strict=True)) == newest
    assert disk.modified_ms(segment_path("/data", BASE, LOG + CLEANED)) == 77


def test_offsets_that_do_not_fit_into_one_segment_make_another() -> None:
    disk = SimulatedDisk()
    facts = CleaningFacts(
        directory="/data",
        generation=0,
        segments=(SegmentFacts(BASE, 0, 77, 1, 1),),
        active_base_offset=BASE,
        log_start_offset=BASE,
        log_end_offset=BASE,
        high_watermark=BASE,
        last_stable_offset=BASE,
        last_records={},
        config=topic_config({}, broker_config()),
    )
    plan = plan_cleaning(facts, None, 0)
    aborted = [AbortedTxn(1, BASE, BASE + 1, BASE + 2)]
    transactions = CleanedTransactions(aborted)
    output = CleanedSegments(disk, plan, facts.segments, transactions)
    sizes = {}
    for offset in (BASE, BASE + 1, BASE + 2**31 - 1, BASE + 2**31, BASE + 2**31 + 1):
        batch = encode_batch([Record(offset, 1, b"k", b"v")], base_offset=offset)
        output.append(batch, parse_header(batch))
        sizes[offset] = len(batch)
    transactions.retained = list(aborted)
    group = output.finish()
    assert group.new_base_offsets == (BASE, BASE + 2**31)
    assert group.bytes_after == sum(sizes.values())
    written = [disk.size(segment_path("/data", base, LOG + CLEANED)) for base in group.new_base_offsets]
    assert written == [sizes[BASE] * 3, sizes[BASE] * 2]
    noted = segment_path("/data", BASE + 2**31, TXNINDEX + CLEANED)
    assert list(decode_aborted(disk.read_bytes(noted))) == aborted
    output.abort()
    assert disk.listdir("/data") == []
