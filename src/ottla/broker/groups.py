"""The shell around the group coordinator's cores: one shard for each partition of `__consumer_offsets`.

A shard decides and replays; this module appends what it decided, hands the answers out once that is durable,
and keeps its timers.  Everything of a shard happens in one turn of the event loop, so nothing interleaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from ottla.coordination.budget import HeartbeatBudget
from ottla.coordination.config import GroupCoordinatorConfig
from ottla.coordination.effects import CancelTimer, Effects, Reply, RequestInfo, SetTimer
from ottla.coordination.shard import GroupShard
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import iter_headers
from ottla.records.codec import Record, decode_batch, encode_batch

if TYPE_CHECKING:
    from ottla.broker.api import Request
    from ottla.broker.broker import Broker
    from ottla.broker.group_commit import Failures
    from ottla.broker.partition import Partition
    from ottla.config.broker import BrokerConfig
    from ottla.metadata.image import ImageDelta, MetadataImage

log = logging.getLogger(__name__)

OFFSETS_TOPIC = "__consumer_offsets"
_LOAD_CHUNK_BYTES = 1024 * 1024

Answer: TypeAlias = Mapping[str, Any]
Answered: TypeAlias = Answer | Coroutine[Any, Any, Answer]
"""An answer, or the wait for it."""


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

    def request(self, operation: str, group_id: str, request: Request, message: Any) -> Answered:
        """Have the group's shard decide on a request that concerns one group.

        Raises KafkaError as `shard_of`.
        """
        owner = self.shard_of(group_id)
        decide = getattr(owner.shard, operation)
        return owner.perform(request, lambda info, now_ms: decide(message, info, now_ms))

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

        Raises KafkaError: coordinator_not_available, not_coordinator, coordinator_load_in_progress.
        """
        topic = self._broker.image.topics.get(OFFSETS_TOPIC)
        if topic is None:
            raise KafkaError(ErrorCode.coordinator_not_available)
        owner = self._shards.get(partition_for(group_id, len(topic.partitions)))
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
        owners = []
        for partition in partitions:
            if partition.index not in self._shards:
                owner = self._shards[partition.index] = ShardOwner(
                    self._broker, partition, self._heartbeat_budget
                )
                owners.append(owner)
        for owner in owners:
            try:
                await owner.load()
            except KafkaError as error:
                log.error("cannot load the groups of a partition, they are not served: %s", error)

    async def topics_changed(self, delta: ImageDelta) -> None:
        """Take over the offsets topic when it was created or grew; tell every shard of changed topics."""
        for owner in self._shards.values():
            if not owner.loading:
                owner.image_changed(self._broker.image)
        if self._broker.image.topics.get(OFFSETS_TOPIC) in (
            *delta.topics_created,
            *(t for t, _ in delta.partitions_added),
        ):
            await self.load(self._broker.partitions.of_topic(OFFSETS_TOPIC))

    def reconfigure(self, config: BrokerConfig) -> None:
        """Apply changed settings from the next decision on."""
        coordinator_config = _coordinator_config(config)
        for owner in self._shards.values():
            owner.shard.reconfigure(coordinator_config)

    def stop(self) -> None:
        """Answer whoever waits, and drop all timers."""
        for owner in self._shards.values():
            owner.stop()
        self._shards.clear()


