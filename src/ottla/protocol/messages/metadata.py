"""Metadata: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class MetadataRequestTopic(Struct):
    topic_id: UUID | None = field("uuid", "10+")
    name: str | None = field("string", "0+", nullable="10+")


class MetadataRequest(Struct, key=3, versions="0-13", flexible="9+"):
    topics: Sequence[MetadataRequestTopic] | None = array(MetadataRequestTopic, "0+", nullable="1+")
    allow_auto_topic_creation: bool = field("bool", "4+", default=True)
    include_cluster_authorized_operations: bool = field("bool", "8-10")
    include_topic_authorized_operations: bool = field("bool", "8+")


class MetadataResponseBroker(Struct):
    node_id: int = field("int32", "0+")
    host: str = field("string", "0+")
    port: int = field("int32", "0+")
    rack: str | None = field("string", "1+", nullable="1+")


class MetadataResponsePartition(Struct):
    error_code: int = field("int16", "0+")
    partition_index: int = field("int32", "0+")
    leader_id: int = field("int32", "0+")
    leader_epoch: int = field("int32", "7+", default=-1)
    replica_nodes: Sequence[int] = array("int32", "0+")
    isr_nodes: Sequence[int] = array("int32", "0+")
    offline_replicas: Sequence[int] = array("int32", "5+")


class MetadataResponseTopic(Struct):
    error_code: int = field("int16", "0+")
    name: str | None = field("string", "0+", nullable="12+")
    topic_id: UUID | None = field("uuid", "10+")
    is_internal: bool = field("bool", "1+")
    partitions: Sequence[MetadataResponsePartition] = array(MetadataResponsePartition, "0+")
    topic_authorized_operations: int = field("int32", "8+", default=-2147483648)


class MetadataResponse(Struct, key=3, versions="0-13", flexible="9+"):
    throttle_time_ms: int = field("int32", "3+")
    brokers: Sequence[MetadataResponseBroker] = array(MetadataResponseBroker, "0+")
    cluster_id: str | None = field("string", "2+", nullable="2+")
    controller_id: int = field("int32", "1+", default=-1)
    topics: Sequence[MetadataResponseTopic] = array(MetadataResponseTopic, "0+")
    cluster_authorized_operations: int = field("int32", "8-10", default=-2147483648)
    error_code: int = field("int16", "13+")
