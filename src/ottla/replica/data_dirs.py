"""All data folders of a broker: whether they belong together, where a new log goes, what is done to all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ottla.replica.data_dir import DataDir, DataDirError
from ottla.replica.runs import Runs
from ottla.storage.checkpoints import (
    CorruptCheckpointError,
    DirectoryLockedError,
    MetaProperties,
    read_meta_properties,
    take_clean_shutdown,
    write_clean_shutdown,
)

if TYPE_CHECKING:
    from ottla.replica.data_dir import Hosted
    from ottla.replica.replica import Replica
    from ottla.storage.fs import FileSystem


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
        epoch = self.runs.intact_epoch
        if epoch is not None and epoch >= 0:  # the mark is gone, should this start be broken off
            self.runs.note(epoch)

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
        free = self._not_among(cordoned)
        return sorted(free, key=lambda each: (each.is_full, each.hosted_count)) or list(self.online[:1])

    def are_all(self, cordoned: Collection[str]) -> bool:
        """Whether no folder is left for new logs (KIP-1066): others are to get them then."""
        return bool(self.online) and not self._not_among(cordoned)

    def _not_among(self, cordoned: Collection[str]) -> list[DataDir]:
        return [each for each in self.online if each.path not in cordoned and "*" not in cordoned]

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
        return _each([folder.checkpoint(hosted) for folder, hosted in self._by_folder(partitions)])

    def checkpoint_high_watermarks(self, partitions: Hosted) -> Callable[[], None]:
        """As `DataDir.checkpoint_high_watermarks`, of all folders."""
        return _each(
            [folder.checkpoint_high_watermarks(hosted) for folder, hosted in self._by_folder(partitions)]
        )

    def checkpoint_log_starts(self, partitions: Hosted) -> Callable[[], None]:
        """As `DataDir.checkpoint_log_starts`, of all folders."""
        return _each([folder.checkpoint_log_starts(hosted) for folder, hosted in self._by_folder(partitions)])

    def _by_folder(self, partitions: Hosted) -> list[tuple[DataDir, Hosted]]:
        """Each folder with what lies in it: there may be many partitions in many folders."""
        online = self.online
        if len(online) == 1:
            return [(online[0], partitions)]
        replicas: dict[str, list[Replica]] = {each.path: [] for each in online}
        for replica in partitions:
            if replica.log_dir in replicas:
                replicas[replica.log_dir].append(replica)
        return [(each, _Some(replicas[each.path], partitions.offline)) for each in online]

    def close(self, partitions: Hosted, clean: Collection[DataDir], broker_epoch: int) -> None:
        """Give the folders back; `clean` are those whose logs were all closed and synced, in which they are
        marked with the broker's epoch (-1 where it has none, or a disk has failed meanwhile).
        """
        epoch = -1 if self.runs.has_failed else broker_epoch

        def closing(folder: DataDir) -> Callable[[], None]:
            return lambda: folder.close(partitions, clean=folder in clean, broker_epoch=epoch)

        try:
            _each([closing(folder) for folder in self.online])()
        finally:
            self.release()

    def release(self) -> None:
        """Only drop the locks."""
        for folder in self._folders:
            folder.release()


class _Some:
    """Some of the partitions, as `Hosted`."""

    def __init__(self, replicas: Sequence[Replica], offline: Collection[tuple[str, int]]) -> None:
        self._replicas = replicas
        self.offline = offline

    def __iter__(self) -> Iterator[Replica]:
        return iter(self._replicas)


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
