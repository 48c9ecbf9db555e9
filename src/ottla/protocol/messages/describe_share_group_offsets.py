"""DescribeShareGroupOffsets: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class DescribeShareGroupOffsetsRequestTopic(Struct):
    topic_name: str = field("string", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class DescribeShareGroupOffsetsRequestGroup(Struct):
    group_id: str = field("string", "0+")
    topics: Sequence[DescribeShareGroupOffsetsRequestTopic] | None = array(
        DescribeShareGroupOffsetsRequestTopic, "0+", nullable="0+"
    )


class DescribeShareGroupOffsetsRequest(Struct, key=90, versions="0-1", flexible="0+"):
    groups: Sequence[DescribeShareGroupOffsetsRequestGroup] = array(
        DescribeShareGroupOffsetsRequestGroup, "0+"
    )


class DescribeShareGroupOffsetsResponsePartition(Struct):
    partition_index: int = field("int32", "0+")
    start_offset: int = field("int64", "0+")
    leader_epoch: int = field("int32", "0+")
    lag: int = field("int64", "1+", default=-1)
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")


class DescribeShareGroupOffsetsResponseTopic(Struct):
    topic_name: str = field("string", "0+")
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[DescribeShareGroupOffsetsResponsePartition] = array(
        DescribeShareGroupOffsetsResponsePartition, "0+"
    )


class DescribeShareGroupOffsetsResponseGroup(Struct):
    group_id: str = field("string", "0+")
    topics: Sequence[DescribeShareGroupOffsetsResponseTopic] = array(
        DescribeShareGroupOffsetsResponseTopic, "0+"
    )
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")


class DescribeShareGroupOffsetsResponse(Struct, key=90, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    groups: Sequence[DescribeShareGroupOffsetsResponseGroup] = array(
        DescribeShareGroupOffsetsResponseGroup, "0+"
    )
