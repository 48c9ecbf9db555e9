"""Transactions in a log against the simplest model of them: what readers of committed records see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ottla.records.batch import iter_headers
from ottla.records.markers import EndMarker, parse_control_marker
from ottla.storage.local.indexes import IndexCache
from ottla.storage.log import Log

from . import logs
from .logs import DIRECTORY, append_one, batch, environment_of, open_at, small_segments
from .simulated_disk import SimulatedDisk

CONFIG = small_segments()
PRODUCERS: Final = (1, 2, 3)
PLAIN: Final = 0


@dataclass(frozen=True)
class Written:
    """A batch of the model; `ends` tells how, where it is a marker."""

    offset: int
    count: int
    producer: int
    epoch: int
    ends: bool | None = None


class TransactionMachine(RuleBasedStateMachine):
    """Whatever happens to the log, its readers see the committed records below the first open transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = SimulatedDisk()
        self.model: list[Written] = []
        self.end_offset = 0
        self.start_offset = 0
        self.epochs = dict.fromkeys(PRODUCERS, 0)
        self.sequences = dict.fromkeys(PRODUCERS, 0)
        self.log = self.open(clean=True)

    def open(self, *, clean: bool, **options: int) -> Log:
        environment = environment_of(self.disk, index_cache=IndexCache(max_bytes=600))
        return open_at(self.disk, CONFIG, clean=clean, environment=environment, **options)

    def open_transactions(self) -> dict[int, int]:
        """First offset by producer."""
        found: dict[int, int] = {}
        for each in self.model:
            if each.ends is not None:
                found.pop(each.producer, None)
            elif each.producer != PLAIN:
                found.setdefault(each.producer, each.offset)
        return found

    def committed(self) -> list[int]:
        """Offsets of the records that readers see, from the log's start on."""
        stable = min(self.open_transactions().values(), default=self.end_offset)
        pending: dict[int, list[int]] = {}
        found: list[int] = []
        for each in self.model:
            offsets = list(range(each.offset, each.offset + each.count))
            if each.ends is not None:
                ended = pending.pop(each.producer, [])
                found += ended if each.ends else []
            elif each.producer == PLAIN:
                found += offsets
            else:
                pending.setdefault(each.producer, []).extend(offsets)
        return sorted(offset for offset in found if self.start_offset <= offset < stable)

    def _note(self, count: int, producer: int, ends: bool | None = None) -> None:
        self.model.append(Written(self.end_offset, count, producer, self.epochs.get(producer, 0), ends))
        self.end_offset += count
        self.log.advance_high_watermark(self.log.log_end_offset)

    @rule(count=st.integers(1, 3))
    def append(self, count: int) -> None:
        append_one(self.log, batch(count))
        self._note(count, PLAIN)

    @rule(producer=st.sampled_from(PRODUCERS), count=st.integers(1, 3))
    def append_in_transaction(self, producer: int, count: int) -> None:
        numbered = {"producer_epoch": self.epochs[producer], "base_sequence": self.sequences[producer]}
        append_one(self.log, batch(count, producer_id=producer, is_transactional=True, **numbered))
        self.sequences[producer] += count
        self._note(count, producer)

    @rule(producer=st.sampled_from(PRODUCERS), committed=st.booleans(), bumps=st.booleans())
    def end(self, producer: int, committed: bool, bumps: bool) -> None:
        if bumps:
            self.epochs[producer] += 1
            self.sequences[producer] = 0
        version = 2 if bumps else 0
        marker = EndMarker(producer, self.epochs[producer], committed, 0, version).encode(1_000)
        append_one(self.log, marker)
        self._note(1, producer, committed)

    @rule()
    def roll(self) -> None:
        self.log.roll(logs.NOW_MS)

    @rule(clean=st.booleans())
    def open_again(self, clean: bool) -> None:
        recovery_point = self.log.recovery_point
        self.log.close(flush=clean)
        self.log = self.open(clean=clean, recovery_point=recovery_point, log_start_offset=self.start_offset)
        self.log.advance_high_watermark(self.log.log_end_offset)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        kept = data.draw(st.integers(0, len(self.model) - 1))
        offset = self.model[kept].offset
        if offset < self.start_offset or offset <= self._last_marker_of_deleted():
            return
        self.log.truncate_to(offset, logs.NOW_MS)
        self.log.update_high_watermark(self.log.log_end_offset)
        del self.model[kept:]
        self.end_offset = offset
        for producer in PRODUCERS:
            # Whoever writes next has an epoch of its own: the log may have forgotten the producer.
            self.epochs[producer] += 1
            self.sequences[producer] = 0

    def _last_marker_of_deleted(self) -> int:
        """Of transactions that began before the log's start: without it they would be open again, if anything
        still knew of them.
        """
        first: dict[int, int] = {}
        last = -1
        for each in self.model:
            if each.ends is None:
                first.setdefault(each.producer, each.offset)
            elif first.pop(each.producer, each.offset) < self.start_offset:
                last = each.offset
        return last

    @rule(data=st.data())
    def delete_records(self, data: st.DataObject) -> None:
        """As far as transactions are ended: whether one is known whose records are gone is the snapshots' to
        say, and nobody reads it.
        """
        self.start_offset = data.draw(st.integers(self.start_offset, self.log.last_stable_offset))
        self.log.delete_records(self.start_offset)

    @rule()
    def apply_retention(self) -> None:
        self.log.apply_retention(logs.NOW_MS)
        first = self.log.segments.first.base_offset
        self.start_offset = max(self.start_offset, first)
        self.sequences = {
            producer: self.sequences[producer] if self._is_known(producer) else 0 for producer in PRODUCERS
        }

    def _is_known(self, producer: int) -> bool:
        known = self.log.producer_state.producers.get(producer)
        return known is not None and known.producer_epoch == self.epochs[producer]

    @invariant()
    def readers_see_what_is_committed(self) -> None:
        open_transactions = self.open_transactions()
        stable = min(open_transactions.values(), default=self.end_offset)
        assert self.log.last_stable_offset == stable
        assert self._read_committed(600) == self._read_committed(1 << 20) == self.committed()

    @invariant()
    def producers_are_described(self) -> None:
        described = {
            each.producer_id: each.current_txn_start_offset
            for each in self.log.producer_state.describe()
            if each.current_txn_start_offset >= 0
        }
        assert described == self.open_transactions()

    def _read_committed(self, max_bytes: int) -> list[int]:
        """As clients do: skip what the aborted transactions of each fetch say, until their markers."""
        seen: list[int] = []
        offset = self.start_offset
        while offset < self.log.last_stable_offset:
            read = self.log.read(offset, max_bytes, self.log.last_stable_offset)
            aborted = sorted(self.log.aborted_transactions(offset, read), key=lambda txn: txn.first_offset)
            skipped: set[int] = set()
            next_offset = offset
            for position, header in iter_headers(read.records):
                while aborted and aborted[0].first_offset <= header.last_offset:
                    skipped.add(aborted.pop(0).producer_id)
                next_offset = header.next_offset
                if header.is_control:
                    whole = bytes(read.records[position : position + header.size])
                    marker = parse_control_marker(header, whole)
                    assert marker is not None
                    if not marker.is_commit:
                        skipped.discard(header.producer_id)
                elif not (header.is_transactional and header.producer_id in skipped):
                    seen += [each for each in range(header.base_offset, next_offset) if each >= offset]
            assert next_offset > offset
            offset = next_offset
        return seen

    @invariant()
    def has_no_stray_index(self) -> None:
        bases = {f"{segment.base_offset:020d}" for segment in self.log.segments}
        for name in self.disk.listdir(DIRECTORY):
            if name.endswith(".txnindex"):
                assert name[:20] in bases


TransactionMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTransactionsAgainstModel = TransactionMachine.TestCase
