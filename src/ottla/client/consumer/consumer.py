"""A consumer for asyncio: batches as columns, or records one by one, alone or in a group."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar
from uuid import UUID

from ottla.client.columns.columns import Columns, Record
from ottla.client.consumer.batch import Batch, ToArrow
from ottla.client.consumer.classic import ClassicMembership
from ottla.client.consumer.delivery import Cursor, Delivered, Delivery
from ottla.client.consumer.errors import CommitFailedError, DeadLetterError
from ottla.client.consumer.fetching import Fetching
from ottla.client.consumer.logs import Lookups
from ottla.client.consumer.membership import Gate, Membership, RebalanceListener, call
from ottla.client.consumer.modern import ModernMembership
from ottla.client.consumer.offsets import Commits, Offsets, all_delivered, as_committed
from ottla.client.consumer.polling import Polling
from ottla.client.consumer.settings import ConsumerSettings
from ottla.client.consumer.subscription import Pattern, Subscription
from ottla.client.core.groups.assignors import assignors_of
from ottla.client.core.groups.subscription import Assignor
from ottla.client.core.metadata import ClusterMetadata, Partition, TopicPartition
from ottla.client.core.offsets import CommittedOffset, Identity
from ottla.client.core.positions import (
    EARLIEST_TIMESTAMP,
    LATEST_TIMESTAMP,
    PartitionState,
    Position,
    Positions,
)
from ottla.client.errors import ClientError, ConfigurationError, broker_error
from ottla.client.net.cluster import Cluster
from ottla.protocol.errors import ErrorCode

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

_NEVER: Final = (ErrorCode.topic_authorization_failed, ErrorCode.invalid_topic_exception)
"""Of topics that waiting does not bring."""

_log: Final = logging.getLogger("ottla.client")


class AsyncConsumer(Lookups):
    """Subscribe or assign, then take batches or records.

        async with AsyncConsumer(cluster, settings) as consumer:
            consumer.subscribe(["orders"])
            async for batch in consumer.batches(max_records=50_000):
                ...
                await batch.commit()

    Heartbeats go on while the application holds what it got; partitions are taken from it only while it asks
    for more. What is fetched ahead is bounded. One task at a time may poll or iterate. Methods raise
    ClientError, and TimeoutError where they are given a time.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: ConsumerSettings,
        *,
        to_arrow: ToArrow | None = None,
        letters: Callable[[], Awaitable[None]] | None = None,
        assignors: Mapping[str, Assignor] = {},
    ) -> None:
        fetch_settings = settings.fetching(cluster.settings)
        super().__init__(cluster, fetch_settings.isolation_level)
        self._settings = settings
        self._assignors = assignors_of(settings.partition_assignment_strategy, assignors)
        self._has_formats = to_arrow is not None
        self._to_arrow: ToArrow = to_arrow or _plainly
        self._letters = partial(all_delivered, letters)
        self._lane = f"consumer-{cluster.host.random.getrandbits(64):x}"
        self._positions = Positions(settings.offset_reset())
        self._gate = Gate()
        self._commits: Commits | None = None
        if settings.group_id is not None:
            self._commits = Commits(
                cluster,
                settings.group_id,
                self._identity,
                require_stable=settings.isolation_level == "read_committed",
                letters=letters,
            )
        self._fetching = Fetching(
            cluster,
            fetch_settings,
            self._positions,
            None if self._commits is None else self._commits.positions,
            self.fail,
            f"{self._lane}-fetch",
            check_crcs=settings.check_crcs,
        )
        self._polling = Polling(self._gate, self._fetching.ready, self._polled)
        self._delivery = Delivery(self._fetching)
        self._subscription = Subscription(settings)
        self._membership: Membership | None = None
        self._listener = RebalanceListener()
        self._is_closed = False
        self._next_auto_commit_s = 0.0
        self._learning: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        cluster.follow(self)
        self._fetching.start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What failed has not dealt with all that it was given.
        await self.close(commit=error is None)

    async def close(self, *, commit: bool = True) -> None:
        """Commit what was delivered (with `enable.auto.commit`, unless told not to), leave the group."""
        if self._is_closed:
            return
        self._is_closed = True
        self._polling.close()
        self._cluster.unfollow(self)
        if self._learning is not None:
            self._learning.cancel()
        try:
            held = self.held()
            if commit and held:
                await self.commit_before_giving_up(held)
            if self._membership is not None and held:
                await call(self._listener.on_revoked, held)
        finally:
            if self._membership is not None:
                await self._membership.close()
            await self._fetching.close()
            if self._commits is not None:
                await self._commits.close()
            self._cluster.close_lane(f"{self._lane}-join")

    # What to read.

    def subscribe(
        self,
        topics: Iterable[str] | str = (),
        *,
        pattern: Pattern | None = None,
        listener: RebalanceListener | None = None,
    ) -> None:
        """Share these topics with the group's other members; replaces what was subscribed before.

        `pattern` instead of topics: a text is matched whole against the names of all topics, by the
        coordinator in RE2's syntax with `group.protocol=consumer`, else here in Python's; a compiled one
        always here.
        """
        self._polling.check_open()
        if self._commits is None:
            raise ConfigurationError("subscribe needs group.id; assign does not")
        if self._subscription.is_assigned:
            raise ClientError("partitions are assigned: unsubscribe first")
        self._subscription.subscribe(topics, pattern)
        if listener is not None:
            self._listener = listener
        self._subscription.match(self._cluster.metadata)
        if self._membership is None:
            self._membership = self._new_membership()
            self._membership.start()
        else:
            self._membership.subscription_changed()
        self._learn(self._subscription.topics_wanted())

    def _new_membership(self) -> Membership:
        asked = self._subscription
        if self._settings.group_protocol == "consumer":
            chance = self._cluster.host.random.getrandbits(128)
            member_id = str(UUID(int=chance, version=4))
            return ModernMembership(self._cluster, self._settings, self, self._gate, asked, member_id)
        return ClassicMembership(
            self._cluster, self._settings, self, self._gate, asked, f"{self._lane}-join", self._assignors
        )

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Read exactly these, whatever others do; what is assigned already goes on where it is."""
        self._polling.check_open()
        if self._membership is not None:
            raise ClientError("topics are subscribed: unsubscribe first")
        wanted = [TopicPartition(*each) for each in partitions]
        self._subscription.is_assigned = bool(wanted)
        self._positions.assign(wanted)
        self._fetching.metadata_changed(self._cluster.metadata)
        self._learn(dict.fromkeys(each.topic for each in wanted))

    async def unsubscribe(self) -> None:
        """Read nothing; leave the group."""
        self._polling.check_open()
        held = self.held()
        if self._membership is not None:
            if held:
                await self.commit_before_giving_up(held)
                await call(self._listener.on_revoked, held)
            await self._membership.close()
            self._membership = None
            self._polling.renew()
        self._subscription.clear()
        self.give_up(held)

    def assignment(self) -> list[TopicPartition]:
        return self.held()

    def subscription(self) -> list[str]:
        """The topics that were asked for, or that match the pattern here."""
        return list(self._subscription.topics())

    # Reading.

    async def poll(self, max_records: int | None = None, timeout_s: float | None = None) -> Batch | None:
        """The next rows there are, of one topic; None when nothing came in `timeout_s` (None: no limit).

        What was handed out before is thought to be dealt with: `enable.auto.commit` has it committed.
        """
        limit = self._settings.max_poll_records if max_records is None else max_records
        if limit < 1:
            raise ValueError(f"max_records is {limit}")
        delivered = await self._next(lambda: self._delivery.batch(limit), timeout_s)
        return None if delivered is None else self._batch(delivered)

    async def batches(
        self, max_records: int | None = None, *, timeout_s: float | None = None
    ) -> AsyncIterator[Batch]:
        """Batches without end, or until none came for `timeout_s`; as `poll`."""
        while (batch := await self.poll(max_records, timeout_s)) is not None:
            yield batch

    async def records(self, *, timeout_s: float | None = None) -> AsyncIterator[Record]:
        """Record by record, without end, or until none came for `timeout_s`. A loop that is left can be taken
        up again: nothing is skipped.
        """
        while (cursor := await self.next_records(timeout_s)) is not None:
            for record in cursor:
                yield record

    async def next_records(self, timeout_s: float | None = None) -> Cursor | None:
        """Some of the next records, to be iterated over: what is taken from it counts as delivered."""
        if self._has_formats:
            raise ClientError("records are bytes: take batches, or give the consumer no key= and value=")
        limit = self._settings.max_poll_records
        return await self._next(lambda: self._delivery.cursor(limit), timeout_s)

    def __aiter__(self) -> AsyncIterator[Record]:
        return self.records()

    async def _next(self, take: Callable[[], T | None], timeout_s: float | None) -> T | None:
        if self._membership is None and not self._subscription.is_assigned:
            self._polling.check_open()
            raise ClientError("nothing is subscribed or assigned")

        def take_or_raise() -> T | None:
            self._fetching.raise_errors()
            self._auto_commit_if_due()
            return take()

        return await self._polling.next(take_or_raise, timeout_s)

    def _polled(self) -> None:
        if self._membership is not None:
            self._membership.polled()

    def _batch(self, delivered: Delivered) -> Batch:
        offsets = {each: CommittedOffset(*end) for each, end in delivered.ends.items()}

        async def commit(batch: Batch) -> None:
            for partition, state in delivered.states.items():
                if self._positions.states.get(partition) is not state:
                    where = f"{partition.topic}-{partition.partition}"
                    raise CommitFailedError(f"{where} has been given up since the batch was handed out", {})
            await self.commit(batch.offsets)

        identity = self._identity() if self._commits is not None else None
        rows = delivered.rows
        return Batch(delivered.topic, rows, offsets, identity, commit, self._to_arrow, self._letters)

    # Positions.

    def seek(self, partition: Partition, offset: int | CommittedOffset) -> None:
        """The next record to get of a partition that is assigned."""
        if isinstance(offset, int):
            offset = CommittedOffset(offset)
        if offset.offset < 0:
            raise ValueError(f"there is no offset {offset.offset}")
        self._state(partition)
        self._positions.seek(TopicPartition(*partition), Position(offset.offset, offset.epoch))
        self._fetching.wake()

    def seek_to_beginning(self, partitions: Iterable[Partition] = ()) -> None:
        """Of these, or of all that are assigned; looked up when it is needed."""
        self._seek_to(partitions, EARLIEST_TIMESTAMP)

    def seek_to_end(self, partitions: Iterable[Partition] = ()) -> None:
        """As `seek_to_beginning`. With `read_committed` that is the last stable offset."""
        self._seek_to(partitions, LATEST_TIMESTAMP)

    def _seek_to(self, partitions: Iterable[Partition], timestamp: int) -> None:
        for each in list(partitions) or self.held():
            self._state(each)
            self._positions.seek_to(TopicPartition(*each), timestamp)
        self._fetching.wake()

    async def position(self, partition: Partition, *, timeout_s: float | None = None) -> int:
        """The offset of the next record to get; waits until that is known."""
        wanted = TopicPartition(*partition)
        limit_s = self._cluster.settings.default_api_timeout_ms / 1000 if timeout_s is None else timeout_s
        async with asyncio.timeout(limit_s):
            while True:
                self._state(wanted)
                self._fetching.raise_errors()
                found = self._delivery.positions().get(wanted)
                if found is not None:
                    return found.offset
                self._fetching.found.clear()
                await self._fetching.found.wait()

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Get nothing of these until `resume`; what is buffered stays."""
        for each in partitions:
            state = self._state(each)
            state.paused = True
            self._fetching.detach(state.partition)

    def resume(self, partitions: Iterable[Partition]) -> None:
        for each in partitions:
            self._state(each).paused = False
        self._fetching.wake()
        self._fetching.ready.set()

    def paused(self) -> list[TopicPartition]:
        return [each for each, state in self._positions.states.items() if state.paused]

    def lag(self, partition: Partition) -> int | None:
        """Records behind the position, as far as the last fetch knows; None before the first."""
        state = self._state(partition)
        committed = self._settings.isolation_level == "read_committed"
        end = state.last_stable_offset if committed else state.high_watermark
        position = self._delivery.positions().get(state.partition)
        return None if end < 0 or position is None else max(0, end - position.offset)

    def _state(self, partition: Partition) -> PartitionState:
        state = self._positions.states.get(TopicPartition(*partition))
        if state is None:
            raise ClientError(f"{partition[0]}-{partition[1]} is not assigned to this consumer")
        return state

    # Commits.

    async def commit(self, offsets: Offsets | None = None, *, timeout_s: float | None = None) -> None:
        """Done when the coordinator has them: what was delivered, or these. CommitFailedError where the group
        has gone on without this member.
        """
        limit_s = self._cluster.settings.default_api_timeout_ms / 1000 if timeout_s is None else timeout_s
        async with asyncio.timeout(limit_s):
            await self.commit_soon(offsets)

    def commit_soon(self, offsets: Offsets | None = None) -> asyncio.Future[None]:
        """As `commit`, without waiting: in the order of calls. Cancel it to have it no longer tried."""
        if self._commits is None:
            raise ConfigurationError("commit needs group.id")
        return self._commits.commit(self._delivered() if offsets is None else as_committed(offsets))

    async def committed(
        self, partitions: Iterable[Partition], *, timeout_s: float | None = None
    ) -> dict[TopicPartition, CommittedOffset | None]:
        """What the group has committed; None where nothing."""
        if self._commits is None:
            raise ConfigurationError("committed needs group.id")
        wanted = [TopicPartition(*each) for each in partitions]
        timeout_ms = None if timeout_s is None else int(timeout_s * 1000)
        return await self._commits.fetch(wanted, timeout_ms=timeout_ms)

    def identity(self) -> Identity:
        """As whom offsets are committed, as transactions need it. ClientError while out of the group."""
        identity = self._identity() if self._commits is not None else None
        if identity is None:
            raise ClientError("this consumer is in no group now")
        return identity

    def _identity(self) -> Identity | None:
        if self._membership is not None:
            return self._membership.identity()
        assert self._settings.group_id is not None
        return Identity(self._settings.group_id)

    def _delivered(self) -> dict[TopicPartition, CommittedOffset]:
        return {each: CommittedOffset(*position) for each, position in self._delivery.positions().items()}

    def _auto_commit_if_due(self) -> None:
        settings, now = self._settings, self._loop.time()
        if self._commits is None or not settings.enable_auto_commit or now < self._next_auto_commit_s:
            return
        self._next_auto_commit_s = now + settings.auto_commit_interval_ms / 1000
        delivered = self._delivered()
        if delivered and self._identity() is not None:
            self._commits.commit(delivered).add_done_callback(self._auto_committed)

    def _auto_committed(self, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            _log.warning("offsets were not committed: %s", error)
            if isinstance(error, DeadLetterError):
                self.fail(error)

    # What the membership and the cluster call.

    @property
    def listener(self) -> RebalanceListener:
        return self._listener

    def held(self) -> list[TopicPartition]:
        return list(self._positions.states)

    def take(self, partitions: Iterable[TopicPartition]) -> None:
        for each in partitions:
            self._positions.add(each)
        self._fetching.metadata_changed(self._cluster.metadata)

    def give_up(self, partitions: Collection[TopicPartition]) -> None:
        self._positions.remove(partitions)
        if self._commits is not None:
            self._commits.give_up(partitions)
        self._fetching.wake()

    async def commit_before_giving_up(self, partitions: Iterable[TopicPartition]) -> None:
        """With `enable.auto.commit`, what was delivered of these. A failure is logged: others go on there."""
        if self._commits is None or not self._settings.enable_auto_commit:
            return
        delivered = self._delivered()
        offsets = {each: delivered[each] for each in partitions if each in delivered}
        done = self._commits.commit(offsets)
        try:
            async with asyncio.timeout(self._cluster.settings.request_timeout_ms / 1000):
                await done
        except (ClientError, TimeoutError) as error:
            _log.warning("offsets were not committed: %s", error)

    def fail(self, error: Exception, *, is_last: bool = False) -> None:
        """The next poll raises this; every one, where it ends the membership."""
        self._polling.fail(error, is_last=is_last)

    def topics_wanted(self) -> Iterable[str] | None:
        topics = self._subscription.topics_wanted()
        return (
            None
            if topics is None
            else {**dict.fromkeys(topics), **{each.topic: None for each in self.held()}}
        )

    def metadata_changed(self, metadata: ClusterMetadata) -> None:
        self._subscription.match(metadata)
        self._fetching.metadata_changed(metadata)
        if self._membership is not None:
            self._membership.metadata_changed(metadata)

    def _learn(self, topics: Iterable[str] | None) -> None:
        """Have the cluster know of these topics (None: of all), making them if that is wanted."""
        if self._learning is not None:
            self._learning.cancel()
        wanted = None if topics is None else list(topics)
        self._learning = self._loop.create_task(self._refresh(wanted), name="ottla-consumer-metadata")

    async def _refresh(self, topics: Iterable[str] | None) -> None:
        """Until the cluster knows all of them: topics may come later."""
        create = self._settings.allow_auto_create_topics and topics is not None
        missing = topics
        failures = 0
        try:
            while missing is None or missing:
                wanted = missing
                await self._cluster.retrying(
                    lambda: self._cluster.refresh(wanted, allow_auto_creation=create)  # noqa: B023 - awaited
                )
                missing = [each for each in topics or () if each not in self._cluster.metadata.topics]
                for each in missing:
                    if (code := self._cluster.metadata.errors.get(each)) in _NEVER:
                        raise broker_error(code, what=f"topic {each}")
                failures += 1
                if missing:
                    chance = self._cluster.host.random.random()
                    await asyncio.sleep(self._cluster.retry_backoff.delay_ms(failures, chance) / 1000)
        except ClientError as error:
            self.fail(error)


def _plainly(topic: str, columns: Columns) -> pa.RecordBatch:  # noqa: ARG001
    return columns.to_arrow()
