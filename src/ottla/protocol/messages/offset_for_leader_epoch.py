"""OffsetForLeaderEpoch: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class OffsetForLeaderPartition(Struct):
    partition: int = field("int32", "0+")
    current_leader_epoch: int = field("int32", "2+", default=-1)
    leader_epoch: int = field("int32", "0+")


class OffsetForLeaderTopic(Struct):
    topic: str = field("string", "0+")
    partitions: Sequence[OffsetForLeaderPartition] = array(OffsetForLeaderPartition, "0+")


class OffsetForLeaderEpochRequest(Struct, key=23, versions="2-4", flexible="4+"):
    replica_id: int = field("int32", "3+", default=-2)
    topics: Sequence[OffsetForLeaderTopic] = array(OffsetForLeaderTopic, "0+")


class EpochEndOffset(Struct):
    error_code: int = field("int16", "0+")
    partition: int = field("int32", "0+")
    leader_epoch: int = field("int32", "1+", default=-1)
    end_offset: int = field("int64", "0+", default=-1)


class OffsetForLeaderTopicResult(Struct):
    topic: str = field("string", "0+")
    partitions: Sequence[EpochEndOffset] = array(EpochEndOffset, "0+")


class OffsetForLeaderEpochResponse(Struct, key=23, versions="2-4", flexible="4+"):
    throttle_time_ms: int = field("int32", "2+")
    topics: Sequence[OffsetForLeaderTopicResult] = array(OffsetForLeaderTopicResult, "0+")
