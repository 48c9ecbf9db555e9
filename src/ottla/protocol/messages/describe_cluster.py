"""DescribeCluster: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class DescribeClusterRequest(Struct, key=60, versions="0-2", flexible="0+"):
    include_cluster_authorized_operations: bool = field("bool", "0+")
    endpoint_type: int = field("int8", "1+", default=1)
    include_fenced_brokers: bool = field("bool", "2+")


class DescribeClusterBroker(Struct):
    broker_id: int = field("int32", "0+")
    host: str = field("string", "0+")
    port: int = field("int32", "0+")
    rack: str | None = field("string", "0+", nullable="0+")
    is_fenced: bool = field("bool", "2+")


class DescribeClusterResponse(Struct, key=60, versions="0-2", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    endpoint_type: int = field("int8", "1+", default=1)
    cluster_id: str = field("string", "0+")
    controller_id: int = field("int32", "0+", default=-1)
    brokers: Sequence[DescribeClusterBroker] = array(DescribeClusterBroker, "0+")
    cluster_authorized_operations: int = field("int32", "0+", default=-2147483648)
