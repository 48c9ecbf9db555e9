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
        self._sending: list[asyncio.Task[None]] = []

    def __call__(self, topic: DeadLetterTopic, broken: Sequence[BrokenValue]) -> None:
        """Take letters, from any thread; `delivered` tells whether they got there."""
        self._loop.call_soon_threadsafe(self._begin, topic.name, tuple(broken))

    async def delivered(self) -> None:
        """Once all that was taken is; raises why one is not."""
        await asyncio.sleep(0)  # what this thread handed over a moment ago is begun
        while self._sending:
            await self._sending[0]
            del self._sending[0]

    def _begin(self, topic: str, broken: Sequence[BrokenValue]) -> None:
        self._sending.append(self._loop.create_task(self._send(topic, broken)))

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
