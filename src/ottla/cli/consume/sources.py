"""Where records come from: parts of topics, or what a group gives to its member."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ottla.cli.connection import CommandError, in_words
from ottla.cli.offsets import Kind, Position
from ottla.client.columns.columns import Columns
from ottla.client.connecting import AsyncClient
from ottla.client.consumer.settings import ConsumerSettings
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import ClientError
from ottla.client.tables.ranges import Where
from ottla.client.tables.scan import Range, Scan, resolve
from ottla.protocol.errors import ErrorCode

if TYPE_CHECKING:
    from ottla.client.consumer.batch import Batch
    from ottla.client.consumer.consumer import AsyncConsumer

_BATCH_RECORDS: Final = 1 << 16
_LOOK_S: Final = 0.05
_TOPIC_WAIT_MS: Final = 2_000
_CLOSE_TIMEOUT_S: Final = 10.0
_FOREVER: Final = (1 << 63) - 1


class Piece(NamedTuple):
    """Some records of a topic, those of a partition in order."""

    topic: str
    rows: Columns


class Source(Protocol):
    def __aiter__(self) -> AsyncIterator[Piece]:
        """Asked for the next piece, it takes the one before for printed."""

    async def close(self, printed: int, *, commits: bool) -> None:
        """With so many rows of the last piece printed. `commits`: that was left to the end."""


class Part(NamedTuple):
    """Of topics, what is to be read without a group. `end` None goes on for ever."""

    partitions: Collection[int]
    start: Position
    end: Position | None


class TopicsSource:
    """Parts of topics, fixed when it begins."""

    def __init__(
        self, client: AsyncClient, settings: ConsumerSettings, topics: Sequence[str], part: Part
    ) -> None:
        self._client = client
        self._settings = settings
        self._topics = topics
        self._part = part

    async def __aiter__(self) -> AsyncIterator[Piece]:
        cluster, settings = self._client.cluster, self._settings.fetching(self._client.cluster.settings)
        ranges = await self._ranges(settings.isolation_level)
        reset = "earliest" if self._part.start.kind is Kind.BEGINNING or self._part.end is None else "none"
        async with Scan(cluster, ranges, settings=settings, reset=reset) as scan:
            async for partition, rows in scan:
                yield Piece(partition.topic, rows)

    async def close(self, printed: int, *, commits: bool) -> None:
        """Nobody keeps where it was."""

    async def _ranges(self, isolation_level: int) -> Mapping[TopicPartition, Range]:
        ranges: dict[TopicPartition, Range] = {}
        start, end = where_of(self._part.start), None if self._part.end is None else where_of(self._part.end)
        for topic in self._topics:
            known = await partitions_of(self._client, topic)
            for partition in self._part.partitions:
                if partition not in known:
                    raise CommandError(f"{topic} has no partition {partition}, it has {len(known)}")
            wanted = self._part.partitions or None
            ranges |= await resolve(self._client.cluster, topic, start, end, wanted, isolation_level)
        if self._part.end is None:
            return {each: Range(span.start, _FOREVER) for each, span in ranges.items()}
        return ranges


class GroupSource:
    """What a group gives to its member. What was printed is committed: all along, or, of what can only be
    read when it is whole, at the end.
    """

    def __init__(
        self,
        client: AsyncClient,
        settings: Mapping[str, object],
        topics: Sequence[str],
        *,
        stops_at_end: bool,
    ) -> None:
        self._client = client
        self._consumer: AsyncConsumer = client.consumer(settings=settings)
        self._topics = topics
        self._stops_at_end = stops_at_end
        self._was_assigned = False
        self._held: Batch | None = None

    async def __aiter__(self) -> AsyncIterator[Piece]:
        await self._subscribe()
        while not (self._stops_at_end and self._is_at_end()):
            timeout_s = _LOOK_S if self._stops_at_end else None
            self._held = await self._consumer.poll(_BATCH_RECORDS, timeout_s)
            if self._held is not None:
                yield Piece(self._held.topic, self._held.columns)
                self._held = None

    async def _subscribe(self) -> None:
        if any(topic.startswith("^") for topic in self._topics):
            self._consumer.subscribe(pattern=pattern_of(self._topics))
            return
        for topic in self._topics:
            await partitions_of(self._client, topic)
        self._consumer.subscribe(self._topics)

    def _is_at_end(self) -> bool:
        held = self._consumer.assignment()
        self._was_assigned = self._was_assigned or bool(held)
        return self._was_assigned and all(self._consumer.lag(each) == 0 for each in held)

    async def close(self, printed: int, *, commits: bool) -> None:
        """Commit, and leave the group; CommandError where that takes too long."""
        if self._held is not None:
            rows, topic = self._held.columns[printed:], self._held.topic
            first: dict[int, int] = {}
            for partition, offset in zip(rows.partition.tolist(), rows.offset.tolist(), strict=True):
                first.setdefault(partition, offset)
            for partition, offset in first.items():
                with contextlib.suppress(ClientError):  # it was given to another member
                    self._consumer.seek((topic, partition), offset)
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                if commits and self._consumer.assignment():
                    await self._consumer.commit()
                await self._consumer.close()
        except TimeoutError:
            raise CommandError("what was printed may not be committed: the cluster does not answer") from None


async def partitions_of(client: AsyncClient, topic: str) -> Collection[int]:
    try:
        return (await client.cluster.topic(topic, timeout_ms=_TOPIC_WAIT_MS)).partitions
    except ClientError as error:
        is_missing = error.code in (ErrorCode.unknown_topic_or_partition, ErrorCode.invalid_topic_exception)
        reason = "there is no such topic" if is_missing else in_words(error)
        raise CommandError(f"{topic}: {reason}") from error


def where_of(position: Position) -> Where:
    """As the client's tables have it."""
    match position.kind:
        case Kind.BEGINNING:
            return Where(is_beginning=True)
        case Kind.END:
            return Where(from_end=0)
        case Kind.TIMESTAMP:
            return Where(timestamp_ms=position.value)
        case Kind.OFFSET if position.value < 0:
            return Where(from_end=-position.value)
        case _:
            return Where(offset=position.value)


def pattern_of(topics: Sequence[str]) -> re.Pattern[str]:
    """One for all: it matches names whole. CommandError for what is none."""
    parts = []
    for topic in topics:
        if topic.startswith("^"):
            try:
                re.compile(topic)
            except re.error as error:
                raise CommandError(f"{topic}: no regular expression ({error})") from error
            parts.append(f"(?:{topic})(?s:.*)")
        else:
            parts.append(re.escape(topic))
    return re.compile("|".join(parts))
