"""The folders of logs in the data folders: found, made, opened, and taken away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.storage.checkpoints import has_partition_metadata
from ottla.storage.lifecycle import open_log
from ottla.storage.names import (
    FOLDER_DELETED,
    FOLDER_FUTURE,
    FOLDER_STRAY,
    folder_aside,
    log_folder,
    parse_log_folder,
)

if TYPE_CHECKING:
    from ottla.clock import Clock
    from ottla.config.topic import TopicConfig
    from ottla.metadata.model import Topic
    from ottla.replica.data_dir import DataDir
    from ottla.replica.data_dirs import DataDirs
    from ottla.storage.environment import LogEnvironment
    from ottla.storage.log import Log

log = logging.getLogger(__name__)

_PREFERRED_MAX: Final = 100_000


class LogFolders:
    """Where the logs of this broker's replicas lie."""

    def __init__(
        self,
        data_dirs: DataDirs,
        environment: LogEnvironment,
        new_uuid: Callable[[], UUID],
        clock: Clock,
        node_id: int,
        worker: Executor,
    ) -> None:
        """`worker` removes files."""
        self._worker = worker
        self._data_dirs = data_dirs
        self._environment = environment
        self._new_uuid = new_uuid
        self._clock = clock
        self._node_id = node_id
        self._preferred: dict[tuple[str, int], DataDir] = {}

    def open(
        self, topic: Topic, index: int, config: TopicConfig, cordoned: tuple[str, ...], *, is_new: bool
    ) -> Log:
        """The log where it lies, or a new one; unless `is_new`, none is made while a data folder is missing.

        Raises OSError, KafkaError and CorruptCheckpointError.
        """
        folder, opened = self._find_log(topic, index, config) or self._make_log(
            topic, index, config, cordoned, is_new=is_new
        )
        folder.hosted_count += 1
        if not is_new:
            self._compare(topic.name, index, opened)
        return opened

    def _compare(self, topic: str, index: int, opened: Log) -> None:
        """A killed broker's log has all that was committed or synced; else its disk has lost something."""
        known = max(_known_end(each, (topic, index)) for each in self._data_dirs.online)
        runs = self._data_dirs.runs
        if opened.log_end_offset < known and runs.intact_epoch is not None:
            log.warning(
                "%s-%d ended at %d before the kill, at %d now", topic, index, known, opened.log_end_offset
            )
            runs.distrust()

    def homes(self, topic: str, index: int) -> list[DataDir]:
        """The data folders that have the partition's; the only one there is has, or will."""
        sole = self._data_dirs.sole
        if sole is not None:
            return [sole]
        name = log_folder(topic, index)
        return [each for each in self._data_dirs.online if each.fs.exists(f"{each.path}/{name}")]

    def _find_log(self, topic: Topic, index: int, config: TopicConfig) -> tuple[DataDir, Log] | None:
        """Open the log where it lies; None where it lies nowhere."""
        homes = self.homes(topic.name, index)
        if len(homes) > 1:
            homes = [each for each in homes if not self._cleared_of_older(each, topic, index)]
        if len(homes) > 1:
            raise KafkaError(
                ErrorCode.kafka_storage_error,
                f"it is in {' and in '.join(each.path for each in homes)}: move away what is out of date",
            )
        for folder in homes:
            if folder.is_full:
                raise KafkaError(ErrorCode.kafka_storage_error, f"the disk of {folder.path} is full")
            try:
                return folder, self._open_log(folder, topic, index, config)
            except KafkaError as refused:
                if refused.code is not ErrorCode.inconsistent_topic_id:
                    raise
                # An older topic of that name, whose deletion a crash has undone on the disk.
                self._move_aside(folder, topic.name, index)
                _forget(folder, (topic.name, index))
        return None

    def _cleared_of_older(self, folder: DataDir, topic: Topic, index: int) -> bool:
        """Whether the log in this folder was that of an older topic of the same name: it is aside now."""
        try:
            has_partition_metadata(
                folder.fs, f"{folder.path}/{log_folder(topic.name, index)}", topic.topic_id
            )
        except KafkaError:
            self._move_aside(folder, topic.name, index)
            _forget(folder, (topic.name, index))
            return True
        return False

    def _make_log(
        self, topic: Topic, index: int, config: TopicConfig, cordoned: tuple[str, ...], *, is_new: bool
    ) -> tuple[DataDir, Log]:
        if not is_new and (missing := self._data_dirs.missing()):
            raise KafkaError(
                ErrorCode.kafka_storage_error,
                f"it is in none of the data folders that are here; not here: {', '.join(missing)}",
            )
        failure: OSError | None = None
        candidates = self._data_dirs.for_new(cordoned)
        preferred = self._preferred.pop((topic.name, index), None)
        if preferred in candidates:
            candidates = [preferred, *candidates]
        for folder in candidates:
            try:
                return folder, self._open_log(folder, topic, index, config)
            except OSError as error:
                if folder in self.homes(topic.name, index):
                    raise  # what was begun here goes on here
                failure = error
        if failure is None:
            raise KafkaError(ErrorCode.kafka_storage_error, "there is no data folder that can be used")
        raise failure

    def prefer(self, topic: str, index: int, folder: DataDir) -> None:
        """Where a log is to be made, should it ever be."""
        if len(self._preferred) < _PREFERRED_MAX:
            self._preferred[topic, index] = folder

    # -- logs that move between data folders

    def open_future(self, topic: Topic, index: int, config: TopicConfig, folder: DataDir) -> Log:
        """A new log beside that of the partition. Raises OSError and CorruptCheckpointError."""
        name = folder_aside(topic.name, index, self._new_uuid().hex, FOLDER_FUTURE)
        return open_log(
            f"{folder.path}/{name}",
            f"{topic.name}-{index}",
            config,
            self._environment,
            clean=True,
            now_ms=self._clock.now_ms(),
            topic_id=topic.topic_id,
        )

    def promote(self, topic: Topic, index: int, former: str, folder: DataDir, future: Log) -> Log:
        """Put a log that was closed in order in the place of the one in the data folder `former`, which goes.

        After a crash in between `clear` finds a copy that is complete, and nothing else. Raises OSError,
        KafkaError and CorruptCheckpointError.
        """
        fs, name = folder.fs, log_folder(topic.name, index)
        gone = f"{former}/{folder_aside(topic.name, index, self._new_uuid().hex, FOLDER_DELETED)}"
        fs.rename(f"{former}/{name}", gone)
        try:
            fs.sync_dir(former)
            fs.rename(future.local.directory, f"{folder.path}/{name}")
        except OSError:
            fs.rename(gone, f"{former}/{name}")
            raise
        fs.sync_dir(folder.path)
        opened = open_log(
            f"{folder.path}/{name}",
            f"{topic.name}-{index}",
            future.local.config,
            self._environment,
            clean=True,
            log_start_offset=future.log_start_offset,
            recovery_point=future.log_end_offset,
            now_ms=self._clock.now_ms(),
            topic_id=topic.topic_id,
        )
        folder.hosted_count += 1
        self.discard(gone)
        return opened

    def _resume_moves(self, topics: Mapping[str, Topic]) -> list[tuple[str, int, str]]:
        """After a start: a copy without an original had taken its place; others begin anew. Returns topic,
        index and data folder of those.
        """
        again = []
        for data_dir in self._data_dirs.online:
            for name in data_dir.fs.listdir(data_dir.path):
                found = parse_log_folder(name)
                if found is None or found.suffix != FOLDER_FUTURE:
                    continue
                path = f"{data_dir.path}/{name}"
                if self.homes(found.topic, found.partition) or found.topic not in topics:
                    self.remove(path)
                    again.append((found.topic, found.partition, data_dir.path))
                elif not self._data_dirs.missing():
                    data_dir.fs.rename(path, f"{data_dir.path}/{log_folder(found.topic, found.partition)}")
                    data_dir.fs.sync_dir(data_dir.path)
        return again

    def _open_log(self, folder: DataDir, topic: Topic, index: int, config: TopicConfig) -> Log:
        key = (topic.name, index)
        opened = open_log(
            f"{folder.path}/{log_folder(topic.name, index)}",
            f"{topic.name}-{index}",
            config,
            self._environment,
            clean=folder.clean,
            log_start_offset=folder.log_starts.get(key, 0),
            recovery_point=folder.recovery_point_of(topic.name, index),
            now_ms=self._clock.now_ms(),
            topic_id=topic.topic_id,
        )
        opened.update_high_watermark(folder.high_watermarks.get(key, 0))
        return opened

    def _rename(self, folder: DataDir, topic: str, index: int, suffix: str) -> str | None:
        """Take a partition's folder out of the way; its new path, or None where that failed."""
        path = f"{folder.path}/{log_folder(topic, index)}"
        target = f"{folder.path}/{folder_aside(topic, index, self._new_uuid().hex, suffix)}"
        try:
            folder.fs.rename(path, target)
        except OSError as error:
            log.error("cannot rename %s: %s", path, error)
            return None
        return target

    def remove(self, path: str) -> None:
        """Delete a folder that was set aside; in any thread."""
        fs = self._environment.fs
        try:
            for name in fs.listdir(path):
                fs.unlink(f"{path}/{name}")
            fs.remove_dir(path)
        except OSError as error:
            log.warning("cannot remove %s: %s", path, error)

    def discard(self, path: str) -> None:
        """As `remove`, in another thread."""
        self._worker.submit(self.remove, path)

    def _move_aside(self, folder: DataDir, topic: str, index: int) -> None:
        """Keep a folder that nobody knows, or that is not to be here, out of the way: people may look."""
        moved = self._rename(folder, topic, index, FOLDER_STRAY)
        if moved is not None:
            path = f"{folder.path}/{log_folder(topic, index)}"
            log.warning("%s belongs to no topic, or not here; it is %s now", path, moved)

    def set_aside(self, topic: str, index: int) -> list[str]:
        """Rename the folders of a replica that is no longer to be here; returns what they are now."""
        moved = [self._rename(folder, topic, index, FOLDER_DELETED) for folder in self.homes(topic, index)]
        return [path for path in moved if path is not None]

    def clear(self, topics: Mapping[str, Topic]) -> list[tuple[str, int, str]]:
        """Before logs are opened: finish deletions and moves that a crash has stopped. Returns topic, index
        and data folder of moves that have to begin anew.
        """
        again = self._resume_moves(topics)
        for data_dir in self._data_dirs.online:
            for name in data_dir.fs.listdir(data_dir.path):
                folder = parse_log_folder(name)
                if folder is None:
                    continue
                if folder.suffix == FOLDER_DELETED:
                    self.remove(f"{data_dir.path}/{name}")
                elif not folder.suffix:
                    topic = topics.get(folder.topic)
                    if (
                        topic is None
                        or folder.partition >= len(topic.partitions)
                        or self._node_id not in topic.partitions[folder.partition].replicas
                    ):
                        self._move_aside(data_dir, folder.topic, folder.partition)
        return again


def _known_end(folder: DataDir, key: tuple[str, int]) -> int:
    """Where a log ended at least before a kill, as the checkpoints say; 0 after a stop in order."""
    if folder.clean:
        return 0
    return max(folder.recovery_points.get(key, 0), folder.high_watermarks.get(key, 0))


def _forget(folder: DataDir, key: tuple[str, int]) -> None:
    """What the checkpoints say is of an older topic of that name."""
    for known in (folder.recovery_points, folder.log_starts, folder.high_watermarks):
        known.pop(key, None)
