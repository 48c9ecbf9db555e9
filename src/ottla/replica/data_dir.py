"""The data folders: their locks, identities, checkpoints, and whether they were closed in order."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from ottla.replica.runs import Runs
from ottla.storage import checkpoints
from ottla.storage.checkpoints import (
    CorruptCheckpointError,
    DirectoryLock,
    DirectoryLockedError,
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
        """Give the folder back; `clean` when every log was closed and synced."""
        try:
            self.checkpoint(partitions)()
            self.checkpoint_log_starts(partitions)()
            if clean:
                write_clean_shutdown(self.fs, self.path, broker_epoch)
            else:
                remove_run(self.fs, self.path)
        finally:
            self.release()

    def release(self) -> None:
        """Only drop the lock."""
        self._lock.release()


class DataDirs:
    """The data folders of one broker: those of `log.dirs`, and the one that has the metadata (KIP-112, 858).

    A folder that cannot be used when the broker starts is left out; the metadata's must be usable.
    """

    def __init__(
        self, fs: FileSystem, log_dirs: Sequence[str], metadata_log_dir: str | None, boot_id: str = ""
    ) -> None:
        """The metadata is in the first of `log_dirs` unless another folder is named. `boot_id`: `Runs`."""
        self.all = tuple(DataDir(fs, path) for path in log_dirs)
        """In the configured order"""
        named = next((each for each in self.all if each.path == metadata_log_dir), None)
        self.metadata = self.all[0] if metadata_log_dir is None else named or DataDir(fs, metadata_log_dir)
        self._folders = tuple(dict.fromkeys((self.metadata, *self.all)))
        self.runs = Runs(self.all, boot_id)
        self._absent: tuple[str, ...] = ()
        self._found: Mapping[DataDir, MetaProperties | None] = {}
        self._formatted: tuple[DataDir, ...] = ()

    @property
    def online(self) -> Sequence[DataDir]:
        """Those that logs may lie in, in the configured order."""
        return [each for each in self._formatted if each.is_online]

    @property
    def failed(self) -> Sequence[DataDir]:
        """Those whose disks have failed since the start."""
        return [each for each in self._formatted if not each.is_online]

    # -- starting

    def take(self, node_id: int, metadata_file: str) -> str | None:
        """Lock the folders; returns the cluster id of those that are not new.

        Raises DirectoryLockedError when another process has one, DataDirError when they are not those of one
        node, or it cannot be told where the metadata is (in `metadata_file`), and what `DataDir.take` raises
        for the folder of the metadata.
        """
        found: dict[DataDir, MetaProperties | None] = {}
        for folder in self._folders:
            try:
                found[folder] = folder.take()
            except DirectoryLockedError:
                self._refuse_aliases(folder)
                raise
            except (DataDirError, CorruptCheckpointError, OSError) as error:
                self._do_without(folder, error)
        cluster_id = _check_identities({each: meta for each, meta in found.items() if meta}, node_id)
        if len(self._folders) > 1:
            self._check_metadata(found, metadata_file)
        self._found = found
        return cluster_id

    def format(self, cluster_id: str, node_id: int, new_id: Callable[[], str]) -> None:
        """Note in those that are new whose data they are to hold. Raises DataDirError."""
        for folder, meta in self._found.items():
            if meta is None or meta.directory_id is None:
                try:
                    folder.format(MetaProperties(cluster_id, node_id, new_id()))
                except OSError as error:
                    self._do_without(folder, error)
        self._formatted = tuple(each for each in self.all if each.is_online)
        if not self._formatted:
            paths = ", ".join(each.path for each in self.all)
            raise DataDirError(f"none of the data folders can be used: {paths}")

    def _do_without(self, folder: DataDir, error: Exception) -> None:
        if folder is self.metadata:
            raise error
        folder.fail(error)

    def _refuse_aliases(self, locked: DataDir) -> None:
        meta = read_meta_properties(locked.fs, locked.path)
        for other in self._folders:
            if other.is_online and meta is not None and other.directory_id == meta.directory_id:
                raise DataDirError(f"{locked.path} and {other.path} are the same folder")

    def _check_metadata(self, found: Mapping[DataDir, MetaProperties | None], file: str) -> None:
        """Without the metadata all logs would belong to nobody."""
        home = self.metadata
        is_there = home.fs.exists(f"{home.path}/{file}")
        others = [each for each in found if each is not home]
        for other in others:
            if other.fs.exists(f"{other.path}/{file}"):
                raise DataDirError(
                    f"there is a {file} in {home.path} and one in {other.path}: move the wrong one away"
                    if is_there
                    else f"{file} is in {other.path}, not in {home.path}: put that folder first in log.dirs, "
                    f"or set metadata.log.dir={other.path}"
                )
        formatted = next((each for each in others if found[each]), None)
        if not is_there and found[home] is None and formatted is not None:
            raise DataDirError(
                f"{home.path} is new, but {formatted.path} holds data already: {file} is missing, "
                "which should be in the former"
            )

    def carry_over(self, broker_epoch: int) -> None:
        """Have the marks of a clean stop name another epoch, as the node's last one is called that now."""
        for folder in self.all:
            if folder.is_online and take_clean_shutdown(folder.fs, folder.path) is not None:
                write_clean_shutdown(folder.fs, folder.path, broker_epoch)

    def expect(self, known_ids: Iterable[str]) -> tuple[str, ...]:
        """Be told in which folders, by their ids, replicas may lie; returns these and the new ones."""
        here = [each.directory_id for each in self.online]
        self._absent = tuple(each for each in known_ids if each not in here)
        return (*self._absent, *here)

    def expect_no_more(self) -> tuple[str, ...]:
        """Nothing is missing that folders may hold which are not here; returns the ids of those that are."""
        self._absent = ()
        return tuple(each.directory_id for each in self.online)

    def begin(self) -> None:
        """Read the checkpoints and take the marks of a clean stop: the logs are opened next.

        What can keep a broker from starting comes before, so that a failed start costs no recovery.
        """
        for folder in self.online:
            folder.begin()

    # -- finding places

    @property
    def sole(self) -> DataDir | None:
        """The folder where every log is, if there is but one."""
        online = self.online
        return online[0] if len(self.all) == len(online) == 1 and not self._absent else None

    def missing(self) -> list[str]:
        """Which folders are not here; without any, a log that is in none of them is nowhere."""
        lost = [each.path for each in self.all if not each.is_there()]
        return lost + [f"the one with directory.id {each}" for each in self._absent]

    def for_new(self, cordoned: Collection[str]) -> list[DataDir]:
        """Where a new log may lie, the best first: as in Kafka the folder with the fewest logs.

        Those that are `cordoned` take none, unless all are.
        """
        online = self.online
        free = [each for each in online if each.path not in cordoned and "*" not in cordoned]
        return sorted(free, key=lambda each: (each.is_full, each.hosted_count)) or list(online[:1])

    def of(self, partition: Replica) -> DataDir:
        """The folder that the partition's log lies in."""
        return next(each for each in self._formatted if each.path == partition.log_dir)

    # -- running and stopping

    def drop_stale(self, partitions: Hosted) -> None:
        """After a start: have the checkpoints forget what was deleted just before a crash."""
        for folder in self.online:
            folder.drop_stale(partitions)

    def checkpoint(self, partitions: Hosted) -> Callable[[], None]:
        """As `DataDir.checkpoint`, of all folders."""
        return _each([folder.checkpoint(partitions) for folder in self.online])

    def checkpoint_high_watermarks(self, partitions: Hosted) -> Callable[[], None]:
        """As `DataDir.checkpoint_high_watermarks`, of all folders."""
        return _each([folder.checkpoint_high_watermarks(partitions) for folder in self.online])

    def checkpoint_log_starts(self, partitions: Hosted) -> Callable[[], None]:
        """As `DataDir.checkpoint_log_starts`, of all folders."""
        return _each([folder.checkpoint_log_starts(partitions) for folder in self.online])

    def close(self, partitions: Hosted, clean: Collection[DataDir], broker_epoch: int) -> None:
        """Give the folders back; `clean` are those whose logs were all closed and synced, in which they are
        marked with the broker's epoch (-1 where it has none).
        """

        def closing(folder: DataDir) -> Callable[[], None]:
            return lambda: folder.close(partitions, clean=folder in clean, broker_epoch=broker_epoch)

        try:
            _each([closing(folder) for folder in self.online])()
        finally:
            self.release()

    def release(self) -> None:
        """Only drop the locks."""
        for folder in self._folders:
            folder.release()


