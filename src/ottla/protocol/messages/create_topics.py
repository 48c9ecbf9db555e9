"""CreateTopics: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class CreatableReplicaAssignment(Struct):
    partition_index: int = field("int32", "0+")
    broker_ids: Sequence[int] = array("int32", "0+")


class CreatableTopicConfig(Struct):
    name: str = field("string", "0+")
    value: str | None = field("string", "0+", nullable="0+")


class CreatableTopic(Struct):
    name: str = field("string", "0+")
    num_partitions: int = field("int32", "0+")
    replication_factor: int = field("int16", "0+")
    assignments: Sequence[CreatableReplicaAssignment] = array(CreatableReplicaAssignment, "0+")
    configs: Sequence[CreatableTopicConfig] = array(CreatableTopicConfig, "0+")


class CreateTopicsRequest(Struct, key=19, versions="2-7", flexible="5+"):
    topics: Sequence[CreatableTopic] = array(CreatableTopic, "0+")
    timeout_ms: int = field("int32", "0+", default=60000)
    validate_only: bool = field("bool", "1+")


class CreatableTopicConfigs(Struct):
    name: str = field("string", "5+")
    value: str | None = field("string", "5+", nullable="5+")
    read_only: bool = field("bool", "5+")
    config_source: int = field("int8", "5+", default=-1)
    is_sensitive: bool = field("bool", "5+")


class CreatableTopicResult(Struct):
    name: str = field("string", "0+")
    topic_id: UUID | None = field("uuid", "7+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "1+", nullable="0+")
    topic_config_error_code: int = field("int16", "5+", tag=0)
    num_partitions: int = field("int32", "5+", default=-1)
    replication_factor: int = field("int16", "5+", default=-1)
    configs: Sequence[CreatableTopicConfigs] | None = array(CreatableTopicConfigs, "5+", nullable="5+")


class CreateTopicsResponse(Struct, key=19, versions="2-7", flexible="5+"):
    throttle_time_ms: int = field("int32", "2+")
    topics: Sequence[CreatableTopicResult] = array(CreatableTopicResult, "0+")
