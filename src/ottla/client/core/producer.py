"""What a producer does, without I/O: batches are filled, sent in order, and sent again until they are over.

Each partition has a queue: batches that wait, in order, and batches in flight. With idempotence a batch is
numbered when it is first sent and keeps its number, so that a broker tells a repeat from news; a batch that
has to be sent again goes before all that were numbered later, alone. When numbers can't go on (a batch is
given up, the broker has lost what came before), the partition begins anew with the producer's next epoch once
nothing of it is in flight (KIP-360). A batch that may be in the log then is failed: sent under another number
it would be there twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from ottla.client.columns.columns import Headers
from ottla.client.columns.implementation import IMPLEMENTATION, Builder
from ottla.client.core.backoff import Backoff
from ottla.client.core.batches import (
    NO_IDENTITY,
    Batch,
    Compression,
    Identity,
    next_sequence,
)
from ottla.client.core.metadata import ClusterMetadata
from ottla.client.core.partition_queue import PartitionQueue
from ottla.client.errors import ClientError, RequestTimeoutError, broker_error
from ottla.protocol.errors import ErrorCode
from ottla.records.batch import NO_SEQUENCE, Buffer

LAST_EPOCH: Final = (1 << 15) - 2
"""Behind it a producer needs another id."""

NEVER: Final = float("inf")
_RECORD_OVERHEAD: Final = 128
"""Of a batch of one record without headers, at most."""


class Limits(NamedTuple):
    """A producer's settings, as far as its core goes by them; times are in seconds."""

    batch_size: int
    linger_s: float
    buffer_memory: int
    max_request_size: int
    max_in_flight: int
    delivery_timeout_s: float
    retries: int
    backoff: Backoff
    compression: Compression
    is_idempotent: bool
    is_transactional: bool


class ProduceTo(NamedTuple):
    """What one request takes to a node."""

    node: int
    batches: list[Batch]


