"""DescribeProducers: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class TopicRequest(Struct):
    name: str = field("string", "0+")
    partition_indexes: Sequence[int] = array("int32", "0+")


class DescribeProducersRequest(Struct, key=61, versions="0", flexible="0+"):
    topics: Sequence[TopicRequest] = array(TopicRequest, "0+")


class ProducerState(Struct):
    producer_id: int = field("int64", "0+")
    producer_epoch: int = field("int32", "0+")
    last_sequence: int = field("int32", "0+", default=-1)
    last_timestamp: int = field("int64", "0+", default=-1)
    coordinator_epoch: int = field("int32", "0+")
    current_txn_start_offset: int = field("int64", "0+", default=-1)


class PartitionResponse(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    active_producers: Sequence[ProducerState] = array(ProducerState, "0+")


class TopicResponse(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[PartitionResponse] = array(PartitionResponse, "0+")


class DescribeProducersResponse(Struct, key=61, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    topics: Sequence[TopicResponse] = array(TopicResponse, "0+")
