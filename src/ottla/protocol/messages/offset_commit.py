"""OffsetCommit: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class OffsetCommitRequestPartition(Struct):
    partition_index: int = field("int32", "0+")
    committed_offset: int = field("int64", "0+")
    committed_leader_epoch: int = field("int32", "6+", default=-1)
    committed_metadata: str | None = field("string", "0+", nullable="0+")


class OffsetCommitRequestTopic(Struct):
    name: str = field("string", "0-9")
    topic_id: UUID | None = field("uuid", "10+")
    partitions: Sequence[OffsetCommitRequestPartition] = array(OffsetCommitRequestPartition, "0+")


class OffsetCommitRequest(Struct, key=8, versions="2-10", flexible="8+"):
    group_id: str = field("string", "0+")
    generation_id_or_member_epoch: int = field("int32", "1+", default=-1)
    member_id: str = field("string", "1+")
    group_instance_id: str | None = field("string", "7+", nullable="7+")
    retention_time_ms: int = field("int64", "2-4", default=-1)
    topics: Sequence[OffsetCommitRequestTopic] = array(OffsetCommitRequestTopic, "0+")


class OffsetCommitResponsePartition(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")


class OffsetCommitResponseTopic(Struct):
    name: str = field("string", "0-9")
    topic_id: UUID | None = field("uuid", "10+")
    partitions: Sequence[OffsetCommitResponsePartition] = array(OffsetCommitResponsePartition, "0+")


class OffsetCommitResponse(Struct, key=8, versions="2-10", flexible="8+"):
    throttle_time_ms: int = field("int32", "3+")
    topics: Sequence[OffsetCommitResponseTopic] = array(OffsetCommitResponseTopic, "0+")
