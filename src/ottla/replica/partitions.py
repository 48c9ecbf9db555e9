"""The partitions that this broker hosts, and their folders."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias
from uuid import UUID

from ottla.config.topic import topic_config
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import TimestampType
from ottla.records.compression import Codec
from ottla.records.validation import ValidationOptions
from ottla.replica.follower import Follower
from ottla.replica.partition import Partition
from ottla.replica.replica import Replica
from ottla.replica.traffic import Traffic
from ottla.storage.checkpoints import CorruptCheckpointError
from ottla.storage.errors import LogStorageError
from ottla.storage.lifecycle import close_logs

if TYPE_CHECKING:
    from ottla.config.replica import ReplicaConfig
    from ottla.config.topic import TopicConfig
    from ottla.metadata.image import ImageDelta, MetadataImage
    from ottla.metadata.model import PartitionState, Topic
    from ottla.replica.data_dir import DataDir
    from ottla.replica.data_dirs import DataDirs
    from ottla.replica.folders import LogFolders
    from ottla.replica.group_commit import GroupCommit
    from ottla.replica.partition import Cluster
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


Place: TypeAlias = Replica | Unhosted
"""Where the metadata has a partition: its log in the role that it has here, or why there is none."""


class Fetching(Protocol):
    """Brings followers what their leaders have."""

    def follow(self, follower: Follower) -> None:
        """From the leader of its state, in the epoch of that, as long as no other is said."""

    def leave(self, follower: Follower) -> None:
        """It is followed no more."""


class LeadershipListener(Protocol):
    """Who has something to do where this broker leads."""

    def leadership_changed(self, topic: str, index: int) -> None:
        """This broker has begun to lead the partition, or leads it no more: `Partitions.get` says which.

        It is told of changes, not of what was opened with a topic. Nothing may be awaited here.
        """


class Partitions:
    """Finds a partition by name or id; opens and removes them as topics come and go, and gives each the role
    that the cluster has decided on.
    """

    def __init__(
        self,
        data_dirs: DataDirs,
        folders: LogFolders,
        config: ReplicaConfig,
        group_commit: GroupCommit,
        node_id: int,
        cluster: Cluster,
        fetching: Fetching,
    ) -> None:
        self._node_id = node_id
        self._cluster = cluster
        self._fetching = fetching
        self._listeners: list[LeadershipListener] = []
        self._may_lead = True
        self.has_removed = False
        """Replicas have gone of topics that stay; whoever forgets what was known of them unsets it."""
        self._data_dirs = data_dirs
        self._folders = folders
        self._config = config
        self._group_commit = group_commit
        self.offline_changed: Callable[[], None] = _nobody_asks
        """Told that other partitions are offline than before"""
        self.traffic = Traffic()
        """What goes in and out, by topic"""
        self._by_topic: dict[str, list[Place]] = {}
        self._by_id: dict[UUID, list[Place]] = {}

    # -- finding

    def get(self, topic: str, index: int) -> Partition:
        """One that this broker leads. Raises KafkaError: unknown_topic_or_partition; kafka_storage_error
        where it could not be opened, not_leader_or_follower where another broker leads it.
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

    def replica(self, topic: str, index: int) -> Replica:
        """One that is here, whoever leads it; raises as `get`."""
        partitions = self._by_topic.get(topic)
        if partitions is None:
            raise KafkaError(ErrorCode.unknown_topic_or_partition)
        return self._pick_replica(partitions, index)

    def replica_by_id(self, topic_id: UUID | None, index: int) -> Replica:
        """As `replica`; an id that no topic has raises unknown_topic_id."""
        partitions = None if topic_id is None else self._by_id.get(topic_id)
        if partitions is None:
            raise KafkaError(ErrorCode.unknown_topic_id)
        return self._pick_replica(partitions, index)

    def check_is_kept_up(self, replica: Replica) -> None:
        """Refuse one that this broker would lead by the metadata, and may not: nobody brings it what is new.

        Raises KafkaError(not_leader_or_follower).
        """
        if not self._may_lead and replica.state.leader == self._node_id:
            raise KafkaError(ErrorCode.not_leader_or_follower)

    def _pick(self, partitions: list[Place], index: int) -> Partition:
        if not 0 <= index < len(partitions):
            raise KafkaError(ErrorCode.unknown_topic_or_partition)
        place = partitions[index]
        if isinstance(place, Partition):
            return place
        if isinstance(place, Replica):
            raise KafkaError(ErrorCode.not_leader_or_follower)
        raise self._unhosted(place)

    def _pick_replica(self, partitions: list[Place], index: int) -> Replica:
        if not 0 <= index < len(partitions):
            raise KafkaError(ErrorCode.unknown_topic_or_partition)
        place = partitions[index]
        if isinstance(place, Replica):
            return place
        raise self._unhosted(place)

    @staticmethod
    def _unhosted(place: Unhosted) -> KafkaError:
        if place is Unhosted.ABSENT:
            return KafkaError(ErrorCode.not_leader_or_follower)
        return KafkaError(ErrorCode.kafka_storage_error, "The partition's log could not be opened.")

    def of_topic(self, topic: str) -> list[Partition]:
        """The partitions of a topic that this broker leads."""
        return [each for each in self._by_topic.get(topic, ()) if isinstance(each, Partition)]

    def replicas_of(self, topic: str) -> list[Replica]:
        """The partitions of a topic that are here and online."""
        return [each for each in self._by_topic.get(topic, ()) if isinstance(each, Replica)]

    def led(self) -> list[Partition]:
        """All that this broker leads."""
        return [each for each in self if isinstance(each, Partition)]

    def __iter__(self) -> Iterator[Replica]:
        for partitions in list(self._by_topic.values()):
            yield from (each for each in partitions if isinstance(each, Replica))

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
        for number, (topic, index) in enumerate(delta.partitions_changed):
            self._change(topic, index)
            if number % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)

    def _change(self, topic: Topic, index: int) -> None:
        """Follow a partition's state: its role here, or that it has come or gone."""
        places, state = self._by_topic[topic.name], topic.partitions[index]
        place = places[index]
        if isinstance(place, Replica):
            if self._node_id in state.replicas:
                self._take_role(topic, index, place)
            else:
                places[index] = Unhosted.ABSENT
                self.has_removed = True
                log.info("%s is no longer to be here", place)
                self._remove(topic.name, index, place)
                self._tell(topic.name, index)
        elif place is Unhosted.ABSENT and self._node_id in state.replicas:
            places[index] = opened = self._open(topic, index, is_new=True)
            if isinstance(opened, Partition):
                self._tell(topic.name, index)
        elif place is Unhosted.OFFLINE and self._node_id not in state.replicas:
            places[index] = Unhosted.ABSENT
            self.offline_changed()

    # -- roles

    def subscribe(self, listener: LeadershipListener) -> None:
        """Have `listener` told where this broker begins to lead, and where it ceases to."""
        self._listeners.append(listener)

    def stand_down(self) -> None:
        """Lead nothing until `stand_up`: others may do so by now, for all that this broker can know. Leaders
        that it knows are followed meanwhile.
        """
        self._may_lead = False
        for name, places in self._by_topic.items():
            for index, place in enumerate(places):
                if isinstance(place, Partition):
                    self._replace(place, self._follower(place, place.state))
                    self._tell(name, index)

    def stand_up(self, topics: Iterable[Topic]) -> None:
        """Take the roles that the cluster has for this broker by `topics`, after `stand_down`."""
        self._may_lead = True
        for topic in topics:
            for index, place in enumerate(self._by_topic.get(topic.name, ())):
                if isinstance(place, Replica) and place.topic_id == topic.topic_id:
                    self._take_role(topic, index, place)

    def _take_role(self, topic: Topic, index: int, place: Replica) -> None:
        try:
            self._give_role(topic, index, place)
        except LogStorageError as error:  # it will be offline soon; the others go on
            log.error("%s cannot take its role: %s", place, error)

    def _give_role(self, topic: Topic, index: int, place: Replica) -> None:
        state = topic.partitions[index]
        if not self._may_lead or state.leader != self._node_id:
            if isinstance(place, Follower):
                place.take_state(state)
                follower = place
            else:
                follower = self._follower(place, state)
                self._replace(place, follower)
                self._tell(topic.name, index)
            self._fetching.follow(follower)
        elif isinstance(place, Partition):
            place.take_state(state)
        else:
            assert isinstance(place, Follower)
            self._fetching.leave(place)
            self._replace(place, self._partition(topic, index, place.log, place.config))
            self._tell(topic.name, index)

    def _replace(self, former: Replica, by: Replica) -> None:
        log.info("%s: this broker %s in epoch %d", by, _role(by), by.leader_epoch)
        self._by_id[former.topic_id][former.index] = by
        former.give_up()

    def _tell(self, topic: str, index: int) -> None:
        for listener in self._listeners:
            listener.leadership_changed(topic, index)

    def _partition(self, topic: Topic, index: int, opened: Log, config: TopicConfig) -> Partition:
        return Partition(
            topic.name,
            topic.topic_id,
            index,
            opened,
            topic.partitions[index],
            validation_options(config, self._config),
            self._group_commit.sync_soon,
            self._cluster,
            self.traffic.of(topic.name),
        )

    @staticmethod
    def _follower(former: Replica, state: PartitionState) -> Follower:
        follower = Follower(former.topic, former.topic_id, former.index, former.log, state, former.traffic)
        follower.config = former.config
        return follower

    async def open_topic(self, topic: Topic, *, is_new: bool) -> None:
        """Open the logs of a topic's partitions, making those that are new.

        Where `is_new` is false they should be there, and are not made while a data folder is missing.
        """
        known = self._by_topic.get(topic.name, [])
        for index in range(len(known), len(topic.partitions)):
            known.append(self._open(topic, index, is_new=is_new))
            if index % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)
        self._by_topic[topic.name] = self._by_id[topic.topic_id] = known

    async def reopen(self, topics: Iterable[Topic]) -> None:
        """Try once more to open what could not be opened, as when the disk was full."""
        for topic in topics:
            known = self._by_topic.get(topic.name, [])
            for index in [index for index, place in enumerate(known) if place is Unhosted.OFFLINE]:
                known[index] = self._open(topic, index, is_new=False)
                await asyncio.sleep(0)
        self.offline_changed()

    def take_offline(self, replica: Replica) -> None:
        """Do without its log, until `reopen` can open it."""
        places = self._by_topic.get(replica.topic)
        if places is None or places[replica.index] is not replica:
            return
        log.error("%s is offline, as its log fails", replica)
        places[replica.index] = Unhosted.OFFLINE
        self._data_dirs.of(replica).forget(replica)
        if isinstance(replica, Follower):
            self._fetching.leave(replica)
        replica.close()
        self._tell(replica.topic, replica.index)
        self.offline_changed()

    def _open(self, topic: Topic, index: int, *, is_new: bool) -> Place:
        state = topic.partitions[index]
        if self._node_id not in state.replicas:
            return Unhosted.ABSENT
        config = topic_config(topic.configs, self._config)
        try:
            opened = self._folders.open(topic, index, config, self._config.cordoned_log_dirs, is_new=is_new)
        except (OSError, KafkaError, CorruptCheckpointError) as error:
            log.error("cannot open the log of %s-%d: %s", topic.name, index, error)
            self._data_dirs.runs.distrust()
            self.offline_changed()
            return Unhosted.OFFLINE
        return self._in_role(topic, index, opened, config)

    def _in_role(self, topic: Topic, index: int, opened: Log, config: TopicConfig) -> Replica:
        state = topic.partitions[index]
        if self._may_lead and state.leader == self._node_id:
            return self._partition(topic, index, opened, config)
        follower = Follower(topic.name, topic.topic_id, index, opened, state, self.traffic.of(topic.name))
        self._fetching.follow(follower)
        return follower

    def move_log(self, topic: Topic, replica: Replica, move: Callable[[], Log]) -> None:
        """Go on with another copy of its log, which `move` puts into its place and opens, once nobody uses
        the former.
        """
        high_watermark = replica.high_watermark
        self._data_dirs.of(replica).hosted_count -= 1
        if isinstance(replica, Follower):
            self._fetching.leave(replica)
        replica.close()
        place: Place = Unhosted.OFFLINE
        try:
            opened = move()
            opened.update_high_watermark(high_watermark)
            place = self._in_role(topic, replica.index, opened, replica.config)
        except (OSError, KafkaError, CorruptCheckpointError) as error:
            log.error("%s is offline, as its log cannot be moved: %s", replica, error)
            self._data_dirs.runs.distrust()
            self.offline_changed()
        self._by_id[topic.topic_id][replica.index] = place
        self._tell(topic.name, replica.index)

    def reconfigure(self, topic: Topic) -> None:
        """Apply a topic's changed configuration at once."""
        config = topic_config(topic.configs, self._config)
        options = validation_options(config, self._config)
        for replica in self.replicas_of(topic.name):
            replica.reconfigure(config, options)

    def broker_reconfigured(self, config: ReplicaConfig, topics: Iterable[Topic]) -> None:
        """Apply changed broker-wide defaults to every topic."""
        self._config = config
        for topic in topics:
            self.reconfigure(topic)

    async def remove_topic(self, topic: Topic) -> None:
        """Close a deleted topic's logs and remove their folders: renamed at once, their files later."""
        removed = self._by_topic.pop(topic.name, [])
        self.traffic.forget(topic.name)
        self._by_id.pop(topic.topic_id, None)
        for index, place in enumerate(removed):
            self._remove(topic.name, index, place)
            if index % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)
        if Unhosted.OFFLINE in removed:
            self.offline_changed()

    def _remove(self, topic: str, index: int, place: Place) -> None:
        if isinstance(place, Replica):
            self._data_dirs.of(place).hosted_count -= 1
            if isinstance(place, Follower):
                self._fetching.leave(place)
            place.close()
        for path in self._folders.set_aside(topic, index):
            self._folders.discard(path)

    def any_is_missing(self) -> bool:
        """Whether a partition that is offline is in none of the data folders that are here."""
        return any(not self._folders.homes(topic, index) for topic, index in self.offline)

    def close(self) -> list[DataDir]:
        """Sync and close every log; returns the data folders where all went well, and none was left out."""
        clean = []
        offline = [folder for topic, index in self.offline for folder in self._folders.homes(topic, index)]
        for folder in self._data_dirs.online:
            errors = close_logs(folder.fs, (partition.log for partition in folder.mine(self)))
            for error in errors:
                log.error("%s", error)
            if not errors and folder not in offline:
                clean.append(folder)
        return clean


def _nobody_asks() -> None:
    """Where this broker is alone."""


def _role(replica: Replica) -> str:
    return "leads" if isinstance(replica, Partition) else f"follows {replica.state.leader}"


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
