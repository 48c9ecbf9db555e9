"""Opening a local log: from a listing of its folder after a clean stop, by reading what was not flushed after
a crash.

Whatever a crash leaves of a roll, a deletion or a compaction is finished or undone here (Kafka's LogLoader).

A segment begins where the one before ended: copies of a compacted log begin theirs so, too, and compaction
leaves a segment's last batch, if need be empty. So a segment behind the recovery point that begins later
tells of a batch before it that was not on the disk yet, though the segment was; the log is cut there.
"""

from __future__ import annotations

import os.path  # noqa: TID251 - of texts
from typing import TYPE_CHECKING, NamedTuple

from ottla.records.batch import has_valid_crc
from ottla.storage.fs import TEMPORARY
from ottla.storage.leader_epochs import LeaderEpochCache
from ottla.storage.local.log import LocalLog, Unsynced
from ottla.storage.local.scan import scan_batches, scan_headers
from ottla.storage.local.segment import MAX_RELATIVE_OFFSET, Segment
from ottla.storage.local.segments import SegmentList
from ottla.storage.local.txn_index import AbortedTxn, CorruptTransactionIndexError
from ottla.storage.names import (
    CLEANED,
    DELETED,
    INDEX,
    LOG,
    SNAPSHOT,
    SWAP,
    TIMEINDEX,
    TXNINDEX,
    offset_of,
    segment_path,
)
from ottla.storage.producer_snapshots import LogProducers

if TYPE_CHECKING:
    from ottla.config.topic import TopicConfig
    from ottla.records.batch import BatchHeader, Buffer
    from ottla.storage.environment import LogEnvironment
    from ottla.storage.fs import FileSystem

__all__ = ["Opened", "Opening"]

_LEFTOVERS = (DELETED, CLEANED, SWAP, TEMPORARY)


class Opened(NamedTuple):
    """A local log, and what opening it found out: where reading may start, the producer snapshots in the
    folder, and the producers' state where recovery had to build it.
    """

    local: LocalLog
    log_start_offset: int
    snapshot_offsets: tuple[int, ...] = ()
    producers: LogProducers | None = None


class _Recovered(NamedTuple):
    log_end_offset: int
    producers: LogProducers | None
    indexes: list[Unsynced]
    """Those that were rebuilt, of segments behind the recovery point too, which flushes leave alone."""


def _finish_leftovers(fs: FileSystem, directory: str, names: list[str]) -> None:
    """Remove deleted files, and complete or undo an interrupted `SegmentList.replace`."""
    offsets = {name: offset for name in names if (offset := offset_of(name)) is not None}
    cleaned = [name for name in offsets if name.endswith(CLEANED)]
    swapped = [name for name in offsets if name.endswith(SWAP)]
    lowest_cleaned = min((offsets[name] for name in cleaned), default=None)
    # Renaming went from the last segment to the first: a `.cleaned` below means that it did not get to the
    # end.
    undone = [name for name in swapped if lowest_cleaned is not None and offsets[name] >= lowest_cleaned]
    for name in [*(name for name in names if name.endswith((DELETED, TEMPORARY))), *undone, *cleaned]:
        fs.unlink(f"{directory}/{name}")
    valid = [name for name in swapped if name not in undone]
    replaced_from, replaced_to = _replaced_range(fs, directory, [n for n in valid if n.endswith(LOG + SWAP)])
    for name, offset in offsets.items():
        if not name.endswith(_LEFTOVERS) and replaced_from <= offset < replaced_to:
            fs.unlink(f"{directory}/{name}")
    for name in valid:
        fs.rename(f"{directory}/{name}", f"{directory}/{name.removesuffix(SWAP)}")
    fs.sync_dir(directory)


def _replaced_range(fs: FileSystem, directory: str, names: list[str]) -> tuple[int, int]:
    """The offsets that the segments to be swapped in cover: the old ones that begin there are to go."""
    lowest, highest = 1 << 63, -1
    for name in names:
        base_offset = offset_of(name)
        assert base_offset is not None
        lowest = min(lowest, base_offset)
        highest = max(highest, base_offset + 1)  # also an empty segment replaces the old one of its base
        file = fs.open_private(f"{directory}/{name}", create=False)
        try:
            for _, header in scan_headers(file, 0, file.size()):
                highest = max(highest, header.next_offset)
        finally:
            file.close()
    return lowest, highest


