"""What members of classic consumer groups tell each other through the coordinator.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class ConsumerProtocolAssignmentTopicPartition(Struct):
    topic: str = field("string", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class ConsumerProtocolAssignment(Struct, versions="0-3", flexible="none"):
    assigned_partitions: Sequence[ConsumerProtocolAssignmentTopicPartition] = array(
        ConsumerProtocolAssignmentTopicPartition, "0+"
    )
    user_data: bytes | None = field("bytes", "0+", nullable="0+")


class ConsumerProtocolSubscriptionTopicPartition(Struct):
    topic: str = field("string", "1+")
    partitions: Sequence[int] = array("int32", "1+")


class ConsumerProtocolSubscription(Struct, versions="0-3", flexible="none"):
    topics: Sequence[str] = array("string", "0+")
    user_data: bytes | None = field("bytes", "0+", nullable="0+")
    owned_partitions: Sequence[ConsumerProtocolSubscriptionTopicPartition] = array(
        ConsumerProtocolSubscriptionTopicPartition, "1+"
    )
    generation_id: int = field("int32", "2+", default=-1)
    rack_id: str | None = field("string", "3+", nullable="3+")
