"""A log against the simplest model of one: a list of batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ottla.records.batch import parse_header
from ottla.records.codec import Record
from ottla.storage.local.indexes import IndexCache
from ottla.storage.log import Log

from . import logs
from .logs import DIRECTORY, append_one, batch, environment_of, open_at, read_all, small_segments
from .simulated_disk import SimulatedDisk

CONFIG = small_segments(retention_bytes=1_500, retention_ms=-1)
TIMESTAMPS = st.integers(1_000, 1_020)


class LogMachine(RuleBasedStateMachine):
    """Whatever is done to the log, it holds the records of the model and finds them."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = SimulatedDisk()
        self.model: list[list[Record]] = []  # batches
        self.start_offset = 0
        self.end_offset = 0
        self.epoch = 0
        self.sequence = 0
        self.producer_epoch = 0
        self.log = self.open(clean=True)

    def open(self, *, clean: bool, **options: int) -> Log:
        environment = environment_of(self.disk, index_cache=IndexCache(max_bytes=600))
        return open_at(self.disk, CONFIG, clean=clean, environment=environment, **options)

    def visible(self) -> list[Record]:
        return [record for each in self.model for record in each if record.offset >= self.start_offset]

    @rule(count=st.integers(1, 4), timestamp=TIMESTAMPS, size=st.integers(0, 120))
    def append(self, count: int, timestamp: int, size: int) -> None:
        self._append(count, timestamp, bytes(size))

    @rule(count=st.integers(1, 3), timestamp=TIMESTAMPS)
    def append_idempotent(self, count: int, timestamp: int) -> None:
        options = {"producer_id": 5, "producer_epoch": self.producer_epoch, "base_sequence": self.sequence}
        base_offset = self.end_offset
        self._append(count, timestamp, b"", **options)
        self.sequence += count
        again = batch(count, timestamp, b"", **options)
        offset, repeated = append_one(self.log, again, self.epoch, logs.NOW_MS)
        assert offset == base_offset
        assert repeated is not None

    def _append(self, count: int, timestamp: int, value: bytes, **options: Any) -> None:
        appended = append_one(self.log, batch(count, timestamp, value, **options), self.epoch, logs.NOW_MS)
        assert appended == (self.end_offset, None)
        self.log.advance_high_watermark(self.log.log_end_offset)
        self.model.append(
            [Record(self.end_offset + number, timestamp + number, None, value, ()) for number in range(count)]
        )
        self.end_offset += count

    @rule()
    def roll(self) -> None:
        self.log.roll(logs.NOW_MS)

    @rule()
    def lead_anew(self) -> None:
        self.epoch += 1

    @rule()
    def flush(self) -> None:
        self.log.flush()

    @rule(clean=st.booleans())
    def open_again(self, clean: bool) -> None:
        recovery_point = self.log.recovery_point
        self.log.close(flush=clean)
        self.log = self.open(clean=clean, recovery_point=recovery_point, log_start_offset=self.start_offset)
        self.log.advance_high_watermark(self.log.log_end_offset)
        if not self.is_producer_known():
            # Whether a producer outlives the deletion of all its records depends on which snapshots are left.
            assert self.start_offset > 0
            self.begin_sequence_anew()

    def is_producer_known(self) -> bool:
        if not self.sequence:
            return True  # it has written nothing in this epoch
        known = self.log.producer_state.producers.get(5)
        written = (self.producer_epoch, self.sequence - 1)
        return known is not None and (known.producer_epoch, known.last_sequence) == written

    def begin_sequence_anew(self) -> None:
        """As clients do that lost track: in another epoch."""
        self.producer_epoch += 1
        self.sequence = 0

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        kept = data.draw(st.integers(0, len(self.model) - 1))
        offset = self.model[kept][0].offset
        if offset < self.start_offset:
            return
        self.log.truncate_to(offset, logs.NOW_MS)
        del self.model[kept:]
        self.end_offset = offset
        self.begin_sequence_anew()

    @rule(offset=st.integers(0, 300))
    def delete_records(self, offset: int) -> None:
        offset = min(offset, self.end_offset)
        self.start_offset = max(self.start_offset, offset)
        assert self.log.delete_records(offset) == self.start_offset

    @rule()
    def apply_retention(self) -> None:
        self.log.apply_retention(logs.NOW_MS)
        assert self.log.size <= 1_500 + CONFIG.segment_bytes
        self.start_offset = max(self.start_offset, self.log.segments.first.base_offset)
        first = self.log.segments.first.base_offset
        self.model = [each for each in self.model if each[0].offset >= first]

    @rule(offset=st.integers(0, 300), max_bytes=st.integers(0, 2_000), bound=st.integers(0, 50))
    def read(self, offset: int, max_bytes: int, bound: int) -> None:
        offset = min(max(offset, self.start_offset), self.end_offset)
        bounds = [each[0].offset for each in self.model] + [self.end_offset]
        max_offset = bounds[min(bound, len(bounds) - 1)]
        read = self.log.read(offset, max_bytes, max_offset)
        expected = next((each for each in self.model if each[-1].offset >= offset), None)
        if expected is None or expected[0].offset >= max_offset:
            assert read.records == b""
        else:
            assert parse_header(read.records).base_offset == expected[0].offset

    @rule(timestamp=st.integers(990, 1_030))
    def search(self, timestamp: int) -> None:
        expected = next((r for r in self.visible() if r.timestamp >= timestamp), None)
        found = self.log.offset_for_timestamp(timestamp)
        assert (found and found.offset) == (expected and expected.offset)

    @rule()
    def rebuild_indexes(self) -> None:
        for segment in self.log.segments:
            before = _lookups(segment.position_of, segment.base_offset, self.end_offset)
            segment.rebuild_indexes()
            assert _lookups(segment.position_of, segment.base_offset, self.end_offset) == before

    @invariant()
    def holds_the_same_records(self) -> None:
        assert (self.log.log_start_offset, self.log.log_end_offset) == (self.start_offset, self.end_offset)
        assert read_all(self.log, max_bytes=700) == self.visible()

    @invariant()
    def has_no_stray_files(self) -> None:
        bases = {f"{segment.base_offset:020d}" for segment in self.log.segments}
        for name in self.disk.listdir(DIRECTORY):
            if name.endswith((".log", ".index", ".timeindex")):
                assert name[:20] in bases


def _lookups(position_of: Callable[[int], int | None], start: int, end: int) -> list[int | None]:
    return [position_of(offset) for offset in range(start, end)]


LogMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLogAgainstModel = LogMachine.TestCase
