"""StreamsGroupHeartbeat: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class KeyValue(Struct):
    key: str = field("string", "0+")
    value: str = field("string", "0+")


class TopicInfo(Struct):
    name: str = field("string", "0+")
    partitions: int = field("int32", "0+")
    replication_factor: int = field("int16", "0+")
    topic_configs: Sequence[KeyValue] = array(KeyValue, "0+")


class CopartitionGroup(Struct):
    source_topics: Sequence[int] = array("int16", "0+")
    source_topic_regex: Sequence[int] = array("int16", "0+")
    repartition_source_topics: Sequence[int] = array("int16", "0+")


class Subtopology(Struct):
    subtopology_id: str = field("string", "0+")
    source_topics: Sequence[str] = array("string", "0+")
    source_topic_regex: Sequence[str] = array("string", "0+")
    state_changelog_topics: Sequence[TopicInfo] = array(TopicInfo, "0+")
    repartition_sink_topics: Sequence[str] = array("string", "0+")
    repartition_source_topics: Sequence[TopicInfo] = array(TopicInfo, "0+")
    copartition_groups: Sequence[CopartitionGroup] = array(CopartitionGroup, "0+")


class Topology(Struct):
    epoch: int = field("int32", "0+")
    subtopologies: Sequence[Subtopology] = array(Subtopology, "0+")


class StreamsGroupHeartbeatRequestTaskIds(Struct):
    subtopology_id: str = field("string", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class StreamsGroupHeartbeatRequestEndpoint(Struct):
    host: str = field("string", "0+")
    port: int = field("uint16", "0+")


class TaskOffset(Struct):
    subtopology_id: str = field("string", "0+")
    partition: int = field("int32", "0+")
    offset: int = field("int64", "0+")


class StreamsGroupHeartbeatRequest(Struct, key=88, versions="0-1", flexible="0+"):
    group_id: str = field("string", "0+")
    member_id: str = field("string", "0+")
    member_epoch: int = field("int32", "0+")
    endpoint_information_epoch: int = field("int32", "0+")
    instance_id: str | None = field("string", "0+", nullable="0+")
    rack_id: str | None = field("string", "0+", nullable="0+")
    rebalance_timeout_ms: int = field("int32", "0+", default=-1)
    topology: Topology | None = field(Topology, "0+", nullable="0+")
    active_tasks: Sequence[StreamsGroupHeartbeatRequestTaskIds] | None = array(
        StreamsGroupHeartbeatRequestTaskIds, "0+", nullable="0+"
    )
    standby_tasks: Sequence[StreamsGroupHeartbeatRequestTaskIds] | None = array(
        StreamsGroupHeartbeatRequestTaskIds, "0+", nullable="0+"
    )
    warmup_tasks: Sequence[StreamsGroupHeartbeatRequestTaskIds] | None = array(
        StreamsGroupHeartbeatRequestTaskIds, "0+", nullable="0+"
    )
    process_id: str | None = field("string", "0+", nullable="0+")
    user_endpoint: StreamsGroupHeartbeatRequestEndpoint | None = field(
        StreamsGroupHeartbeatRequestEndpoint, "0+", nullable="0+"
    )
    client_tags: Sequence[KeyValue] | None = array(KeyValue, "0+", nullable="0+")
    task_offsets: Sequence[TaskOffset] | None = array(TaskOffset, "0+", nullable="0+")
    task_end_offsets: Sequence[TaskOffset] | None = array(TaskOffset, "0+", nullable="0+")
    shutdown_application: bool = field("bool", "0+")


class Status(Struct):
    status_code: int = field("int8", "0+")
    status_detail: str = field("string", "0+")


class StreamsGroupHeartbeatResponseTaskIds(Struct):
    subtopology_id: str = field("string", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class StreamsGroupHeartbeatResponseEndpoint(Struct):
    host: str = field("string", "0+")
    port: int = field("uint16", "0+")


class TopicPartition(Struct):
    topic: str = field("string", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class EndpointToPartitions(Struct):
    user_endpoint: StreamsGroupHeartbeatResponseEndpoint = field(StreamsGroupHeartbeatResponseEndpoint, "0+")
    active_partitions: Sequence[TopicPartition] = array(TopicPartition, "0+")
    standby_partitions: Sequence[TopicPartition] = array(TopicPartition, "0+")


class StreamsGroupHeartbeatResponse(Struct, key=88, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    member_id: str = field("string", "0+")
    member_epoch: int = field("int32", "0+")
    heartbeat_interval_ms: int = field("int32", "0+")
    acceptable_recovery_lag_legacy: int = field("int32", "0")
    task_offset_interval_ms: int = field("int32", "0+")
    acceptable_recovery_lag: int = field("int64", "1+", default=-1)
    status: Sequence[Status] | None = array(Status, "0+", nullable="0+")
    active_tasks: Sequence[StreamsGroupHeartbeatResponseTaskIds] | None = array(
        StreamsGroupHeartbeatResponseTaskIds, "0+", nullable="0+"
    )
    standby_tasks: Sequence[StreamsGroupHeartbeatResponseTaskIds] | None = array(
        StreamsGroupHeartbeatResponseTaskIds, "0+", nullable="0+"
    )
    warmup_tasks: Sequence[StreamsGroupHeartbeatResponseTaskIds] | None = array(
        StreamsGroupHeartbeatResponseTaskIds, "0+", nullable="0+"
    )
    topology_description_required: bool = field("bool", "1+")
    endpoint_information_epoch: int = field("int32", "0+")
    partitions_by_user_endpoint: Sequence[EndpointToPartitions] | None = array(
        EndpointToPartitions, "0+", nullable="0+"
    )