class Opening:
    """The opening of one log; `create` or `open` it."""

    def __init__(
        self, environment: LogEnvironment, directory: str, partition: str, config: TopicConfig, now_ms: int
    ) -> None:
        self._environment = environment
        self._fs = environment.fs
        self._directory = directory
        self._partition = partition
        self._config = config
        self._now_ms = now_ms
        self._folder = Unsynced(directory, is_directory=True)

    def create(self, log_start_offset: int, unsynced: tuple[Unsynced, ...]) -> Opened:
        """Begin a new log in its folder, which exists."""
        parent = Unsynced(os.path.dirname(self._directory), is_directory=True)
        local = self._local(
            [self._new_segment(log_start_offset)],
            log_end_offset=log_start_offset,
            recovery_point=log_start_offset,
            unsynced=(*unsynced, self._folder, parent),
        )
        return Opened(local, log_start_offset)

    def open(
        self,
        names: list[str],
        unsynced: tuple[Unsynced, ...],
        clean: bool,
        log_start_offset: int,
        recovery_point: int | None,
    ) -> Opened:
        """Open a log whose folder holds `names`. `unsynced` is what was written there just now.

        Where nobody knows the recovery point (None), a hole between segments may be what Kafka's compaction
        left, or an older one of ours: then it stays, as in Kafka.
        """
        if any(name.endswith(_LEFTOVERS) for name in names):
            _finish_leftovers(self._fs, self._directory, names)
            names = self._fs.listdir(self._directory)
        segments = SegmentList(self._environment, self._directory, self._segments(names))
        snapshots = tuple(
            offset for name in names if name.endswith(SNAPSHOT) and (offset := offset_of(name)) is not None
        )
        is_changed = not clean
        producers = None
        rebuilt: list[Unsynced] = []
        if not len(segments):
            log_end_offset = log_start_offset
        elif clean:
            log_end_offset = _clean_end_offset(segments, snapshots)
        else:
            log_end_offset, producers, rebuilt = self._recover(
                segments, snapshots, log_start_offset, recovery_point
            )
        if not len(segments) or log_end_offset < log_start_offset:
            # Someone removed files: what the checkpoint calls deleted must not come back.
            segments.cut(list(segments), self._now_ms)
            segments.add(self._new_segment(log_start_offset))
            LeaderEpochCache(self._fs, self._directory).clear()
            for offset in snapshots:
                self._fs.unlink(segment_path(self._directory, offset, SNAPSHOT))
            log_end_offset, producers, snapshots, is_changed = log_start_offset, None, (), True
        rebuilt += self._check_txn_indexes(names, segments, snapshots, log_start_offset)
        local = self._local(
            list(segments),
            log_end_offset=log_end_offset,
            recovery_point=log_end_offset if clean else min(recovery_point or 0, log_end_offset),
            unsynced=(*unsynced, *rebuilt, self._folder) if is_changed or unsynced or rebuilt else (),
            is_changed=is_changed,
        )
        return Opened(local, max(log_start_offset, segments.first.base_offset), snapshots, producers)

    def _local(
        self,
        segments: list[Segment],
        *,
        log_end_offset: int,
        recovery_point: int,
        unsynced: tuple[Unsynced, ...],
        is_changed: bool = False,
    ) -> LocalLog:
        return LocalLog(
            self._environment,
            self._directory,
            self._partition,
            self._config,
            SegmentList(self._environment, self._directory, segments),
            log_end_offset=log_end_offset,
            recovery_point=recovery_point,
            now_ms=self._now_ms,
            unsynced=unsynced,
            is_changed=is_changed,
        )

    def _check_txn_indexes(
        self,
        names: list[str],
        segments: SegmentList,
        snapshots: tuple[int, ...],
        log_start_offset: int,
    ) -> list[Unsynced]:
        """Rebuild the transaction indexes that do not read, from the segments; returns their files.

        Few segments have one. It is looked at here, for a rebuild needs to know the transactions that were
        open where the segment begins.
        """
        rebuilt = []
        existing = {offset_of(name) for name in names if name.endswith(TXNINDEX)}
        for segment in segments:
            if segment.base_offset not in existing:
                continue
            try:
                segment.txn_index.sanity_check(segment.base_offset)
            except CorruptTransactionIndexError:
                base_offset = segment.base_offset
                producers = LogProducers(
                    self._environment,
                    self._directory,
                    self._partition,
                    [offset for offset in snapshots if log_start_offset < offset <= base_offset],
                )
                producers.reload(segments, log_start_offset, base_offset)
                segment.txn_index.reset()
                for _, header, batch in scan_batches(segment.file, 0, segment.size):
                    _replay(segment, producers, header, batch)
                rebuilt.append(Unsynced(segment.txn_index.path))
        return rebuilt

    def _new_segment(self, base_offset: int) -> Segment:
        segment = self._segment(base_offset, 0)
        segment.create()
        return segment

    def _segment(self, base_offset: int, size: int) -> Segment:
        return Segment(
            self._environment,
            self._directory,
            base_offset,
            self._config,
            size=size,
            created_ms=self._now_ms,
        )

    def _segments(self, names: list[str]) -> list[Segment]:
        """The segments of the `.log` files; index files without one are removed."""
        found = []
        bases = {offset for name in names if name.endswith(LOG) and (offset := offset_of(name)) is not None}
        for base_offset in sorted(bases):
            size = self._fs.size(segment_path(self._directory, base_offset, LOG))
            found.append(self._segment(base_offset, size))
        for name in names:
            if name.endswith((INDEX, TIMEINDEX, TXNINDEX)) and offset_of(name) not in bases:
                self._fs.unlink(f"{self._directory}/{name}")
        return found

    def _recover(
        self,
        segments: SegmentList,
        snapshots: tuple[int, ...],
        log_start_offset: int,
        recovery_point: int | None,
    ) -> _Recovered:
        """Check what may not have been on the disk, and cut the log before what is damaged or missing."""
        # A segment that ends at the recovery point may have been flushed while active, without its indexes.
        unflushed = segments.since(max((recovery_point or 0) - 1, 0))
        first_offset = unflushed[0].base_offset
        flushed = [segment for segment in segments if segment.base_offset < first_offset]
        producers = LogProducers(self._environment, self._directory, self._partition, snapshots)
        producers.snapshots.delete_strays([segment.base_offset for segment in segments])
        producers.reload(
            SegmentList(self._environment, self._directory, flushed),
            max(log_start_offset, segments.first.base_offset),
            first_offset,
        )
        epochs = LeaderEpochCache(self._fs, self._directory, flushed)
        log_end_offset = first_offset
        rebuilt: list[Unsynced] = []
        for number, segment in enumerate(unflushed):
            if recovery_point is not None and segment.base_offset > max(recovery_point, log_end_offset):
                segments.cut(unflushed[number:], self._now_ms)
                break
            log_end_offset = max(log_end_offset, segment.base_offset)
            producers.take_snapshot(segment.base_offset, sync=False)
            end_offset, valid_bytes = _read_segment(segment, log_end_offset, producers, epochs)
            log_end_offset = max(log_end_offset, end_offset)
            is_cut = valid_bytes < segment.size
            if is_cut:
                segments.cut(unflushed[number + 1 :], self._now_ms)
                segment.cut(valid_bytes)
            segment.seal()
            rebuilt += (Unsynced(segment.path(kind)) for kind in (INDEX, TIMEINDEX, TXNINDEX))
            if is_cut:
                break
        epochs.truncate_from_end(log_end_offset)
        epochs.truncate_from_start(log_start_offset)
        epochs.flush()
        producers.take_snapshot(log_end_offset, sync=False)
        return _Recovered(log_end_offset, producers, rebuilt)


