"""Records of streams groups (KIP-1071) in `__consumer_offsets`.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ottla.protocol.structs import Struct, array, field


class StreamsGroupCurrentMemberAssignmentKey(Struct, key=22, versions="0", flexible="none"):
    group_id: str = field("string", "0")
    member_id: str = field("string", "0")


class StreamsGroupCurrentMemberAssignmentValueTaskIds(Struct):
    subtopology_id: str = field("string", "0+")
    partitions: Sequence[int] = array("int32", "0+")
    assignment_epochs: Sequence[int] | None = array("int32", "0+", nullable="0+", tag=0)


class StreamsGroupCurrentMemberAssignmentValue(Struct, key=22, versions="0", flexible="0+"):
    member_epoch: int = field("int32", "0+")
    previous_member_epoch: int = field("int32", "0+")
    state: int = field("int8", "0+")
    active_tasks: Sequence[StreamsGroupCurrentMemberAssignmentValueTaskIds] = array(
        StreamsGroupCurrentMemberAssignmentValueTaskIds, "0+"
    )
    standby_tasks: Sequence[StreamsGroupCurrentMemberAssignmentValueTaskIds] = array(
        StreamsGroupCurrentMemberAssignmentValueTaskIds, "0+"
    )
    warmup_tasks: Sequence[StreamsGroupCurrentMemberAssignmentValueTaskIds] = array(
        StreamsGroupCurrentMemberAssignmentValueTaskIds, "0+"
    )
    active_tasks_pending_revocation: Sequence[StreamsGroupCurrentMemberAssignmentValueTaskIds] = array(
        StreamsGroupCurrentMemberAssignmentValueTaskIds, "0+"
    )
    standby_tasks_pending_revocation: Sequence[StreamsGroupCurrentMemberAssignmentValueTaskIds] = array(
        StreamsGroupCurrentMemberAssignmentValueTaskIds, "0+"
    )
    warmup_tasks_pending_revocation: Sequence[StreamsGroupCurrentMemberAssignmentValueTaskIds] = array(
        StreamsGroupCurrentMemberAssignmentValueTaskIds, "0+"
    )


class StreamsGroupMemberMetadataKey(Struct, key=19, versions="0", flexible="none"):
    group_id: str = field("string", "0")
    member_id: str = field("string", "0")


class Endpoint(Struct):
    host: str = field("string", "0+")
    port: int = field("uint16", "0+")


class KeyValue(Struct):
    key: str = field("string", "0+")
    value: str = field("string", "0+")


class StreamsGroupMemberMetadataValue(Struct, key=19, versions="0", flexible="0+"):
    instance_id: str | None = field("string", "0+", nullable="0+")
    rack_id: str | None = field("string", "0+", nullable="0+")
    client_id: str = field("string", "0+")
    client_host: str = field("string", "0+")
    rebalance_timeout_ms: int = field("int32", "0+", default=-1)
    topology_epoch: int = field("int32", "0+")
    process_id: str = field("string", "0+")
    user_endpoint: Endpoint | None = field(Endpoint, "0+", nullable="0+")
    client_tags: Sequence[KeyValue] = array(KeyValue, "0+")


class StreamsGroupMetadataKey(Struct, key=17, versions="0", flexible="none"):
    group_id: str = field("string", "0")


class LastAssignmentConfig(Struct):
    key: str = field("string", "0+")
    value: str = field("string", "0+")


class StreamsGroupMetadataValue(Struct, key=17, versions="0", flexible="0+"):
    epoch: int = field("int32", "0+")
    metadata_hash: int = field("int64", "0+")
    validated_topology_epoch: int = field("int32", "0+", default=-1, tag=0)
    last_assignment_configs: Sequence[LastAssignmentConfig] | None = array(
        LastAssignmentConfig, "0+", nullable="0+", tag=1
    )
    stored_description_topology_epoch: int = field("int32", "0+", default=-1, tag=2)
    failed_description_topology_epoch: int = field("int32", "0+", default=-1, tag=3)


class StreamsGroupTargetAssignmentMemberKey(Struct, key=21, versions="0", flexible="none"):
    group_id: str = field("string", "0")
    member_id: str = field("string", "0")


class StreamsGroupTargetAssignmentMemberValueTaskIds(Struct):
    subtopology_id: str = field("string", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class StreamsGroupTargetAssignmentMemberValue(Struct, key=21, versions="0", flexible="0+"):
    active_tasks: Sequence[StreamsGroupTargetAssignmentMemberValueTaskIds] = array(
        StreamsGroupTargetAssignmentMemberValueTaskIds, "0+"
    )
    standby_tasks: Sequence[StreamsGroupTargetAssignmentMemberValueTaskIds] = array(
        StreamsGroupTargetAssignmentMemberValueTaskIds, "0+"
    )
    warmup_tasks: Sequence[StreamsGroupTargetAssignmentMemberValueTaskIds] = array(
        StreamsGroupTargetAssignmentMemberValueTaskIds, "0+"
    )


class StreamsGroupTargetAssignmentMetadataKey(Struct, key=20, versions="0", flexible="none"):
    group_id: str = field("string", "0")


class StreamsGroupTargetAssignmentMetadataValue(Struct, key=20, versions="0", flexible="0+"):
    assignment_epoch: int = field("int32", "0+")
    assignment_timestamp: int = field("int64", "0+", tag=0)


class StreamsGroupTopologyKey(Struct, key=23, versions="0", flexible="none"):
    group_id: str = field("string", "0")


class TopicConfig(Struct):
    key: str = field("string", "0+")
    value: str = field("string", "0+")


class TopicInfo(Struct):
    name: str = field("string", "0+")
    partitions: int = field("int32", "0+")
    replication_factor: int = field("int16", "0+")
    topic_configs: Sequence[TopicConfig] = array(TopicConfig, "0+")


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


class StreamsGroupTopologyValue(Struct, key=23, versions="0", flexible="0+"):
    epoch: int = field("int32", "0+")
    subtopologies: Sequence[Subtopology] = array(Subtopology, "0+")


RECORDS: Final[dict[int, tuple[type[Struct], type[Struct]]]] = {
    17: (StreamsGroupMetadataKey, StreamsGroupMetadataValue),
    19: (StreamsGroupMemberMetadataKey, StreamsGroupMemberMetadataValue),
    20: (StreamsGroupTargetAssignmentMetadataKey, StreamsGroupTargetAssignmentMetadataValue),
    21: (StreamsGroupTargetAssignmentMemberKey, StreamsGroupTargetAssignmentMemberValue),
    22: (StreamsGroupCurrentMemberAssignmentKey, StreamsGroupCurrentMemberAssignmentValue),
    23: (StreamsGroupTopologyKey, StreamsGroupTopologyValue),
}
"""Key and value by the type of the record."""
