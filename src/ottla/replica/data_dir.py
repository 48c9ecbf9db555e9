"""The data folder as a whole: its lock, its identity, its checkpoints, and whether it was closed in order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from ottla.storage import checkpoints
from ottla.storage.checkpoints import (
    CorruptCheckpointError,
    DirectoryLock,
    MetaProperties,
    OffsetCheckpoint,
    read_meta_properties,
    take_clean_shutdown,
    write_clean_shutdown,
    write_meta_properties,
)

if TYPE_CHECKING:
    from ottla.replica.partition import Partition
    from ottla.storage.fs import FileSystem

log = logging.getLogger(__name__)


class Hosted(Protocol):
    """The partitions whose logs are in the folder."""

    def __iter__(self) -> Iterator[Partition]: ...

    @property
    def offline(self) -> Collection[tuple[str, int]]:
        """Topic and index of those that could not be opened."""


class DataDirError(Exception):
    """A data folder that this broker must not use."""


class DataDir:
    """Owns `path` while the broker runs."""

    def __init__(self, fs: FileSystem, path: str) -> None:
        self.fs = fs
        self.path = path
        self._lock = DirectoryLock(fs, path)
        self._recovery_points = OffsetCheckpoint(fs, path, checkpoints.RECOVERY_POINTS)
        self._log_starts = OffsetCheckpoint(fs, path, checkpoints.LOG_START_OFFSETS)
        self._high_watermarks = OffsetCheckpoint(fs, path, checkpoints.HIGH_WATERMARKS)
        self.recovery_points: dict[tuple[str, int], int] = {}
        self.log_starts: dict[tuple[str, int], int] = {}
        self.high_watermarks: dict[tuple[str, int], int] = {}
        """What was committed at the last checkpoint: a replica that is not alone goes on from there."""
        self.clean = False
        """The last stop was in order: no log has to be read."""

    def open(self, node_id: int, new_cluster_id: str, directory_id: str) -> str:
        """Take the folder, making it on first use; returns its cluster id.

        Raises DirectoryLockedError when another process has it, DataDirError when it is another node's
        or cannot be made.
        """
        try:
            self.fs.make_dirs(self.path, sync=True)
        except OSError as error:
            why = "there is a file in its place" if isinstance(error, FileExistsError) else error.strerror
            raise DataDirError(f"cannot make the data folder {self.path}: {why}") from error
        self._lock.acquire()
        meta = read_meta_properties(self.fs, self.path)
        if meta is None:
            meta = MetaProperties(new_cluster_id, node_id, directory_id)
            write_meta_properties(self.fs, self.path, meta)
        elif meta.node_id != node_id:
            raise DataDirError(
                f"{self.path} holds the data of node {meta.node_id}, but this broker is node {node_id}: "
                f"start it with --node-id {meta.node_id} or another folder"
            )
        return meta.cluster_id

    def begin(self) -> None:
        """Read the checkpoints and take the mark of a clean stop: the logs are opened next.

        What can keep a broker from starting comes before, so that a failed start costs no recovery.
        """
        self.recovery_points = self._read(self._recovery_points)
        self.log_starts = self._read(self._log_starts)
        self.high_watermarks = self._read(self._high_watermarks)
        self.clean = take_clean_shutdown(self.fs, self.path) is not None

    @staticmethod
    def _read(checkpoint: OffsetCheckpoint) -> dict[tuple[str, int], int]:
        try:
            return checkpoint.read()
        except CorruptCheckpointError as error:
            # Without it more is read again than need be, but nothing is lost.
            log.warning("%s; recovering without it", error)
            return {}

    def drop_stale(self, partitions: Hosted) -> None:
        """After a start: have the checkpoints forget what was deleted just before a crash."""
        hosted = {(partition.topic, partition.index) for partition in partitions} | set(partitions.offline)
        if not hosted.issuperset(self.recovery_points.keys() | self.log_starts.keys()):
            self.checkpoint(partitions)()
            self.checkpoint_log_starts(partitions)()

    def checkpoint(self, partitions: Hosted) -> Callable[[], None]:
        """Note how far each log is on the disk, and what is committed.

        Returns what writes that down: for any thread, one at a time, and in order.  Of a partition that could
        not be opened what was known stays; of a deleted one nothing does, so that a topic which gets its name
        later does not start where it ended.
        """
        self.recovery_points = _of_offline(self.recovery_points, partitions)
        recovery_points = self.recovery_points.copy()
        self.high_watermarks = _of_offline(self.high_watermarks, partitions)
        high_watermarks = self.high_watermarks.copy()
        for partition in partitions:
            key = (partition.topic, partition.index)
            recovery_points[key] = partition.log.recovery_point
            high_watermarks[key] = partition.high_watermark

        def write() -> None:
            self._recovery_points.write(recovery_points)
            self._high_watermarks.write(high_watermarks)

        return write

    def checkpoint_log_starts(self, partitions: Hosted) -> Callable[[], None]:
        """Note where each log starts; as `checkpoint`."""
        self.log_starts = _of_offline(self.log_starts, partitions)
        log_starts = self.log_starts | {
            (partition.topic, partition.index): partition.log.log_start_offset
            for partition in partitions
            if partition.log.log_start_offset > 0
        }
        return lambda: self._log_starts.write(log_starts)

    def space(self) -> tuple[int, int]:
        """Bytes of the disk that holds the folder: in all, and free for us."""
        return self.fs.space(self.path)

    def close(self, partitions: Hosted, *, clean: bool) -> None:
        """Give the folder back; `clean` when every log was closed and synced."""
        try:
            self.checkpoint(partitions)()
            self.checkpoint_log_starts(partitions)()
            if clean:
                write_clean_shutdown(self.fs, self.path, -1)
        finally:
            self.release()

    def release(self) -> None:
        """Only drop the lock."""
        self._lock.release()


def _of_offline(known: Mapping[tuple[str, int], int], partitions: Hosted) -> dict[tuple[str, int], int]:
    offline = set(partitions.offline)
    return {key: offset for key, offset in known.items() if key in offline}
