"""The input of a task: records wait in a queue for each partition, and the one with the lowest time comes
first."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any, NamedTuple

from ottla.client.columns.columns import Columns
from ottla.streams.records import Headers
from ottla.streams.task.heap import Heap

__all__ = ["HeadRecord", "PartitionGroup", "RawRecord", "RecordQueue", "raw_records"]

UNKNOWN_TIME = -1
TopicPartition = tuple[str, int]


class RawRecord(NamedTuple):
    """A record as the consumer gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class HeadRecord(NamedTuple):
    """A record with its key and value, and its time as the extractor says."""

    raw: RawRecord
    key: Any
    value: Any
    timestamp: int


def raw_records(topic: str, columns: Columns) -> Iterator[RawRecord]:
    """Each row as a record of `topic`."""
    for each in columns.records(topic):
        yield RawRecord(
            topic, each.partition, each.offset, each.timestamp, each.key, each.value, each.headers
        )


class RecordQueue:
    """What waits of one partition. Only its head is deserialized: with its time the partition is compared."""

    def __init__(
        self, partition: TopicPartition, read: Callable[[RawRecord, int], HeadRecord | None]
    ) -> None:
        """`read` gives a record with its key and value, by the partition's time; None where it is dropped."""
        self.partition = partition
        self.partition_time = UNKNOWN_TIME
        self.skipped_to: int | None = None
        """The offset up to which all was dropped, where nothing else is left."""
        self.head: HeadRecord | None = None
        self._raw: deque[RawRecord] = deque()
        self._columns: deque[Columns] = deque()
        """What comes behind those, to be taken in runs."""
        self._read = read

    def __len__(self) -> int:
        return len(self._raw) + (self.head is not None) + sum(map(len, self._columns))

    def add(self, records: Iterable[RawRecord]) -> None:
        self._raw.extend(self._taken_apart())
        self._raw.extend(records)
        self._fill()

    def add_columns(self, columns: Columns) -> None:
        """Records whose time is what they say, and never negative."""
        if len(columns):
            self._columns.append(columns)

    @property
    def has_run(self) -> bool:
        """Whether what comes next can be taken as columns."""
        return self.head is None and not self._raw and bool(self._columns)

    def take_run(self, limit: int, before: int | None) -> Columns:
        """The next record, and as many behind it, up to `limit`, as have times below `before`."""
        columns = self._columns.popleft()
        length = min(limit, len(columns))
        if before is not None:
            times = accumulate(columns.timestamp[1:length], max)
            length = 1 + bisect_left(list(times), before)
        if length < len(columns):
            self._columns.appendleft(columns[length:])
        return columns[:length]

    def put_back(self, columns: Columns) -> None:
        """Have a run come one record at a time."""
        self._raw.extend(raw_records(self.partition[0], columns))
        self._fill()

    def take_apart(self, count: int) -> None:
        """Have so many more records come one at a time."""
        while count > 0 and self._columns:
            columns = self._columns.popleft()
            if len(columns) > count:
                self._columns.appendleft(columns[count:])
            self._raw.extend(raw_records(self.partition[0], columns[:count]))
            count -= len(columns)
        self._fill()

    def head_time(self) -> int:
        if self.head is None:
            return self._columns[0].timestamp[0] if self.has_run else UNKNOWN_TIME
        return self.head.timestamp

    def pop(self) -> HeadRecord:
        if self.has_run:
            self.add(())
        head = self.head
        assert head is not None
        self.partition_time = max(self.partition_time, head.timestamp)
        self.head = None
        self._fill()
        return head

    def clear(self) -> None:
        self._raw.clear()
        self._columns.clear()
        self.head = None
        self.skipped_to = None
        self.partition_time = UNKNOWN_TIME

    def _taken_apart(self) -> Iterable[RawRecord]:
        while self._columns:
            yield from raw_records(self.partition[0], self._columns.popleft())

    def _fill(self) -> None:
        while self.head is None and self._raw:
            raw = self._raw.popleft()
            self.head = self._read(raw, self.partition_time)
            self.skipped_to = raw.offset + 1 if self.head is None else None


