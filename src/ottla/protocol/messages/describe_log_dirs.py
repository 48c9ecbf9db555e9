"""DescribeLogDirs: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class DescribableLogDirTopic(Struct):
    topic: str = field("string", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class DescribeLogDirsRequest(Struct, key=35, versions="1-5", flexible="2+"):
    topics: Sequence[DescribableLogDirTopic] | None = array(DescribableLogDirTopic, "0+", nullable="0+")


class DescribeLogDirsPartition(Struct):
    partition_index: int = field("int32", "0+")
    partition_size: int = field("int64", "0+")
    offset_lag: int = field("int64", "0+")
    is_future_key: bool = field("bool", "0+")


class DescribeLogDirsTopic(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[DescribeLogDirsPartition] = array(DescribeLogDirsPartition, "0+")


class DescribeLogDirsResult(Struct):
    error_code: int = field("int16", "0+")
    log_dir: str = field("string", "0+")
    topics: Sequence[DescribeLogDirsTopic] = array(DescribeLogDirsTopic, "0+")
    total_bytes: int = field("int64", "4+", default=-1)
    usable_bytes: int = field("int64", "4+", default=-1)
    is_cordoned: bool = field("bool", "5+")


class DescribeLogDirsResponse(Struct, key=35, versions="1-5", flexible="2+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "3+")
    results: Sequence[DescribeLogDirsResult] = array(DescribeLogDirsResult, "0+")
