"""WriteShareGroupState: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class StateBatch(Struct):
    first_offset: int = field("int64", "0+")
    last_offset: int = field("int64", "0+")
    delivery_state: int = field("int8", "0+")
    delivery_count: int = field("int16", "0+")


class PartitionData(Struct):
    partition: int = field("int32", "0+")
    state_epoch: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")
    start_offset: int = field("int64", "0+")
    delivery_complete_count: int = field("int32", "1+", default=-1)
    state_batches: Sequence[StateBatch] = array(StateBatch, "0+")


class WriteStateData(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[PartitionData] = array(PartitionData, "0+")


class WriteShareGroupStateRequest(Struct, key=85, versions="0-1", flexible="0+"):
    group_id: str = field("string", "0+")
    topics: Sequence[WriteStateData] = array(WriteStateData, "0+")


class PartitionResult(Struct):
    partition: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")


class WriteStateResult(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[PartitionResult] = array(PartitionResult, "0+")


class WriteShareGroupStateResponse(Struct, key=85, versions="0-1", flexible="0+"):
    results: Sequence[WriteStateResult] = array(WriteStateResult, "0+")
