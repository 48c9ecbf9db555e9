"""WriteTxnMarkers: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class WritableTxnMarkerTopic(Struct):
    name: str = field("string", "0+")
    partition_indexes: Sequence[int] = array("int32", "0+")


class WritableTxnMarker(Struct):
    producer_id: int = field("int64", "0+")
    producer_epoch: int = field("int16", "0+")
    transaction_result: bool = field("bool", "0+")
    topics: Sequence[WritableTxnMarkerTopic] = array(WritableTxnMarkerTopic, "0+")
    coordinator_epoch: int = field("int32", "0+")
    transaction_version: int = field("int8", "2+")


class WriteTxnMarkersRequest(Struct, key=27, versions="1-2", flexible="1+"):
    markers: Sequence[WritableTxnMarker] = array(WritableTxnMarker, "0+")


class WritableTxnMarkerPartitionResult(Struct):
    partition_index: int = field("int32", "0+")
    error_code: int = field("int16", "0+")


class WritableTxnMarkerTopicResult(Struct):
    name: str = field("string", "0+")
    partitions: Sequence[WritableTxnMarkerPartitionResult] = array(WritableTxnMarkerPartitionResult, "0+")


class WritableTxnMarkerResult(Struct):
    producer_id: int = field("int64", "0+")
    topics: Sequence[WritableTxnMarkerTopicResult] = array(WritableTxnMarkerTopicResult, "0+")


class WriteTxnMarkersResponse(Struct, key=27, versions="1-2", flexible="1+"):
    markers: Sequence[WritableTxnMarkerResult] = array(WritableTxnMarkerResult, "0+")
