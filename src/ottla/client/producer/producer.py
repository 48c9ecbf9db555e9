"""The producer on asyncio: `send` for records, `write` for columns, transactions."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Final, Self

from ottla.client.columns.columns import Columns, Headers
from ottla.client.columns.encode import EncodedBatch, encode_columns
from ottla.client.columns.partitioner import ANYWHERE, PARTITIONERS
from ottla.client.core.backoff import Backoff
from ottla.client.core.batches import Batch
from ottla.client.core.metadata import ClusterMetadata, TopicPartition, TopicView
from ottla.client.core.offsets import CommittedOffset
from ottla.client.core.offsets import Identity as Member
from ottla.client.core.producer import Limits, ProducerCore
from ottla.client.core.sticky import StickyPartition
from ottla.client.core.transactions import Transactions, TransactionStateError
from ottla.client.errors import (
    ClientClosedError,
    ClientError,
    ConfigurationError,
    RequestTimeoutError,
    broker_error,
    missing_extra,
)
from ottla.client.net.cluster import Cluster
from ottla.client.producer.coordinator import TransactionCoordinator
from ottla.client.producer.delivery import Delivery, HasOffsets, WriteDelivery, settled
from ottla.client.producer.sender import Sender
from ottla.client.producer.settings import ProducerSettings
from ottla.client.values.interface import Values
from ottla.protocol.errors import ErrorCode
from ottla.records.batch import Buffer

_COLUMNS_BATCH_BYTES: Final = 512 * 1024
"""Of a batch of columns, before it is compressed, where batch.size is less: they are not waited for, and what
a batch costs beside its records is the same for any."""


class _Topic:
    """What sending to a topic needs to know of it."""

    __slots__ = ("count", "sticky", "used_at")

    def __init__(self, sticky: StickyPartition, now: float) -> None:
        self.sticky = sticky
        self.used_at = now
        self.count = 0

    def update(self, view: TopicView, metadata: ClusterMetadata) -> None:
        self.count = len(view.partitions)
        led = [each for each in view.partitions if metadata.leader_of(view.name, each) is not None]
        self.sticky.offer(led or sorted(view.partitions) or (0,))


class AsyncProducer:
    """Made by `connect_async(...).producer(...)`. `start` and `close` it, or use it with `async with`."""

    def __init__(self, cluster: Cluster, settings: ProducerSettings, lane: str) -> None:
        self.settings = settings
        self._cluster = cluster
        self._lane = lane
        self._loop = asyncio.get_running_loop()
        self.now_ms = cluster.host.now_ms
        self._partitioner = PARTITIONERS[settings.partitioner]
        self._chance = cluster.host.random.random
        self._core = ProducerCore(_limits(settings), self._chance)
        self._topics: dict[str, _Topic] = {}
        self._coordinator: TransactionCoordinator | None = None
        if settings.transactional_id is not None:
            transactions = Transactions(settings.transactional_id)
            self._coordinator = TransactionCoordinator(cluster, transactions, settings.max_block_ms)
        self._sender = Sender(cluster, settings, self._core, self._coordinator, lane)
        self._is_closed = False
        self.before_close: Callable[[], Awaitable[None]] | None = None
        """Brings in what others still hold for it"""
        cluster.follow(self)

    async def start(self) -> None:
        """With a transactional id: fence older instances of it, and end what they left open."""
        if self._coordinator is not None:
            self._core.identified(await self._coordinator.initialize(self.settings.transaction_timeout_ms))

    async def close(self, *, timeout_ms: int | None = None) -> None:
        """Deliver what was sent, for at most `timeout_ms` (`delivery.timeout.ms`); abort what is open."""
        if self._is_closed:
            return
        limit_ms = self.settings.delivery_timeout_ms if timeout_ms is None else timeout_ms
        try:
            with contextlib.suppress(TimeoutError, ClientError):
                async with asyncio.timeout(limit_ms / 1000):
                    if self.before_close is not None:
                        await self.before_close()
                    if self.has_open_transaction:
                        await self.abort_transaction()
                    await self.flush()
        finally:
            self._is_closed = True
            self._cluster.unfollow(self)
            await self._sender.close()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close(timeout_ms=0)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Records.

    async def send(
        self,
        topic: str,
        value: Buffer | None = None,
        *,
        key: Buffer | None = None,
        headers: Headers | Mapping[str, bytes | None] = (),
        timestamp: int | None = None,
        partition: int | None = None,
    ) -> Delivery:
        """Put a record into its batch and give its `Delivery`, which may be awaited.

        `timestamp` is in milliseconds since the epoch, now without one. Without a `partition` the key says it
        (`partitioner`). Waits while the topic is not known and while `buffer.memory` is full, for at most
        `max.block.ms` each.
        """
        transaction = None if self._coordinator is None else self._transaction()
        try:
            if timestamp is None:
                timestamp = self.now_ms()
            if headers.__class__ is not tuple:
                headers = _headers(headers)
            known = self._topics.get(topic)
            if known is None or (partition is not None and not 0 <= partition < known.count):
                known = await self._topic(topic, partition)
                self._check_still(transaction)
            if partition is None:
                partition = self._partition(known, key, value)
            batch = self._core.append(topic, partition, timestamp, key, value, headers, self._loop.time())
            if batch is None:
                batch = await self._append_later(
                    topic, partition, timestamp, key, value, headers, transaction
                )
            if batch.count == 1:
                self._begun(batch, known)
            return Delivery(batch, batch.count - 1, timestamp)
        except Exception as error:
            self._lost_from(transaction, error)
            raise

    async def write(
        self,
        topic: str,
        data: object,
        *,
        key: str | Values | None = None,
        value: Values | None = None,
        partition: int | memoryview | None = None,
    ) -> WriteDelivery:
        """Put all rows of `data` into batches: of `Columns`, or of any table that speaks Arrow's PyCapsule
        interface (pyarrow, Polars, pandas, DuckDB), for which the extra `arrow` is needed.

        What `read` gives is written as it is: key, value, headers, timestamp. Of any other table the column
        `key` is the key, and all others are the value, in the format `value` (JSON without one).

        Rows go to partitions by their keys, or to the `partition` that is given for all of them or, of
        `Columns`, (int32) for each. Timestamps of -1 become now. As `send` it waits for memory.
        """
        self.check_usable()
        transaction = None if self._coordinator is None else self._transaction()
        batches: list[Batch] = []
        try:
            async for columns in _columns_of(topic, data, key, value, partition):
                batches += await self._write(topic, columns, partition, transaction)
        except Exception as error:
            self._lost_from(transaction, error)
            raise
        return WriteDelivery(batches)

    async def _write(
        self, topic: str, columns: Columns, partition: int | memoryview | None, transaction: int | None
    ) -> list[Batch]:
        known = await self._topic(topic, partition if isinstance(partition, int) else None)
        self._check_still(transaction)
        known.used_at = self._loop.time()
        settings = self.settings
        max_bytes = min(max(settings.batch_size, _COLUMNS_BATCH_BYTES), settings.max_request_size)
        batches: list[Batch] = []
        is_spread = isinstance(partition, memoryview) or (partition is None and self._is_keyed(columns))
        for rows in _chunks(columns, max_bytes * (known.count if is_spread else 1)):
            where = self._partitions(known, columns, partition, rows)
            for encoded in encode_columns(
                columns[rows],
                where,
                known.count,
                max_bytes=max_bytes,
                codec=settings.compression.codec,
                level=settings.compression.level,
                now=self.now_ms(),
            ):
                if len(encoded.data) > settings.max_request_size:
                    raise _too_large(topic, encoded.partition, len(encoded.data), settings.max_request_size)
                batches.append(await self._put(partial(self._append_whole, topic, encoded), transaction))
                self._sender.wake()
        return batches

    async def flush(self) -> None:
        """Send what waits, now; returns when all that was sent before is over, delivered or not."""
        batches = self._core.unfinished()
        for batch in batches:
            batch.is_due = True
        self._sender.wake()
        for batch in batches:
            await settled(batch)

    # Transactions.

    async def begin_transaction(self) -> None:
        coordinator = self._need_coordinator()
        self.check_usable()
        coordinator.transactions.begin(is_implicit=await coordinator.speaks_implicit())

    async def commit_transaction(self) -> None:
        """Deliver all, then commit. Raises what failed: abort then, unless the outcome is not known
        (RequestTimeoutError, DisconnectedError): it may be called again after these.
        """
        coordinator = self._need_coordinator()
        transactions = coordinator.transactions
        transactions.commit()
        try:
            await self.flush()
        except BaseException:  # cancelled: it can still be aborted
            transactions.not_committed()
            raise
        if transactions.error is not None:
            raise transactions.error.again()
        await coordinator.end(committed=True)
        self._core.identified(transactions.identity)
        self._sender.wake()

    async def abort_transaction(self) -> None:
        """Give up what was not sent, and have what was left out by whoever reads committed records."""
        coordinator = self._need_coordinator()
        transactions = coordinator.transactions
        transactions.abort()
        await self.flush()
        await self._sender.added()
        await coordinator.end(committed=False)
        if self._core.has_broken_numbers and not transactions.is_implicit:
            await coordinator.initialize(self.settings.transaction_timeout_ms)
        self._core.identified(transactions.identity)
        self._sender.wake()

    async def send_offsets(
        self, read: HasOffsets | Mapping[TopicPartition, CommittedOffset], member: Member | None = None
    ) -> None:
        """Commit with the transaction what a consumer of a group has read: a batch of it, or offsets together
        with as whom it reads (`consumer.identity()`). Dead letters that a batch's `to_arrow` sent are
        delivered before; DeadLetterError where one is not.
        """
        if isinstance(read, Mapping):
            offsets = read
        else:
            await read.letters_delivered()
            offsets, member = read.offsets, member or read.identity
        if member is None:
            raise ClientError("offsets are sent for a group: these are of a consumer that is in none")
        coordinator = self._need_coordinator()
        coordinator.transactions.check_open("send offsets")
        if offsets:
            await coordinator.send_offsets(offsets, member)

    @property
    def has_open_transaction(self) -> bool:
        """Whether there is a transaction that can be aborted."""
        return self._coordinator is not None and self._coordinator.transactions.is_open

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Self]:
        """A transaction: committed at the end of the block, aborted when it is left by an exception."""
        await self.begin_transaction()
        try:
            yield self
            await self.commit_transaction()
        except BaseException:
            if self.has_open_transaction:
                await self.abort_transaction()
            raise

    def _need_coordinator(self) -> TransactionCoordinator:
        if self._coordinator is None:
            raise TransactionStateError("a transaction needs a producer with a transactional.id")
        return self._coordinator

    # What the cluster asks (`Follower`).

    def topics_wanted(self) -> Iterable[str]:
        before = self._loop.time() - self.settings.metadata_max_idle_ms / 1000
        for name in [name for name, topic in self._topics.items() if topic.used_at < before]:
            del self._topics[name]
        return tuple(self._topics)

    def metadata_changed(self, metadata: ClusterMetadata) -> None:
        for name, topic in tuple(self._topics.items()):
            view = metadata.topics.get(name)
            if view is None or not view.partitions:
                del self._topics[name]
            else:
                topic.update(view, metadata)
        self._sender.wake()

    # Inside.

    def not_sent(self, error: Exception) -> None:
        """A record got into no batch, and nobody may have been told: its transaction can't be committed."""
        if self._coordinator is not None:
            told = error if isinstance(error, ClientError) else ClientError(f"a record was not sent: {error}")
            self._coordinator.transactions.failed(told)

    def _transaction(self) -> int:
        """The number of the one that is open; TransactionStateError where none is."""
        transactions = self._need_coordinator().transactions
        transactions.check_open("send")
        return transactions.number

    def _check_still(self, transaction: int | None) -> None:
        """TransactionStateError where another task ended it during a wait."""
        if transaction is not None:
            self._need_coordinator().transactions.check_open("send", transaction)

    def _lost_from(self, transaction: int | None, error: Exception) -> None:
        """As Kafka's producer: whoever catches what `send` raises can't commit without the record."""
        if transaction is None or not self.has_open_transaction:
            return
        if self._need_coordinator().transactions.number == transaction:
            self.not_sent(error)

    def check_usable(self) -> None:
        """ClientClosedError after `close`, ForkedError in another process."""
        self._cluster.check_usable()
        if self._is_closed:
            raise ClientClosedError("the producer is closed")

    def _begun(self, batch: Batch, known: _Topic) -> None:
        """A batch has its first record."""
        self.check_usable()
        now = self._loop.time()
        known.used_at = now
        if self.settings.linger_ms == 0 or self._core.is_ready(batch):
            self._sender.wake()
        else:
            self._sender.wake_at(now + self.settings.linger_ms / 1000)

    async def _topic(self, name: str, partition: int | None) -> _Topic:
        """The topic, once it is known; with that partition."""
        self.check_usable()
        settings = self.settings
        view = await self._cluster.topic(
            name, timeout_ms=settings.max_block_ms, allow_auto_creation=settings.allow_auto_create_topics
        )
        if partition is not None and partition not in view.partitions:
            view = (await self._cluster.refresh([name])).topics.get(name, view)
            if partition not in view.partitions:
                last = len(view.partitions) - 1
                raise broker_error(
                    ErrorCode.invalid_partitions, f"there is no partition {partition}, only 0 to {last}", name
                )
        known = self._topics.get(name)
        if known is None:
            sticky = StickyPartition(settings.batch_size, self._chance)
            known = self._topics[name] = _Topic(sticky, self._loop.time())
        known.update(view, self._cluster.metadata)
        return known

    def _partition(self, known: _Topic, key: Buffer | None, value: Buffer | None) -> int:
        partition = ANYWHERE if key is None else self._partitioner.of_key(key, known.count)
        if partition == ANYWHERE and key is None and not self._partitioner.null_goes_anywhere:
            partition = self._partitioner.of_key(key, known.count)
        return partition if partition != ANYWHERE else known.sticky.take(32 + len(value or b""))

    def _partitions(
        self, known: _Topic, columns: Columns, partition: int | memoryview | None, rows: slice
    ) -> memoryview:
        if isinstance(partition, memoryview):
            return partition[rows]
        count = rows.stop - rows.start
        if partition is not None:
            return memoryview(partition.to_bytes(4, sys.byteorder) * count).cast("i")
        return self._partitioner.of_column(columns.key[rows], known.count, known.sticky.move())

    def _is_keyed(self, columns: Columns) -> bool:
        """Whether each row's key says its partition."""
        partitioner = self._partitioner
        has_keys = columns.key.validity is None or not partitioner.null_goes_anywhere
        return partitioner.hash_name is not None and has_keys

    def _append_whole(self, topic: str, encoded: EncodedBatch) -> Batch | None:
        now = self._loop.time()
        return self._core.append_whole(topic, encoded.partition, encoded.data, encoded.records, now)

    async def _append_later(
        self,
        topic: str,
        partition: int,
        timestamp: int,
        key: Buffer | None,
        value: Buffer | None,
        headers: Headers,
        transaction: int | None,
    ) -> Batch:
        return await self._put(
            lambda: self._core.append(topic, partition, timestamp, key, value, headers, self._loop.time()),
            transaction,
        )

    async def _put(self, attempt: Callable[[], Batch | None], transaction: int | None) -> Batch:
        """Once there is memory for it, if its transaction is still open then."""
        batch = attempt()
        deadline = self._loop.time() + self.settings.max_block_ms / 1000
        while batch is None:
            self.check_usable()
            try:
                await self._sender.room(deadline - self._loop.time())
            except TimeoutError:
                waited = self.settings.max_block_ms
                raise RequestTimeoutError(f"buffer.memory was full for max.block.ms={waited}") from None
            self._check_still(transaction)
            batch = attempt()
        return batch


