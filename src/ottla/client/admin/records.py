"""Records of partitions: where they begin and end, and deleting the oldest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from ottla.client.admin.calls import LEADER, Calls, Node, known, outcome
from ottla.client.admin.results import Results
from ottla.client.core.metadata import TopicPartition, by_topic
from ottla.client.errors import ClientError
from ottla.client.face import Face, awaited
from ottla.protocol.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopic,
)
from ottla.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)

__all__ = ["BlockingRecords", "OffsetSpec", "PartitionOffset", "Records"]


class OffsetSpec(IntEnum):
    """An offset by what it is; others are asked for by a time in milliseconds since the epoch."""

    LATEST = -1
    EARLIEST = -2
    MAX_TIMESTAMP = -3
    EARLIEST_LOCAL = -4
    LATEST_TIERED = -5
    EARLIEST_PENDING_UPLOAD = -6


_FIRST_WITH: Final = {
    OffsetSpec.MAX_TIMESTAMP: 7,
    OffsetSpec.EARLIEST_LOCAL: 8,
    OffsetSpec.LATEST_TIERED: 9,
    OffsetSpec.EARLIEST_PENDING_UPLOAD: 11,
}
"""The versions of ListOffsets that know them."""


class PartitionOffset(NamedTuple):
    """An offset, -1 where there is none such, with the timestamp of its record where one was looked up."""

    offset: int
    timestamp: int
    leader_epoch: int | None


class Records:
    """Admin calls about the records of partitions."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def delete(
        self, before: Mapping[TopicPartition, int], *, timeout_ms: int | None = None
    ) -> Results[TopicPartition, int]:
        """Delete the records before an offset of each partition (-1: all); where each begins now."""

        async def ask(
            node: Node, keys: Sequence[TopicPartition]
        ) -> Mapping[TopicPartition, int | ClientError]:
            request = DeleteRecordsRequest(
                topics=[
                    DeleteRecordsTopic(
                        name=topic,
                        partitions=[
                            DeleteRecordsPartition(partition_index=key.partition, offset=before[key])
                            for key in each
                        ],
                    )
                    for topic, each in by_topic(keys).items()
                ],
                timeout_ms=self._calls.request_timeout_ms,
            )
            response = await self._calls.send(request, DeleteRecordsResponse, node)
            return {
                TopicPartition(topic.name, each.partition_index): outcome(each.error_code, each.low_watermark)
                for topic in response.topics
                for each in topic.partitions
            }

        return await self._calls.each(before, LEADER, ask, timeout_ms=timeout_ms)

    async def list_offsets(
        self,
        partitions: Mapping[TopicPartition, OffsetSpec | int],
        *,
        read_committed: bool = False,
        timeout_ms: int | None = None,
    ) -> Results[TopicPartition, PartitionOffset]:
        """An offset of each partition: one of `OffsetSpec`, or that of the first record from a time on.

        With `read_committed` the latest is the last stable offset.
        """
        first = max(
            (_FIRST_WITH.get(OffsetSpec(spec), 1) for spec in partitions.values() if spec < 0), default=1
        )

        async def ask(
            node: Node, keys: Sequence[TopicPartition]
        ) -> Mapping[TopicPartition, PartitionOffset | ClientError]:
            request = ListOffsetsRequest(
                replica_id=-1,
                isolation_level=int(read_committed),
                topics=[
                    ListOffsetsTopic(
                        name=topic,
                        partitions=[
                            ListOffsetsPartition(
                                partition_index=key.partition,
                                current_leader_epoch=-1,
                                timestamp=partitions[key],
                            )
                            for key in each
                        ],
                    )
                    for topic, each in by_topic(keys).items()
                ],
                timeout_ms=self._calls.request_timeout_ms,
            )
            response = await self._calls.send(
                request, ListOffsetsResponse, node, min_version=max(first, 2 if read_committed else 1)
            )
            return {
                TopicPartition(topic.name, each.partition_index): outcome(
                    each.error_code,
                    PartitionOffset(each.offset, each.timestamp, known(each.leader_epoch)),
                )
                for topic in response.topics
                for each in topic.partitions
            }

        return await self._calls.each(partitions, LEADER, ask, timeout_ms=timeout_ms)


class BlockingRecords(Face[Records]):
    """`Records` for callers that wait."""

    delete = awaited(Records.delete)
    list_offsets = awaited(Records.list_offsets)
