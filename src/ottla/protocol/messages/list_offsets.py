"""ListOffsets: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class ListOffsetsPartition(Struct):
    partition_index: int = field("int32", "0+")
    current_leader_epoch: int = field("int32", "4+", default=-1)
    timestamp: int = field("int64", "0+")


class ListOffsetsTopic(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[ListOffsetsPartition] = array(ListOffsetsPartition, "0+")


class ListOffsetsRequest(Struct, key=2, versions="1-11", flexible="6+"):
    replica_id: int = field("int32", "0+")
    isolation_level: int = field("int8", "2+")
    topics: Sequence[ListOffsetsTopic] = array(ListOffsetsTopic, "0+")
    timeout_ms: int = field("int32", "10+")


class ListOffsetsPartitionResponse(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    timestamp: int = field("int64", "1+", default=-1)
    offset: int = field("int64", "1+", default=-1)
    leader_epoch: int = field("int32", "4+", default=-1)


class ListOffsetsTopicResponse(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[ListOffsetsPartitionResponse] = array(ListOffsetsPartitionResponse, "0+")


class ListOffsetsResponse(Struct, key=2, versions="1-11", flexible="6+"):
    throttle_time_ms: int = field("int32", "2+")
    topics: Sequence[ListOffsetsTopicResponse] = array(ListOffsetsTopicResponse, "0+")
