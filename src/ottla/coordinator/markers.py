"""Writes the markers that end transactions into the partitions that this broker leads (KIP-98).

The transaction coordinator has them written, and an administrator who aborts a hanging transaction.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ottla.coordinator.groups import GroupCoordinator
from ottla.metadata.topic_names import OFFSETS_TOPIC
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.markers import EndMarker

if TYPE_CHECKING:
    from ottla.clock import Clock
    from ottla.config.current import Current
    from ottla.config.replica import ReplicaConfig
    from ottla.coordination.transactions.markers import MarkerResults, TopicPartition, TxnMarker
    from ottla.replica.delayed import Unfinished
    from ottla.replica.group_commit import GroupCommit
    from ottla.replica.partition import Partition

_NOT_READY: Final = frozenset(
    {
        ErrorCode.coordinator_not_available,
        ErrorCode.coordinator_load_in_progress,
        ErrorCode.not_coordinator,
    }
)
"""Of a group coordinator; for who writes markers its partition has just no leader yet."""


_TOGETHER: Final = 64
"""Markers that are appended in a turn of the event loop, before others get theirs."""


class _Place(NamedTuple):
    """A marker in one of its partitions."""

    marker: EndMarker
    partition: tuple[str, int]
    results: dict[tuple[str, int], ErrorCode]
    """Of the marker in all of its partitions"""


class _Writing:
    """Markers on their way."""

    __slots__ = ("in_groups", "in_logs", "left", "unfinished")

    def __init__(self, left: Iterable[_Place]) -> None:
        self.left = deque(left)
        """Where they are still to be appended"""
        self.in_logs: list[_Place] = []
        """Where they are not committed yet, by the number in `unfinished`"""
        self.unfinished: list[Unfinished] = []
        self.in_groups: list[tuple[_Place, asyncio.Future[ErrorCode]]] = []
        """Likewise, with what becomes of them"""

    @property
    def is_done(self) -> bool:
        return not (self.left or self.unfinished or self.in_groups)


class LocalMarkers:
    """A `MarkerWriter` for this broker's own partitions."""

    def __init__(
        self,
        led: Callable[[str, int], Partition],
        groups: GroupCoordinator,
        group_commit: GroupCommit,
        config: Current[ReplicaConfig],
        clock: Clock,
    ) -> None:
        self._led = led
        """As `Partitions.get`"""
        self._groups = groups
        self._group_commit = group_commit
        self._config = config
        self._clock = clock

    def write_markers(self, markers: Sequence[TxnMarker]) -> MarkerResults | Awaitable[MarkerResults]:
        """What became of each marker in each of its partitions: they are appended in this order, at once
        unless they are many, and told when they are committed as for `acks=all`.

        Errors: unknown_topic_or_partition for one that is not here, invalid_producer_epoch, invalid_request,
        transaction_coordinator_fenced, not_enough_replicas, request_timed_out, not_leader_or_follower,
        kafka_storage_error.
        """
        results: list[dict[TopicPartition, ErrorCode]] = [{} for _ in markers]
        writing = _Writing(
            _Place(_end_of(marker), partition, result)
            for marker, result in zip(markers, results, strict=True)
            for partition in dict.fromkeys(marker.partitions)
        )
        self._begin(writing)
        return results if writing.is_done else self._finish(writing, results)

    def _begin(self, writing: _Writing) -> None:
        """Append the next markers."""
        now_ms = self._clock.now_ms()
        for _ in range(min(len(writing.left), _TOGETHER)):
            place = writing.left.popleft()
            try:
                place.results[place.partition] = self._begin_at(place, writing, now_ms)
            except KafkaError as error:
                place.results[place.partition] = _told(error)

    def _begin_at(self, place: _Place, writing: _Writing, now_ms: int) -> ErrorCode:
        """What to answer once all is committed that is to be waited for."""
        marker, (topic, index), _ = place
        if marker.producer_id < 0 or marker.producer_epoch < 0:
            raise KafkaError(ErrorCode.invalid_request)
        partition = self._partition(topic, index)
        code = ErrorCode.none
        if topic == OFFSETS_TOPIC:
            written = self._groups.end_transaction(index, marker)
            if isinstance(written, Awaitable):
                # A task, so that nothing is left unbegun where the wait for others is given up.
                writing.in_groups.append((place, asyncio.ensure_future(self._settle(written))))
        else:
            try:
                partition.append_marker(marker, now_ms)
            except KafkaError as error:
                if error.code is not ErrorCode.invalid_producer_epoch:
                    raise
                # What the partition is past may be only here yet: then another leader would not be past it.
                code = error.code
            wait = self._wait(partition, len(writing.in_logs))
            if wait is not None:
                writing.unfinished.append(wait)
                writing.in_logs.append(place)
        return code

    async def _finish(self, writing: _Writing, results: MarkerResults) -> MarkerResults:
        while writing.left:
            await asyncio.sleep(0)
            self._begin(writing)
        if writing.unfinished:
            for number, failure in (await self._committed(writing.unfinished)).items():
                place = writing.in_logs[number]
                place.results[place.partition] = failure.code
        for place, settled in writing.in_groups:
            place.results[place.partition] = await settled
        return results

    def _partition(self, topic: str, index: int) -> Partition:
        try:
            return self._led(topic, index)
        except KafkaError as error:
            # As Kafka: whatever the reason, the coordinator looks for the leader again.
            raise KafkaError(ErrorCode.unknown_topic_or_partition) from error

    def _wait(self, partition: Partition, number: int) -> Unfinished | None:
        """For all that is in the log; None where nothing has to be waited for."""
        from ottla.replica.delayed import Unfinished

        end_offset = partition.log.log_end_offset
        must_be_replicated = partition.high_watermark < end_offset
        must_be_durable = self._config.value.ottla_acks_all_flush
        if not must_be_replicated and not must_be_durable:
            return None
        return Unfinished(number, partition, end_offset, must_be_replicated, must_be_durable)

    def _committed(self, unfinished: Sequence[Unfinished]) -> asyncio.Future[Mapping[int, KafkaError]]:
        from ottla.replica.delayed import DelayedProduce

        timeout_ms = self._config.value.request_timeout_ms
        return DelayedProduce(unfinished, timeout_ms, self._group_commit, lambda failed: failed).future

    async def _settle(self, written: Awaitable[int]) -> ErrorCode:
        try:
            async with asyncio.timeout(self._config.value.request_timeout_ms / 1000):
                await written
        except TimeoutError:
            return ErrorCode.request_timed_out
        except KafkaError as error:
            return _told(error)
        return ErrorCode.none


def _end_of(marker: TxnMarker) -> EndMarker:
    producer_id, producer_epoch = marker.producer
    return EndMarker(
        producer_id, producer_epoch, marker.committed, marker.coordinator_epoch, marker.transaction_version
    )


def _told(error: KafkaError) -> ErrorCode:
    return ErrorCode.not_leader_or_follower if error.code in _NOT_READY else error.code
