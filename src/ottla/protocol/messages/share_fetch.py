"""ShareFetch: request and response.

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


class FetchPartition(Struct):
    partition_index: int = field("int32", "0+")
    partition_max_bytes: int = field("int32", "0")
    acknowledgement_batches: Sequence[AcknowledgementBatch] = array(AcknowledgementBatch, "0+")


class FetchTopic(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[FetchPartition] = array(FetchPartition, "0+")


class ForgottenTopic(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class ShareFetchRequest(Struct, key=78, versions="1-2", flexible="0+"):
    group_id: str | None = field("string", "0+", nullable="0+")
    member_id: str | None = field("string", "0+", nullable="0+")
    share_session_epoch: int = field("int32", "0+")
    max_wait_ms: int = field("int32", "0+")
    min_bytes: int = field("int32", "0+")
    max_bytes: int = field("int32", "0+", default=2147483647)
    max_records: int = field("int32", "1+")
    batch_size: int = field("int32", "1+")
    share_acquire_mode: int = field("int8", "2+")
    is_renew_ack: bool = field("bool", "2+")
    topics: Sequence[FetchTopic] = array(FetchTopic, "0+")
    forgotten_topics_data: Sequence[ForgottenTopic] = array(ForgottenTopic, "0+")


class LeaderIdAndEpoch(Struct):
    leader_id: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")


class AcquiredRecords(Struct):
    first_offset: int = field("int64", "0+")
    last_offset: int = field("int64", "0+")
    delivery_count: int = field("int16", "0+")


class PartitionData(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    acknowledge_error_code: int = field("int16", "0+")
    acknowledge_error_message: str | None = field("string", "0+", nullable="0+")
    current_leader: LeaderIdAndEpoch = field(LeaderIdAndEpoch, "0+")
    records: bytes | memoryview | None = field("records", "0+", nullable="0")
    acquired_records: Sequence[AcquiredRecords] = array(AcquiredRecords, "0+")


class ShareFetchableTopicResponse(Struct):
    topic_id: UUID | None = field("uuid", "0+")
    partitions: Sequence[PartitionData] = array(PartitionData, "0+")


class NodeEndpoint(Struct):
    node_id: int = field("int32", "0+")
    host: str = field("string", "0+")
    port: int = field("int32", "0+")
    rack: str | None = field("string", "0+", nullable="0+")


class ShareFetchResponse(Struct, key=78, versions="1-2", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    acquisition_lock_timeout_ms: int = field("int32", "1+")
    responses: Sequence[ShareFetchableTopicResponse] = array(ShareFetchableTopicResponse, "0+")
    node_endpoints: Sequence[NodeEndpoint] = array(NodeEndpoint, "0+")
