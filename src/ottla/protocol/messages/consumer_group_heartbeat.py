"""ConsumerGroupHeartbeat: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class ConsumerGroupHeartbeatRequestTopicPartitions(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class ConsumerGroupHeartbeatRequest(Struct, key=68, versions="0-1", flexible="0+"):
    group_id: str = field("string", "0+")
    member_id: str = field("string", "0+")
    member_epoch: int = field("int32", "0+")
    instance_id: str | None = field("string", "0+", nullable="0+")
    rack_id: str | None = field("string", "0+", nullable="0+")
    rebalance_timeout_ms: int = field("int32", "0+", default=-1)
    subscribed_topic_names: Sequence[str] | None = array("string", "0+", nullable="0+")
    subscribed_topic_regex: str | None = field("string", "1+", nullable="1+")
    server_assignor: str | None = field("string", "0+", nullable="0+")
    topic_partitions: Sequence[ConsumerGroupHeartbeatRequestTopicPartitions] | None = array(
        ConsumerGroupHeartbeatRequestTopicPartitions, "0+", nullable="0+"
    )


class ConsumerGroupHeartbeatResponseTopicPartitions(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class Assignment(Struct):
    topic_partitions: Sequence[ConsumerGroupHeartbeatResponseTopicPartitions] = array(
        ConsumerGroupHeartbeatResponseTopicPartitions, "0+"
    )


class ConsumerGroupHeartbeatResponse(Struct, key=68, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    member_id: str | None = field("string", "0+", nullable="0+")
    member_epoch: int = field("int32", "0+")
    heartbeat_interval_ms: int = field("int32", "0+")
    assignment: Assignment | None = field(Assignment, "0+", nullable="0+")
