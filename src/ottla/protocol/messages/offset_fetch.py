"""OffsetFetch: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class OffsetFetchRequestTopic(Struct):
    name: str = field("string", "0-7")
    partition_indexes: Sequence[int] = array("int32", "0-7")


class OffsetFetchRequestTopics(Struct):
    name: str = field("string", "8-9")
    topic_id: UUID | None = field("uuid", "10+")
    partition_indexes: Sequence[int] = array("int32", "8+")


class OffsetFetchRequestGroup(Struct):
    group_id: str = field("string", "8+")
    member_id: str | None = field("string", "9+", nullable="9+")
    member_epoch: int = field("int32", "9+", default=-1)
    topics: Sequence[OffsetFetchRequestTopics] | None = array(OffsetFetchRequestTopics, "8+", nullable="8+")


class OffsetFetchRequest(Struct, key=9, versions="1-10", flexible="6+"):
    group_id: str = field("string", "0-7")
    topics: Sequence[OffsetFetchRequestTopic] | None = array(OffsetFetchRequestTopic, "0-7", nullable="2-7")
    groups: Sequence[OffsetFetchRequestGroup] = array(OffsetFetchRequestGroup, "8+")
    require_stable: bool = field("bool", "7+")


class OffsetFetchResponsePartition(Struct):
    partition_index: int = field("int32", "0-7")
    committed_offset: int = field("int64", "0-7")
    committed_leader_epoch: int = field("int32", "5-7", default=-1)
    metadata: str | None = field("string", "0-7", nullable="0-7")
    error_code: int = field("int16", "0-7")


class OffsetFetchResponseTopic(Struct):
    name: str = field("string", "0-7")
    partitions: Sequence[OffsetFetchResponsePartition] = array(OffsetFetchResponsePartition, "0-7")


class OffsetFetchResponsePartitions(Struct):
    partition_index: int = field("int32", "8+")
    committed_offset: int = field("int64", "8+")
    committed_leader_epoch: int = field("int32", "8+", default=-1)
    metadata: str | None = field("string", "8+", nullable="8+")
    error_code: int = field("int16", "8+")


class OffsetFetchResponseTopics(Struct):
    name: str = field("string", "8-9")
    topic_id: UUID | None = field("uuid", "10+")
    partitions: Sequence[OffsetFetchResponsePartitions] = array(OffsetFetchResponsePartitions, "8+")


class OffsetFetchResponseGroup(Struct):
    group_id: str = field("string", "8+")
    topics: Sequence[OffsetFetchResponseTopics] = array(OffsetFetchResponseTopics, "8+")
    error_code: int = field("int16", "8+")


class OffsetFetchResponse(Struct, key=9, versions="1-10", flexible="6+"):
    throttle_time_ms: int = field("int32", "3+")
    topics: Sequence[OffsetFetchResponseTopic] = array(OffsetFetchResponseTopic, "0-7")
    error_code: int = field("int16", "2-7")
    groups: Sequence[OffsetFetchResponseGroup] = array(OffsetFetchResponseGroup, "8+")
