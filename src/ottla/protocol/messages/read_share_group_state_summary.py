"""ReadShareGroupStateSummary: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class PartitionData(Struct):
    partition: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")


class ReadStateSummaryData(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[PartitionData] = array(PartitionData, "0+")


class ReadShareGroupStateSummaryRequest(Struct, key=87, versions="0-1", flexible="0+"):
    group_id: str = field("string", "0+")
    topics: Sequence[ReadStateSummaryData] = array(ReadStateSummaryData, "0+")


class PartitionResult(Struct):
    partition: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    state_epoch: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")
    start_offset: int = field("int64", "0+")
    delivery_complete_count: int = field("int32", "1+", default=-1)


class ReadStateSummaryResult(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[PartitionResult] = array(PartitionResult, "0+")


class ReadShareGroupStateSummaryResponse(Struct, key=87, versions="0-1", flexible="0+"):
    results: Sequence[ReadStateSummaryResult] = array(ReadStateSummaryResult, "0+")
