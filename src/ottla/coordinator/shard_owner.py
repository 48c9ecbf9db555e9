"""The owner of one shard of a coordinator: its log, its timers, its loading; loaded when there is one.

Everything of a shard happens in one turn of the event loop, so nothing interleaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from ottla.clock import Clock
from ottla.config.current import Current
from ottla.config.replica import ReplicaConfig
from ottla.coordination.runtime import (
    Client,
    CoordinatorRecord,
    CoordinatorRuntime,
    Effects,
    Pending,
    Producer,
    RequestInfo,
    Shard,
    TimerKey,
    encode_record,
)
from ottla.protocol.errors import KafkaError
from ottla.records.batch import (
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    BatchHeader,
    Buffer,
    iter_headers,
)
from ottla.records.codec import Record, decode_batch, encode_batch
from ottla.records.markers import parse_control_marker
from ottla.replica.group_commit import Failures, GroupCommit

if TYPE_CHECKING:
    from ottla.metadata.image import MetadataImage
    from ottla.records.markers import EndMarker
    from ottla.replica.partition import Partition

log = logging.getLogger(__name__)

_LOAD_CHUNK_BYTES = 1024 * 1024
_NOBODY = Client("", "", 0)
"""The broker itself."""

R = TypeVar("R")
S = TypeVar("S", bound=Shard)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all shards of a coordinator share."""

    clock: Clock
    config: Current[ReplicaConfig]
    group_commit: GroupCommit
    codec: Callable[[], int]
    """How the internal topic's batches are compressed."""
    commit_timeout_ms: int | None = None
    """How long answers wait until what they tell of is committed; None: for ever"""


class ShardOwner(Generic[S]):
    """One shard of a coordinator, of whatever kind, in the partition that it is kept in."""

    def __init__(self, shard: S, partition: Partition, surroundings: Surroundings) -> None:
        self.shard = shard
        self.partition = partition
        self.is_loading = True
        self.is_stopped = False
        """It may not be asked any more."""
        self._clock = surroundings.clock
        self._config = surroundings.config
        self._log = _PartitionLog(partition, surroundings, self._on_committed)
        self._timers = _LoopTimers(surroundings.clock, self._on_timer)
        self._runtime = CoordinatorRuntime(
            shard,
            self._log,
            self._timers,
            surroundings.clock.now_ms,
            surroundings.clock.monotonic_ms,
            surroundings.commit_timeout_ms,
        )

    def ask(
        self, client: Client | None, decide: Callable[[RequestInfo[R], int], Effects]
    ) -> R | Awaitable[R]:
        """Have the shard decide on a request; the answer now, or the wait for it. Raises KafkaError.

        `client` is None where the broker itself asks.
        """
        pending: Pending[R] = Pending()
        self._runtime.request(RequestInfo(client or _NOBODY, pending), decide)
        return _wait(pending) if pending.outcome is None else pending.result()

    def tell(self, decide: Callable[[int], Effects]) -> None:
        """Have the shard decide, at the time in milliseconds, on something that has happened."""
        self._runtime.obey(decide(self._clock.now_ms()))

    def end_transaction(self, marker: EndMarker) -> int | Awaitable[int]:
        """Write a transaction's marker, in order with all that the shard writes; its offset now, or the wait
        for it. Raises KafkaError.
        """
        pending: Pending[int] = Pending()
        self._runtime.end_transaction(marker, pending)
        return _wait(pending) if pending.outcome is None else pending.result()

    async def load(self, image: Callable[[], MetadataImage]) -> None:
        """Replay the partition from its start, leaving the loop to others between chunks.

        Raises KafkaError where the log can't be read.
        """
        log_ = self.partition.log
        offset, records = log_.log_start_offset, 0
        while offset < log_.log_end_offset:
            end = log_.log_end_offset
            data = log_.read(offset, _LOAD_CHUNK_BYTES, end, min_one=True).to_bytes()
            if not data:
                break
            for position, header in iter_headers(data):
                records += self._load_batch(header, memoryview(data)[position : position + header.size])
                offset = header.next_offset
            await asyncio.sleep(0)
            if self.is_stopped:
                return
        self.is_loading = False
        self._log.sync_loaded()
        self._runtime.on_image(image())  # it may have changed meanwhile
        self._runtime.loaded(log_.log_end_offset)
        if records:
            log.info("loaded %d records of %s", records, self.partition)

    def _load_batch(self, header: BatchHeader, batch: Buffer) -> int:
        """Replay one batch; returns how many records it has."""
        shard = self.shard
        if header.is_control:
            marker = parse_control_marker(header, batch)
            if marker is not None:
                shard.replay_transaction_end(header.producer_id, committed=marker.is_commit)
            return 1
        producer_id = header.producer_id if header.is_transactional else NO_PRODUCER_ID
        records = decode_batch(batch, max_bytes=self._config.value.ottla_decompressed_batch_max_bytes)
        for each in records:
            try:
                record = None if each.key is None else shard.record_types.decode(each.key, each.value)
                if record is not None:
                    shard.replay(record, each.offset, each.timestamp, producer_id)
            except KafkaError as error:
                log.warning("skipped record %d of %s: %s", each.offset, self.partition, error)
        return len(records)

    def on_image(self, image: MetadataImage) -> None:
        """Let the shard react to what the cluster knows now."""
        if not self.is_loading and not self.is_stopped:
            self._runtime.on_image(image)

    def stop(self) -> None:
        """Send whoever waits to look for the coordinator, and forget the timers."""
        if self.is_stopped:
            return
        if not self.is_loading:
            self._runtime.unload()
        self.is_stopped = True
        self._log.close()
        self._timers.clear()

    def _on_committed(self, error: KafkaError | None) -> None:
        if error is None:
            self._runtime.committed()
        else:
            # What the shard has replayed may be lost: nothing is to be answered from that.
            self._runtime.fail(error)
            self.stop()

    def _on_timer(self, key: TimerKey) -> None:
        self._runtime.on_timer(key)


