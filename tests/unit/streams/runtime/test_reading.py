"""How lags are looked up that no fetch says."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, cast

from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import ClientClosedError
from ottla.streams.runtime.reading import Reading

PARTITION = TopicPartition("t", 0)


class Consumer:
    """Whose partition nobody leads, until it is closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def assignment(self) -> list[TopicPartition]:
        return [PARTITION]

    def lag(self, _partition: TopicPartition) -> None: ...

    async def poll(self, _most: int, timeout_s: float) -> None: ...

    async def end_offsets(self, _partitions: object) -> None:
        await self.closed.wait()
        raise ClientClosedError("the client is closed")


class Task:
    def buffered_of(self, _partition: TopicPartition) -> int:
        return 0


class Work:
    partitions = (PARTITION,)
    task = Task()


async def test_a_look_up_that_the_end_finds_is_given_up_in_silence() -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    consumer = Consumer()
    reading = Reading(cast("Any", consumer), lambda _: "earliest", 10, 10)
    await reading.poll([cast("Any", Work())], 0)  # does not wait for it
    consumer.closed.set()
    await asyncio.sleep(0.01)
    del reading
    gc.collect()
    assert told == []
