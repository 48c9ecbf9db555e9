"""Fetch: record batches as they lie in the log, now or when there are some."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from ottla.broker import leader_hints
from ottla.broker.api import HandCodedApi
from ottla.broker.fetch_asked import resolve_session, throttled
from ottla.broker.request import RequestContext, Result
from ottla.broker.rights import ByHandler, may
from ottla.broker.services import RecordServices
from ottla.config.replica import RACK_AWARE
from ottla.network.output import Frame
from ottla.protocol import fetch as wire
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.fetch_request import FetchRequest, decode_fetch
from ottla.replica.delayed import DelayedFetch, Source
from ottla.replica.fetch_sessions import (
    NO_SESSION,
    FetchedPartition,
    FetchKey,
    FetchSession,
)
from ottla.replica.partition import READ_COMMITTED, Partition

if TYPE_CHECKING:
    from ottla.protocol.fetch_request import ForgottenTopic
    from ottla.protocol.produce import NodeEndpoint
    from ottla.replica.replica import Replica
    from ottla.replication.isr import FetchClock


_FIRST_FROM_FOLLOWERS: Final = 11
_AWAITED_WAIT_MS: Final = 20
_ELSEWHERE: Final = frozenset({ErrorCode.not_leader_or_follower, ErrorCode.fenced_leader_epoch})
_UNKNOWN: Final = (ErrorCode.unknown_topic_id, ErrorCode.unknown_topic_or_partition)
_NOT_COUNTED_AS_FAILED: Final = frozenset(
    {
        ErrorCode.fenced_leader_epoch,
        ErrorCode.kafka_storage_error,
        ErrorCode.not_leader_or_follower,
        ErrorCode.offset_out_of_range,
        ErrorCode.unknown_leader_epoch,
        *_UNKNOWN,
    }
)
_NOT_HERE: Final = frozenset({ErrorCode.topic_authorization_failed, *_UNKNOWN})


def _decode(
    _services: RecordServices, context: RequestContext, frame: memoryview, position: int
) -> FetchRequest:
    return decode_fetch(context.api_version, frame, position)


def _handle(
    services: RecordServices, context: RequestContext, message: FetchRequest
) -> Result | asyncio.Future[Any]:
    try:
        asked, session = resolve_session(services, context, message)
    except KafkaError as error:
        return wire.encode_fetch_response(
            context.api_version, context.correlation_id, [], error_code=error.code
        )
    if message.replica_id >= 0 and not may(context, Operation.CLUSTER_ACTION, ResourceType.CLUSTER):
        fetch: _Fetch = _StrangersFetch(services, context, message, asked, session)
    elif message.replica_id >= 0:
        fetch = _FollowerFetch(services, context, message, asked, session)
    else:
        if services.quotas.fetch is not None:
            message = services.quotas.at_most(context, message)
        fetch = _Fetch(services, context, message, asked, session)
    size = fetch.read()
    if size >= message.min_bytes or fetch.failed or message.max_wait_ms <= 0 or not asked:
        return fetch.answer()
    sources: Sequence[Source] = fetch.served if session is None else (session,)
    # What there is of open transactions is not counted: the marker that ends one says more than its size.
    missing_bytes = 0 if fetch.has_unstable else message.min_bytes - size
    wait_ms = fetch.wait_ms(message.max_wait_ms)
    return DelayedFetch(sources, missing_bytes, wait_ms, fetch.look_again).future


def _is_rack_aware(services: RecordServices) -> bool:
    return services.config.value.replica_selector_class == RACK_AWARE


class _Fetch:
    """One fetch being served: reads, and packs what the client has to be told."""

    __slots__ = (
        "_asked",
        "_budget",
        "_context",
        "_isolation",
        "_min_bytes",
        "_rack",
        "_read",
        "_results",
        "_services",
        "_session",
        "failed",
        "has_unstable",
        "served",
    )

    def __init__(
        self,
        services: RecordServices,
        context: RequestContext,
        message: FetchRequest,
        asked: dict[FetchKey, FetchedPartition],
        session: FetchSession | None,
    ) -> None:
        self._services = services
        self._context = context
        self._asked = asked
        self._session = session
        self._isolation = message.isolation_level
        self._min_bytes = message.min_bytes
        self._budget = min(message.max_bytes, services.config.value.fetch_max_bytes)
        self._results: list[tuple[FetchedPartition, wire.FetchedPartition]] = []
        self._read: list[tuple[Replica, int]] = []  # bytes of records of each partition that was not refused
        self._rack = message.rack_id
        self.served: list[Source] = []
        self.failed = False
        """Something to tell at once beside records."""
        self.has_unstable = False
        """A reader of committed records has to wait for the end of a transaction."""

    def read(self) -> int:
        """Read every partition within the budget; returns the bytes of records."""
        self._results.clear()
        self._read.clear()
        self.served.clear()
        self.has_unstable = False
        size = 0
        # While slow readers hold too much, everybody gets one batch at a time.
        budget = 0 if self._services.unsent.is_full else self._budget
        session = self._session
        for asked in self._asked.values() if session is None else session.pending:
            try:
                result = self._read_one(asked, budget - size, min_one=size == 0)
            except KafkaError as error:
                self.failed = True
                if session is not None:
                    asked.follow(None, session)
                self._count_refused(asked.key[0], error.code)
                result = self._refusal(asked, error.code)
            size += len(result.records)
            self._results.append((asked, result))
        return size

    def _count_refused(self, topic: str | UUID, code: ErrorCode) -> None:
        """It is answered at once, so it comes here but once."""
        if code not in _NOT_HERE:
            traffic = self._services.partitions.traffic.at(self._services.metadata.image.name_of(topic) or "")
            traffic.fetches += 1
            traffic.failed_fetches += code not in _NOT_COUNTED_AS_FAILED

    def _refusal(self, asked: FetchedPartition, code: ErrorCode) -> wire.FetchedPartition:
        """An error, with who leads instead where that is why."""
        leader: tuple[int, int] | None = None
        if code in _ELSEWHERE and self._context.api_version >= leader_hints.FIRST_FETCH:
            leader = leader_hints.current_leader(self._services, *asked.key)
        return wire.FetchedPartition(
            asked.key[1],
            code,
            aborted=() if code in _NOT_HERE else None,
            records=b"",
            current_leader=leader,
        )

    def _read_one(self, asked: FetchedPartition, budget: int, *, min_one: bool) -> wire.FetchedPartition:
        partitions = self._services.partitions
        name, index = asked.key
        if self._context.session.access is not None:
            self._check_right(name)
        # From version 11 on consumers read from followers, too (KIP-392).
        if self._context.api_version < _FIRST_FROM_FOLLOWERS:
            partition: Replica = self._led(name, index)
        elif isinstance(name, str):
            partition = partitions.replica(name, index)
        else:
            partition = partitions.replica_by_id(name, index)
        partitions.check_is_kept_up(partition)
        if self._session is None:
            self.served.append(partition)
        else:
            asked.follow(partition, self._session)
        partition.check_leader_epoch(max(asked.current_leader_epoch, -1))  # any negative one asks for nothing
        log, diverging, elsewhere = partition.log, None, None
        if asked.last_fetched_epoch >= 0:
            diverging = partition.diverging_epoch(asked.last_fetched_epoch, asked.fetch_offset)
        if self._rack and diverging is None:
            elsewhere = self._preferred(partition, asked.fetch_offset)
        if diverging is not None or elsewhere is not None:
            self.failed = True
            self._read.append((partition, 0))
            return wire.FetchedPartition(
                index,
                0,
                log.high_watermark,
                log.last_stable_offset,
                log.log_start_offset,
                diverging_epoch=diverging,
                preferred_read_replica=-1 if elsewhere is None else elsewhere,
            )
        limit = max(0, min(asked.max_bytes, budget))
        read = partition.read(asked.fetch_offset, limit, self._isolation, min_one=min_one)
        self._read.append((partition, len(read.records)))
        stable_offset = log.last_stable_offset
        aborted = None
        if self._isolation == READ_COMMITTED:
            aborted = partition.aborted_transactions(asked.fetch_offset, read)
            if stable_offset < log.high_watermark:
                self.has_unstable = True
        return wire.FetchedPartition(
            index,
            0,
            log.high_watermark,
            stable_offset,
            log.log_start_offset,
            aborted,
            records=read.records,
        )

    def _led(self, topic: str | UUID | None, index: int) -> Partition:
        partitions = self._services.partitions
        return partitions.get(topic, index) if isinstance(topic, str) else partitions.get_by_id(topic, index)

    def _check_right(self, topic: str | UUID) -> None:
        """Raises KafkaError(topic_authorization_failed), but for an id that no topic has."""
        name = self._services.metadata.image.name_of(topic)
        if name is not None and not self._may_read(name):
            raise KafkaError(ErrorCode.topic_authorization_failed)

    def _may_read(self, topic: str) -> bool:
        return may(self._context, Operation.READ, ResourceType.TOPIC, topic)

    def _preferred(self, partition: Replica, fetch_offset: int) -> int | None:
        """The replica that the consumer had better read from, where it is not this one."""
        if not isinstance(partition, Partition) or not _is_rack_aware(self._services):
            return None
        brokers = self._services.metadata.image.brokers

        def rack_of(node_id: int) -> str | None:
            broker = brokers.get(node_id)
            return None if broker is None else broker.rack

        return partition.preferred_read_replica(self._rack, fetch_offset, rack_of)

    def look_again(self, is_last: bool) -> Frame | None:
        """Another try, when data came or the deadline passed; None to wait on, as nothing of it is stable."""
        if self._context.meter is not None:
            self._context.meter.resume()
        size = self.read()
        if self.has_unstable and size < self._min_bytes and not (is_last or self.failed):
            return None
        return self.answer()

    def answer(self) -> Frame:
        """The encoded response, unless the consumer has taken more than it may."""
        empty = None
        if self._services.quotas.fetch is not None or self._context.meter is not None:
            empty = throttled(self._services, self._context, self._session, self._results)
        return self._packed() if empty is None else empty

    def _packed(self) -> Frame:
        """Everything, or in an incremental session what changed."""
        self._count()
        session = self._session
        topics: dict[str | UUID, list[wire.FetchedPartition]] = {}
        for asked, result in self._results:
            if session is None or self._is_told(session, asked, result):
                topics.setdefault(asked.key[0], []).append(result)
        packed = [
            wire.FetchedTopic(name, None, found)
            if isinstance(name, str)
            else wire.FetchedTopic(None, name, found)
            for name, found in topics.items()
        ]
        return wire.encode_fetch_response(
            self._context.api_version,
            self._context.correlation_id,
            packed,
            session_id=session.session_id if session is not None else NO_SESSION,
            node_endpoints=self._leaders_endpoints() if self.failed else (),
        )

    def _count(self) -> None:
        for replica, size in self._read:
            traffic = replica.traffic
            traffic.fetches += 1
            traffic.bytes_out += size

    def _leaders_endpoints(self) -> Sequence[NodeEndpoint]:
        """Where those are found who lead what could not be read here."""
        leaders = dict.fromkeys(
            result.current_leader[0] for _, result in self._results if result.current_leader is not None
        )
        return leader_hints.endpoints(self._services, self._context.session.listener, leaders)

    def wait_ms(self, asked_ms: int) -> int:
        """How long it may wait that was to wait so long."""
        return asked_ms

    def _is_told(self, session: FetchSession, asked: FetchedPartition, result: wire.FetchedPartition) -> bool:
        """Whether it is news to the consumer; what has no more to tell is not looked at next time."""
        if result.error_code or result.diverging_epoch is not None or result.preferred_read_replica >= 0:
            asked.sent_high_watermark = -1
            return True
        is_news = (
            session.epoch == 1
            or result.high_watermark != asked.sent_high_watermark
            or result.log_start_offset != asked.sent_log_start_offset
        )
        asked.sent_high_watermark = result.high_watermark
        asked.sent_log_start_offset = result.log_start_offset
        if len(result.records):
            session.gave_data(asked.key)
            return True
        if self._has_everything(asked, result):
            session.settle(asked.key)
        return is_news

    def _has_everything(self, asked: FetchedPartition, result: wire.FetchedPartition, /) -> bool:
        """Nothing is left to be read until the partition changes."""
        # Not at an earlier last stable offset: a fetch has to see that what is behind it is unstable.
        return asked.fetch_offset >= result.high_watermark


class _StrangersFetch(_Fetch):
    """Of one who says that he is a broker, and may not be one."""

    __slots__ = ()

    def _may_read(self, topic: str) -> bool:  # noqa: ARG002
        return False


class _FollowerFetch(_Fetch):
    """A follower's: up to the end of the log, and it tells the leader how far the follower has come."""

    __slots__ = (
        "_at_end",
        "_is_first",
        "_is_throttling",
        "_received_ms",
        "_replica_epoch",
        "_replica_id",
        "_throttled_bytes",
        "is_held_back",
    )

    def __init__(
        self,
        services: RecordServices,
        context: RequestContext,
        message: FetchRequest,
        asked: dict[FetchKey, FetchedPartition],
        session: FetchSession | None,
    ) -> None:
        super().__init__(services, context, message, asked, session)
        self._replica_id = message.replica_id
        self._replica_epoch = message.replica_epoch
        self._received_ms = services.followers.monotonic_ms()
        self._is_first = True
        self._at_end: dict[FetchKey, None] = {}
        self._is_throttling = False
        self._throttled_bytes = 0
        self.is_held_back = False
        """There are records that it does not get yet."""
        if session is not None:
            for topic in message.forgotten_topics_data:
                for index in topic.partitions:
                    self._leave(topic, index, session.clock)

    def _leave(self, topic: ForgottenTopic, index: int, clock: FetchClock) -> None:
        try:
            partition = self._led(topic.topic_id if topic.topic is None else topic.topic, index)
            partition.follower(self._replica_id, self._replica_epoch, is_fenced=False).left(clock)
        except KafkaError:
            pass  # nobody counts on it

    def read(self) -> int:
        self._at_end.clear()
        self._is_throttling = self._services.leader_throttle.is_on
        self._throttled_bytes = 0
        self.is_held_back = False
        size = super().read()
        if self._is_first:
            self._is_first = False
            if self._session is not None:
                self._session.clock.last_ms = self._received_ms
        return size

    def _read_one(self, asked: FetchedPartition, budget: int, *, min_one: bool) -> wire.FetchedPartition:
        name, index = asked.key
        partition = self._led(name, index)
        if self._session is None:
            self.served.append(partition.log_end)
        else:
            asked.follow(partition.log_end, self._session)
        partition.check_leader_epoch(max(asked.current_leader_epoch, -1))
        follower = partition.follower(
            self._replica_id, self._replica_epoch, is_fenced=asked.current_leader_epoch >= 0
        )
        log = partition.log
        end_offset, diverging = log.log_end_offset, None
        records: Sized = b""
        if asked.last_fetched_epoch >= 0:
            diverging = partition.diverging_epoch(asked.last_fetched_epoch, asked.fetch_offset)
        if diverging is not None:
            self.failed = True
            self._read.append((partition, 0))
        else:
            throttle = self._services.leader_throttle
            is_throttled = self._is_throttling and throttle.covers(partition)
            if is_throttled and throttle.is_exceeded and self._replica_id not in partition.state.isr:
                self.is_held_back |= asked.fetch_offset < end_offset
            else:
                limit = max(0, min(asked.max_bytes, budget))
                records = partition.read_to_end(asked.fetch_offset, limit, min_one=min_one).records
                self._read.append((partition, len(records)))
                if is_throttled:
                    self._throttled_bytes += len(records)
            if asked.fetch_offset == end_offset:
                self._at_end[asked.key] = None
            if self._is_first:
                session = self._session
                partition.fetched(
                    follower,
                    asked.fetch_offset,
                    asked.log_start_offset,
                    self._replica_epoch,
                    self._received_ms,
                    None if session is None else session.clock,
                )
        return wire.FetchedPartition(
            index,
            0,
            log.high_watermark,
            log.last_stable_offset,
            log.log_start_offset,
            records=records,
            diverging_epoch=diverging,
        )

    def look_again(self, is_last: bool) -> Frame | None:
        size = self.read()
        if self.is_held_back and size == 0 and not (is_last or self.failed):
            return None  # what was appended is for later
        return self.answer()

    def answer(self) -> Frame:
        if self._throttled_bytes:
            self._services.leader_throttle.record(self._throttled_bytes)
        return self._packed()

    def _count(self) -> None:
        for replica, size in self._read:
            traffic = replica.traffic
            traffic.fetches += 1
            traffic.replication_bytes_out += size

    def wait_ms(self, asked_ms: int) -> int:
        # It is about to be told that this broker leads more, and then has to ask for that.
        is_awaited = self._services.followers.awaits_fetch(self._replica_id)
        return min(asked_ms, _AWAITED_WAIT_MS) if is_awaited else asked_ms

    def _has_everything(self, asked: FetchedPartition, _result: wire.FetchedPartition, /) -> bool:
        return asked.key in self._at_end


APIS = (
    HandCodedApi(
        key=1,
        services=RecordServices,
        decode=_decode,
        handle=_handle,
        right=ByHandler("READ on each topic; CLUSTER_ACTION on the cluster for a follower"),
        kips=(74, 98, 227, 320, 392, 497, 516, 595, 903, 951, 966),
    ),
)
