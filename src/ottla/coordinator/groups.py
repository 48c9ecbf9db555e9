"""The shell around the group coordinator's cores: one shard for each partition of `__consumer_offsets`."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ottla.coordination.groups.state import HeartbeatBudget
from ottla.protocol.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from ottla.broker.assembly import Broker
    from ottla.broker.request import RequestContext
    from ottla.config.groups import GroupCoordinatorConfig
    from ottla.coordinator.group_shard import Answered, ShardOwner
    from ottla.metadata.image import ImageDelta, MetadataImage
    from ottla.replica.partition import Partition

log = logging.getLogger(__name__)

OFFSETS_TOPIC = "__consumer_offsets"


def java_hash(text: str) -> int:
    """Java's String.hashCode, by which every Kafka broker maps a group to its coordinator's partition."""
    value = 0
    encoded = text.encode("utf-16-be", "surrogatepass")
    for high, low in zip(encoded[::2], encoded[1::2], strict=True):
        value = (31 * value + (high << 8 | low)) & 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


def partition_for(group_id: str, partition_count: int) -> int:
    """The partition of `__consumer_offsets` that holds a group."""
    value = java_hash(group_id)
    return 0 if value == -(1 << 31) else abs(value) % partition_count


class GroupCoordinator:
    """All shards of this broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._shards: dict[int, ShardOwner] = {}
        self._heartbeat_budget = HeartbeatBudget()

    # -- what the APIs call

    def request(self, operation: str, group_id: str, context: RequestContext, message: Any) -> Answered:
        """Have the group's shard decide on a request that concerns one group.

        Raises KafkaError as `shard_of`.
        """
        owner = self.shard_of(group_id)
        decide = getattr(owner.shard, operation)
        return owner.perform(context, lambda info, now_ms: decide(message, info, now_ms))

    def by_shard(self, group_ids: Iterable[str]) -> tuple[dict[ShardOwner, list[str]], dict[str, ErrorCode]]:
        """Group ids by the shard that owns them, and the error of each that has none."""
        owned: dict[ShardOwner, list[str]] = {}
        refused: dict[str, ErrorCode] = {}
        for group_id in dict.fromkeys(group_ids):
            try:
                owned.setdefault(self.shard_of(group_id), []).append(group_id)
            except KafkaError as error:
                refused[group_id] = error.code
        return owned, refused

    def shard_of(self, group_id: str) -> ShardOwner:
        """The shard that owns a group.

        Raises KafkaError: not_coordinator, coordinator_load_in_progress.
        """
        topic = self._broker.image.topics.get(OFFSETS_TOPIC)
        owner = None if topic is None else self._shards.get(partition_for(group_id, len(topic.partitions)))
        if owner is None:
            raise KafkaError(ErrorCode.not_coordinator)
        if owner.loading:
            raise KafkaError(ErrorCode.coordinator_load_in_progress)
        return owner

    @property
    def shards(self) -> list[ShardOwner]:
        """All shards; raises coordinator_load_in_progress while one is still loading."""
        owners = list(self._shards.values())
        if any(owner.loading for owner in owners):
            raise KafkaError(ErrorCode.coordinator_load_in_progress)
        return owners

    # -- life cycle

    async def load(self, partitions: Iterable[Partition]) -> None:
        """Take over partitions of the offsets topic: replay each into a shard."""
        new = [partition for partition in partitions if partition.index not in self._shards]
        if not new:
            return
        # A broker without groups is ready 30 ms sooner and has 2 MB less; the first group waits for it.
        from ottla.coordinator.group_shard import ShardOwner

        owners = []
        for partition in new:
            owner = self._shards[partition.index] = ShardOwner(
                self._broker, partition, self._heartbeat_budget
            )
            owners.append(owner)
        for owner in owners:
            try:
                await owner.load()
            except KafkaError as error:
                log.error("cannot load the groups of a partition, they are not served: %s", error)
                self._drop(owner)

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """Follow the offsets topic as it comes, grows and goes; tell every shard of changed topics."""
        if any(topic.name == OFFSETS_TOPIC for topic in delta.topics_deleted):
            self.stop()
        for owner in self._shards.values():
            if not owner.loading:
                owner.image_changed(image)
        if image.topics.get(OFFSETS_TOPIC) in (
            *delta.topics_created,
            *(t for t, _ in delta.partitions_added),
        ):
            await self.load(self._broker.partitions.of_topic(OFFSETS_TOPIC))

    def reconfigure(self, config: GroupCoordinatorConfig) -> None:
        """Apply changed settings from the next decision on."""
        for owner in self._shards.values():
            owner.reconfigure(config)

    def stop(self) -> None:
        """Give all groups up: whoever waits is answered, timers are dropped."""
        for owner in list(self._shards.values()):
            self._drop(owner)

    def _drop(self, owner: ShardOwner) -> None:
        if self._shards.get(owner.partition.index) is owner:
            del self._shards[owner.partition.index]
        owner.stop()
