"""A data folder: its lock, identity, checkpoints, and whether it was closed in order."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from ottla.storage import checkpoints
from ottla.storage.checkpoints import (
    CorruptCheckpointError,
    DirectoryLock,
    MetaProperties,
    OffsetCheckpoint,
    read_meta_properties,
    remove_run,
    take_clean_shutdown,
    write_clean_shutdown,
    write_meta_properties,
)

if TYPE_CHECKING:
    from ottla.replica.replica import Replica
    from ottla.storage.fs import DiskSpace, FileSystem

log = logging.getLogger(__name__)

_PROBE: Final = ".probe"
_PROBE_BYTES: Final = 4096


class Hosted(Protocol):
    """The partitions whose logs are in the folders."""

    def __iter__(self) -> Iterator[Replica]: ...

    @property
    def offline(self) -> Collection[tuple[str, int]]:
        """Topic and index of those that could not be opened."""


class DataDirError(Exception):
    """A data folder that this broker must not use, or cannot."""


class DataDir:
    """Owns the folder `path` while the broker runs. Its files speak of the partitions that lie in it."""

    def __init__(self, fs: FileSystem, path: str) -> None:
        self.fs = fs
        self.path = path
        self.directory_id = ""
        self.is_online = False
        """The folder is ours and can be used."""
        self.is_full = False
        """Its disk takes no more; replicas that others have too are not here meanwhile."""
        self.hosted_count = 0
        """Partitions in it that are online; whoever opens and removes them counts."""
        self._lock = DirectoryLock(fs, path)
        self._recovery_points = OffsetCheckpoint(fs, path, checkpoints.RECOVERY_POINTS)
        self._log_starts = OffsetCheckpoint(fs, path, checkpoints.LOG_START_OFFSETS)
        self._high_watermarks = OffsetCheckpoint(fs, path, checkpoints.HIGH_WATERMARKS)
        self._written_high_watermarks: dict[tuple[str, int], int] | None = None
        self.cleaner_offsets = OffsetCheckpoint(fs, path, checkpoints.CLEANER_OFFSETS)
        self.recovery_points: dict[tuple[str, int], int] = {}
        self._knows_recovery_points = False
        self.log_starts: dict[tuple[str, int], int] = {}
        self.high_watermarks: dict[tuple[str, int], int] = {}
        """What was committed at the last checkpoint: a replica that is not alone goes on from there."""
        self.clean = False
        """The last stop was in order: no log has to be read."""
        self.clean_epoch: int | None = None
        """The broker's epoch at that stop, where it had one"""

    def take(self) -> MetaProperties | None:
        """Lock the folder, making it where there is none; returns whose data it holds, None for a new one.

        Raises DirectoryLockedError when another process has it, DataDirError, OSError and
        CorruptCheckpointError when it cannot be used.
        """
        try:
            self.fs.make_dirs(self.path, sync=True)
        except OSError as error:
            why = "there is a file in its place" if isinstance(error, FileExistsError) else error.strerror
            raise DataDirError(f"cannot make the data folder {self.path}: {why}") from error
        self._lock.acquire()
        meta = read_meta_properties(self.fs, self.path)
        self.directory_id = (meta and meta.directory_id) or ""
        self.is_online = True
        return meta

    def format(self, meta: MetaProperties) -> None:
        """Note whose data the folder is to hold from now on. Raises OSError.

        Of a new one it is known from the first moment on how much of its logs is on the disk.
        """
        files = (self._recovery_points.path, f"{self.path}/{checkpoints.META_PROPERTIES}")
        if not any(map(self.fs.exists, files)):
            self._recovery_points.write({})
        write_meta_properties(self.fs, self.path, meta)
        self.directory_id = meta.directory_id or ""

    def fail(self, error: Exception) -> None:
        """Do without the folder: its partitions are offline."""
        log.error("the data folder %s cannot be used; what it holds is offline: %s", self.path, error)
        self.is_online = False
        self.release()

    def check(self) -> None:
        """Try whether the disk takes a file, and keeps it; in any thread. Raises OSError."""
        if not self.fs.exists(f"{self.path}/{checkpoints.META_PROPERTIES}"):
            raise OSError(errno.ENOENT, "it is not there")
        probe = f"{self.path}/{_PROBE}"
        self.fs.write_atomic(probe, bytes(_PROBE_BYTES))
        self.fs.unlink(probe)

    def forget(self, partition: Replica) -> None:
        """Its log is not used any more, or not for now: it is read again from where it is known to be on the
        disk, should it be opened once more.
        """
        key, log = (partition.topic, partition.index), partition.log
        self.hosted_count -= 1
        self.clean = False
        self.recovery_points[key] = log.recovery_point
        self.log_starts[key] = log.log_start_offset
        self.high_watermarks[key] = log.high_watermark

    def resume(self) -> None:
        """Use the folder again, after `fail`. Raises as `take`, DataDirError where it is another one."""
        if not self.fs.exists(f"{self.path}/{checkpoints.META_PROPERTIES}"):
            raise OSError(errno.ENOENT, "it is not there")
        directory_id = self.directory_id
        self.take()
        try:
            if self.directory_id != directory_id:
                raise DataDirError(
                    f"{self.path} is another folder now, with directory.id {self.directory_id}"
                )
            self.check()
            # It could not be taken away when the disk failed.
            remove_run(self.fs, self.path)
            self.fs.sync_dir(self.path)
            self.begin()
        except BaseException:
            self.directory_id, self.is_online = directory_id, False
            self.release()
            raise

    def is_there(self) -> bool:
        """Whether the folder can be used, and its disk was not taken away meanwhile."""
        return self.is_online and self.fs.exists(f"{self.path}/{checkpoints.META_PROPERTIES}")

    def has(self, file: str) -> bool:
        return self.fs.exists(f"{self.path}/{file}")

    def begin(self) -> None:
        """Read the checkpoints and take the mark of a clean stop: the logs are opened next."""
        recovery_points = self._read(self._recovery_points)
        self._knows_recovery_points = recovery_points is not None and self.fs.exists(
            self._recovery_points.path
        )
        self.recovery_points = recovery_points or {}
        self.log_starts = self._read(self._log_starts) or {}
        self.high_watermarks = self._read(self._high_watermarks) or {}
        mark = take_clean_shutdown(self.fs, self.path)
        self.clean, self.clean_epoch = mark is not None, mark and mark.broker_epoch
        if not self.clean:
            # A killed process may have made folders of logs that a loss of power would still take back.
            self.fs.sync_dir(self.path)

    @staticmethod
    def _read(checkpoint: OffsetCheckpoint) -> dict[tuple[str, int], int] | None:
        try:
            return checkpoint.read()
        except CorruptCheckpointError as error:
            # Without it more is read again than need be, but nothing is lost.
            log.warning("%s; recovering without it", error)
            return None

    def recovery_point_of(self, topic: str, index: int) -> int | None:
        """How far a log is known to be on the disk; None where nobody knows: there is no such checkpoint."""
        return self.recovery_points.get((topic, index), 0 if self._knows_recovery_points else None)

    def mine(self, partitions: Iterable[Replica]) -> Iterator[Replica]:
        """Those of the partitions whose logs lie in this folder."""
        return (partition for partition in partitions if partition.log_dir == self.path)

    def drop_stale(self, partitions: Hosted) -> None:
        """After a start: have the checkpoints forget what was deleted just before a crash."""
        hosted = {(partition.topic, partition.index) for partition in self.mine(partitions)}
        hosted.update(partitions.offline)
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
        for partition in self.mine(partitions):
            recovery_points[partition.topic, partition.index] = partition.log.recovery_point
        write_high_watermarks = self.checkpoint_high_watermarks(partitions)

        def write() -> None:
            self._recovery_points.write(recovery_points)
            write_high_watermarks()

        return write

    def checkpoint_high_watermarks(self, partitions: Hosted) -> Callable[[], None]:
        """Note what is committed, if that is not what was noted last; as `checkpoint`."""
        self.high_watermarks = _of_offline(self.high_watermarks, partitions)
        high_watermarks = self.high_watermarks.copy()
        for partition in self.mine(partitions):
            high_watermarks[partition.topic, partition.index] = partition.high_watermark

        def write() -> None:
            if high_watermarks != self._written_high_watermarks:
                self._written_high_watermarks = None  # should it fail
                self._high_watermarks.write(high_watermarks)
                self._written_high_watermarks = high_watermarks

        return write

    def checkpoint_log_starts(self, partitions: Hosted) -> Callable[[], None]:
        """Note where each log starts; as `checkpoint`."""
        self.log_starts = _of_offline(self.log_starts, partitions)
        log_starts = self.log_starts | {
            (partition.topic, partition.index): partition.log.log_start_offset
            for partition in self.mine(partitions)
            if partition.log.log_start_offset > 0
        }
        return lambda: self._log_starts.write(log_starts)

    def space(self) -> DiskSpace:
        """Of the disk that holds the folder."""
        return self.fs.space(self.path)

    def close(self, partitions: Hosted, *, clean: bool, broker_epoch: int) -> None:
        """Give the folder back; `clean` when every log was closed and synced.

        Raises OSError; then neither a stop in order nor a kill that left them whole is said of its logs.
        """
        try:
            if not clean:
                remove_run(self.fs, self.path)
            self.checkpoint(partitions)()
            self.checkpoint_log_starts(partitions)()
            if clean:
                write_clean_shutdown(self.fs, self.path, broker_epoch)
        except OSError:
            remove_run(self.fs, self.path)
            raise
        finally:
            self.release()

    def release(self) -> None:
        """Only drop the lock."""
        self._lock.release()


def _of_offline(known: Mapping[tuple[str, int], int], partitions: Hosted) -> dict[tuple[str, int], int]:
    offline = set(partitions.offline)
    return {key: offset for key, offset in known.items() if key in offline}
