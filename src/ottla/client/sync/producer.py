"""The producer for other threads than the event loop's."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import TracebackType
from typing import Final, NamedTuple, Self

from ottla.client.columns.columns import Headers
from ottla.client.core.batches import RecordMetadata
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.offsets import CommittedOffset
from ottla.client.core.offsets import Identity as Member
from ottla.client.errors import ClientError, RequestTimeoutError
from ottla.client.face import Face, awaited
from ottla.client.producer.delivery import Delivery as AsyncDelivery
from ottla.client.producer.delivery import HasOffsets, Written
from ottla.client.producer.producer import AsyncProducer
from ottla.client.sync.consumer import Batch
from ottla.client.sync.portal import Portal
from ottla.client.values.interface import Values
from ottla.records.batch import Buffer

_MOST_HANDED_OVER: Final = 1_000
_SMALL_BYTES: Final = 16_384
"""Whoever sends a larger record, or one after so many others, waits until all are in their batches."""


class Delivery:
    """One record on its way."""

    __slots__ = ("_handover", "_portal", "error", "sent")

    def __init__(self, handover: _Handover, portal: Portal) -> None:
        self._handover = handover
        self._portal = portal
        self.sent: AsyncDelivery | None = None
        """Once it is in its batch"""
        self.error: Exception | None = None
        """Why it did not get there"""

    @property
    def is_done(self) -> bool:
        return self.error is not None or (self.sent is not None and self.sent.is_done)

    def result(self, timeout_s: float | None = None) -> RecordMetadata:
        """Where it went; waits for that (RequestTimeoutError). Raises why it was not delivered."""
        if not self.is_done:
            self._portal.call(self._handover.wait(self, timeout_s))
        if self.error is not None:
            raise self.error.again() if isinstance(self.error, ClientError) else self.error
        assert self.sent is not None
        return self.sent.result()


class _Handed(NamedTuple):
    delivery: Delivery
    topic: str
    value: Buffer | None
    key: Buffer | None
    headers: Headers | Mapping[str, bytes | None]
    timestamp: int | None
    partition: int | None


class _Handover:
    """Records on their way from threads into the loop: many for each time that it is woken."""

    def __init__(self, inner: AsyncProducer) -> None:
        self._inner = inner
        inner.before_close = self.emptied
        self._queue: deque[_Handed] = deque()
        self._is_told = False
        self._feeding: asyncio.Task[None] | None = None

    def put(self, handed: _Handed, portal: Portal) -> None:
        """From any thread."""
        is_large = len(handed.value or b"") > _SMALL_BYTES
        self._queue.append(handed)
        if not self._is_told:
            self._is_told = True
            portal.soon(self._begin)
        if is_large or len(self._queue) >= _MOST_HANDED_OVER:
            portal.call(self.emptied())

    async def emptied(self) -> None:
        """All that was put is in its batch."""
        while self._queue or self._feeding is not None:
            self._begin()
            if self._feeding is not None:
                await asyncio.shield(self._feeding)

    async def wait(self, delivery: Delivery, timeout_s: float | None) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self.emptied()
                if delivery.sent is not None:
                    await asyncio.wait([asyncio.ensure_future(_settle(delivery.sent))])
        except TimeoutError:
            raise RequestTimeoutError(f"the record was not delivered within {timeout_s:g} s") from None

    def _begin(self) -> None:
        if self._feeding is None:
            self._feeding = asyncio.get_running_loop().create_task(self._feed())

    async def _feed(self) -> None:
        try:
            while True:
                while self._queue:
                    await self._send(self._queue.popleft())
                self._is_told = False
                # What a thread put before it could see that is seen here.
                if not self._queue:
                    return
                self._is_told = True
        finally:
            self._feeding = None

    async def _send(self, handed: _Handed) -> None:
        delivery, topic, value, key, headers, timestamp, partition = handed
        try:
            delivery.sent = await self._inner.send(
                topic, value, key=key, headers=headers, timestamp=timestamp, partition=partition
            )
        except Exception as error:  # noqa: BLE001 - whoever asks for the delivery's result has it
            delivery.error = error
            self._inner.not_sent(error)


async def _settle(sent: AsyncDelivery) -> None:
    with contextlib.suppress(ClientError):
        await sent


class Producer(Face[AsyncProducer]):
    """Made by `connect(...).producer(...)`. `close` it, or use it with `with`. Any thread may use it."""

    def __init__(self, inner: AsyncProducer, portal: Portal) -> None:
        super().__init__(inner, portal.call)
        self._portal = portal
        self._handover = _Handover(inner)
        portal.call(inner.start())
        self._finalize = weakref.finalize(self, portal.abandon, inner.close)
        self._finalize.atexit = False

    def send(
        self,
        topic: str,
        value: Buffer | None = None,
        *,
        key: Buffer | None = None,
        headers: Headers | Mapping[str, bytes | None] = (),
        timestamp: int | None = None,
        partition: int | None = None,
    ) -> Delivery:
        """Hand a record over and give its `Delivery`, whose `result` says where it went or why it did not.
        `timestamp` is in milliseconds since the epoch, now without one. Waits while much is on its way.
        """
        self._inner.check_usable()
        if timestamp is None:
            timestamp = self._inner.now_ms()
        delivery = Delivery(self._handover, self._portal)
        self._handover.put(_Handed(delivery, topic, value, key, headers, timestamp, partition), self._portal)
        return delivery

    def write(
        self,
        topic: str,
        data: object,
        *,
        key: str | Values | None = None,
        value: Values | None = None,
        partition: int | memoryview | None = None,
    ) -> Written:
        """Write all rows and wait until they are delivered; as `AsyncProducer.write`."""

        async def work() -> Written:
            await self._handover.emptied()
            return await (await self._inner.write(topic, data, key=key, value=value, partition=partition))

        return self._portal.call(work())

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until all that was sent is delivered or failed; TimeoutError."""
        self._portal.call(self._flushed(timeout_s))

    def close(self) -> None:
        """Deliver what was sent, for at most `delivery.timeout.ms`; abort what is open."""
        if self._finalize.detach() is not None:
            self._portal.call(self._inner.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    begin_transaction = awaited(AsyncProducer.begin_transaction)

    def commit_transaction(self) -> None:
        """Deliver all, then commit; as `AsyncProducer.commit_transaction`."""
        self._portal.call(self._ended(self._inner.commit_transaction))

    def abort_transaction(self) -> None:
        self._portal.call(self._ended(self._inner.abort_transaction))

    def send_offsets(
        self, read: HasOffsets | Mapping[TopicPartition, CommittedOffset], member: Member | None = None
    ) -> None:
        """Commit with the transaction what a consumer of a group has read, as `AsyncProducer` does."""
        if isinstance(read, Batch):
            read.wait_for_letters()  # in the loop of its own client
        self._portal.call(self._inner.send_offsets(read, member))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Self]:
        """A transaction: committed at the end of the block, aborted when it is left by an exception."""
        self.begin_transaction()
        try:
            yield self
            self.commit_transaction()
        except BaseException:
            if self._inner.has_open_transaction:
                self.abort_transaction()
            raise

    async def _flushed(self, timeout_s: float | None) -> None:
        async with asyncio.timeout(timeout_s):
            await self._handover.emptied()
            await self._inner.flush()

    async def _ended(self, end: Callable[[], Awaitable[None]]) -> None:
        await self._handover.emptied()
        await end()