async def _columns_of(
    topic: str,
    data: object,
    key: str | Values | None,
    value: Values | None,
    partition: int | memoryview | None,
) -> AsyncIterator[Columns]:
    if isinstance(data, Columns):
        yield data
        return
    if isinstance(partition, memoryview):
        raise ConfigurationError("partitions for each row are given with Columns")
    try:
        from ottla.client.tables.writing import columns_for
    except ImportError as error:
        raise missing_extra("tables", error) from error
    async for columns in columns_for(topic, data, key, value):
        yield columns


def _headers(given: Headers | Mapping[str, bytes | None]) -> Headers:
    return tuple(given.items()) if isinstance(given, Mapping) else tuple(given)


def _chunks(columns: Columns, max_bytes: int) -> Iterable[slice]:
    """Rows of about so many bytes each, which share a partition where they may go anywhere."""
    count = len(columns)
    if not count:
        return
    step = max(1, count * max_bytes // max(columns.nbytes, 1))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _too_large(topic: str, partition: int, size: int, limit: int) -> ClientError:
    reason = f"a record of {size} bytes, where max.request.size is {limit}"
    return broker_error(ErrorCode.message_too_large, reason, f"{topic}-{partition}")


def _limits(settings: ProducerSettings) -> Limits:
    return Limits(
        batch_size=settings.batch_size,
        linger_s=settings.linger_ms / 1000,
        buffer_memory=settings.buffer_memory,
        max_request_size=settings.max_request_size,
        max_in_flight=settings.max_in_flight_requests_per_connection,
        delivery_timeout_s=settings.delivery_timeout_ms / 1000,
        retries=settings.retries,
        backoff=Backoff(settings.retry_backoff_ms, settings.retry_backoff_max_ms),
        compression=settings.compression,
        is_idempotent=settings.enable_idempotence,
        is_transactional=settings.transactional_id is not None,
    )
