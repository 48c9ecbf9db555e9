"""DeleteRecords: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class DeleteRecordsPartition(Struct):
    partition_index: int = field("int32", "0+")
    offset: int = field("int64", "0+")


class DeleteRecordsTopic(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[DeleteRecordsPartition] = array(DeleteRecordsPartition, "0+")


class DeleteRecordsRequest(Struct, key=21, versions="0-2", flexible="2+"):
    topics: Sequence[DeleteRecordsTopic] = array(DeleteRecordsTopic, "0+")
    timeout_ms: int = field("int32", "0+")


class DeleteRecordsPartitionResult(Struct):
    partition_index: int = field("int32", "0+")
    low_watermark: int = field("int64", "0+")
    error_code: int = field("int16", "0+")


class DeleteRecordsTopicResult(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[DeleteRecordsPartitionResult] = array(DeleteRecordsPartitionResult, "0+")


class DeleteRecordsResponse(Struct, key=21, versions="0-2", flexible="2+"):
    throttle_time_ms: int = field("int32", "0+")
    topics: Sequence[DeleteRecordsTopicResult] = array(DeleteRecordsTopicResult, "0+")