def _clean_end_offset(segments: SegmentList, snapshots: tuple[int, ...]) -> int:
    """Where the log ends after a clean stop: closing wrote a producer snapshot there."""
    active = segments.active
    newest = max(snapshots, default=-1)
    if newest > active.base_offset:
        return newest
    return active.end_offset() if active.size else active.base_offset


def _read_segment(
    segment: Segment, next_offset: int, producers: LogProducers, epochs: LeaderEpochCache
) -> tuple[int, int]:
    """Check a segment's batches and rebuild its indexes; returns (end offset, position) of what is sound."""
    segment.begin_rebuild()
    segment.txn_index.reset()
    end_offset = segment.base_offset
    valid_bytes = 0
    latest_epoch = epochs.latest_epoch
    for position, header, batch in scan_batches(segment.file, 0, segment.size):
        last_offset = header.last_offset
        if (
            header.last_offset_delta < 0
            or header.base_offset < next_offset
            or last_offset - segment.base_offset > MAX_RELATIVE_OFFSET
            or not has_valid_crc(batch, header)
        ):
            break
        segment.note(position, header)
        if header.leader_epoch >= 0 and (latest_epoch is None or header.leader_epoch > latest_epoch):
            epochs.assign(header.leader_epoch, header.base_offset)
            latest_epoch = header.leader_epoch
        _replay(segment, producers, header, batch)
        end_offset = next_offset = last_offset + 1
        valid_bytes = position + header.size
    return end_offset, valid_bytes


def _replay(segment: Segment, producers: LogProducers, header: BatchHeader, batch: Buffer) -> None:
    """Take in a batch of `segment` that lies in the log, into the transaction index too."""
    if header.producer_id >= 0:
        completed = producers.replay(header, batch)
        if completed is not None and completed.is_aborted:
            segment.txn_index.append(AbortedTxn(*completed[:4]))
