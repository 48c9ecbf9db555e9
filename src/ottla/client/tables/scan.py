"""A part of a topic from its beginning to its end, which is fixed when the scan begins."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import NamedTuple, Self

from ottla.client.columns.columns import Columns
from ottla.client.consumer.fetching import Fetching
from ottla.client.consumer.logs import list_offsets
from ottla.client.core.fetch_session import READ_COMMITTED, READ_UNCOMMITTED, FetchSettings
from ottla.client.core.metadata import ClusterMetadata, TopicPartition
from ottla.client.core.positions import (
    EARLIEST_TIMESTAMP,
    LATEST_TIMESTAMP,
    OffsetReset,
    Position,
    Positions,
)
from ottla.client.errors import ConfigurationError, broker_error, is_retriable
from ottla.client.net.cluster import Cluster
from ottla.client.tables.ranges import BEGINNING, END, Bound, Where, where

_MAX_ROWS = 1 << 17
_SETTINGS = FetchSettings(partition_max_bytes=4 * 1024 * 1024)


class Range(NamedTuple):
    """Offsets of a partition: `end` is not included. Compacted topics have gaps."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return max(0, self.end - self.start)


class Progress(NamedTuple):
    """How far a read is: `offsets` of `total` are dealt with; `records` and `nbytes` are what they had."""

    topic: str
    records: int
    nbytes: int
    offsets: int
    total: int


Report = Callable[[Progress], None]