class PartitionGroup:
    """The queues of a task. Stream time is the greatest time that has been taken out."""

    def __init__(self, queues: Iterable[RecordQueue], max_idle_ms: int = 0) -> None:
        """`max_idle_ms` (max.task.idle.ms): how long a partition that has no more is waited for; -1: not at
        all."""
        self.queues = {queue.partition: queue for queue in queues}
        self.stream_time = UNKNOWN_TIME
        self.lags: dict[TopicPartition, int] = {}
        """How many records of a partition the broker has that were not fetched; unknown where it is not
        there."""
        self._max_idle_ms = max_idle_ms
        self._deadlines: dict[TopicPartition, int] = {}
        self._waiting: Heap[RecordQueue] = Heap(RecordQueue.head_time)

    def __len__(self) -> int:
        return sum(map(len, self.queues.values()))

    def add(self, partition: TopicPartition, records: Iterable[RawRecord]) -> None:
        queue = self.queues[partition]
        was_empty = not len(queue)
        queue.add(records)
        if was_empty and len(queue):
            self._waiting.push(queue)

    def add_columns(self, partition: TopicPartition, columns: Columns) -> None:
        queue = self.queues[partition]
        was_empty = not len(queue)
        queue.add_columns(columns)
        if was_empty and len(queue):
            self._waiting.push(queue)

    def is_ready(self, wall_clock_ms: int) -> bool:
        """Whether the lowest time is known: no partition that has none here may still bring a lower one."""
        if self._max_idle_ms < 0:
            return bool(self._waiting)
        for partition, queue in self.queues.items():
            if len(queue):
                self._deadlines.pop(partition, None)
                continue
            if self.lags.get(partition, -1) != 0:
                self._deadlines.pop(partition, None)
                return False
            if wall_clock_ms < self._deadlines.setdefault(partition, wall_clock_ms + self._max_idle_ms):
                return False
        return bool(self._waiting)

    def pop(self) -> HeadRecord:
        """The record with the lowest time. There must be one."""
        queue = self._waiting.pop()
        record = queue.pop()
        if len(queue):
            self._waiting.push(queue)
        if record.timestamp > self.stream_time:
            self.stream_time = record.timestamp
        return record

    def begin_run(self, limit: int, least: int = 1) -> tuple[RecordQueue, Columns] | None:
        """The records, up to `limit`, that `pop` would give from here on out of one partition; None where
        they are no columns, or fewer than `least`. There must be one record. `end_run` ends it."""
        if not self._waiting.peek().has_run:
            return None
        queue = self._waiting.pop()
        before = self._waiting.peek().head_time() if self._waiting else None
        columns = queue.take_run(limit, before)
        if len(columns) < least:
            queue.put_back(columns)
            queue.take_apart(least - len(columns))
            if len(queue):
                self._waiting.push(queue)
            return None
        self._waiting.rotate(queue, len(columns) - 1)
        return queue, columns

    def end_run(self, queue: RecordQueue, columns: Columns, *, is_done: bool) -> None:
        """What was begun is processed, or comes once more, one record at a time."""
        if is_done:
            latest = max(columns.timestamp)
            queue.partition_time = max(queue.partition_time, latest)
            queue.skipped_to = None  # what was dropped lies behind the run
            self.stream_time = max(self.stream_time, latest)
        else:
            queue.put_back(columns)
        if len(queue):
            self._waiting.push(queue)

    def set_partition_time(self, partition: TopicPartition, time: int) -> None:
        """Go on from what a commit says of the times before."""
        self.queues[partition].partition_time = time
        self.stream_time = max(self.stream_time, time)

    def clear(self) -> None:
        for queue in self.queues.values():
            queue.clear()
        self._waiting.clear()
        self._deadlines.clear()
        self.lags.clear()
        self.stream_time = UNKNOWN_TIME
