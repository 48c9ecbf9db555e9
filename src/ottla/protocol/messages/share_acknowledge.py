"""ShareAcknowledge: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class AcknowledgementBatch(Struct):
    first_offset: int = field("int64", "0+")
    last_offset: int = field("int64", "0+")
    acknowledge_types: Sequence[int] = array("int8", "0+")


class AcknowledgePartition(Struct):
    partition_index: int = field("int32", "0+")
    acknowledgement_batches: Sequence[AcknowledgementBatch] = array(AcknowledgementBatch, "0+")


class AcknowledgeTopic(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[AcknowledgePartition] = array(AcknowledgePartition, "0+")


class ShareAcknowledgeRequest(Struct, key=79, versions="1-2", flexible="0+"):
    group_id: str | None = field("string", "0+", nullable="0+")
    member_id: str | None = field("string", "0+", nullable="0+")
    share_session_epoch: int = field("int32", "0+")
    is_renew_ack: bool = field("bool", "2+")
    topics: Sequence[AcknowledgeTopic] = array(AcknowledgeTopic, "0+")


class LeaderIdAndEpoch(Struct):
    leader_id: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")


class PartitionData(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    current_leader: LeaderIdAndEpoch = field(LeaderIdAndEpoch, "0+")


class ShareAcknowledgeTopicResponse(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[PartitionData] = array(PartitionData, "0+")


class NodeEndpoint(Struct):
    node_id: int = field("int32", "0+")
    host: str = field("string", "0+")
    port: int = field("int32", "0+")
    rack: str | None = field("string", "0+", nullable="0+")


class ShareAcknowledgeResponse(Struct, key=79, versions="1-2", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    acquisition_lock_timeout_ms: int = field("int32", "2+")
    responses: Sequence[ShareAcknowledgeTopicResponse] = array(ShareAcknowledgeTopicResponse, "0+")
    node_endpoints: Sequence[NodeEndpoint] = array(NodeEndpoint, "0+")
