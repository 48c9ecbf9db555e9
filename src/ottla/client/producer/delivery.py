"""What was sent, on its way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from ottla.client.core.batches import Batch, RecordMetadata
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.offsets import CommittedOffset
from ottla.client.core.offsets import Identity as Member
from ottla.client.errors import ClientError
from ottla.records.batch import NO_TIMESTAMP

_log: Final = logging.getLogger("ottla.client")


class Delivery:
    """One record on its way. Awaiting it gives its `RecordMetadata`, or raises why it was not delivered."""

    __slots__ = ("_batch", "_index", "_timestamp")

    def __init__(self, batch: Batch, index: int, timestamp: int) -> None:
        self._batch = batch
        self._index = index
        self._timestamp = timestamp

    @property
    def is_done(self) -> bool:
        return self._batch.part_of(self._index)[0].is_done

    def result(self) -> RecordMetadata:
        """Of a delivery that is done."""
        if not self.is_done:
            raise asyncio.InvalidStateError("the record is not delivered yet")
        return self._batch.whereabouts(self._index, self._timestamp)

    @property
    def begins_batch(self) -> bool:
        """Whether it is the first record of its batch: who follows batches begins with this one."""
        return self._index == 0

    def on_batch(self, call: Callable[[int, ClientError | None], object]) -> None:
        """Call once the batch that it is in is over, as `WriteDelivery.on_batch`."""
        _when_over(self._batch, call)

    def on_done(self, call: Callable[[Delivery], object]) -> None:
        """Call once when it is done, with this; at once if it is. What it raises is logged."""
        batch, _ = self._batch.part_of(self._index)
        if not batch.is_done:
            batch.callbacks.append(lambda _: self.on_done(call))
            return
        try:
            call(self)
        except Exception:  # noqa: BLE001 - others wait for the same batch
            _log.exception("a callback failed that was to be called when a record is delivered")

    def __await__(self) -> Generator[Any, None, RecordMetadata]:
        while not (part := self._batch.part_of(self._index)[0]).is_done:
            yield from _over(part).__await__()
        return self._batch.whereabouts(self._index, self._timestamp)


class Written(NamedTuple):
    """What `write` wrote: how many records, and by partition the offset of the first and the last of them
    (-1 with acks=0).
    """

    records: int
    offsets: Mapping[int, tuple[int, int]]


class WriteDelivery:
    """The rows of one `write` on their way. Awaiting it gives `Written`, or raises the first failure."""

    __slots__ = ("_batches",)

    def __init__(self, batches: list[Batch]) -> None:
        self._batches = batches

    def on_batch(self, call: Callable[[int, ClientError | None], object]) -> None:
        """Call for each of its batches once that is over, with how many records it had and why they were not
        delivered, None where they were.
        """
        for batch in self._batches:
            _when_over(batch, call)

    def result(self) -> Written:
        """Once all of it is delivered."""
        if not all(_is_settled(batch) for batch in self._batches):
            raise asyncio.InvalidStateError("the rows are not delivered yet")
        return self._written()

    def __await__(self) -> Generator[Any, None, Written]:
        for whole in self._batches:
            yield from settled(whole).__await__()
            whole.whereabouts(0, NO_TIMESTAMP)  # the first failure is raised before others are waited for
        return self._written()

    def _written(self) -> Written:
        records = 0
        offsets: dict[int, tuple[int, int]] = {}
        for whole in self._batches:
            first = whole.whereabouts(0, NO_TIMESTAMP).offset
            last = whole.whereabouts(whole.count - 1, NO_TIMESTAMP).offset
            records += whole.count
            offsets[whole.partition] = (offsets.get(whole.partition, (first, first))[0], last)
        return Written(records, offsets)


class HasOffsets(Protocol):
    """A consumer's batch: what was read, and as whom."""

    @property
    def offsets(self) -> Mapping[TopicPartition, CommittedOffset]: ...

    @property
    def identity(self) -> Member | None: ...

    async def letters_delivered(self) -> None: ...


def _when_over(batch: Batch, call: Callable[[int, ClientError | None], object]) -> None:
    if not batch.is_done:
        batch.callbacks.append(lambda done: _when_over(done, call))
    elif batch.parts:
        for part in batch.parts:
            _when_over(part, call)
    else:
        call(batch.count, batch.error)


def _is_settled(batch: Batch) -> bool:
    return batch.is_done and all(map(_is_settled, batch.parts))


async def _over(batch: Batch) -> None:
    if not batch.is_done:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        batch.callbacks.append(lambda _: None if waiter.done() else waiter.set_result(None))
        await waiter


async def settled(batch: Batch) -> None:
    """Until it and all that it was split into are over."""
    await _over(batch)
    for part in batch.parts:
        await settled(part)
