"""The owner of one shard of the group coordinator; loaded when there is one.

A shard decides and replays; this module appends what it decided, hands the answers out once that is durable,
and keeps its timers.  Everything of a shard happens in one turn of the event loop, so nothing interleaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from ottla.coordination.groups.shard import GroupShard
from ottla.coordination.runtime import CancelTimer, Effects, Reply, RequestInfo, SetTimer
from ottla.protocol.errors import KafkaError
from ottla.records.batch import iter_headers
from ottla.records.codec import Record, decode_batch, encode_batch

if TYPE_CHECKING:
    from ottla.broker.assembly import Broker
    from ottla.broker.request import RequestContext
    from ottla.config.groups import GroupCoordinatorConfig
    from ottla.coordination.groups.state import HeartbeatBudget
    from ottla.metadata.image import MetadataImage
    from ottla.replica.group_commit import Failures
    from ottla.replica.partition import Partition

log = logging.getLogger(__name__)

_LOAD_CHUNK_BYTES = 1024 * 1024

Answer: TypeAlias = Mapping[str, Any]
Answered: TypeAlias = Answer | Coroutine[Any, Any, Answer]
"""An answer, or the wait for it."""


class ShardOwner:
    """The one owner of a shard, of its partition's appends and of its timers."""

    __slots__ = ("_broker", "_is_stopped", "_replies", "_timers", "loading", "partition", "shard")

    def __init__(self, broker: Broker, partition: Partition, heartbeat_budget: HeartbeatBudget) -> None:
        self._broker = broker
        self.partition = partition
        self._timers: dict[tuple[str, ...], asyncio.TimerHandle] = {}
        self._replies: dict[object, asyncio.Future[Answer] | Answer] = {}
        self.loading = True
        self._is_stopped = False
        self.shard = GroupShard(broker.config, uuid4, broker.image, broker.group_configs, heartbeat_budget)

    def perform(self, context: RequestContext, decide: Callable[[RequestInfo, int], Effects]) -> Answered:
        """Have the shard decide on a request; the answer now, or later where it must wait."""
        token = object()
        info = self.asker(context, token)
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
        log_ = self.partition.log
        offset, records = log_.log_start_offset, 0
        while offset < log_.log_end_offset:
            data = self.partition.read(offset, _LOAD_CHUNK_BYTES, 0, min_one=True).to_bytes()
            for position, header in iter_headers(data):
                if not header.is_control:
                    for record in decode_batch(
                        data[position : position + header.size], max_bytes=self._max_bytes
                    ):
                        self._replay(record, header.max_timestamp)
                        records += 1
                offset = header.next_offset
            await asyncio.sleep(0)
            if self._is_stopped:
                return
        self.loading = False
        self._perform(self.shard.on_image(self._broker.image))  # it may have changed meanwhile
        self._perform(self.shard.on_loaded(self._now_ms()))
        if records:
            log.info("loaded %d records of %s", records, self.partition)

    def reconfigure(self, config: GroupCoordinatorConfig) -> None:
        """Apply changed settings from the next decision on."""
        self.shard.reconfigure(config)

    def image_changed(self, image: MetadataImage) -> None:
        """Let the shard react to changed topics."""
        self._perform(self.shard.on_image(image))

    def stop(self) -> None:
        """Answer parked requests with NOT_COORDINATOR and forget the timers."""
        if not self.loading:
            self._hand_out(self.shard.on_unloaded().replies)
        self._is_stopped = True
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()

    @staticmethod
    def asker(context: RequestContext, reply_to: Hashable = None) -> RequestInfo:
        """Who asks, as the coordinator wants it; the host is written as Java writes addresses."""
        return RequestInfo(
            context.client_id or "", f"/{context.session.peer_host}", context.api_version, reply_to
        )

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
                    log.error("cannot write to %s: %s", self.partition, error)
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
        return self.partition.append_own(batch, now_ms)

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

        self._broker.group_commit.when_durable([self.partition.log], answer)

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
            log.warning("skipped record %d of %s: %s", record.offset, self.partition, error)

    def _now_ms(self) -> int:
        return self._broker.clock.now_ms()

    @property
    def _max_bytes(self) -> int:
        return self._broker.config.ottla_decompressed_batch_max_bytes


def _is_empty(effects: Effects) -> bool:
    return not (effects.records or effects.replies or effects.timers or effects.continuations)


async def _wait(answer: asyncio.Future[Answer]) -> Answer:
    return await answer
