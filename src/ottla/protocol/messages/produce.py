"""Produce: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class PartitionProduceData(Struct):
    index: int = field("int32", "0+")
    records: bytes | memoryview | None = field("records", "0+", nullable="0+")


class TopicProduceData(Struct):
    name: str = field("string", "0-12")
    topic_id: UUID | None = field("uuid", "13+")
    partition_data: Sequence[PartitionProduceData] = array(PartitionProduceData, "0+")


class ProduceRequest(Struct, key=0, versions="3-13", flexible="9+"):
    transactional_id: str | None = field("string", "3+", nullable="3+")
    acks: int = field("int16", "0+")
    timeout_ms: int = field("int32", "0+")
    topic_data: Sequence[TopicProduceData] = array(TopicProduceData, "0+")


class BatchIndexAndErrorMessage(Struct):
    batch_index: int = field("int32", "8+")
    batch_index_error_message: str | None = field("string", "8+", nullable="8+")


class LeaderIdAndEpoch(Struct):
    leader_id: int = field("int32", "10+", default=-1)
    leader_epoch: int = field("int32", "10+", default=-1)


class PartitionProduceResponse(Struct):
    index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    base_offset: int = field("int64", "0+")
    log_append_time_ms: int = field("int64", "2+", default=-1)
    log_start_offset: int = field("int64", "5+", default=-1)
    record_errors: Sequence[BatchIndexAndErrorMessage] = array(BatchIndexAndErrorMessage, "8+")
    error_message: str | None = field("string", "8+", nullable="8+")
    current_leader: LeaderIdAndEpoch = field(LeaderIdAndEpoch, "10+", tag=0)


class TopicProduceResponse(Struct):
    name: str = field("string", "0-12")
    topic_id: UUID | None = field("uuid", "13+")
    partition_responses: Sequence[PartitionProduceResponse] = array(PartitionProduceResponse, "0+")


class NodeEndpoint(Struct):
    node_id: int = field("int32", "10+")
    host: str = field("string", "10+")
    port: int = field("int32", "10+")
    rack: str | None = field("string", "10+", nullable="10+")


class ProduceResponse(Struct, key=0, versions="3-13", flexible="9+"):
    responses: Sequence[TopicProduceResponse] = array(TopicProduceResponse, "0+")
    throttle_time_ms: int = field("int32", "1+")
    node_endpoints: Sequence[NodeEndpoint] = array(NodeEndpoint, "10+", tag=0)
