"""WriteTxnMarkers: the coordinator, or who aborts a hanging transaction, ends it in partitions led here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import OnCluster
from ottla.broker.services import TransactionServices
from ottla.coordination.runtime import Producer
from ottla.coordination.transactions.markers import TopicPartition, TxnMarker
from ottla.coordinator.shards import Answered, following
from ottla.protocol.codes import Operation
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.write_txn_markers import (
    WritableTxnMarkerPartitionResult,
    WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)


def _markers(message: WriteTxnMarkersRequest) -> list[TxnMarker]:
    return [
        TxnMarker(
            Producer(each.producer_id, each.producer_epoch),
            each.transaction_result,
            [(topic.name, index) for topic in each.topics for index in topic.partition_indexes],
            each.coordinator_epoch,
            each.transaction_version,
        )
        for each in message.markers
    ]


def _handle(
    services: TransactionServices, _context: RequestContext, message: WriteTxnMarkersRequest
) -> Answered[WriteTxnMarkersResponse]:
    markers = _markers(message)
    return following(services.markers.write_markers(markers), partial(_response, markers))


def _response(
    markers: Sequence[TxnMarker], results: Sequence[Mapping[TopicPartition, int]]
) -> WriteTxnMarkersResponse:
    found: dict[int, dict[str, dict[int, int]]] = {}
    for marker, codes in zip(markers, results, strict=True):
        # As in Kafka a producer has one result, and of a partition that it names twice the last counts.
        for (topic, index), code in codes.items():
            topics = found.setdefault(marker.producer.producer_id, {})
            topics.setdefault(topic, {})[index] = code
    return WriteTxnMarkersResponse(
        markers=[
            WritableTxnMarkerResult(
                producer_id=producer_id,
                topics=[
                    WritableTxnMarkerTopicResult(
                        name=name,
                        partitions=[
                            WritableTxnMarkerPartitionResult(partition_index=index, error_code=code)
                            for index, code in partitions.items()
                        ],
                    )
                    for name, partitions in topics.items()
                ],
            )
            for producer_id, topics in found.items()
        ]
    )


def _error(message: WriteTxnMarkersRequest, code: ErrorCode, _text: str | None) -> WriteTxnMarkersResponse:
    markers = _markers(message)
    return _response(markers, [dict.fromkeys(each.partitions, code) for each in markers])


APIS = (
    Api(
        TransactionServices,
        WriteTxnMarkersRequest,
        WriteTxnMarkersResponse,
        _handle,
        right=OnCluster(Operation.CLUSTER_ACTION, also=Operation.ALTER),
        error=_error,
        kips=(98, 664, 1228),
    ),
)
