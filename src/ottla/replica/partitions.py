"""The partitions that this broker hosts, and their folders."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID

from ottla.config.topic import topic_config
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import TimestampType
from ottla.records.compression import Codec
from ottla.records.validation import ValidationOptions
from ottla.replica.partition import Partition
from ottla.storage.checkpoints import CorruptCheckpointError, has_partition_metadata
from ottla.storage.lifecycle import close_logs, open_log
from ottla.storage.names import FOLDER_DELETED, FOLDER_STRAY, folder_aside, log_folder, parse_log_folder

if TYPE_CHECKING:
    from ottla.clock import Clock
    from ottla.config.replica import ReplicaConfig
    from ottla.config.topic import TopicConfig
    from ottla.metadata.image import ImageDelta, MetadataImage
    from ottla.metadata.model import Topic
    from ottla.replica.data_dir import DataDir, DataDirs
    from ottla.replica.group_commit import GroupCommit
    from ottla.storage.environment import LogEnvironment
    from ottla.storage.log import Log

log = logging.getLogger(__name__)

_TIMESTAMP_TYPES: Final = {
    "CreateTime": TimestampType.create_time,
    "LogAppendTime": TimestampType.log_append_time,
}
_CODECS: Final = {"uncompressed" if codec is Codec.none else codec.name: codec for codec in Codec}
"""`compression.type` to what batches are recompressed to; "producer" leaves them as they are."""

_YIELD_EVERY: Final = 50
"""Partitions opened or closed before the event loop gets a turn."""


class Unhosted(enum.Enum):
    """Why a partition of a known topic has no log here."""

    OFFLINE = enum.auto()
    """It should have one, which could not be opened."""
    ABSENT = enum.auto()
    """Other brokers have its replicas."""


Place: TypeAlias = Partition | Unhosted
"""Where the metadata has a partition: its log, or why there is none."""


class Partitions:
    """Finds a partition by name or id; opens and removes them as topics come and go."""

    def __init__(
        self,
        data_dirs: DataDirs,
        environment: LogEnvironment,
        config: ReplicaConfig,
        worker: Executor,
        group_commit: GroupCommit,
        node_id: int,
        new_uuid: Callable[[], UUID],
        clock: Clock,
    ) -> None:
        self._node_id = node_id
        self._clock = clock
        self._new_uuid = new_uuid
        self._data_dirs = data_dirs
        self._environment = environment
        self._config = config
        self._worker = worker
        self._group_commit = group_commit
        self._by_topic: dict[str, list[Place]] = {}
        self._by_id: dict[UUID, list[Place]] = {}

    # -- finding

    def get(self, topic: str, index: int) -> Partition:
        """Raises KafkaError: unknown_topic_or_partition; kafka_storage_error where it could not be opened,
        not_leader_or_follower where it is on other brokers.
        """
        partitions = self._by_topic.get(topic)
        if partitions is None:
            raise KafkaError(ErrorCode.unknown_topic_or_partition)
        return self._pick(partitions, index)

    def get_by_id(self, topic_id: UUID | None, index: int) -> Partition:
        """As `get`; an id that no topic has raises unknown_topic_id."""
        partitions = None if topic_id is None else self._by_id.get(topic_id)
        if partitions is None:
            raise KafkaError(ErrorCode.unknown_topic_id)
        return self._pick(partitions, index)

    @staticmethod
    def _pick(partitions: list[Place], index: int) -> Partition:
        if not 0 <= index < len(partitions):
            raise KafkaError(ErrorCode.unknown_topic_or_partition)
        place = partitions[index]
        if isinstance(place, Partition):
            return place
        if place is Unhosted.ABSENT:
            raise KafkaError(ErrorCode.not_leader_or_follower)
        raise KafkaError(ErrorCode.kafka_storage_error, "The partition's log could not be opened.")

    def of_topic(self, topic: str) -> list[Partition]:
        """The partitions of a topic that are online."""
        return [each for each in self._by_topic.get(topic, ()) if isinstance(each, Partition)]

    def __iter__(self) -> Iterator[Partition]:
        for partitions in list(self._by_topic.values()):
            yield from (each for each in partitions if isinstance(each, Partition))

    def __len__(self) -> int:
        return sum(len(partitions) for partitions in self._by_topic.values())

    @property
    def offline(self) -> list[tuple[str, int]]:
        """Topic and index of the partitions whose logs could not be opened."""
        return [
            (topic, index)
            for topic, partitions in self._by_topic.items()
            for index, place in enumerate(partitions)
            if place is Unhosted.OFFLINE
        ]

    # -- topics come and go

    async def on_metadata(self, delta: ImageDelta, _image: MetadataImage) -> None:
        """Open, close and reconfigure what has changed."""
        for topic in delta.topics_deleted:
            await self.remove_topic(topic)
        for topic in (*delta.topics_created, *(topic for topic, _ in delta.partitions_added)):
            await self.open_topic(topic, is_new=True)
        for topic in delta.topic_configs_changed:
            self.reconfigure(topic)

    async def open_topic(self, topic: Topic, *, is_new: bool) -> None:
        """Open the logs of a topic's partitions, making those that are new.

        Where `is_new` is false they should be there, and are not made while a data folder is missing.
        """
        config = topic_config(topic.configs, self._config)
        known = self._by_topic.get(topic.name, [])
        for index in range(len(known), len(topic.partitions)):
            known.append(self._open(topic, index, config, is_new=is_new))
            if index % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)
        self._by_topic[topic.name] = self._by_id[topic.topic_id] = known

    async def reopen(self, topics: Iterable[Topic]) -> None:
        """Try once more to open what could not be opened, as when the disk was full."""
        for topic in topics:
            known = self._by_topic.get(topic.name, [])
            for index in [index for index, place in enumerate(known) if place is Unhosted.OFFLINE]:
                config = topic_config(topic.configs, self._config)
                known[index] = self._open(topic, index, config, is_new=False)
                await asyncio.sleep(0)

    def _open(self, topic: Topic, index: int, config: TopicConfig, *, is_new: bool) -> Place:
        if self._node_id not in topic.partitions[index].replicas:
            return Unhosted.ABSENT
        try:
            folder, opened = self._find_log(topic, index, config) or self._make_log(
                topic, index, config, is_new=is_new
            )
        except (OSError, KafkaError, CorruptCheckpointError) as error:
            log.error("cannot open the log of %s-%d: %s", topic.name, index, error)
            return Unhosted.OFFLINE
        folder.hosted_count += 1
        return Partition(
            topic.name,
            topic.topic_id,
            index,
            opened,
            topic.partitions[index],
            validation_options(config, self._config),
            self._group_commit.sync_soon,
        )

    def _homes(self, topic: str, index: int) -> list[DataDir]:
        """The data folders that have the partition's; the only one there is has, or will."""
        sole = self._data_dirs.sole
        if sole is not None:
            return [sole]
        name = log_folder(topic, index)
        return [each for each in self._data_dirs.online if each.fs.exists(f"{each.path}/{name}")]

    def _find_log(self, topic: Topic, index: int, config: TopicConfig) -> tuple[DataDir, Log] | None:
        """Open the log where it lies; None where it lies nowhere."""
        homes = self._homes(topic.name, index)
        if len(homes) > 1:
            homes = [each for each in homes if not self._cleared_of_older(each, topic, index)]
        if len(homes) > 1:
            raise KafkaError(
                ErrorCode.kafka_storage_error,
                f"it is in {' and in '.join(each.path for each in homes)}: move away what is out of date",
            )
        for folder in homes:
            try:
                return folder, self._open_log(folder, topic, index, config)
            except KafkaError as refused:
                if refused.code is not ErrorCode.inconsistent_topic_id:
                    raise
                # An older topic of that name, whose deletion a crash has undone on the disk.
                self._move_aside(folder, topic.name, index)
        return None

    def _cleared_of_older(self, folder: DataDir, topic: Topic, index: int) -> bool:
        """Whether the log in this folder was that of an older topic of the same name: it is aside now."""
        try:
            has_partition_metadata(
                folder.fs, f"{folder.path}/{log_folder(topic.name, index)}", topic.topic_id
            )
        except KafkaError:
            self._move_aside(folder, topic.name, index)
            return True
        return False

    def _make_log(
        self, topic: Topic, index: int, config: TopicConfig, *, is_new: bool
    ) -> tuple[DataDir, Log]:
        if not is_new and (missing := self._data_dirs.missing()):
            raise KafkaError(
                ErrorCode.kafka_storage_error,
                f"it is in none of the data folders that are here; not here: {', '.join(missing)}",
            )
        failure: OSError | None = None
        for folder in self._data_dirs.for_new(self._config.cordoned_log_dirs):
            try:
                return folder, self._open_log(folder, topic, index, config)
            except OSError as error:
                if folder in self._homes(topic.name, index):
                    raise  # what was begun here goes on here
                failure = error
        assert failure is not None
        raise failure

    def _open_log(self, folder: DataDir, topic: Topic, index: int, config: TopicConfig) -> Log:
        key = (topic.name, index)
        opened = open_log(
            f"{folder.path}/{log_folder(topic.name, index)}",
            f"{topic.name}-{index}",
            config,
            self._environment,
            clean=folder.clean,
            log_start_offset=folder.log_starts.get(key, 0),
            recovery_point=folder.recovery_points.get(key, 0),
            now_ms=self._clock.now_ms(),
            topic_id=topic.topic_id,
        )
        opened.update_high_watermark(folder.high_watermarks.get(key, 0))
        return opened

    def reconfigure(self, topic: Topic) -> None:
        """Apply a topic's changed configuration at once."""
        config = topic_config(topic.configs, self._config)
        options = validation_options(config, self._config)
        for partition in self.of_topic(topic.name):
            partition.reconfigure(config, options)

    def broker_reconfigured(self, config: ReplicaConfig, topics: Iterable[Topic]) -> None:
        """Apply changed broker-wide defaults to every topic."""
        self._config = config
        for topic in topics:
            self.reconfigure(topic)

    async def remove_topic(self, topic: Topic) -> None:
        """Close a deleted topic's logs and remove their folders: renamed at once, their files later."""
        removed = self._by_topic.pop(topic.name, [])
        self._by_id.pop(topic.topic_id, None)
        loop = asyncio.get_running_loop()
        for index, place in enumerate(removed):
            if isinstance(place, Partition):
                self._data_dirs.of(place).hosted_count -= 1
                place.close()
            for folder in self._homes(topic.name, index):
                doomed = self._rename(folder, topic.name, index, FOLDER_DELETED)
                if doomed is not None:
                    loop.run_in_executor(self._worker, self._remove_folder, doomed)
            if index % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)

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

    def _remove_folder(self, path: str) -> None:
        fs = self._environment.fs
        try:
            for name in fs.listdir(path):
                fs.unlink(f"{path}/{name}")
            fs.remove_dir(path)
        except OSError as error:
            log.warning("cannot remove %s: %s", path, error)

    def _move_aside(self, folder: DataDir, topic: str, index: int) -> None:
        """Keep the folder of a topic that nobody knows, out of the way: it is for people to look at."""
        moved = self._rename(folder, topic, index, FOLDER_STRAY)
        if moved is not None:
            path = f"{folder.path}/{log_folder(topic, index)}"
            log.warning("%s belongs to no topic; it is %s now", path, moved)

    def clear_folders(self, topics: Mapping[str, Topic]) -> None:
        """Before logs are opened: finish deletions that a crash has stopped."""
        for data_dir in self._data_dirs.online:
            for name in data_dir.fs.listdir(data_dir.path):
                folder = parse_log_folder(name)
                if folder is None:
                    continue
                if folder.suffix == FOLDER_DELETED:
                    self._remove_folder(f"{data_dir.path}/{name}")
                elif not folder.suffix:
                    topic = topics.get(folder.topic)
                    if topic is None or folder.partition >= len(topic.partitions):
                        self._move_aside(data_dir, folder.topic, folder.partition)

    def any_is_missing(self) -> bool:
        """Whether a partition that is offline is in none of the data folders that are here."""
        return any(not self._homes(topic, index) for topic, index in self.offline)

    def close(self) -> list[DataDir]:
        """Sync and close every log; returns the data folders where all went well, and none was left out."""
        clean = []
        offline = [folder for topic, index in self.offline for folder in self._homes(topic, index)]
        for folder in self._data_dirs.online:
            errors = close_logs(folder.fs, (partition.log for partition in folder.mine(self)))
            for error in errors:
                log.error("%s", error)
            if not errors and folder not in offline:
                clean.append(folder)
        return clean


def validation_options(config: TopicConfig, broker: ReplicaConfig) -> ValidationOptions:
    """What a topic's configuration asks of the batches that producers send."""
    return ValidationOptions(
        max_message_bytes=config.max_message_bytes,
        codec=_CODECS.get(config.compression_type),
        level=config.compression_level,
        is_compacted=config.compact,
        timestamp_type=_TIMESTAMP_TYPES[config.message_timestamp_type],
        timestamp_before_max_ms=config.message_timestamp_before_max_ms,
        timestamp_after_max_ms=config.message_timestamp_after_max_ms,
        max_inflated_bytes=broker.ottla_decompressed_batch_max_bytes,
        max_inflated_record_bytes=config.max_decompressed_message_bytes,
    )
