"""New segments: what their indexes say, and where they are split."""

from __future__ import annotations

import pytest
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.records.batch import parse_header
from ottla.records.codec import Record, encode_batch
from ottla.storage.cleaner.output import SegmentWriter
from ottla.storage.local.indexes import decode_offset_index, decode_time_index
from ottla.storage.names import CLEANED, INDEX, LOG, TIMEINDEX, segment_path

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
