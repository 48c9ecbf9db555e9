"""Sends what could not be read to the topic that is named for it, with headers that say whence and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ottla.client.values.interface import BrokenValue, DeadLetterTopic

if TYPE_CHECKING:
    from ottla.client.producer.delivery import Delivery
    from ottla.client.producer.producer import AsyncProducer


class DeadLetterOffice:
    """One for each reader, which so waits for its own letters; `make` gives it a producer, with the first."""

    def __init__(self, make: Callable[[], AsyncProducer]) -> None:
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._producer: AsyncProducer | None = None
        self._sending: dict[object, asyncio.Task[None] | None] = {}
        """By a mark for what one call handed over; None until the loop has begun with it"""
        self._failed: Exception | None = None
        """The first failure that nobody has been told of"""

    def __call__(self, topic: DeadLetterTopic, broken: Sequence[BrokenValue]) -> None:
        """Take letters, from any thread; `delivered` tells whether they got there."""
        mark = object()
        self._sending[mark] = None
        self._loop.call_soon_threadsafe(self._begin, mark, topic.name, tuple(broken))

    async def delivered(self) -> None:
        """Once all that was taken is; raises, once, why one is not."""
        await self.settled()
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    async def settled(self) -> None:
        """As `delivered`, but leaves what failed to be told."""
        while self._sending:
            begun = [task for task in tuple(self._sending.values()) if task is not None]
            if begun:
                await asyncio.wait(begun)
            else:
                await asyncio.sleep(0)

    def _begin(self, mark: object, topic: str, broken: Sequence[BrokenValue]) -> None:
        task = self._sending[mark] = self._loop.create_task(self._send(topic, broken))
        task.add_done_callback(partial(self._sent, mark))

    def _sent(self, mark: object, task: asyncio.Task[None]) -> None:
        del self._sending[mark]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception) and self._failed is None:
            self._failed = error

    async def _send(self, topic: str, broken: Sequence[BrokenValue]) -> None:
        if self._producer is None:
            self._producer = self._make()
        sent = [await _letter(self._producer, topic, each) for each in broken]
        for delivery in sent:
            await delivery


async def _letter(producer: AsyncProducer, topic: str, broken: BrokenValue) -> Delivery:
    record = broken.record
    timestamp = record.timestamp if record.timestamp >= 0 else None
    headers = (*record.headers, *_reasons(broken))
    return await producer.send(topic, record.value, key=record.key, headers=headers, timestamp=timestamp)


def _reasons(broken: BrokenValue) -> list[tuple[str, bytes]]:
    """Headers with the names of those in Kafka Connect's dead letter queues."""
    said = {
        "topic": broken.topic,
        "partition": str(broken.partition),
        "offset": str(broken.offset),
        "exception.message": broken.reason,
    }
    return [(f"__connect.errors.{name}", text.encode()) for name, text in said.items()]
