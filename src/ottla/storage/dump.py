"""What a file of a data folder says, for people and scripts: facts one by one, no printing.

Reads segments, their indexes, producer snapshots and checkpoints, also half-written or damaged ones.
Everything sound before the damage is yielded, and a last `Stopped` fact says where and why reading ended.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ottla.protocol.errors import KafkaError
from ottla.records.batch import HEADER_SIZE, MAGIC_V2, BatchHeader, has_valid_crc, parse_header
from ottla.records.codec import Record, decode_batch
from ottla.records.markers import ControlMarker, parse_control_marker
from ottla.storage import leader_epochs, names
from ottla.storage.checkpoints import CorruptCheckpointError, decode_offsets
from ottla.storage.local.txn_index import ENTRY_SIZE, AbortedTxn, CorruptTransactionIndexError, decode_aborted
from ottla.storage.producer_snapshots import CorruptSnapshotError, decode_snapshot

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem

__all__ = [
    "AbortedFact",
    "BatchFact",
    "CheckpointFact",
    "EpochFact",
    "Fact",
    "IndexFact",
    "ProducerFact",
    "Stopped",
    "TimeIndexFact",
    "UnknownFileError",
    "dump",
]

_READ_SIZE = 1 << 20
_OFFSET_ENTRY = struct.Struct(">ii")  # offset relative to the base, position
_TIME_ENTRY = struct.Struct(">qi")  # timestamp, offset relative to the base
_CHECKPOINT_SUFFIX = "-checkpoint"
_STAGES = (names.CLEANED, names.SWAP, names.DELETED)


class UnknownFileError(Exception):
    """The file's name is none that a data folder has."""


@dataclass(frozen=True, slots=True)
class BatchFact:
    """A batch at byte `position` of a segment.

    `records` are there when they were asked for and decode; `error` says why they do not. `marker` is a
    control batch's.
    """

    position: int
    header: BatchHeader
    is_crc_valid: bool
    records: tuple[Record, ...] | None = None
    marker: ControlMarker | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class IndexFact:
    """The batch with `offset` begins at or before byte `position` of the segment."""

    offset: int
    position: int


@dataclass(frozen=True, slots=True)
class TimeIndexFact:
    """No record up to `offset` is later than `timestamp` (milliseconds)."""

    timestamp: int
    offset: int


@dataclass(frozen=True, slots=True)
class AbortedFact:
    """An aborted transaction, of a segment's transaction index."""

    txn: AbortedTxn


@dataclass(frozen=True, slots=True)
class ProducerFact:
    """A producer in a snapshot; -1 where it has no data or no open transaction."""

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    last_sequence: int
    last_offset: int
    last_timestamp: int
    current_txn_first_offset: int


@dataclass(frozen=True, slots=True)
class EpochFact:
    """A leader epoch and the offset of its first record."""

    epoch: int
    start_offset: int


@dataclass(frozen=True, slots=True)
class CheckpointFact:
    """A partition's offset in one of the data folder's checkpoints."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nothing sound from byte `position` on (0 when the file is only valid as a whole)."""

    position: int
    reason: str


Fact = (
    BatchFact | IndexFact | TimeIndexFact | AbortedFact | ProducerFact | EpochFact | CheckpointFact | Stopped
)


_INFLATED_MAX_BYTES = 1 << 28
"""Of one batch: the file may be any broker's, whose own bound is not known."""


def dump(fs: FileSystem, path: str, *, with_records: bool = False) -> Iterator[Fact]:
    """Yield what the file says; its name tells which kind it is.

    Raises UnknownFileError before anything is read, and OSError as the disk does.
    """
    name = path.rpartition("/")[2]
    for stage in _STAGES:
        name = name.removesuffix(stage)
    if name.endswith(names.LOG):
        return _dump_segment(fs, path, with_records=with_records, max_bytes=_INFLATED_MAX_BYTES)
    base_offset = names.offset_of(name)
    if base_offset is not None:
        if name.endswith(names.INDEX):
            return _dump_index(fs.read_bytes(path), base_offset)
        if name.endswith(names.TIMEINDEX):
            return _dump_time_index(fs.read_bytes(path), base_offset)
    if name.endswith(names.TXNINDEX):
        return _dump_txn_index(fs.read_bytes(path))
    if name.endswith(names.SNAPSHOT):
        return _dump_whole(_producer_facts, fs.read_bytes(path))
    if name == leader_epochs.FILE_NAME:
        return _dump_whole(_epoch_facts, fs.read_bytes(path))
    if name.endswith(_CHECKPOINT_SUFFIX):
        return _dump_whole(_checkpoint_facts, fs.read_bytes(path))
    raise UnknownFileError(
        f"{path}: neither a segment nor an index, a producer snapshot or a checkpoint by its name"
    )


