"""ConsumerGroupDescribe: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class ConsumerGroupDescribeRequest(Struct, key=69, versions="0-1", flexible="0+"):
    group_ids: Sequence[str] = array("string", "0+")
    include_authorized_operations: bool = field("bool", "0+")


class TopicPartitions(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    topic_name: str = field("string", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class Assignment(Struct):
    topic_partitions: Sequence[TopicPartitions] = array(TopicPartitions, "0+")


class Member(Struct):
    member_id: str = field("string", "0+")
    instance_id: str | None = field("string", "0+", nullable="0+")
    rack_id: str | None = field("string", "0+", nullable="0+")
    member_epoch: int = field("int32", "0+")
    client_id: str = field("string", "0+")
    client_host: str = field("string", "0+")
    subscribed_topic_names: Sequence[str] = array("string", "0+")
    subscribed_topic_regex: str | None = field("string", "0+", nullable="0+")
    assignment: Assignment = field(Assignment, "0+")
    target_assignment: Assignment = field(Assignment, "0+")
    member_type: int = field("int8", "1+", default=-1)


class DescribedGroup(Struct):
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    group_id: str = field("string", "0+")
    group_state: str = field("string", "0+")
    group_epoch: int = field("int32", "0+")
    assignment_epoch: int = field("int32", "0+")
    assignor_name: str = field("string", "0+")
    members: Sequence[Member] = array(Member, "0+")
    authorized_operations: int = field("int32", "0+", default=-2147483648)


class ConsumerGroupDescribeResponse(Struct, key=69, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    groups: Sequence[DescribedGroup] = array(DescribedGroup, "0+")