def _check_identities(found: Mapping[DataDir, MetaProperties], node_id: int) -> str | None:
    """The cluster id on which the folders agree, None when all are new; raises DataDirError."""
    cluster_id: str | None = None
    by_directory: dict[str, str] = {}
    for folder, meta in found.items():
        if meta.node_id != node_id:
            raise DataDirError(
                f"{folder.path} holds the data of node {meta.node_id}, but this broker is node {node_id}: "
                f"start it with --node-id {meta.node_id} or another folder"
            )
        if cluster_id is not None and meta.cluster_id != cluster_id:
            raise DataDirError(
                f"{folder.path} holds the data of cluster {meta.cluster_id}, but {next(iter(found)).path} "
                f"that of cluster {cluster_id}"
            )
        cluster_id = meta.cluster_id
        if meta.directory_id is not None:
            other = by_directory.setdefault(meta.directory_id, folder.path)
            if other != folder.path:
                raise DataDirError(
                    f"{folder.path} and {other} have the same directory.id {meta.directory_id}: "
                    "is one a copy of the other?"
                )
    return cluster_id


def _each(actions: Sequence[Callable[[], None]]) -> Callable[[], None]:
    """Do them all, also when one raises OSError; the first error is raised afterwards."""

    def act() -> None:
        errors: list[OSError] = []
        for action in actions:
            try:
                action()
            except OSError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    return act


def _of_offline(known: Mapping[tuple[str, int], int], partitions: Hosted) -> dict[tuple[str, int], int]:
    offline = set(partitions.offline)
    return {key: offset for key, offset in known.items() if key in offline}
