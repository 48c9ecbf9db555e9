"""Compaction: rewrites the closed segments of a log so that each key keeps its newest record only.

`clean` is a generator for a worker thread. It reads closed segments, which nobody writes to any more, and
leaves new ones beside them (`.cleaned`); the thread that owns the log swaps them in. Between steps it may
wait (to spare the disk or the event loop), and closing it half-way removes what it has not handed over:

    for step in clean(fs, plan, settings, now_ms):          # in the worker, one `next` at a time
        if isinstance(step, CleanedGroup):                  # to the owner of the log:
            log.replace_segments(new_base_offsets, old_base_offsets, generation, now_ms)
        elif isinstance(step, CleaningFinished):
            checkpoint[partition] = step.next_dirty_offset

First the dirty part is read for the newest offset of each key, as far as memory allows; then all segments up
to there are filtered (see `cleaner_filter`), neighbours together while they fit into one segment.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import HEADER_SIZE, BatchHeader, has_valid_crc, iter_headers, parse_header
from ottla.records.codec import decode_batch
from ottla.records.markers import parse_control_marker
from ottla.storage.cleaner.filter import BatchFilter, CleanedTransactions, FilterContext, OffsetMap
from ottla.storage.cleaner.output import CleanedGroup, CleanedSegments
from ottla.storage.cleaner.policy import CleaningPlan, SegmentFacts, group_segments
from ottla.storage.local.txn_index import AbortedTxn, decode_aborted
from ottla.storage.names import LOG, TXNINDEX, segment_path

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem

__all__ = [
    "CleanedGroup",
    "CleanerSettings",
    "CleaningFinished",
    "CleaningProgress",
    "CleaningStep",
    "clean",
]


class CleanerSettings(NamedTuple):
    """Bounds on one cleaning's memory, in bytes.

    `dedupe_buffer_size` holds the key map (`log.cleaner.dedupe.buffer.size`), which
    `dedupe_buffer_load_factor` of it may fill (`log.cleaner.io.buffer.load.factor`), `io_buffer_size` what is
    read at once (`log.cleaner.io.buffer.size`; a larger batch is read whole), `max_decompressed_bytes` one
    batch inflated.
    """

    dedupe_buffer_size: int
    dedupe_buffer_load_factor: float
    io_buffer_size: int
    max_decompressed_bytes: int


class CleaningProgress(NamedTuple):
    """So many more bytes were read."""

    bytes_read: int


class CleaningFinished(NamedTuple):
    """The log is clean below `next_dirty_offset`."""

    next_dirty_offset: int


CleaningStep = CleaningProgress | CleanedGroup | CleaningFinished


def clean(
    fs: FileSystem, plan: CleaningPlan, settings: CleanerSettings, now_ms: int
) -> Generator[CleaningStep, None, None]:
    """Clean one log as planned, step by step.

    Raises KafkaError(corrupt_message) on a segment that does not read: the log is then not to be tried again
    before somebody looked at it. Raises OSError as the disk does.
    """
    facts = plan.facts
    aborted = _read_aborted(fs, plan)
    offsets = OffsetMap(int(settings.dedupe_buffer_size * settings.dedupe_buffer_load_factor))
    yield from _map_offsets(fs, plan, settings, offsets, CleanedTransactions(aborted))
    transactions = CleanedTransactions(aborted)
    context = FilterContext(
        facts.last_records,
        now_ms,
        facts.config.delete_retention_ms,
        settings.max_decompressed_bytes,
    )
    batch_filter = BatchFilter(context, offsets, transactions)
    segments = [segment for segment in facts.segments if segment.base_offset <= offsets.latest_offset]
    for group in group_segments(segments, facts.config.segment_bytes, plan.end_offset):
        end_offset = facts.end_of(group[-1])
        output = CleanedSegments(fs, plan, group, transactions)
        try:
            for chunk in _read_group(fs, plan, group, settings.io_buffer_size):
                for header, batch in chunk:
                    ends_segment = header.next_offset == end_offset
                    retained = batch_filter.filter(header, batch, ends_segment=ends_segment)
                    if retained is not None:
                        output.append(retained, header if retained is batch else parse_header(retained))
                yield CleaningProgress(sum(header.size for header, _ in chunk))
            cleaned = output.finish()
        except BaseException:
            output.abort()
            raise
        yield cleaned
    yield CleaningFinished(max(plan.first_dirty_offset, offsets.latest_offset + 1))


def _map_offsets(
    fs: FileSystem,
    plan: CleaningPlan,
    settings: CleanerSettings,
    offsets: OffsetMap,
    transactions: CleanedTransactions,
) -> Iterator[CleaningStep]:
    facts = plan.facts
    ends = [segment.base_offset for segment in facts.segments[1:]] + [facts.active_base_offset]
    for segment, end in zip(facts.segments, ends, strict=True):
        if end <= plan.first_dirty_offset or segment.base_offset >= plan.end_offset:
            continue
        for chunk in _read_segment(fs, facts.directory, segment, settings.io_buffer_size):
            for header, batch in chunk:
                if offsets.is_full:
                    return
                _map_batch(header, batch, plan.first_dirty_offset, settings, offsets, transactions)
            yield CleaningProgress(sum(header.size for header, _ in chunk))
        offsets.latest_offset = end - 1  # a gap before the next segment is mapped, too


def _map_batch(
    header: BatchHeader,
    batch: bytes,
    first_dirty_offset: int,
    settings: CleanerSettings,
    offsets: OffsetMap,
    transactions: CleanedTransactions,
) -> None:
    if header.is_control:
        transactions.on_control_batch(header, parse_control_marker(header, batch))
    elif not transactions.on_batch(header) and header.record_count:
        for record in decode_batch(batch, max_bytes=settings.max_decompressed_bytes):
            if record.key is not None and record.offset >= first_dirty_offset:
                offsets.put(record.key, record.offset)
    if header.last_offset >= first_dirty_offset:
        offsets.latest_offset = header.last_offset


def _read_aborted(fs: FileSystem, plan: CleaningPlan) -> list[AbortedTxn]:
    """The aborted transactions of all segments, also the active one: an abort may lie past its records."""
    facts = plan.facts
    aborted: list[AbortedTxn] = []
    for base_offset in (*(segment.base_offset for segment in facts.segments), facts.active_base_offset):
        path = segment_path(facts.directory, base_offset, TXNINDEX)
        try:
            aborted += decode_aborted(fs.read_bytes(path), path)
        except FileNotFoundError:
            continue
    return aborted


Chunk = list[tuple[BatchHeader, bytes]]


def _read_group(
    fs: FileSystem, plan: CleaningPlan, group: Sequence[SegmentFacts], buffer_size: int
) -> Iterator[Chunk]:
    for segment in group:
        yield from _read_segment(fs, plan.facts.directory, segment, buffer_size)


def _read_segment(fs: FileSystem, directory: str, segment: SegmentFacts, buffer_size: int) -> Iterator[Chunk]:
    """Yield the segment's batches, checked against their CRC, about `buffer_size` bytes at a time."""
    path = segment_path(directory, segment.base_offset, LOG)
    file = fs.open_private(path, create=False)
    try:
        position = 0
        while position < segment.size:
            data = file.pread(min(max(buffer_size, HEADER_SIZE), segment.size - position), position)
            header = parse_header(data)
            if header.size > len(data):
                data = file.pread(min(header.size, segment.size - position), position)
            chunk = []
            for start, header in iter_headers(data):
                if not has_valid_crc(data, header, start):
                    raise KafkaError(
                        ErrorCode.corrupt_message, f"{path}: checksum at byte {position + start}"
                    )
                chunk.append((header, data[start : start + header.size]))
            if not chunk:
                raise KafkaError(ErrorCode.corrupt_message, f"{path}: no whole batch at byte {position}")
            position += sum(header.size for header, _ in chunk)
            yield chunk
    finally:
        file.close()
