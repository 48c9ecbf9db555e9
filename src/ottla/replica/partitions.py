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
from ottla.storage.checkpoints import CorruptCheckpointError
from ottla.storage.lifecycle import close_logs, open_log
from ottla.storage.names import FOLDER_DELETED, FOLDER_STRAY, folder_aside, log_folder, parse_log_folder

if TYPE_CHECKING:
    from ottla.clock import Clock
    from ottla.config.replica import ReplicaConfig
    from ottla.config.topic import TopicConfig
    from ottla.metadata.image import ImageDelta, MetadataImage
    from ottla.metadata.model import Topic
    from ottla.replica.data_dir import DataDir
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
        data_dir: DataDir,
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
        self._data_dir = data_dir
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
            await self.open_topic(topic)
        for topic in delta.topic_configs_changed:
            self.reconfigure(topic)

    async def open_topic(self, topic: Topic) -> None:
        """Open the logs of a topic's partitions, making those that are new."""
        config = topic_config(topic.configs, self._config)
        known = self._by_topic.get(topic.name, [])
        for index in range(len(known), len(topic.partitions)):
            known.append(self._open(topic, index, config))
            if index % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)
        self._by_topic[topic.name] = self._by_id[topic.topic_id] = known

    async def reopen(self, topics: Iterable[Topic]) -> None:
        """Try once more to open what could not be opened, as when the disk was full."""
        for topic in topics:
            known = self._by_topic.get(topic.name, [])
            for index in [index for index, place in enumerate(known) if place is Unhosted.OFFLINE]:
                known[index] = self._open(topic, index, topic_config(topic.configs, self._config))
                await asyncio.sleep(0)

    def _open(self, topic: Topic, index: int, config: TopicConfig) -> Place:
        if self._node_id not in topic.partitions[index].replicas:
            return Unhosted.ABSENT
        try:
            try:
                opened = self._open_log(topic, index, config)
            except KafkaError as refused:
                if refused.code is not ErrorCode.inconsistent_topic_id:
                    raise
                # An older topic of that name, whose deletion a crash has undone on the disk.
                self._move_aside(topic.name, index)
                opened = self._open_log(topic, index, config)
        except (OSError, KafkaError, CorruptCheckpointError) as error:
            log.error("cannot open the log of %s-%d: %s", topic.name, index, error)
            return Unhosted.OFFLINE
        return Partition(
            topic.name,
            topic.topic_id,
            index,
            opened,
            topic.partitions[index],
            validation_options(config, self._config),
            self._group_commit.sync_soon,
        )

    def _open_log(self, topic: Topic, index: int, config: TopicConfig) -> Log:
        key = (topic.name, index)
        opened = open_log(
            f"{self._data_dir.path}/{log_folder(topic.name, index)}",
            f"{topic.name}-{index}",
            config,
            self._environment,
            clean=self._data_dir.clean,
            log_start_offset=self._data_dir.log_starts.get(key, 0),
            recovery_point=self._data_dir.recovery_points.get(key, 0),
            now_ms=self._clock.now_ms(),
            topic_id=topic.topic_id,
        )
        opened.update_high_watermark(self._data_dir.high_watermarks.get(key, 0))
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
                place.close()
            doomed = self._rename(topic.name, index, FOLDER_DELETED)
            if doomed is not None:
                loop.run_in_executor(self._worker, self._remove_folder, doomed)
            if index % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)

    def _rename(self, topic: str, index: int, suffix: str) -> str | None:
        """Take a partition's folder out of the way; its new path, or None where that failed."""
        path = f"{self._data_dir.path}/{log_folder(topic, index)}"
        target = f"{self._data_dir.path}/{folder_aside(topic, index, self._new_uuid().hex, suffix)}"
        try:
            self._data_dir.fs.rename(path, target)
        except OSError as error:
            log.error("cannot rename %s: %s", path, error)
            return None
        return target

    def _remove_folder(self, path: str) -> None:
        fs = self._data_dir.fs
        try:
            for name in fs.listdir(path):
                fs.unlink(f"{path}/{name}")
            fs.remove_dir(path)
        except OSError as error:
            log.warning("cannot remove %s: %s", path, error)

    def _move_aside(self, topic: str, index: int) -> None:
        """Keep the folder of a topic that nobody knows, out of the way: it is for people to look at."""
        moved = self._rename(topic, index, FOLDER_STRAY)
        if moved is not None:
            folder = f"{self._data_dir.path}/{log_folder(topic, index)}"
            log.warning("%s belongs to no topic; it is %s now", folder, moved)

    def clear_folders(self, topics: Mapping[str, Topic]) -> None:
        """Before logs are opened: finish deletions that a crash has stopped."""
        for name in self._data_dir.fs.listdir(self._data_dir.path):
            folder = parse_log_folder(name)
            if folder is None:
                continue
            if folder.suffix == FOLDER_DELETED:
                self._remove_folder(f"{self._data_dir.path}/{name}")
            elif not folder.suffix:
                topic = topics.get(folder.topic)
                if topic is None or folder.partition >= len(topic.partitions):
                    self._move_aside(folder.topic, folder.partition)

    def close(self) -> bool:
        """Sync and close every log; True when all went well, and none was left out."""
        errors = close_logs(self._data_dir.fs, (partition.log for partition in self))
        for error in errors:
            log.error("%s", error)
        return not errors and not self.offline


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
