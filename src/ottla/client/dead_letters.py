"""Sends what could not be read to the topic that is named for it, with headers that say whence and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ottla.client.values.interface import BrokenValue, DeadLetterTopic

if TYPE_CHECKING:
    from ottla.client.producer.producer import AsyncProducer


class DeadLetterOffice:
    """One for a client; `make` gives it a producer, with the first letter."""

    def __init__(self, make: Callable[[], AsyncProducer]) -> None:
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._producer: AsyncProducer | None = None
        self._sending: dict[asyncio.Task[None], None] = {}
        self._failed: Exception | None = None
        """The first failure that nobody has been told of"""

    def __call__(self, topic: DeadLetterTopic, broken: Sequence[BrokenValue]) -> None:
        """Take letters, from any thread; `delivered` tells whether they got there."""
        self._loop.call_soon_threadsafe(self._begin, topic.name, tuple(broken))

    async def delivered(self) -> None:
        """Once all that was taken is; raises, once, why one is not."""
        await asyncio.sleep(0)  # what this thread handed over a moment ago is begun
        if self._sending:
            await asyncio.wait(tuple(self._sending))
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    def _begin(self, topic: str, broken: Sequence[BrokenValue]) -> None:
        task = self._loop.create_task(self._send(topic, broken))
        self._sending[task] = None
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        del self._sending[task]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception) and self._failed is None:
            self._failed = error

    async def _send(self, topic: str, broken: Sequence[BrokenValue]) -> None:
        if self._producer is None:
            self._producer = self._make()
        sent = [await self._producer.send(topic, each.value, headers=_headers(each)) for each in broken]
        for delivery in sent:
            await delivery


def _headers(broken: BrokenValue) -> dict[str, bytes | None]:
    """Names as those of Kafka Connect's dead letter queues."""
    said = {
        "topic": broken.topic,
        "partition": str(broken.partition),
        "offset": str(broken.offset),
        "exception.message": broken.reason,
    }
    return {f"__connect.errors.{name}": text.encode() for name, text in said.items()}
