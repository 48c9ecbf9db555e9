"""Writes the markers that end transactions into the partitions that this broker leads (KIP-98).

The transaction coordinator has them written, and an administrator who aborts a hanging transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ottla.coordinator.groups import OFFSETS_TOPIC, GroupCoordinator
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.markers import EndMarker

if TYPE_CHECKING:
    from ottla.clock import Clock
    from ottla.config.current import Current
    from ottla.config.replica import ReplicaConfig
    from ottla.coordination.transactions.markers import TopicPartition, TxnMarker
    from ottla.replica.delayed import Unfinished
    from ottla.replica.group_commit import GroupCommit
    from ottla.replica.partition import Partition
    from ottla.replica.partitions import Partitions

_NOT_READY: Final = frozenset(
    {
        ErrorCode.coordinator_not_available,
        ErrorCode.coordinator_load_in_progress,
        ErrorCode.not_coordinator,
    }
)
"""Of a group coordinator; for who writes markers its partition has just no leader yet."""


class LocalMarkers:
    """A `MarkerWriter` for this broker's own partitions."""

    def __init__(
        self,
        partitions: Partitions,
        groups: GroupCoordinator,
        group_commit: GroupCommit,
        config: Current[ReplicaConfig],
        clock: Clock,
    ) -> None:
        self._partitions = partitions
        self._groups = groups
        self._group_commit = group_commit
        self._config = config
        self._clock = clock

    async def write_markers(
        self, markers: Sequence[TxnMarker]
    ) -> Sequence[Mapping[TopicPartition, ErrorCode]]:
        """What became of each marker in each of its partitions: all are appended at once, in this order, and
        told when they are committed as for `acks=all`.

        Errors: unknown_topic_or_partition for one that is not here, invalid_producer_epoch, invalid_request,
        transaction_coordinator_fenced, not_enough_replicas, request_timed_out, not_leader_or_follower,
        kafka_storage_error.
        """
        now_ms = self._clock.now_ms()
        results: list[dict[TopicPartition, ErrorCode]] = [{} for _ in markers]
        unfinished: list[Unfinished] = []
        places: list[tuple[dict[TopicPartition, ErrorCode], TopicPartition]] = []
        """Of what is unfinished, by number"""
        in_groups: list[tuple[dict[TopicPartition, ErrorCode], TopicPartition]] = []
        settling: list[Awaitable[ErrorCode]] = []
        """Of what groups write, in the same order"""
        for marker, result in zip(markers, results, strict=True):
            producer_id, producer_epoch = marker.producer
            end = EndMarker(
                producer_id,
                producer_epoch,
                marker.committed,
                marker.coordinator_epoch,
                marker.transaction_version,
            )
            for place in dict.fromkeys(marker.partitions):
                result[place] = ErrorCode.none
                try:
                    if producer_id < 0 or producer_epoch < 0:
                        raise KafkaError(ErrorCode.invalid_request)
                    partition = self._partition(*place)
                    if place[0] == OFFSETS_TOPIC:
                        written = self._groups.end_transaction(place[1], end)
                        if isinstance(written, Awaitable):
                            in_groups.append((result, place))
                            settling.append(self._settle(written))
                    elif (wait := self._append(partition, end, now_ms, len(places))) is not None:
                        unfinished.append(wait)
                        places.append((result, place))
                except KafkaError as error:
                    result[place] = _told(error)
        # Begun before the wait for the others, so that nothing is left unbegun when that is given up.
        codes = asyncio.gather(*settling)
        if unfinished:
            for number, failure in (await self._finish(unfinished)).items():
                result, place = places[number]
                result[place] = failure.code
        for (result, place), code in zip(in_groups, await codes, strict=True):
            result[place] = code
        return results

    def _partition(self, topic: str, index: int) -> Partition:
        try:
            return self._partitions.get(topic, index)
        except KafkaError as error:
            # As Kafka: whatever the reason, the coordinator looks for the leader again.
            raise KafkaError(ErrorCode.unknown_topic_or_partition) from error

    def _append(self, partition: Partition, marker: EndMarker, now_ms: int, number: int) -> Unfinished | None:
        """None where nothing has to be waited for."""
        from ottla.replica.delayed import Unfinished

        partition.append_marker(marker, now_ms)
        end_offset = partition.log.log_end_offset
        must_be_replicated = partition.high_watermark < end_offset
        must_be_durable = self._config.value.ottla_acks_all_flush
        if not must_be_replicated and not must_be_durable:
            return None
        return Unfinished(number, partition, end_offset, must_be_replicated, must_be_durable)

    def _finish(self, unfinished: Sequence[Unfinished]) -> asyncio.Future[Mapping[int, KafkaError]]:
        from ottla.replica.delayed import DelayedProduce

        timeout_ms = self._config.value.request_timeout_ms
        return DelayedProduce(unfinished, timeout_ms, self._group_commit, lambda failed: failed).future

    async def _settle(self, written: Awaitable[int]) -> ErrorCode:
        try:
            await asyncio.wait_for(written, self._config.value.request_timeout_ms / 1000)
        except TimeoutError:
            return ErrorCode.request_timed_out
        except KafkaError as error:
            return _told(error)
        return ErrorCode.none


def _told(error: KafkaError) -> ErrorCode:
    return ErrorCode.not_leader_or_follower if error.code in _NOT_READY else error.code
