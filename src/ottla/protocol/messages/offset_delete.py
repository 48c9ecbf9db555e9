"""OffsetDelete: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class OffsetDeleteRequestPartition(Struct):
    partition_index: int = field("int32", "0+")


class OffsetDeleteRequestTopic(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[OffsetDeleteRequestPartition] = array(OffsetDeleteRequestPartition, "0+")


class OffsetDeleteRequest(Struct, key=47, versions="0", flexible="none"):
    group_id: str = field("string", "0+")
    topics: Sequence[OffsetDeleteRequestTopic] = array(OffsetDeleteRequestTopic, "0+")


class OffsetDeleteResponsePartition(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")


class OffsetDeleteResponseTopic(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[OffsetDeleteResponsePartition] = array(OffsetDeleteResponsePartition, "0+")


class OffsetDeleteResponse(Struct, key=47, versions="0", flexible="none"):
    error_code: int = field("int16", "0+")
    throttle_time_ms: int = field("int32", "0+")
    topics: Sequence[OffsetDeleteResponseTopic] = array(OffsetDeleteResponseTopic, "0+")