class _PartitionLog:
    """A partition as the runtime sees it; committed is what is replicated and, if asked for, on the disk."""

    def __init__(
        self,
        partition: Partition,
        surroundings: Surroundings,
        on_moved: Callable[[KafkaError | None], None],
    ) -> None:
        self._partition = partition
        self._config = surroundings.config
        self._group_commit = surroundings.group_commit
        self._codec = surroundings.codec
        self._on_moved = on_moved
        self._unsynced: deque[int] = deque()
        """Base offsets of what is on its way to the disk."""
        partition.add_waiter(self)

    @property
    def committed_offset(self) -> int:
        high_watermark = self._partition.high_watermark
        return min(high_watermark, self._unsynced[0]) if self._unsynced else high_watermark

    def append(self, records: Sequence[CoordinatorRecord], producer: Producer | None, now_ms: int) -> int:
        batch = encode_batch(
            [Record(i, now_ms, *encode_record(record), ()) for i, record in enumerate(records)],
            codec=self._codec(),
            producer_id=NO_PRODUCER_ID if producer is None else producer.producer_id,
            producer_epoch=NO_PRODUCER_EPOCH if producer is None else producer.producer_epoch,
            base_sequence=NO_SEQUENCE if producer is None else 0,  # as Kafka's; nobody compares it
            is_transactional=producer is not None,
        )
        return self._sync(self._partition.append_own(batch, now_ms))

    def append_marker(self, marker: EndMarker, now_ms: int) -> int:
        return self._sync(self._partition.append_marker(marker, now_ms))

    def sync_loaded(self) -> None:
        """What is found here counts as committed once it is on the disk: a broker that was killed may have
        left some of it in memory, which a loss of power would take.
        """
        log_ = self._partition.log
        if log_.recovery_point < log_.log_end_offset:
            self._sync(log_.recovery_point)

    def _sync(self, base_offset: int) -> int:
        """Have what was appended there on the disk before it counts as committed, if that is asked for."""
        if self._config.value.ottla_acks_all_flush:
            self._unsynced.append(base_offset)
            self._group_commit.when_durable([self._partition.log], self._on_synced)
        return base_offset

    def _on_synced(self, failures: Failures) -> None:
        self._unsynced.popleft()
        self._on_moved(next(iter(failures.values()), None))

    def appended(self, size: int) -> None:  # noqa: ARG002 - the high watermark has moved, by whatever
        """Called by the partition."""
        self._on_moved(None)

    def touched(self) -> None:
        """Called by the partition."""

    def close(self) -> None:
        """Follow the partition no more."""
        self._partition.remove_waiter(self)


class _LoopTimers:
    """Deadlines kept by the event loop."""

    def __init__(self, clock: Clock, on_timer: Callable[[TimerKey], None]) -> None:
        self._clock = clock
        self._on_timer = on_timer
        self._handles: dict[TimerKey, asyncio.TimerHandle] = {}

    def set(self, key: TimerKey, deadline_ms: int) -> None:
        self.cancel(key)
        delay_s = max(0, deadline_ms - self._clock.now_ms()) / 1000
        self._handles[key] = asyncio.get_running_loop().call_later(delay_s, self._fire, key)

    def cancel(self, key: TimerKey) -> None:
        handle = self._handles.pop(key, None)
        if handle is not None:
            handle.cancel()

    def clear(self) -> None:
        """Forget all of them."""
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def _fire(self, key: TimerKey) -> None:
        del self._handles[key]
        self._on_timer(key)


async def _wait(pending: Pending[R]) -> R:
    if pending.outcome is None:
        given = asyncio.get_running_loop().create_future()

        def note() -> None:
            if not given.done():  # nobody waits any more, when the client is gone
                given.set_result(None)

        pending.on_given = note
        await given
    return pending.result()