def _dump_segment(fs: FileSystem, path: str, *, with_records: bool, max_bytes: int) -> Iterator[Fact]:
    file = fs.open_private(path, create=False)
    try:
        end = file.size()
        position = 0
        data = b""
        start = 0  # of `data` in the file
        while position < end:
            at = position - start
            if len(data) - at < HEADER_SIZE:
                start, at, data = position, 0, file.pread(_READ_SIZE, position)
            if len(data) < HEADER_SIZE:
                yield Stopped(position, f"{len(data)} bytes at the end are too few for a batch header")
                return
            header = parse_header(data, at)
            reason = _implausible(header, end - position)
            if reason is not None:
                yield Stopped(position, reason)
                return
            if len(data) - at < header.size:
                start, at, data = position, 0, file.pread(max(_READ_SIZE, header.size), position)
            yield _batch_fact(position, header, data[at : at + header.size], with_records, max_bytes)
            position += header.size
    finally:
        file.close()


def _implausible(header: BatchHeader, bytes_left: int) -> str | None:
    if header.magic != MAGIC_V2:
        return f"magic {header.magic} where a batch should begin"
    if header.size < HEADER_SIZE:
        return f"a batch that says it has {header.size} bytes"
    if header.size > bytes_left:
        return f"a batch of {header.size} bytes is cut off after {bytes_left}"
    return None


def _batch_fact(
    position: int, header: BatchHeader, batch: bytes, with_records: bool, max_bytes: int
) -> BatchFact:
    is_crc_valid = has_valid_crc(batch, header)
    records = marker = error = None
    try:
        if header.is_control:
            marker = parse_control_marker(header, batch)
        if with_records:
            records = tuple(decode_batch(batch, max_bytes=max_bytes))
    except KafkaError as refused:
        error = str(refused)
    return BatchFact(position, header, is_crc_valid, records, marker, error)


def _is_unused(data: bytes) -> bool:
    """Kafka allocates an index ahead and cuts what stayed zero when the segment is closed."""
    return data.count(0) == len(data) > _TIME_ENTRY.size


def _dump_index(data: bytes, base_offset: int) -> Iterator[Fact]:
    if _is_unused(data):
        return
    whole = len(data) - len(data) % _OFFSET_ENTRY.size
    for number, (relative, position) in enumerate(_OFFSET_ENTRY.iter_unpack(data[:whole])):
        if number and not relative:
            return
        yield IndexFact(base_offset + relative, position)
    yield from _rest(len(data), whole)


def _dump_time_index(data: bytes, base_offset: int) -> Iterator[Fact]:
    if _is_unused(data):
        return
    whole = len(data) - len(data) % _TIME_ENTRY.size
    for number, (timestamp, relative) in enumerate(_TIME_ENTRY.iter_unpack(data[:whole])):
        if number and not relative and not timestamp:
            return
        yield TimeIndexFact(timestamp, base_offset + relative)
    yield from _rest(len(data), whole)


def _dump_txn_index(data: bytes) -> Iterator[Fact]:
    whole = 0
    try:
        for txn in decode_aborted(data):
            yield AbortedFact(txn)
            whole += ENTRY_SIZE
    except CorruptTransactionIndexError as corrupt:
        yield Stopped(whole, str(corrupt))
        return
    yield from _rest(len(data), whole)


def _rest(size: int, whole: int) -> Iterator[Fact]:
    if size > whole:
        yield Stopped(whole, f"{size - whole} bytes at the end are too few for an entry")


def _dump_whole(parse: Callable[[bytes], Iterator[Fact]], data: bytes) -> Iterator[Fact]:
    try:
        yield from parse(data)
    except (CorruptSnapshotError, CorruptCheckpointError) as corrupt:
        yield Stopped(0, str(corrupt))


def _producer_facts(data: bytes) -> Iterator[Fact]:
    for entry in decode_snapshot(data):
        first_offset = entry.current_txn_first_offset
        yield ProducerFact(
            producer_id=entry.producer_id,
            producer_epoch=entry.producer_epoch,
            coordinator_epoch=entry.coordinator_epoch,
            last_sequence=entry.last_sequence,
            last_offset=entry.last_data_offset,
            last_timestamp=entry.last_timestamp,
            current_txn_first_offset=-1 if first_offset is None else first_offset,
        )


def _epoch_facts(data: bytes) -> Iterator[Fact]:
    for entry in leader_epochs.decode_epochs(data, leader_epochs.FILE_NAME):
        yield EpochFact(entry.epoch, entry.start_offset)


def _checkpoint_facts(data: bytes) -> Iterator[Fact]:
    for (topic, partition), offset in decode_offsets(data, "checkpoint").items():
        yield CheckpointFact(topic, partition, offset)
