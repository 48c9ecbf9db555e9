"""DescribeTopicPartitions: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class TopicRequest(Struct):
    name: str = field("string", "0+")


class DescribeTopicPartitionsRequestCursor(Struct):
    topic_name: str = field("string", "0+")
    partition_index: int = field("int32", "0+")


class DescribeTopicPartitionsRequest(Struct, key=75, versions="0", flexible="0+"):
    topics: Sequence[TopicRequest] = array(TopicRequest, "0+")
    response_partition_limit: int = field("int32", "0+", default=2000)
    cursor: DescribeTopicPartitionsRequestCursor | None = field(
        DescribeTopicPartitionsRequestCursor, "0+", nullable="0+"
    )


class DescribeTopicPartitionsResponsePartition(Struct):
    error_code: int = field("int16", "0+")
    partition_index: int = field("int32", "0+")
    leader_id: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+", default=-1)
    replica_nodes: Sequence[int] = array("int32", "0+")
    isr_nodes: Sequence[int] = array("int32", "0+")
    eligible_leader_replicas: Sequence[int] | None = array("int32", "0+", nullable="0+")
    last_known_elr: Sequence[int] | None = array("int32", "0+", nullable="0+")
    offline_replicas: Sequence[int] = array("int32", "0+")


class DescribeTopicPartitionsResponseTopic(Struct):
    error_code: int = field("int16", "0+")
    name: str | None = field("string", "0+", nullable="0+")
    topic_id: UUID | None = field("uuid", "0+")
    is_internal: bool = field("bool", "0+")
    partitions: Sequence[DescribeTopicPartitionsResponsePartition] = array(
        DescribeTopicPartitionsResponsePartition, "0+"
    )
    topic_authorized_operations: int = field("int32", "0+", default=-2147483648)


class DescribeTopicPartitionsResponseCursor(Struct):
    topic_name: str = field("string", "0+")
    partition_index: int = field("int32", "0+")


class DescribeTopicPartitionsResponse(Struct, key=75, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    topics: Sequence[DescribeTopicPartitionsResponseTopic] = array(DescribeTopicPartitionsResponseTopic, "0+")
    next_cursor: DescribeTopicPartitionsResponseCursor | None = field(
        DescribeTopicPartitionsResponseCursor, "0+", nullable="0+"
    )
