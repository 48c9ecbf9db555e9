"""A log's producer state, loaded when it is first needed and kept on disk by snapshots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ottla.records.batch import BatchHeader, Buffer
from ottla.storage.control_marker import parse_control_marker
from ottla.storage.producer_snapshots import ProducerSnapshots
from ottla.storage.producer_state import CompletedTxn, ProducerState
from ottla.storage.segment_scan import scan_headers

if TYPE_CHECKING:
    from ottla.storage.environment import LogEnvironment
    from ottla.storage.segments import SegmentList

__all__ = ["LogProducers"]

_KEEP_ALL: Final = 0  # as the time by which idle producers expire at loading: the regular expiry follows


class LogProducers:
    """`state` and the snapshot files behind it."""

    __slots__ = ("_expiration_ms", "snapshots", "state")

    def __init__(
        self, environment: LogEnvironment, directory: str, partition: str, offsets: Iterable[int]
    ) -> None:
        self._expiration_ms = environment.producer_id_expiration_ms
        self.state = ProducerState(partition)
        self.snapshots = ProducerSnapshots(environment.fs, directory, offsets)

    def reload(self, segments: SegmentList, log_start_offset: int, end_offset: int) -> None:
        """Bring the state to a log that spans [log_start_offset, end_offset): from a snapshot, then the
        batches.
        """
        self.snapshots.reload(
            self.state, log_start_offset, end_offset, now_ms=_KEEP_ALL, expiration_ms=self._expiration_ms
        )
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