async def resolve(
    cluster: Cluster,
    topic: str,
    start: Bound,
    end: Bound,
    partitions: Iterable[int] | None,
    isolation_level: int,
) -> dict[TopicPartition, Range]:
    """What is to be read of each partition, with offsets out of the log moved to its ends."""
    view = await cluster.topic(topic)
    wanted = sorted(view.partitions) if partitions is None else list(dict.fromkeys(partitions))
    missing = [each for each in wanted if each not in view.partitions]
    if missing:
        raise ConfigurationError(f"topic {topic} has no partition {missing[0]}")
    all_of = [TopicPartition(topic, each) for each in wanted]
    now_ms = cluster.host.now_ms()
    first, last = where(start, now_ms, BEGINNING), where(end, now_ms, END)
    for bound in (first, last):
        for each in bound.offsets or ():
            if each not in view.partitions:
                raise ConfigurationError(f"topic {topic} has no partition {each}")

    async def listed(timestamp: int) -> Mapping[TopicPartition, int]:
        found = await list_offsets(cluster, dict.fromkeys(all_of, timestamp), isolation_level=isolation_level)
        return {each: answer.offset for each, answer in found.items()}

    begins, ends = await asyncio.gather(listed(EARLIEST_TIMESTAMP), listed(LATEST_TIMESTAMP))

    async def offsets(bound: Where, default: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        times = {} if bound.timestamp_ms is None else await listed(bound.timestamp_ms)
        return {
            each: min(max(_offset(bound, each, times, begins, ends, default), begins[each]), ends[each])
            for each in all_of
        }

    starts, stops = await offsets(first, begins), await offsets(last, ends)
    return {each: Range(starts[each], max(starts[each], stops[each])) for each in all_of}


def _offset(
    bound: Where,
    partition: TopicPartition,
    times: Mapping[TopicPartition, int],
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    default: Mapping[TopicPartition, int],
) -> int:
    if bound.is_beginning:
        return begins[partition]
    if bound.timestamp_ms is not None:
        return times[partition] if times[partition] >= 0 else ends[partition]
    if bound.offsets is not None:
        return bound.offsets.get(partition.partition, default[partition])
    if bound.offset is not None:
        return bound.offset
    return ends[partition] - (bound.from_end or 0)


class Scan:
    """Reads ranges, at its caller's pace: what is fetched ahead is bounded. Fails when a topic has been
    missing for `default.api.timeout.ms`, and at once when it was made anew.

    async with Scan(cluster, ranges) as scan:
        async for partition, rows in scan: ...
    """

    def __init__(
        self,
        cluster: Cluster,
        ranges: Mapping[TopicPartition, Range],
        *,
        settings: FetchSettings = _SETTINGS,
        report: Report | None = None,
        reset: str = "none",
    ) -> None:
        """`reset` is `auto.offset.reset`, for where retention was faster than the reader."""
        self._cluster = cluster
        self._ranges = {each: span for each, span in ranges.items() if span.size}
        self._positions = Positions(OffsetReset(reset))
        self._failures: list[Exception] = []
        self._missing_since_s: dict[str, float] = {}
        self._lane = f"scan-{cluster.host.random.getrandbits(64):x}"
        self._fetching = Fetching(
            cluster,
            settings,
            self._positions,
            None,
            self._fail,
            self._lane,
            check_crcs=True,
        )
        self._report = report
        self._total = sum(span.size for span in self._ranges.values())
        self._records = self._nbytes = 0

    async def __aenter__(self) -> Self:
        self._positions.assign(self._ranges)
        for partition, span in self._ranges.items():
            self._positions.seek(partition, Position(span.start))
        self._cluster.follow(self)
        self.metadata_changed(self._cluster.metadata)
        self._fetching.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._cluster.unfollow(self)
        await self._fetching.close()

    async def __aiter__(self) -> AsyncIterator[tuple[TopicPartition, Columns]]:
        """Pieces of a partition in order, of all partitions as they come."""
        while self._positions.states:
            if self._failures:
                raise self._failures[0]
            self._fetching.raise_errors()
            piece = self._fetching.read(_MAX_ROWS)
            if piece is None:
                await self._fetching.ready.wait()
                continue
            end = self._ranges[piece.partition].end
            rows = piece.rows
            if piece.end.offset >= end:
                self._positions.remove([piece.partition])
                self._fetching.wake()
                if rows is not None:
                    rows = rows[: bisect_left(rows.offset, end)]
            if rows is not None and len(rows):
                self._records += len(rows)
                self._nbytes += rows.nbytes
                yield piece.partition, rows
            self._tell()
            await asyncio.sleep(0)

    def topics_wanted(self) -> Iterable[str] | None:
        return dict.fromkeys(each.topic for each in self._ranges)

    def metadata_changed(self, metadata: ClusterMetadata) -> None:
        self._fetching.metadata_changed(metadata)
        for topic in dict.fromkeys(each.topic for each in self._positions.states):
            self._look_for(topic, metadata)

    def _look_for(self, topic: str, metadata: ClusterMetadata) -> None:
        """One broker may not know yet of a topic that others have; a topic that stays away was deleted."""
        code = metadata.errors.get(topic)
        if topic in metadata.topics or code is None:
            self._missing_since_s.pop(topic, None)
            return
        now_s = asyncio.get_running_loop().time()
        since_s = self._missing_since_s.setdefault(topic, now_s)
        if not is_retriable(code) or now_s - since_s >= self._cluster.settings.default_api_timeout_ms / 1000:
            self._fail(broker_error(code, "it is not there any more", f"topic {topic}"))

    def _fail(self, error: Exception) -> None:
        self._failures.append(error)
        self._fetching.ready.set()

    def _tell(self) -> None:
        if self._report is None:
            return
        states = self._positions.states
        left = sum(
            span.end - states[each].position.offset for each, span in self._ranges.items() if each in states
        )
        topic = next(iter(self._ranges)).topic
        self._report(Progress(topic, self._records, self._nbytes, self._total - left, self._total))


def settings_for(isolation: str) -> FetchSettings:
    """Of a read with this `isolation.level`; ConfigurationError where there is none of that name."""
    levels = {"read_uncommitted": READ_UNCOMMITTED, "read_committed": READ_COMMITTED}
    if isolation not in levels:
        raise ConfigurationError(f"isolation level {isolation!r}: must be one of {', '.join(levels)}")
    return _SETTINGS._replace(isolation_level=levels[isolation])
