"""CreatePartitions: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class CreatePartitionsAssignment(Struct):
    broker_ids: Sequence[int] = array("int32", "0+")


class CreatePartitionsTopic(Struct):
    name: str = field("string", "0+")
    count: int = field("int32", "0+")
    assignments: Sequence[CreatePartitionsAssignment] | None = array(
        CreatePartitionsAssignment, "0+", nullable="0+"
    )


class CreatePartitionsRequest(Struct, key=37, versions="0-3", flexible="2+"):
    topics: Sequence[CreatePartitionsTopic] = array(CreatePartitionsTopic, "0+")
    timeout_ms: int = field("int32", "0+")
    validate_only: bool = field("bool", "0+")


class CreatePartitionsTopicResult(Struct):
    name: str = field("string", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")


class CreatePartitionsResponse(Struct, key=37, versions="0-3", flexible="2+"):
    throttle_time_ms: int = field("int32", "0+")
    results: Sequence[CreatePartitionsTopicResult] = array(CreatePartitionsTopicResult, "0+")
