"""Keeps the buffers of a consumer full: finds positions, fetches, and reads chunks to columns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Final, NamedTuple

from ottla.client.columns.columns import Columns
from ottla.client.columns.decode import MAX_BYTES, CorruptRecordsError, FetchedRecords
from ottla.client.columns.implementation import IMPLEMENTATION, Sink
from ottla.client.consumer.errors import NoOffsetError, UnreadableRecordsError
from ottla.client.consumer.logs import epoch_ends_once, list_once
from ottla.client.core.fetch import LAST_WITHOUT_TOPIC_IDS, Chunk, Fetcher
from ottla.client.core.fetch_session import FetchSettings
from ottla.client.core.metadata import BrokerNode, ClusterMetadata, Leader, TopicPartition
from ottla.client.core.positions import (
    LATEST_TIMESTAMP,
    PartitionState,
    Phase,
    Position,
    Positions,
)
from ottla.client.errors import ClientError, broker_error
from ottla.client.net.cluster import Cluster
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.fetch import FetchRequest, FetchResponse

_CLOSE_TIMEOUT_S: Final = 1.0

Committed = Callable[[Iterable[TopicPartition]], Awaitable[Mapping[TopicPartition, Position | None]]]
"""Finds where a group stands in partitions; None where it has committed nothing."""


class Piece(NamedTuple):
    """`length` rows of one partition, and where its reader stands after them. There may be none: of a chunk
    that had nothing for a reader, its position moves all the same. `rows` is None where they are in the sink.
    """

    partition: TopicPartition
    length: int
    rows: Columns | None
    start: Position
    end: Position


class _Reading:
    """A chunk that is being read; `rest` are rows of it that were decoded and not given yet."""

    def __init__(self, chunk: Chunk, *, check_crcs: bool) -> None:
        self.chunk = chunk
        self.rest: Columns | None = None
        self.records = FetchedRecords(
            chunk.records,
            partition=chunk.partition.partition,
            fetch_offset=chunk.offset,
            aborted=chunk.aborted,
            check_crcs=check_crcs,
        )

    def next(self, sink: Sink, max_records: int) -> Columns | None:
        """The next rows into the sink, until it has so many, or apart from it."""
        rest, self.rest = self.rest, None
        if rest is not None:
            return rest
        if not self.records.gather(sink, max_records=max_records) and self.records.is_legacy:
            return self.records.read(max_records=max_records)
        # A batch is decoded whole.
        return Columns.from_raw(sink.take()) if sink.count > max_records else None

    @property
    def is_at_end(self) -> bool:
        return self.rest is None and self.records.next_offset >= self.chunk.end.offset


class Fetching:
    """One for each consumer. `ready` is set when a poll may find something new."""

    def __init__(
        self,
        cluster: Cluster,
        settings: FetchSettings,
        positions: Positions,
        committed: Committed | None,
        fail: Callable[[Exception], None],
        lane: str,
        *,
        check_crcs: bool,
    ) -> None:
        self.positions = positions
        self.ready = asyncio.Event()
        self.found = asyncio.Event()
        """Set whenever positions may have been found."""
        self._cluster = cluster
        self._fetcher = Fetcher(settings, positions)
        self._settings = settings
        self._committed = committed
        self._fail = fail
        self._lane = lane
        self._check_crcs = check_crcs
        self._readings: dict[TopicPartition, _Reading] = {}
        self._is_closed = True
        self._is_woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._finding: dict[Phase, None] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._look_again_ms: int | None = None
        self._look_backoff_ms = cluster.settings.retry_backoff_ms
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        self._is_closed = False
        self.wake()

    async def close(self) -> None:
        """Ends the fetch sessions, if the brokers answer soon."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        closing = [self._end_session(node, request) for node, request in self._fetcher.closing()]
        await asyncio.gather(*closing)
        self._cluster.close_lane(self._lane)

    def wake(self) -> None:
        """Something changed that fetches depend on."""
        if not self._is_woken and not self._is_closed:
            self._is_woken = True
            self._loop.call_soon(self._step)

    def metadata_changed(self, metadata: ClusterMetadata) -> None:
        for topic in dict.fromkeys(each.topic for each in self.positions.states):
            view = metadata.topics.get(topic)
            if view is not None:
                self.positions.notice_topic(topic, view.topic_id)
        self.positions.notice_leaders(self._leader_of)
        self.wake()

    # Reading.

    def raise_errors(self) -> None:
        """NoOffsetError where the application has to seek."""
        errors = self.positions.take_errors()
        if errors:
            raise NoOffsetError(errors)

    def sink(self) -> Sink:
        """One for what is buffered."""
        return IMPLEMENTATION.Sink(min(self._fetcher.buffered, MAX_BYTES))

    def read(self, max_records: int, topic: str | None = None) -> Piece | None:
        """As `gather`, with columns of their own."""
        sink = IMPLEMENTATION.Sink(0)
        piece = self.gather(sink, max_records, topic)
        return piece._replace(rows=Columns.from_raw(sink.take())) if piece and sink.count else piece

    def gather(self, sink: Sink, max_records: int, topic: str | None = None) -> Piece | None:
        """The next rows of some partition (of the topic), as many as the sink may have beside those that it
        has; None while there are none, or there is no room. UnreadableRecordsError for records that cannot be
        decoded.
        """
        chunk = self._fetcher.take(topic)
        if chunk is None:
            if topic is None:
                self.ready.clear()
            return None
        reading = self._readings.pop(chunk.partition, None)
        if reading is None or reading.chunk is not chunk:
            reading = _Reading(chunk, check_crcs=self._check_crcs)
        before = sink.count
        try:
            rows = reading.next(sink, max_records)
        except CorruptRecordsError as error:
            self._readings[chunk.partition] = reading
            self._fetcher.give_back(chunk)
            code = error.code or ErrorCode.corrupt_message
            raise UnreadableRecordsError(str(error), code, chunk.partition, error.offset) from None
        end = Position(reading.records.next_offset, reading.records.leader_epoch)
        if rows is None:
            count = sink.count - before
        else:
            room = max_records - before
            if len(rows) > room:
                rows, reading.rest = rows[:room], rows[room:]
                end = Position(rows.offset[-1] + 1, reading.records.leader_epoch)
            count = len(rows)
        if reading.is_at_end or not (count or before):
            self._fetcher.delivered(chunk)
            self.wake()
            return self._moved(chunk, count, rows, chunk.end)
        self._readings[chunk.partition] = reading
        self._fetcher.give_back(chunk, keeps_turn=not count)
        return self._moved(chunk, count, rows, end) if count else None

    def detach(self, partition: TopicPartition) -> None:
        """What is buffered of this partition may stay for long: it keeps no response alive."""
        chunk = self._fetcher.detach(partition)
        reading = self._readings.get(partition)
        if reading is not None and chunk is not None:
            reading.chunk = chunk
            reading.records.detach()

    def _moved(self, chunk: Chunk, count: int, rows: Columns | None, end: Position) -> Piece:
        state = self.positions.states[chunk.partition]
        start, state.position = state.position, end
        return Piece(chunk.partition, count, rows, start, end)

    # Fetching.

    def _step(self) -> None:
        """All that can be sent now is sent."""
        self._is_woken = False
        if self._is_closed:
            return
        try:
            now_ms = self._now_ms()
            for phase, states in self.positions.awaiting(now_ms).items():
                if phase not in self._finding:
                    self._finding[phase] = None
                    self._spawn(self._find(phase, [each.partition for each in states]))
            for node, request in self._fetcher.requests(self._leader_of, now_ms):
                self._spawn(self._fetch(node, request))
            self._look_for_leaders(now_ms)
            for partition in [each for each in self._readings if each not in self.positions.states]:
                del self._readings[partition]
            if self.positions.errors:
                self.ready.set()
            self._step_again(now_ms)
        except Exception as error:  # noqa: BLE001 - the application's poll raises it
            self._fail(error)

    def _step_again(self, now_ms: int) -> None:
        """When something that was put off is due."""
        times = (self._fetcher.next_retry_ms(now_ms), self._look_again_ms)
        due_ms = min((each for each in times if each is not None), default=None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_ms is not None:
            self._timer = self._loop.call_later(max(1, due_ms - now_ms) / 1000, self.wake)

    def _look_for_leaders(self, now_ms: int) -> None:
        """Of partitions that have none, less and less often."""
        settings = self._cluster.settings
        leaderless = [each.topic for each in self.positions.states if self._leader_of(each) is None]
        if not leaderless:
            self._look_again_ms, self._look_backoff_ms = None, settings.retry_backoff_ms
        elif self._look_again_ms is None or now_ms >= self._look_again_ms:
            self._cluster.stale(dict.fromkeys(leaderless))
            self._look_again_ms = now_ms + self._look_backoff_ms
            self._look_backoff_ms = min(2 * self._look_backoff_ms + 1, settings.retry_backoff_max_ms)

    async def _fetch(self, node: int, request: FetchRequest) -> None:
        fetcher = self._fetcher
        timeout_ms = self._settings.max_wait_ms + self._cluster.settings.request_timeout_ms
        last = LAST_WITHOUT_TOPIC_IDS if fetcher.needs_names(node) else None
        try:
            response = await self._cluster.send(
                request, FetchResponse, node=node, lane=self._lane, timeout_ms=timeout_ms, max_version=last
            )
        except ClientError as error:
            fetcher.failed(node, self._now_ms())
            if error.retriable:
                self._cluster.stale(dict.fromkeys(each.topic for each in self.positions.states))
            else:
                self._fail(error)
            return
        except BaseException:
            fetcher.failed(node, self._now_ms())
            raise
        finally:
            self.wake()
        received = fetcher.received(node, response, self._now_ms())
        endpoints = [
            BrokerNode(each.node_id, each.host, each.port, each.rack) for each in response.node_endpoints
        ]
        for partition, leader in received.moved.items():
            self._cluster.moved(partition.topic, partition.partition, Leader(*leader), endpoints)
        if received.stale_topics:
            self._cluster.stale(received.stale_topics)
        for failure in received.failures:
            what = f"{failure.partition.topic}-{failure.partition.partition} at offset {failure.offset}"
            self._fail(broker_error(failure.code, what=what))
        if received.has_data:
            self.ready.set()

    async def _end_session(self, node: int, request: FetchRequest) -> None:
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._cluster.send(request, FetchResponse, node=node)
        except (ClientError, TimeoutError):
            return  # the broker forgets it sooner or later

    # Positions.

    async def _find(self, phase: Phase, partitions: list[TopicPartition]) -> None:
        try:
            if phase is Phase.committed:
                await self._find_committed(partitions)
            elif phase is Phase.reset:
                await self._find_offsets(partitions)
            else:
                await self._validate(partitions)
        finally:
            del self._finding[phase]
            self.found.set()
            self.wake()

    def _still(self, phase: Phase, partitions: Iterable[TopicPartition]) -> list[PartitionState]:
        """Those that still need it: an application may have sought, or a rebalance come, meanwhile."""
        states = map(self.positions.states.get, partitions)
        return [each for each in states if each is not None and each.phase is phase]

    async def _find_committed(self, partitions: list[TopicPartition]) -> None:
        if self._committed is None:
            self.positions.committed(dict.fromkeys(partitions), self._cluster.host.now_ms())
            return
        try:
            found = await self._committed(partitions)
        except ClientError as error:
            self._put_off(dict.fromkeys(partitions, error))
            return
        self.positions.committed(found, self._cluster.host.now_ms())

    async def _find_offsets(self, partitions: list[TopicPartition]) -> None:
        asked = {each.partition: each.reset_timestamp for each in self._still(Phase.reset, partitions)}
        found, errors = await list_once(self._cluster, asked, isolation_level=self._settings.isolation_level)
        # No record is so young: what comes next is wanted.
        ends = {each: LATEST_TIMESTAMP for each, listed in found.items() if listed.offset < 0}
        if ends:
            more, failed = await list_once(
                self._cluster, ends, isolation_level=self._settings.isolation_level
            )
            found = {each: listed for each, listed in found.items() if each not in ends} | more
            errors |= failed
        for partition, listed in found.items():
            self.positions.was_reset(partition, asked[partition], Position(listed.offset, listed.epoch))
        self._put_off(errors)

    async def _validate(self, partitions: list[TopicPartition]) -> None:
        asked = {each.partition: each.fetched for each in self._still(Phase.validation, partitions)}
        found, errors = await epoch_ends_once(self._cluster, asked)
        for partition, end in found.items():
            if end is None:
                self.positions.not_validated(partition)
            else:
                self.positions.validated(partition, asked[partition], end, self._cluster.host.now_ms())
        self._put_off(errors)

    def _put_off(self, errors: dict[TopicPartition, ClientError]) -> None:
        """Retriable ones are tried again after a while, the others told as well."""
        until_ms = self._now_ms() + self._cluster.settings.retry_backoff_ms
        for partition in errors:
            self.positions.put_off(partition, until_ms)
        stale = [each.topic for each, error in errors.items() if error.needs_refresh]
        if stale:
            self._cluster.stale(dict.fromkeys(stale))
        told: dict[str, ClientError] = {}
        for error in errors.values():
            if not error.retriable:
                told.setdefault(str(error), error)
        for error in told.values():
            self._fail(error)

    # Inside.

    def _leader_of(self, partition: TopicPartition) -> Leader | None:
        return self._cluster.metadata.leader_of(partition.topic, partition.partition)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work, name="ottla-consumer-fetch")
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000)
