"""ListPartitionReassignments: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class ListPartitionReassignmentsTopics(Struct):
    name: str = field("string", "0+")
    partition_indexes: Sequence[int] = array("int32", "0+")


class ListPartitionReassignmentsRequest(Struct, key=46, versions="0", flexible="0+"):
    timeout_ms: int = field("int32", "0+", default=60000)
    topics: Sequence[ListPartitionReassignmentsTopics] | None = array(
        ListPartitionReassignmentsTopics, "0+", nullable="0+"
    )


class OngoingPartitionReassignment(Struct):
    partition_index: int = field("int32", "0+")
    replicas: Sequence[int] = array("int32", "0+")
    adding_replicas: Sequence[int] = array("int32", "0+")
    removing_replicas: Sequence[int] = array("int32", "0+")


class OngoingTopicReassignment(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[OngoingPartitionReassignment] = array(OngoingPartitionReassignment, "0+")


class ListPartitionReassignmentsResponse(Struct, key=46, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    topics: Sequence[OngoingTopicReassignment] = array(OngoingTopicReassignment, "0+")