class ProducerCore:
    """All times are those of one clock that never goes back, in seconds; `chance` gives numbers in [0, 1)."""

    def __init__(
        self,
        limits: Limits,
        chance: Callable[[], float],
        make_builder: Callable[[int], Builder] = IMPLEMENTATION.BatchBuilder,
    ) -> None:
        self.limits = limits
        self.identity = NO_IDENTITY
        """Without one an idempotent producer sends nothing."""
        self.needs_identity = limits.is_idempotent
        """There is none, or its epochs are used up."""
        self.reserved = 0
        """Bytes of `buffer_memory` that batches hold."""
        self.leaderless: dict[str, None] = {}
        """Topics that have something to send and no leader for it, as of the last `drain`."""
        self.unconnected: dict[int, None] = {}
        """Nodes that something is to be sent to and cannot be yet, as of the last `drain`."""
        self.last_problem: ClientError | None = None
        """Why nothing could be sent, since the last delivery."""
        self._chance = chance
        self._make_builder = make_builder
        self._queues: dict[tuple[str, int], PartitionQueue] = {}
        self._active: dict[tuple[str, int], PartitionQueue] = {}
        """Those with something that waits or is in flight"""
        self._in_flight: dict[int, int] = {}
        """Requests, by node"""
        self._orders = 0
        self._expires_at = NEVER
        """No batch is out of time before"""
        self._wakeup = NEVER

    # Filling.

    def append(
        self,
        topic: str,
        partition: int,
        timestamp: int,
        key: Buffer | None,
        value: Buffer | None,
        headers: Headers,
        now: float,
    ) -> Batch | None:
        """The batch that the record went into, where it is the last so far; None while there is no memory
        for it. ClientError for one that is too large.
        """
        queue = self._queues.get((topic, partition))
        if queue is not None and queue.waiting:
            batch = queue.waiting[-1]
            builder = batch.builder
            if builder is not None and builder.append(timestamp, key, value, headers):
                batch.count += 1
                return batch
        return self._append_first(topic, partition, timestamp, key, value, headers, now)

    def _append_first(
        self,
        topic: str,
        partition: int,
        timestamp: int,
        key: Buffer | None,
        value: Buffer | None,
        headers: Headers,
        now: float,
    ) -> Batch | None:
        size = _RECORD_OVERHEAD + len(key or b"") + len(value or b"")
        size += sum(len(name) * 4 + len(held or b"") + 10 for name, held in headers)
        if size > self.limits.max_request_size:
            raise broker_error(
                ErrorCode.message_too_large,
                f"a record of up to {size} bytes, where max.request.size is {self.limits.max_request_size}",
                f"{topic}-{partition}",
            )
        reserved = max(size, self.limits.batch_size)
        if not self._has_room(reserved):
            return None
        builder = self._make_builder(max(1, min(self.limits.batch_size, self.limits.max_request_size)))
        builder.append(timestamp, key, value, headers)
        batch = Batch(topic, partition, now, reserved, builder, count=1)
        self._enqueue(batch)
        return batch

    def append_whole(
        self, topic: str, partition: int, data: bytearray, count: int, now: float
    ) -> Batch | None:
        """An encoded batch, not sealed, of `count` records; None while there is no memory for it."""
        if not self._has_room(len(data)):
            return None
        batch = Batch(topic, partition, now, len(data), data=data, count=count)
        batch.is_due = True
        self._enqueue(batch)
        return batch

    def _has_room(self, size: int) -> bool:
        # What is larger than all memory is let in alone: max.request.size bounds it.
        return not self.reserved or self.reserved + size <= self.limits.buffer_memory

    def _enqueue(self, batch: Batch) -> None:
        key = (batch.topic, batch.partition)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = PartitionQueue(*key)
        self._active.setdefault(key, queue)
        queue.waiting.append(batch)
        self.reserved += batch.reserved
        self._expires_at = min(self._expires_at, batch.created + self.limits.delivery_timeout_s)

    def is_ready(self, batch: Batch) -> bool:
        """Whether what was just appended gives reason to drain at once: something is full or due."""
        return batch.is_due or len(self._queues[batch.topic, batch.partition].waiting) > 1

    # Sending.

    def drain(
        self,
        metadata: ClusterMetadata,
        now: float,
        may_send: Callable[[str, int], bool] = lambda *_: True,
        is_connected: Callable[[int], bool] = lambda _: True,
    ) -> list[ProduceTo]:
        """The requests that are to be sent now, in this order, each with at most one batch of a partition,
        and each to be told of by `answered` at its end. `next_wakeup` says when to come again, if nothing
        happens before.
        """
        self.leaderless.clear()
        self.unconnected.clear()
        self._wakeup = NEVER
        requests: list[ProduceTo] = []
        if self.needs_identity:
            self._wake_at(self._expires_at)
            return requests
        while True:
            filling: dict[int, ProduceTo] = {}
            sizes: dict[int, int] = {}
            for key, queue in tuple(self._active.items()):
                batch = self._next_of(queue, now)
                if batch is None or not may_send(*key):
                    continue
                leader = metadata.leader_of(*key)
                if leader is None:
                    self.leaderless[queue.topic] = None
                    continue
                node = leader.node_id
                if not is_connected(node):
                    self.unconnected[node] = None
                    continue
                if self._in_flight.get(node, 0) >= self.limits.max_in_flight:
                    continue
                batch.freeze(self.limits.compression)
                assert batch.data is not None
                size = sizes.get(node, 0) + len(batch.data)
                if node in filling and size > self.limits.max_request_size:
                    continue
                sizes[node] = size
                filling.setdefault(node, ProduceTo(node, [])).batches.append(batch)
                self._send(queue, batch)
                self._active[key] = self._active.pop(key)  # others come first next time
            if not filling:
                return requests
            for node, request in filling.items():
                self._in_flight[node] = self._in_flight.get(node, 0) + 1
                requests.append(request)

    def next_wakeup(self) -> float:
        """When what waits gets ready or is given up, as of the last `drain`."""
        return self._wakeup

    def _next_of(self, queue: PartitionQueue, now: float) -> Batch | None:
        """What may be sent of this queue; notes when there will be something."""
        for each in queue.in_flight:
            self._wake_at(each.created + self.limits.delivery_timeout_s)
        if not queue.waiting:
            return None
        batch = queue.waiting[0]
        self._wake_at(batch.created + self.limits.delivery_timeout_s)
        is_again = batch.order >= 0
        if queue.not_before > now:
            self._wake_at(queue.not_before)
            return None
        is_ready = is_again or batch.is_due or len(queue.waiting) > 1
        if not is_ready and now < batch.created + self.limits.linger_s:
            self._wake_at(batch.created + self.limits.linger_s)
            return None
        if len(queue.in_flight) >= self.limits.max_in_flight:
            return None
        if self.limits.is_idempotent:
            moves_on = queue.needs_epoch or (queue.identity != self.identity and not is_again)
            if queue.in_flight and (is_again or moves_on):
                return None
            if moves_on and not self._begin_epoch(queue):
                return None
            return queue.waiting[0] if queue.waiting else None
        return batch

    def _wake_at(self, time: float) -> None:
        self._wakeup = min(self._wakeup, time)

    def _send(self, queue: PartitionQueue, batch: Batch) -> None:
        queue.waiting.popleft()
        queue.in_flight.append(batch)
        batch.attempts += 1
        if batch.order < 0:
            batch.order = self._orders
            self._orders += 1
            sequence = queue.sequence if self.limits.is_idempotent else NO_SEQUENCE
            batch.number(queue.identity, sequence, is_transactional=self.limits.is_transactional)
            queue.sequence = next_sequence(queue.sequence, batch.count)

    # Identity.

    def identified(self, identity: Identity) -> None:
        """The broker gave this producer an identity, its first or another."""
        self.identity = identity
        self.needs_identity = False

    def _begin_epoch(self, queue: PartitionQueue) -> bool:
        """Nothing of the queue is in flight: what waits is numbered anew. Not where there is no epoch yet."""
        if queue.needs_epoch and queue.identity == self.identity and not self._bump():
            return False
        queue.needs_epoch = False
        queue.identity = self.identity
        queue.sequence = 0
        for batch in tuple(queue.waiting):
            if batch.order < 0:
                break
            batch.order = -1
            if batch.is_uncertain:
                queue.waiting.remove(batch)
                self._fail(batch, batch.last_error or broker_error(ErrorCode.out_of_order_sequence_number))
        return True

    def _bump(self) -> bool:
        """A transaction's epoch only its coordinator changes."""
        if self.limits.is_transactional:
            return False
        if self.identity.epoch >= LAST_EPOCH:
            self.needs_identity = True
            return False
        self.identity = Identity(self.identity.producer_id, self.identity.epoch + 1)
        return True

    # Answers.

    def answered(self, request: ProduceTo) -> None:
        """A request is over, whatever became of its batches, each of which is told of by itself."""
        left = self._in_flight[request.node] - 1
        if left:
            self._in_flight[request.node] = left
        else:
            del self._in_flight[request.node]

    def delivered(self, batch: Batch, base_offset: int, append_time: int = -1) -> None:
        """The broker has it; from `base_offset` on, where it says so."""
        queue = self._landed(batch)
        queue.failures = 0
        self.last_problem = None
        if not batch.is_done:
            self._free(batch)
            batch.succeed(base_offset, append_time)
        self._tidy(queue)

    def refused(self, batch: Batch, code: int, reason: str | None, now: float) -> ClientError | None:
        """The broker has not taken it. What ended it, None where it will be sent again."""
        if code == ErrorCode.duplicate_sequence_number:  # it has it from before, at an offset it forgot
            self.delivered(batch, -1)
            return None
        queue = self._landed(batch)
        error = broker_error(code, reason, batch.name)
        batch.last_error = error
        if batch.is_done:
            queue.needs_epoch = self.limits.is_idempotent
        elif code in _TOO_LARGE and batch.count > 1:
            queue.put_back(*self._halves(batch))
        elif self._is_worth_another(queue, batch, error, now):
            queue.put_back(batch)
            self._back_off(queue, now)
            return None
        else:
            self._give_up(queue, batch, error)
            self._tidy(queue)
            return error
        self._tidy(queue)
        return None

    def unanswered(
        self, batch: Batch, error: ClientError, now: float, *, was_sent: bool
    ) -> ClientError | None:
        """No word of it; it may be in the log if it was sent. As `refused`."""
        queue = self._landed(batch)
        batch.is_uncertain = batch.is_uncertain or was_sent
        batch.last_error = error
        if batch.is_done:
            queue.needs_epoch = self.limits.is_idempotent
            self._tidy(queue)
        elif error.retriable and self._has_time(batch, now):
            queue.put_back(batch)
            self._back_off(queue, now)
        else:
            self._give_up(queue, batch, error)
            self._tidy(queue)
            return error
        return None

    def expire(self, now: float) -> list[ClientError]:
        """Give up what was not delivered within `delivery.timeout.ms`; the errors of what was given up."""
        errors: list[ClientError] = []
        if now < self._expires_at:
            return errors
        self._expires_at = NEVER
        before = now - self.limits.delivery_timeout_s
        for queue in tuple(self._active.values()):
            for batch in (*queue.in_flight, *queue.waiting):
                if batch.created > before:
                    expires_at = batch.created + self.limits.delivery_timeout_s
                    self._expires_at = min(self._expires_at, expires_at)
                if batch.created > before or batch.is_done:
                    continue
                last = batch.last_error or self.last_problem
                error = RequestTimeoutError(
                    f"{batch.name}: {batch.count} records were not delivered within delivery.timeout.ms"
                    + ("" if last is None else f"; last: {last}")
                )
                errors.append(error)
                if batch in queue.waiting:
                    queue.waiting.remove(batch)
                self._give_up(queue, batch, error)
            self._tidy(queue)
        return errors

    def drop_waiting(self, error: ClientError) -> None:
        """Fail all that is not in flight."""
        for queue in tuple(self._active.values()):
            dropped, queue.waiting = queue.waiting, deque()
            for batch in dropped:
                self._give_up(queue, batch, error)
            self._tidy(queue)

    def unfinished(self) -> list[Batch]:
        """All that wait or are in flight."""
        return [
            batch
            for queue in self._active.values()
            for batch in (*queue.in_flight, *queue.waiting)
            if not batch.is_done
        ]

    @property
    def has_broken_numbers(self) -> bool:
        """Whether some partition needs another epoch before it takes records again."""
        return any(queue.needs_epoch for queue in self._queues.values())

    def _landed(self, batch: Batch) -> PartitionQueue:
        queue = self._queues[batch.topic, batch.partition]
        queue.in_flight.remove(batch)
        return queue

    def _is_worth_another(self, queue: PartitionQueue, batch: Batch, error: ClientError, now: float) -> bool:
        if not self._has_time(batch, now):
            return False
        if self.limits.is_idempotent and error.code in _BROKEN_SEQUENCES:
            if not queue.is_first(batch):
                is_behind = error.code is ErrorCode.out_of_order_sequence_number
                return is_behind or not self.limits.is_transactional
            # What came before is gone from the log, or the producer is forgotten there.
            queue.needs_epoch = True
            return not self.limits.is_transactional
        return error.retriable

    def _has_time(self, batch: Batch, now: float) -> bool:
        return batch.attempts <= self.limits.retries and now < batch.created + self.limits.delivery_timeout_s

    def _halves(self, batch: Batch) -> tuple[Batch, Batch]:
        is_transactional = self.limits.is_transactional
        return batch.split(self.limits.compression, self._make_builder, is_transactional=is_transactional)

    def _back_off(self, queue: PartitionQueue, now: float) -> None:
        queue.failures += 1
        queue.not_before = now + self.limits.backoff.delay_ms(queue.failures, self._chance()) / 1000

    def _give_up(self, queue: PartitionQueue, batch: Batch, error: ClientError) -> None:
        if batch.order >= 0 and self.limits.is_idempotent:
            queue.needs_epoch = True
        self._fail(batch, error)

    def _fail(self, batch: Batch, error: ClientError) -> None:
        self._free(batch)
        batch.fail(error)

    def _free(self, batch: Batch) -> None:
        self.reserved -= batch.reserved

    def _tidy(self, queue: PartitionQueue) -> None:
        if not queue.waiting and not queue.in_flight:
            self._active.pop((queue.topic, queue.partition), None)


_TOO_LARGE: Final = (ErrorCode.message_too_large, ErrorCode.record_list_too_large)
_BROKEN_SEQUENCES: Final = (
    ErrorCode.out_of_order_sequence_number,
    ErrorCode.unknown_producer_id,
    ErrorCode.invalid_producer_epoch,
)