class ShardOwner:
    """The one owner of a shard, of its partition's appends and of its timers."""

    __slots__ = ("_broker", "_partition", "_replies", "_timers", "loading", "shard")

    def __init__(self, broker: Broker, partition: Partition, heartbeat_budget: HeartbeatBudget) -> None:
        self._broker = broker
        self._partition = partition
        self._timers: dict[tuple[str, ...], asyncio.TimerHandle] = {}
        self._replies: dict[object, asyncio.Future[Answer] | Answer] = {}
        self.loading = True
        self.shard = GroupShard(
            _coordinator_config(broker.config), uuid4, broker.image, broker.group_configs, heartbeat_budget
        )

    def perform(self, request: Request, decide: Callable[[RequestInfo, int], Effects]) -> Answered:
        """Have the shard decide on a request; the answer now, or later where it must wait."""
        token = object()
        info = request_info(request, token)
        self._perform(decide(info, self._now_ms()))
        answer = self._replies.get(token)
        if answer is None:
            answer = self._replies[token] = asyncio.get_running_loop().create_future()
        if isinstance(answer, asyncio.Future):
            return _wait(answer)
        del self._replies[token]
        return answer

    async def load(self) -> None:
        """Replay the partition's records from its start, leaving the loop to others between chunks."""
        log_ = self._partition.log
        offset, records = log_.log_start_offset, 0
        while offset < log_.log_end_offset:
            data = self._partition.read(offset, _LOAD_CHUNK_BYTES, 0, min_one=True).to_bytes()
            for position, header in iter_headers(data):
                if not header.is_control:
                    for record in decode_batch(
                        data[position : position + header.size], max_bytes=self._max_bytes
                    ):
                        self._replay(record, header.max_timestamp)
                        records += 1
                offset = header.next_offset
            await asyncio.sleep(0)
        self.loading = False
        self._perform(self.shard.on_image(self._broker.image))  # it may have changed meanwhile
        self._perform(self.shard.on_loaded(self._now_ms()))
        if records:
            log.info("loaded %d records of %s", records, self._partition)

    def image_changed(self, image: MetadataImage) -> None:
        """Let the shard react to changed topics."""
        self._perform(self.shard.on_image(image))

    def stop(self) -> None:
        """Answer parked requests with NOT_COORDINATOR and forget the timers."""
        if not self.loading:
            self._hand_out(self.shard.on_unloaded().replies)
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()

    # -- effects

    def _perform(self, effects: Effects) -> None:
        """Append what was decided, obey the timers, answer; until nothing more follows from it."""
        pending, is_written = effects, False
        while not _is_empty(pending):
            more = Effects()
            if pending.records:
                try:
                    base_offset = self._append(pending)
                except KafkaError as error:
                    log.error("cannot write to %s: %s", self._partition, error)
                    pending = self.shard.on_append_failed(pending, error.code, self._now_ms())
                    continue
                is_written = True
                more = self.shard.on_appended(pending, base_offset, self._now_ms())
            for timer in pending.timers:
                self._obey(timer)
            self._answer(pending.replies, is_written=is_written)
            pending = more

    def _append(self, effects: Effects) -> int:
        now_ms = self._now_ms()
        batch = encode_batch(
            [Record(i, now_ms, record.key, record.value, ()) for i, record in enumerate(effects.records)],
            codec=self._broker.config.offsets_topic_compression_codec,
        )
        return self._partition.append_own(batch, now_ms)

    def _answer(self, replies: list[Reply], *, is_written: bool) -> None:
        """Hand replies out, those that tell of something written not before that is durable."""
        if not self._broker.config.ottla_acks_all_flush or not is_written or not replies:
            self._hand_out(replies)
            return
        for reply in replies:
            self._replies.setdefault(reply.reply_to, asyncio.get_running_loop().create_future())

        def answer(failures: Failures) -> None:
            told = replies
            for error in failures.values():
                told = self.shard.on_append_failed(
                    Effects(replies=replies), error.code, self._now_ms()
                ).replies
            self._hand_out(told)

        self._broker.group_commit.when_durable([self._partition.log], answer)

    def _hand_out(self, replies: Iterable[Reply]) -> None:
        for reply in replies:
            waiting = self._replies.pop(reply.reply_to, None)
            if waiting is None:
                self._replies[reply.reply_to] = reply.response  # its request is still in this very call
            elif isinstance(waiting, asyncio.Future) and not waiting.done():
                waiting.set_result(reply.response)

    def _obey(self, timer: SetTimer | CancelTimer) -> None:
        handle = self._timers.pop(timer.key, None)
        if handle is not None:
            handle.cancel()
        if isinstance(timer, SetTimer):
            delay_s = max(0, timer.deadline_ms - self._now_ms()) / 1000
            self._timers[timer.key] = asyncio.get_running_loop().call_later(delay_s, self._fire, timer.key)

    def _fire(self, key: tuple[str, ...]) -> None:
        self._timers.pop(key, None)
        self._perform(self.shard.on_timer(key, self._now_ms()))

    def _replay(self, record: Record, _batch_timestamp: int) -> None:
        if record.key is None:
            return
        try:
            self.shard.replay(record.key, record.value, record.offset, record.timestamp)
        except KafkaError as error:
            log.warning("skipped record %d of %s: %s", record.offset, self._partition, error)

    def _now_ms(self) -> int:
        return self._broker.clock.now_ms()

    @property
    def _max_bytes(self) -> int:
        return self._broker.config.ottla_decompressed_batch_max_bytes


def request_info(request: Request, reply_to: Hashable = None) -> RequestInfo:
    """Who asks, as the coordinator wants it; the host is written as Java writes addresses."""
    return RequestInfo(request.client_id or "", f"/{request.client_host}", request.api_version, reply_to)


def _coordinator_config(config: BrokerConfig) -> GroupCoordinatorConfig:
    names = {field.name for field in fields(GroupCoordinatorConfig)} & {
        field.name for field in fields(config)
    }
    return GroupCoordinatorConfig(**{name: getattr(config, name) for name in names})


def _is_empty(effects: Effects) -> bool:
    return not (effects.records or effects.replies or effects.timers or effects.continuations)


async def _wait(answer: asyncio.Future[Answer]) -> Answer:
    return await answer
