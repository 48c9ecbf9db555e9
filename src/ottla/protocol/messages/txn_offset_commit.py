"""TxnOffsetCommit: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class TxnOffsetCommitRequestPartition(Struct):
    partition_index: int = field("int32", "0+")
    committed_offset: int = field("int64", "0+")
    committed_leader_epoch: int = field("int32", "2+", default=-1)
    committed_metadata: str | None = field("string", "0+", nullable="0+")


class TxnOffsetCommitRequestTopic(Struct):
    name: str = field("string", "0-5")
    topic_id: UUID | None = field("uuid", "6+")
    partitions: Sequence[TxnOffsetCommitRequestPartition] = array(TxnOffsetCommitRequestPartition, "0+")


class TxnOffsetCommitRequest(Struct, key=28, versions="0-6", flexible="3+"):
    transactional_id: str = field("string", "0+")
    group_id: str = field("string", "0+")
    producer_id: int = field("int64", "0+")
    producer_epoch: int = field("int16", "0+")
    generation_id_or_member_epoch: int = field("int32", "3+", default=-1)
    member_id: str = field("string", "3+")
    group_instance_id: str | None = field("string", "3+", nullable="3+")
    topics: Sequence[TxnOffsetCommitRequestTopic] = array(TxnOffsetCommitRequestTopic, "0+")


class TxnOffsetCommitResponsePartition(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")


class TxnOffsetCommitResponseTopic(Struct):
    name: str = field("string", "0-5")
    topic_id: UUID | None = field("uuid", "6+")
    partitions: Sequence[TxnOffsetCommitResponsePartition] = array(TxnOffsetCommitResponsePartition, "0+")


class TxnOffsetCommitResponse(Struct, key=28, versions="0-6", flexible="3+"):
    throttle_time_ms: int = field("int32", "0+")
    topics: Sequence[TxnOffsetCommitResponseTopic] = array(TxnOffsetCommitResponseTopic, "0+")
