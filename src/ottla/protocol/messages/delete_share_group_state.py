"""DeleteShareGroupState: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class PartitionData(Struct):
    partition: int = field("int32", "0+")


class DeleteStateData(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[PartitionData] = array(PartitionData, "0+")


class DeleteShareGroupStateRequest(Struct, key=86, versions="0", flexible="0+"):
    group_id: str = field("string", "0+")
    topics: Sequence[DeleteStateData] = array(DeleteStateData, "0+")


class PartitionResult(Struct):
    partition: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")


class DeleteStateResult(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[PartitionResult] = array(PartitionResult, "0+")


class DeleteShareGroupStateResponse(Struct, key=86, versions="0", flexible="0+"):
    results: Sequence[DeleteStateResult] = array(DeleteStateResult, "0+")
