"""The consumer for other threads than the event loop's."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ottla.client.columns.columns import Columns, Record
from ottla.client.consumer.batch import Batch as AsyncBatch
from ottla.client.consumer.consumer import AsyncConsumer
from ottla.client.consumer.membership import RebalanceListener
from ottla.client.consumer.subscription import Pattern
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.offsets import CommittedOffset, Identity
from ottla.client.errors import ClientError
from ottla.client.face import Face, awaited, inside
from ottla.client.sync.listener import InThreads
from ottla.client.sync.portal import Portal

if TYPE_CHECKING:
    import pyarrow as pa


class Batch:
    """Rows of one topic as columns; those of a partition are in order, and follow the batch before.

    `offsets` are what a commit of it says: for each partition the offset behind its last row. `identity` is
    as whom, None where there is no group or the member is out of it.
    """

    __slots__ = ("_inner", "_portal")

    def __init__(self, inner: AsyncBatch, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    @property
    def topic(self) -> str:
        return self._inner.topic

    @property
    def columns(self) -> Columns:
        return self._inner.columns

    @property
    def offsets(self) -> Mapping[TopicPartition, CommittedOffset]:
        return self._inner.offsets

    @property
    def identity(self) -> Identity | None:
        return self._inner.identity

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Iterator[Record]:
        return self._inner.records()

    def records(self) -> Iterator[Record]:
        """Each row as a record, made when it is asked for."""
        return self._inner.records()

    def commit(self) -> None:
        """Returns when the coordinator has it. CommitFailedError where the group went on without this member,
        or one of the partitions has been given up since. Dead letters that `to_arrow` sent are delivered
        before; DeadLetterError where one is not.
        """
        self._portal.call(self._inner.commit())

    def wait_for_letters(self) -> None:
        """Until the dead letters that `to_arrow` sent are delivered; DeadLetterError where one is lost."""
        self._portal.call(self._inner.letters_delivered())

    async def letters_delivered(self) -> None:
        """For a producer, which waits for them before it begins."""

    def to_arrow(self) -> pa.RecordBatch:
        """Columns partition, offset, timestamp, timestamp_type, key, value and headers; key and value as the
        consumer was told to read them. Needs the extra `arrow`.
        """
        return self._inner.to_arrow()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Arrow's PyCapsule interface, which Polars, pandas and DuckDB speak."""
        return self._inner.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return repr(self._inner)


class Consumer(Face[AsyncConsumer]):
    """Made by `connect(...).consumer(...)`. `close` it, or use it with `with`. One thread at a time takes
    from it.

    A rebalance listener is called in a thread of its own, while a poll waits for it. It may seek, commit and
    ask, but not poll.
    """

    def __init__(self, inner: AsyncConsumer, portal: Portal) -> None:
        super().__init__(inner, portal.call)
        self._portal = portal
        self._finalize = weakref.finalize(self, portal.abandon, inner.close)
        self._finalize.atexit = False

    def close(self, *, commit: bool = True) -> None:
        """Commit what was delivered (with `enable.auto.commit`, unless told not to), leave the group."""
        if self._finalize.detach() is not None:
            self._portal.call(self._inner.close(commit=commit))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What failed has not dealt with all that it was given.
        self.close(commit=error is None)

    def subscribe(
        self,
        topics: Iterable[str] | str = (),
        *,
        pattern: Pattern | None = None,
        listener: RebalanceListener | None = None,
    ) -> None:
        """As `AsyncConsumer.subscribe`; the listener may call this consumer and its client."""
        own = None if listener is None else InThreads(listener)
        self._portal.run(self._inner.subscribe, topics, pattern=pattern, listener=own)

    assign = inside(AsyncConsumer.assign)
    unsubscribe = awaited(AsyncConsumer.unsubscribe)
    assignment = inside(AsyncConsumer.assignment)
    subscription = inside(AsyncConsumer.subscription)

    def poll(self, max_records: int | None = None, timeout_s: float | None = None) -> Batch | None:
        """The next rows there are, of one topic; None when nothing came in `timeout_s` (None: no limit).

        What was handed out before is thought to be dealt with: `enable.auto.commit` has it committed.
        """
        batch = self._portal.call(self._inner.poll(max_records, timeout_s), self._take_back)
        return None if batch is None else Batch(batch, self._portal)

    def _take_back(self, batch: AsyncBatch | None) -> None:
        """Nobody had it: read on before it, in the partitions that are still ours."""
        if batch is None:
            return
        backwards = reversed(batch.columns.partition.tolist()), reversed(batch.columns.offset.tolist())
        for number, first in dict(zip(*backwards, strict=True)).items():
            with contextlib.suppress(ClientError):
                self._inner.seek((batch.topic, number), first)

    def batches(self, max_records: int | None = None, *, timeout_s: float | None = None) -> Iterator[Batch]:
        """Batches without end, or until none came for `timeout_s`; as `poll`."""
        while (batch := self.poll(max_records, timeout_s)) is not None:
            yield batch

    def records(self, *, timeout_s: float | None = None) -> Iterator[Record]:
        """Record by record, without end, or until none came for `timeout_s`. A loop that is left can be taken
        up again: nothing is skipped.
        """
        while (cursor := self._portal.call(self._inner.next_records(timeout_s))) is not None:
            yield from cursor

    def __iter__(self) -> Iterator[Record]:
        return self.records()

    seek = inside(AsyncConsumer.seek)
    seek_to_beginning = inside(AsyncConsumer.seek_to_beginning)
    seek_to_end = inside(AsyncConsumer.seek_to_end)
    position = awaited(AsyncConsumer.position)
    pause = inside(AsyncConsumer.pause)
    resume = inside(AsyncConsumer.resume)
    paused = inside(AsyncConsumer.paused)
    lag = inside(AsyncConsumer.lag)

    commit = awaited(AsyncConsumer.commit)
    committed = awaited(AsyncConsumer.committed)
    identity = inside(AsyncConsumer.identity)

    partitions_for = awaited(AsyncConsumer.partitions_for)
    beginning_offsets = awaited(AsyncConsumer.beginning_offsets)
    end_offsets = awaited(AsyncConsumer.end_offsets)
    offsets_for_times = awaited(AsyncConsumer.offsets_for_times)
