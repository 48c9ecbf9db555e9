"""What a thread's tasks read: its consumer, from where each partition is read on, and which wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from ottla.client.columns.columns import Columns
from ottla.client.consumer.batch import Batch
from ottla.client.consumer.consumer import AsyncConsumer
from ottla.client.consumer.offsets import Commits
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import ClientClosedError, ClientError
from ottla.streams.errors import StreamsError
from ottla.streams.runtime.work import Work, decode_metadata

_POLL_RECORDS: Final = 1_000
_POSITION_S: Final = 0.05
_LOOK_S: Final = 0.05
"""How long a poll waits for lags that nobody knows yet."""


class Reading:
    """Partitions wait while their task has no state yet, or enough records."""

    def __init__(
        self, consumer: AsyncConsumer, reset_of: Callable[[str], str], most_buffered: int, together: int
    ) -> None:
        """`reset_of` a topic: where to begin what has no committed offset, earliest, latest or none;
        `together`: how many records a task would take at once."""
        self._consumer = consumer
        self._reset_of = reset_of
        self._most_buffered = max(most_buffered, together)
        self._poll_records = max(_POLL_RECORDS, together)
        self._paused: dict[TopicPartition, None] = {}
        self._lags: dict[TopicPartition, int] = {}
        """Of partitions of which no fetch has said it."""
        self._looking: asyncio.Task[None] | None = None

    @property
    def is_empty(self) -> bool:
        return not self._consumer.assignment()

    async def begin(self, works: Sequence[Work], held: Sequence[TopicPartition], offsets: Commits) -> None:
        """Read all that is `held`, and what `works` read from where it was committed, or as its source says.
        Raises StreamsError where nothing says where."""
        partitions = [partition for work in works for partition in work.partitions]
        committed = await offsets.fetch(partitions)
        self._consumer.assign(held)
        for work in works:
            for partition in work.partitions:
                found = committed.get(partition)
                if found is not None:
                    self._consumer.seek(partition, found)
                    work.task.go_on_from(partition, *decode_metadata(found.metadata))
                elif (reset := self._reset_of(partition.topic)) == "latest":
                    self._consumer.seek_to_end([partition])
                elif reset == "earliest":
                    self._consumer.seek_to_beginning([partition])
                else:
                    raise StreamsError(
                        f"{partition.topic}-{partition.partition} has no committed offset to begin at"
                    )
            # Nothing is read for it until its state is there.
            if work.stores:
                self._pause(work.partitions)

    async def poll(self, active: Collection[Work], timeout_s: float) -> None:
        """Give tasks the records that come, and say what their partitions have left."""
        batch = await self._consumer.poll(self._poll_records, timeout_s=timeout_s)
        if batch is not None:
            self._give_out(batch, active)
        empty = {
            partition: work
            for work in active
            for partition in work.partitions
            if not work.task.buffered_of(partition)
        }
        if batch is None:
            await self._look_up([each for each in empty if self._consumer.lag(each) is None])
        for partition, work in empty.items():
            lag = self._consumer.lag(partition)
            lag = self._lags.get(partition) if lag is None else lag
            if lag is not None:
                work.task.set_lag(partition, lag)

    async def _look_up(self, partitions: Sequence[TopicPartition]) -> None:
        """The lags that no fetch says: those of partitions without news since they were assigned anew. Others
        are not kept waiting for a partition that nobody leads."""
        new = [each for each in partitions if each not in self._lags]
        if self._looking is None and new:
            self._looking = asyncio.create_task(self._find_lags(new), name="ottla-streams-lags")
        if self._looking is not None:
            done, _ = await asyncio.wait([self._looking], timeout=_LOOK_S)
            if done:
                looked, self._looking = self._looking, None
                looked.result()

    async def _find_lags(self, partitions: Sequence[TopicPartition]) -> None:
        try:
            ends = await self._consumer.end_offsets(partitions)
            for each in partitions:
                position = await self._consumer.position(each, timeout_s=_POSITION_S)
                self._lags[each] = max(ends[each] - position, 0)
        except (TimeoutError, ClientClosedError):
            return  # the next poll tries again, or is told of the end
        except ClientError as error:
            if not error.retriable and set(partitions) <= set(self._consumer.assignment()):
                raise

    def go_on(self, active: Collection[Work]) -> None:
        """Read what tasks have room for again."""
        for work in active:
            self.resume(
                each for each in work.partitions if work.task.buffered_of(each) <= self._most_buffered
            )

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        waiting = [each for each in partitions if each in self._paused]
        if waiting:
            self._consumer.resume(waiting)
            for each in waiting:
                del self._paused[each]

    def end(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            self._paused.pop(partition, None)
            self._lags.pop(partition, None)
        self._consumer.assign([each for each in self._consumer.assignment() if each not in partitions])

    def _give_out(self, batch: Batch, active: Collection[Work]) -> None:
        owners = {partition: work for work in active for partition in work.partitions}
        for columns in _of_one_partition(batch.columns):
            place = TopicPartition(batch.topic, columns.partition[0])
            owner = owners.get(place)
            if owner is not None:
                owner.task.add_columns(place, columns)
                if owner.task.buffered_of(place) > self._most_buffered:
                    self._pause([place])

    def _pause(self, partitions: Iterable[TopicPartition]) -> None:
        wanted = [each for each in partitions if each not in self._paused]
        self._consumer.pause(wanted)
        self._paused |= dict.fromkeys(wanted)


def _of_one_partition(columns: Columns) -> Iterator[Columns]:
    """The parts that are of one partition each."""
    start = 0
    for _, rows in groupby(columns.partition.tolist()):
        stop = start + sum(1 for _ in rows)
        yield columns[start:stop]
        start = stop
