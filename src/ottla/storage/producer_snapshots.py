"""A log's producers on disk: `<offset>.snapshot` files in Kafka's format (ProducerSnapshot.json, version 1).

Layout, big-endian: version i16, CRC-32C of what follows u32, count i32, then 46 bytes for each producer. A
snapshot carries the producer's last batch only, and is named after the log end offset it covers. It is
written in place: the checksum tells a torn one, which is dropped for the one before it.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import google_crc32c

from ottla.records.batch import BatchHeader, Buffer
from ottla.records.markers import parse_control_marker
from ottla.storage.local.scan import scan_headers
from ottla.storage.names import SNAPSHOT, segment_path
from ottla.storage.producer_state import BatchMetadata, CompletedTxn, ProducerEntry, ProducerState

if TYPE_CHECKING:
    from ottla.storage.environment import LogEnvironment
    from ottla.storage.fs import FileSystem
    from ottla.storage.local.segments import SegmentList

__all__ = [
    "CorruptSnapshotError",
    "LogProducers",
    "ProducerSnapshots",
    "decode_snapshot",
    "encode_snapshot",
]

_VERSION = 1
_HEAD = struct.Struct(">hI")
_COUNT = struct.Struct(">i")
_ENTRY = struct.Struct(">qhiqiqiq")
_BODY = _HEAD.size
_NO_OFFSET = -1


class CorruptSnapshotError(Exception):
    """A snapshot file that cannot be trusted; the state is to be rebuilt from an older one and the log."""


def encode_snapshot(entries: Collection[ProducerEntry]) -> bytes:
    """The bytes of a snapshot file."""
    body = bytearray(_COUNT.pack(len(entries)))
    for entry in entries:
        last = entry.batches[-1] if entry.batches else None
        first_offset = entry.current_txn_first_offset
        body += _ENTRY.pack(
            entry.producer_id,
            entry.producer_epoch,
            entry.last_sequence,
            entry.last_data_offset,
            last.offset_delta if last is not None else 0,
            entry.last_timestamp,
            entry.coordinator_epoch,
            _NO_OFFSET if first_offset is None else first_offset,
        )
    return _HEAD.pack(_VERSION, google_crc32c.value(bytes(body))) + body


def decode_snapshot(data: bytes) -> list[ProducerEntry]:
    """The producers in a snapshot file. Raises CorruptSnapshotError."""
    if len(data) < _BODY + _COUNT.size:
        raise CorruptSnapshotError(f"{len(data)} bytes are too short for a producer snapshot")
    version, crc = _HEAD.unpack_from(data)
    if version != _VERSION:
        raise CorruptSnapshotError(f"producer snapshot of unknown version {version}")
    computed = google_crc32c.value(data[_BODY:])
    if crc != computed:
        raise CorruptSnapshotError(f"producer snapshot says its checksum is {crc}, but it is {computed}")
    (count,) = _COUNT.unpack_from(data, _BODY)
    start = _BODY + _COUNT.size
    if count < 0 or len(data) != start + count * _ENTRY.size:
        raise CorruptSnapshotError(f"producer snapshot of {len(data)} bytes says that it has {count} entries")
    return [_entry(fields) for fields in _ENTRY.iter_unpack(data[start:])]


def _entry(fields: tuple[int, ...]) -> ProducerEntry:
    producer_id, epoch, last_sequence, last_offset, offset_delta, timestamp, coordinator_epoch, first = fields
    batches: tuple[BatchMetadata, ...] = ()
    if last_offset >= 0:
        batches = (BatchMetadata(last_sequence, last_offset, offset_delta, timestamp),)
    return ProducerEntry(
        producer_id, epoch, coordinator_epoch, timestamp, first if first >= 0 else None, batches
    )


class ProducerSnapshots:
    """The snapshot files of one partition's folder.

    `offsets` are those that a listing of the folder showed; nothing is read from disk before `reload`.
    """

    __slots__ = ("_directory", "_fs", "_last_taken", "_offsets")

    def __init__(self, fs: FileSystem, directory: str, offsets: Iterable[int] = ()) -> None:
        self._fs = fs
        self._directory = directory
        self._offsets = sorted(offsets)
        self._last_taken = self._offsets[-1] if self._offsets else _NO_OFFSET

    @property
    def offsets(self) -> tuple[int, ...]:
        return tuple(self._offsets)

    @property
    def latest(self) -> int | None:
        return self._offsets[-1] if self._offsets else None

    def path(self, offset: int) -> str:
        return segment_path(self._directory, offset, SNAPSHOT)

    def take(self, state: ProducerState, *, sync: bool) -> int | None:
        """Write a snapshot at the state's end offset, unless one is there; returns its offset when it wrote.

        With `sync=False` the caller syncs the file together with the segment it belongs to.
        """
        offset = state.map_end_offset
        if offset <= self._last_taken:
            return None
        path = self.path(offset)
        self._fs.write_bytes(path, encode_snapshot(state.producers.values()))
        if sync:
            self._fs.sync_file(path)
        if offset not in self._offsets:
            self._offsets.append(offset)
            self._offsets.sort()
        self._last_taken = offset
        return offset

    def reload(self, state: ProducerState, log_start: int, log_end: int) -> None:
        """Bring `state` to a log cut to [log_start, log_end), as far as the snapshots tell.

        Snapshots outside of that range are deleted, and so are corrupt ones. Afterwards
        `state.map_end_offset` says from where the log's batches must be replayed. Idle producers stay until
        they expire in the regular way.
        """
        self._delete(offset for offset in self.offsets if offset > log_end or offset <= log_start)
        self._last_taken = self._offsets[-1] if self._offsets else _NO_OFFSET
        if state.map_end_offset == log_end:
            state.advance_log_start(log_start)
            return
        while (latest := self.latest) is not None:
            try:
                entries = decode_snapshot(self._fs.read_bytes(self.path(latest)))
            except (CorruptSnapshotError, FileNotFoundError):
                self._delete((latest,))
                continue
            state.load(entries, latest)
            self._last_taken = latest
            return
        state.clear(log_start)
        self._last_taken = log_start

    def restart(self, state: ProducerState, offset: int) -> None:
        """Forget all producers and snapshots: the log starts anew, empty, at `offset`."""
        self._delete(self.offsets)
        state.clear(offset)
        self._last_taken = _NO_OFFSET

    def delete_before(self, offset: int) -> None:
        self._delete(taken for taken in self.offsets if taken < offset)

    def delete_at(self, offset: int) -> None:
        """Delete the snapshot that belongs to the segment with this base offset, if there is one."""
        if offset in self._offsets:
            self._delete((offset,))

    def delete_strays(self, segment_base_offsets: Collection[int]) -> None:
        """Delete the snapshots that belong to no segment, except for the newest if it lies past all.

        That one is what a clean shutdown wrote at the log end offset.
        """
        bases = set(segment_base_offsets)
        last_base = max(bases, default=_NO_OFFSET)
        strays = [offset for offset in self._offsets if offset not in bases]
        if strays and strays[-1] >= last_base:
            strays.pop()
        self._delete(strays)

    def _delete(self, offsets: Iterable[int]) -> None:
        for offset in list(offsets):
            self._fs.unlink(self.path(offset), missing_ok=True)
            self._offsets.remove(offset)


class LogProducers:
    """A log's producer state, and the snapshot files behind it."""

    __slots__ = ("snapshots", "state")

    def __init__(
        self, environment: LogEnvironment, directory: str, partition: str, offsets: Iterable[int]
    ) -> None:
        self.state = ProducerState(partition)
        self.snapshots = ProducerSnapshots(environment.fs, directory, offsets)

    def reload(self, segments: SegmentList, log_start_offset: int, end_offset: int) -> None:
        """Bring the state to a log that spans [log_start_offset, end_offset): from a snapshot, then the
        batches.
        """
        self.snapshots.reload(self.state, log_start_offset, end_offset)
        start_offset = self.state.map_end_offset
        if start_offset < end_offset:
            for segment in segments.since(start_offset):
                if segment.base_offset >= end_offset:
                    break
                position = segment.position_of(max(start_offset, segment.base_offset))
                if position is None:
                    continue
                for batch_position, header in scan_headers(segment.file, position, segment.size):
                    if header.base_offset >= end_offset:
                        break
                    if header.producer_id >= 0 and header.base_offset >= start_offset:
                        batch = segment.file.pread(header.size, batch_position) if header.is_control else b""
                        self.replay(header, batch)
        self.state.map_end_offset = end_offset

    def replay(self, header: BatchHeader, batch: Buffer) -> CompletedTxn | None:
        """Take in a batch that lies in the log; `batch` is only looked at when it is a control batch."""
        marker = parse_control_marker(header, batch) if header.is_control else None
        return self.state.replay(header, marker)

    def take_snapshot(self, end_offset: int, *, sync: bool) -> None:
        """Write the state as of `end_offset`, the log's end."""
        self.state.map_end_offset = end_offset
        self.snapshots.take(self.state, sync=sync)
